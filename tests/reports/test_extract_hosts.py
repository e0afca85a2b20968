from zoneinfo import ZoneInfo

import pytest
from support import machines
from support.ledgers import DAY_S, START_S
from support.machines import HOSTILE, HOUR_S

from netusage.errors import NoDataError, UsageError
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import US
from netusage.reports import extract, extract_hosts
from netusage.reports.extract import Extract, Question, Resolution
from netusage.reports.extract_hosts import HostsExtract

ZONE = ZoneInfo("Asia/Kathmandu")
UNTIL_S = START_S + 23 * DAY_S + 13 * HOUR_S
HOSTS = (HOSTILE, "web1", "web2")


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory):
    return machines.ledgers(tmp_path_factory.mktemp("machines"), UNTIL_S)


@pytest.fixture(scope="module")
def merged(ledgers, tmp_path_factory):
    return str(machines.merged(tmp_path_factory.mktemp("merged") / "all.db", ledgers, UNTIL_S))


def rows(path, what="usage", resolution="quarter", hosts=("*",), **more):
    with HostsReader(path, hosts) as reader:
        return list(getattr(HostsExtract(reader, Question(Resolution(resolution), ZONE, **more)), what)())


@pytest.mark.parametrize("resolution", ["hour", "day", "month"])
def test_rows_of_a_host_are_those_of_its_own_ledger(ledgers, merged, resolution):
    found = rows(merged, resolution=resolution)
    assert found == sorted(found, key=lambda row: (row.start_us, HOSTS.index(row.host), row.interface))
    for host, ledger in ledgers.items():
        with LedgerReader(ledger) as reader:
            own = list(Extract(reader, Question(Resolution(resolution), ZONE)).usage())
        assert [(*row[:2], *row[3:]) for row in found if row.host == host] == own


def test_quarters_add_up_to_what_is_recorded_with_what_is_estimated_in_columns(merged):
    found = rows(merged)
    assert {(row.end_us - row.start_us, row.record, row.because) for row in found} == {
        (900 * US, "quarter", "")
    }
    with HostsReader(merged, ["*"]) as reader:
        interfaces, estimated = reader.interfaces(), reader.estimated()
    for one in interfaces:
        own = [row for row in found if (row.host, row.interface) == (one.host, one.name)]
        for name, whole in one.totals._asdict().items():
            assert sum(getattr(row, name) for row in own) == whole
        sums = (sum(row.estimated_rx_bytes for row in own), sum(row.estimated_tx_bytes for row in own))
        assert sums == estimated.get(one.id, (0, 0))


def test_portions_make_no_difference(merged, monkeypatch):
    before = rows(merged), rows(merged, "gaps"), rows(merged, resolution="hour")
    cut = {"since_s": UNTIL_S - 3 * DAY_S + 7800, "until_s": UNTIL_S - 3 * DAY_S + 8400}
    of_cut = rows(merged, "gaps", **cut)
    assert len(of_cut) == 3
    monkeypatch.setattr(extract, "_CELLS_AT_ONCE", 1)
    monkeypatch.setattr(extract_hosts, "_GAPS_AT_ONCE_S", 600)
    assert (rows(merged), rows(merged, "gaps"), rows(merged, resolution="hour")) == before
    assert rows(merged, "gaps", **cut) == of_cut


def test_gaps_say_whose_they_are_and_are_cut_at_the_ends_of_the_stretch(merged):
    start_s = UNTIL_S - 3 * DAY_S + 7200
    whole = rows(merged, "gaps")
    assert [(gap.start_us, gap.end_us, gap.host) for gap in whole] == [
        (start_s * US, (start_s + 1800) * US, host) for host in HOSTS
    ]
    assert [gap.host for gap in whole if gap.lossy] == ["web1"]
    part = rows(merged, "gaps", since_s=start_s + 900, until_s=start_s + 1200, hosts=("web*",))
    assert [(gap.start_us // US - start_s, gap.end_us // US - start_s, gap.host) for gap in part] == [
        (900, 1800, "web1"),
        (900, 1800, "web2"),
    ]


def test_interfaces_and_stretches_are_chosen(merged):
    found = rows(merged, patterns=("l*",), since_s=UNTIL_S - 7 * HOUR_S, until_s=UNTIL_S - 5 * HOUR_S)
    assert {row.interface for row in found} == {"lo"}
    assert [row.host for row in found] == [*HOSTS, *HOSTS]


def test_questions_without_an_answer_are_refused(merged):
    with pytest.raises(UsageError, match="quarters of an hour"):
        rows(merged, resolution="minute")
    with pytest.raises(NoDataError, match="no interface 'tun9'"):
        rows(merged, patterns=("tun9",))
    with pytest.raises(NoDataError, match="nothing was recorded in the time"):
        rows(merged, until_s=START_S)
