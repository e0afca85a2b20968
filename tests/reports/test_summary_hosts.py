from zoneinfo import ZoneInfo

import pytest
from support import machines
from support.ledgers import DAY_S, START_S, writing
from support.machines import HOSTILE, HOUR_S

from netusage.ledger.answers import Usage
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import US, GapKind
from netusage.reports.summary import Stretch, summary
from netusage.reports.summary_hosts import summary_of_hosts
from netusage.settings.schema import InterfaceSettings

UTC = ZoneInfo("UTC")
UNTIL_S = START_S + 23 * DAY_S + 13 * HOUR_S  # 2 April
KNOWN = {"web1": UNTIL_S, "web2": UNTIL_S - 5 * HOUR_S, HOSTILE: UNTIL_S}


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory):
    return machines.ledgers(tmp_path_factory.mktemp("machines"), UNTIL_S)


@pytest.fixture(scope="module")
def merged(ledgers, tmp_path_factory):
    return str(machines.merged(tmp_path_factory.mktemp("merged") / "all.db", ledgers, UNTIL_S))


def sum_up(path, hosts=("*",), **more):
    arguments = {"now_us": UNTIL_S * US, "zone": UTC, "overrides": InterfaceSettings()}
    with HostsReader(path, hosts) as reader:
        return summary_of_hosts(reader, **{**arguments, "known_until_s": KNOWN, **more})


def of_machine(path, **more):
    """The summary of a ledger, as its own machine sees it, without the boot."""
    with LedgerReader(path) as reader:
        answer = summary(reader, now_us=UNTIL_S * US, zone=UTC, boot_id="", overrides=InterfaceSettings(), **more)  # fmt: skip
    return {(row.stretch, row.interface): row.usage for row in answer.rows}


def test_of_one_host_it_says_what_that_host_says_itself(ledgers, merged):
    for name, ledger in ledgers.items():
        with LedgerReader(merged, name) as reader:
            arguments = {"zone": UTC, "overrides": InterfaceSettings(), "known_until_s": KNOWN}
            found = summary_of_hosts(reader, now_us=UNTIL_S * US, **arguments)
        assert {(row.stretch, row.interface): row.usage for row in found.rows} == of_machine(ledger)


def test_all_time_is_what_was_ever_recorded_also_without_packets(merged):
    (row, *_) = [row for row in sum_up(merged).rows if row.stretch is Stretch.ALL]
    with HostsReader(merged, ["*"]) as reader:
        counted = [one.totals for one in reader.interfaces() if one.counted]
        estimated = reader.estimated()
    assert row.usage[:4] == tuple(map(sum, zip(*counted, strict=True)))
    assert row.usage[4:] == tuple(map(sum, zip(*estimated.values(), strict=True)))
    (short, *_) = [row for row in sum_up(merged, packets=False).rows if row.stretch is Stretch.ALL]
    assert short.usage == row.usage._replace(rx_packets=0, tx_packets=0)


def test_hosts_are_told_apart_alone_or_with_interfaces_and_add_up_to_the_whole(ledgers, merged):
    own = {name: of_machine(ledger) for name, ledger in ledgers.items()}
    answer = sum_up(merged, by=("host",))
    for stretch in (Stretch.TODAY, Stretch.MONTH, Stretch.ALL):
        total, *each = [row for row in answer.rows if row.stretch is stretch]
        assert (total.host, total.interface) == ("", None)
        assert [row.host for row in each] == [HOSTILE, "web1", "web2"]
        assert {row.host: row.usage for row in each} == {name: of[stretch, None] for name, of in own.items()}
        assert total.usage == Usage(*map(sum, zip(*(row.usage for row in each), strict=True)))
    rows = sum_up(merged, by=("host", "interface")).rows
    assert {(row.host, row.stretch, row.interface): row.usage for row in rows if row.host} == {
        (name, *key): usage for name, of in own.items() for key, usage in of.items() if key[1]
    }  # fmt: skip


def test_interfaces_of_one_name_are_added_up_and_those_of_the_total_come_first(merged):
    found = [row for row in sum_up(merged).rows if row.stretch is Stretch.TODAY]
    assert [row.interface for row in found] == [None, "eth0", "lo"]
    assert found[0].usage == found[1].usage
    override = InterfaceSettings(counted=("lo",), not_counted=("eth0",))
    found = [row for row in sum_up(merged, overrides=override).rows if row.stretch is Stretch.TODAY]
    assert [row.interface for row in found] == [None, "lo", "eth0"]
    assert found[0].usage.rx_bytes == found[1].usage.rx_bytes == (13 + 13 + 8) * 11


def test_an_interface_that_counts_on_some_hosts_has_one_row_and_only_that_part_is_in_the_total(tmp_path):
    for name, counted in (("a", True), ("b", False)):
        with writing(tmp_path / f"{name}.db", machine=name) as ledger:
            ledger.count(ledger.interface("wg0", counted=counted), UNTIL_S - 60, 100)
            ledger.count(ledger.interface("eth0"), UNTIL_S - 60, 5)
            ledger.commit(UNTIL_S)
    path = machines.merged(tmp_path / "all.db", {n: str(tmp_path / f"{n}.db") for n in "ab"}, UNTIL_S)
    rows = [row for row in sum_up(str(path)).rows if row.stretch is Stretch.TODAY]
    assert [(row.interface, row.usage.rx_bytes) for row in rows] == [(None, 110), ("wg0", 200), ("eth0", 10)]


def test_of_a_day_of_which_nobody_told_anything_there_are_no_rows(merged):
    answer = sum_up(merged, now_us=(UNTIL_S + DAY_S) * US)
    assert answer.unknown == [Stretch.TODAY]
    assert {row.stretch for row in answer.rows} == {Stretch.MONTH, Stretch.ALL}
    assert [gaps.stretch for gaps in answer.gaps] == [Stretch.MONTH]
    answer = sum_up(merged, now_us=(UNTIL_S + 60 * DAY_S) * US)
    assert answer.unknown == [Stretch.TODAY, Stretch.MONTH]
    assert {row.stretch for row in answer.rows} == {Stretch.ALL}
    assert answer.gaps == []
    assert sum_up(merged).unknown == []


def test_lengths_of_gaps_are_added_up_host_by_host(merged, tmp_path):
    of_today, of_month = sum_up(merged, billing_day=30).gaps
    assert of_today == (Stretch.TODAY, 0, 0, 0)
    assert of_month == (Stretch.MONTH, 3, 1, 3 * 1800 * US)
    for name in "ab":
        with writing(tmp_path / f"{name}.db", machine=name) as ledger:
            ledger.gap(UNTIL_S - 300, UNTIL_S - 100, GapKind.KILLED)
            ledger.gap(UNTIL_S - 200, UNTIL_S, GapKind.REBOOT, lossy=True)
            ledger.commit(UNTIL_S)
    path = machines.merged(tmp_path / "all.db", {n: str(tmp_path / f"{n}.db") for n in "ab"}, UNTIL_S)
    of_today, _ = sum_up(str(path)).gaps
    assert of_today == (Stretch.TODAY, 4, 2, 2 * 300 * US)


def test_hosts_without_traffic_have_a_summary_of_nothing(tmp_path):
    with writing(tmp_path / "a.db", machine="a") as ledger:
        ledger.commit(UNTIL_S)
    path = machines.merged(tmp_path / "all.db", {"a": str(tmp_path / "a.db")}, UNTIL_S)
    answer = sum_up(str(path))
    assert [(row.interface, row.usage) for row in answer.rows] == [(None, Usage())] * 3
    assert [gaps.number for gaps in answer.gaps] == [0, 0]
