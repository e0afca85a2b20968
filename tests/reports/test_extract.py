from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, START_S, naive_usage, writing

from netusage.errors import NoDataError, UsageError
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from netusage.reports.extract import Extract, Question, Resolution

APP = Who("application", "app")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def extracted(path, what, resolution, zone=UTC, **more):
    with LedgerReader(str(path)) as reader:
        return list(getattr(Extract(reader, Question(Resolution(resolution), zone, **more)), what)())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("filled") / "ledger.db"
    return path, fill(path)


def fill(path):
    """Two days of two interfaces, the first of whose minutes have been dropped, and a stretch without a recorder."""
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        epochs = [ledger.interface("wlan0"), ledger.interface("eth0")]
        for n in range(2 * 96):
            for rank, epoch in enumerate(epochs):
                ledger.count(
                    epoch,
                    START_S + n * QUARTER_S + 60 * (n % 15),
                    1000 + n,
                    10,
                    2,
                    rank,
                    peak_rx=n,
                    peak_tx=1,
                )
            if n % 4 == 3:
                ledger.commit(START_S + (n + 1) * QUARTER_S)
        ledger.span(
            epochs[1], (START_S + 1000) * US, (START_S + 9000) * US + 1, 777, 0, 7, 0, kind=GapKind.SUSPEND
        )
        ledger.count(epochs[0], START_S + 2 * DAY_S + 30, 5, 5, 5, 5)
        ledger.commit(START_S + 2 * DAY_S + 40)
    return ledger


def test_quarters_are_told_also_the_one_that_is_not_sealed(filled):
    path, ledger = filled
    rows = extracted(path, "usage", "quarter")
    assert [row.start_us for row in rows] == sorted(row.start_us for row in rows)
    counted = [row for row in rows if row.record == "quarter"]
    assert len(counted) == 2 * 2 * 96 + 1
    assert (counted[-1].interface, counted[-1].start_us, counted[-1].rx_bytes) == (
        "wlan0",
        (START_S + 2 * DAY_S) * US,
        5,
    )
    assert [row.interface for row in counted[:2]] == ["eth0", "wlan0"]
    for name in ledger.names():
        total = Counters(*map(sum, zip(*(row[5:9] for row in rows if row.interface == name), strict=True)))
        assert total == ledger.total(name)


def test_minutes_are_told_from_where_they_are_kept(filled):
    path, _ = filled
    with LedgerReader(str(path)) as reader:
        kept_from_us = reader.minutes_from_s * US
    rows = [row for row in extracted(path, "usage", "minute") if row.record != "estimated"]
    assert {row.record for row in rows if row.start_us < kept_from_us} == {"quarter"}
    assert {row.record for row in rows if row.start_us >= kept_from_us} == {"minute"}
    assert {(row.end_us - row.start_us) // US for row in rows if row.record == "minute"} == {60}


def test_estimated_stretches_are_rows_of_their_own_with_their_reason(filled):
    path, _ = filled
    (row,) = (row for row in extracted(path, "usage", "minute") if row.record == "estimated")
    assert (row.start_us, row.end_us) == ((START_S + 1000) * US, (START_S + 9000) * US + 1)
    assert (row.rx_bytes, row.estimated_rx_bytes, row.because) == (777, 777, "suspend")
    assert (row.peak_rx_bytes_per_second, row.peak_tx_bytes_per_second) == (None, None)


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")])
@pytest.mark.parametrize("resolution", ["hour", "day", "week"])
def test_periods_are_sums_with_their_estimated_part_in_columns(filled, zone, resolution):
    path, ledger = filled
    rows = [row for row in extracted(path, "usage", resolution, zone) if row.interface == "eth0"]
    for row in rows:
        (expected,) = naive_usage(ledger, ["eth0"], [row.start_us // US, row.end_us // US])
        assert (*row[5:9], row.estimated_rx_bytes, row.estimated_tx_bytes) == tuple(expected)
    assert sum(row.rx_bytes for row in rows) == ledger.total("eth0").rx_bytes
    assert max(row.peak_rx_bytes_per_second or 0 for row in rows) == 191


def test_the_stretch_is_widened_to_whole_rows_and_cuts_estimated_ones(filled):
    path, _ = filled
    rows = extracted(path, "usage", "quarter", since_s=START_S + 1801, until_s=START_S + 2701)
    assert {row.start_us for row in rows} == {(START_S + 1800) * US, (START_S + 2700) * US}
    (part,) = (row for row in rows if row.record == "estimated")
    assert (part.start_us, part.end_us) == ((START_S + 1800) * US, (START_S + 3600) * US)
    assert part.rx_bytes == 777 * 2600 * US // (8000 * US + 1) - 777 * 800 * US // (8000 * US + 1)


def test_interfaces_are_chosen_by_name(filled):
    path, _ = filled
    assert {row.interface for row in extracted(path, "usage", "day", patterns=("wl*",))} == {"wlan0"}
    with pytest.raises(NoDataError, match="no interface 'ppp"):
        extracted(path, "usage", "day", patterns=("ppp*",))


def test_questions_without_an_answer_are_refused(path, filled):
    with writing(path) as ledger:
        ledger.commit(START_S + 60)
    with pytest.raises(NoDataError, match="nothing has been recorded"):
        extracted(path, "usage", "quarter")
    path, _ = filled
    with pytest.raises(NoDataError, match="in the time asked for"):
        extracted(path, "usage", "quarter", until_s=START_S - 1)
    with pytest.raises(UsageError, match="ends before it begins"):
        extracted(path, "usage", "quarter", since_s=START_S, until_s=START_S)


def test_applications_are_told_by_quarters_and_days_stay_days(path):
    with writing(path, quarters_kept_s=DAY_S // 2, other_below_ppm=0) as ledger:
        eth0 = ledger.interface("eth0")
        for n in range(2 * 96):
            start_s = START_S + n * QUARTER_S
            ledger.count(eth0, start_s, 10, 0, 1, 0)
            ledger.share(Part(start_s, eth0, APP, 3, 6, 4), Counters(1, 0, 1, 0))
            ledger.share(Part(start_s, eth0, Who("kernel"), 9, 200, 0), Counters(0, 1, 0, 1))
            if n % 8 == 7:
                ledger.commit(start_s + QUARTER_S)
    rows = extracted(path, "applications", "hour")
    lengths = [(row.end_us - row.start_us) // US for row in rows]
    assert set(lengths) == {DAY_S, 3600}
    assert sum(row.rx_bytes for row in rows) == sum(row.tx_bytes for row in rows) == 2 * 96
    assert {(row.application_kind, row.application, row.scope, row.protocol, row.family) for row in rows} == {
        ("application", "app", "internet", "TCP", 4),
        ("kernel", "", "9", "200", 0),
    }
    days = extracted(path, "applications", "day")
    assert [row.rx_bytes for row in days if row.application == "app"] == [96, 96]
    assert extracted(path, "applications", "minute") == extracted(path, "applications", "quarter")


def test_gaps_and_what_was_watched_are_cut_at_the_ends_of_the_stretch(path):
    with writing(path) as ledger:
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo")
        ledger.count(eth0, START_S, 1, 1, 1, 1)
        ledger.count(lo, START_S, 1, 1, 1, 1)
        ledger.gap(START_S - 500, START_S + 5000, lossy=True, note="no recorder")
        ledger.gap(START_S + 7000, START_S + 7000, GapKind.VANISHED, interface="lo")
        ledger.commit(START_S + 9000)
    assert len(extracted(path, "gaps", "quarter")) == 2
    stretch = {"since_s": START_S, "until_s": START_S + 8000}
    first, second = extracted(path, "gaps", "quarter", **stretch)
    assert (first.start_us, first.end_us, first.lossy) == (START_S * US, (START_S + 5000) * US, True)
    assert (second.start_us, second.interface) == ((START_S + 7000) * US, "lo")
    assert extracted(path, "gaps", "quarter", patterns=("eth0",), **stretch) == [first]
    (watched,) = extracted(path, "watched", "quarter", **stretch)
    assert (watched.start_us, watched.end_us, watched.source) == (
        START_S * US,
        (START_S + 8000) * US,
        "netlink",
    )
