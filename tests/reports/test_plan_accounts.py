"""What counts towards a plan: each byte is taken off once, and what is not known counts."""

import random
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import NoDataError
from netusage.ledger import hosts
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import QUARTER_S, SCOPE_AT_HOME, US, Counters, Who
from netusage.reports import plan_accounts
from netusage.reports.plan_accounts import accounts, free_stretches
from netusage.settings.schema import InterfaceSettings, PlanSettings

BERLIN = ZoneInfo("Europe/Berlin")
WEB, VIDEO = Who("application", "web", "/srv/web"), Who("application", "video", "/opt/video/run")
KERNEL = Who("kernel")
HOURS = [START_S, START_S + 3600, START_S + 7200]


def plan(**given):
    return PlanSettings("home", "1 GB", **given)


def told(path, given, edges=HOURS, zone=UTC):
    """The accounts, as (counted, free, lan, zero-rated, estimated, unknown, used)."""
    with LedgerReader(str(path)) as reader:
        found = accounts(reader, given, edges, zone, InterfaceSettings())
    assert [one.start_s for one in found] == list(edges[:-1])
    assert [one.end_s for one in found] == list(edges[1:])
    return [(*one[2:], one.used) for one in found]


@pytest.fixture
def ledger(tmp_path):
    """One that two interfaces of the total, and one beside it, are written to; closed at the end."""
    with writing(tmp_path / "ledger.db") as found:
        yield found


def test_the_total_counts_in_the_direction_of_the_plan(ledger):
    eth0, tun0 = ledger.interface("eth0"), ledger.interface("tun0", "tun", counted=False)
    ledger.count(eth0, START_S + 60, 1000, 100)
    ledger.count(eth0, START_S + 3600, 7, 3)
    ledger.count(tun0, START_S, 900, 90)
    ledger.commit(START_S + 7200)
    assert told(ledger.path, plan()) == [(1100, 0, 0, 0, 0, 0, 1100), (10, 0, 0, 0, 0, 0, 10)]
    assert [one[0] for one in told(ledger.path, plan(direction="rx"))] == [1000, 7]
    assert [one[0] for one in told(ledger.path, plan(direction="tx"))] == [100, 3]
    assert [one[0] for one in told(ledger.path, plan(interfaces=("tun*", "wwan0")))] == [990, 0]


def test_interfaces_that_were_never_seen_are_no_data(ledger):
    ledger.interface("eth0")
    ledger.commit(START_S + 60)
    with pytest.raises(NoDataError, match="plan 'home': wwan\\* has not been recorded"):
        told(ledger.path, plan(interfaces=("wwan*",)))


def test_free_hours_are_taken_off_to_the_minute(ledger):
    eth0 = ledger.interface("eth0")
    for minute in range(60):
        ledger.count(eth0, START_S + 60 * minute, 1 << minute if minute < 32 else 0, 0)
    ledger.commit(START_S + 7200)
    first, _ = told(ledger.path, plan(free_hours=("00:05-00:17", "00:10-00:21")))
    free = sum(1 << minute for minute in range(5, 21))
    assert first == (2**32 - 1, free, 0, 0, 0, 0, 2**32 - 1 - free)


def test_bytes_whose_time_is_estimated_are_split_and_told(ledger):
    eth0 = ledger.interface("eth0")
    ledger.commit(START_S + 60)
    ledger.span(eth0, START_S * US, (START_S + 7200) * US, 7200, 0)
    ledger.commit(START_S + 7200)
    assert told(ledger.path, plan(free_hours=("00:30-01:00",))) == [
        (3600, 1800, 0, 0, 1800, 0, 1800),
        (3600, 0, 0, 0, 3600, 0, 3600),
    ]


def test_the_local_network_and_zero_rated_applications_are_taken_off_once(ledger):
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S, 10_000, 1_000)
    for who, scope, counters in (
        (WEB, 3, (5_000, 500)),
        (WEB, 1, (1_000, 100)),
        (WEB, 2, (10, 1)),
        (VIDEO, 3, (2_000, 200)),
        (VIDEO, 1, (700, 70)),
        (KERNEL, 3, (50, 5)),
    ):
        ledger.share(Part(START_S, eth0, who, scope, 6, 4), Counters(*counters))
    ledger.commit(START_S + 7200)
    unknown = 11_000 - 5_500 - 1_100 - 11 - 2_200 - 770 - 55
    whole = (11_000, 0)
    first = {
        name: told(ledger.path, plan(**given))[0]
        for name, given in {
            "lan": {"exclude_lan": True},
            "zero": {"zero_rated": ("vid*",)},
            "path": {"zero_rated": ("/opt/video/*",)},
            "both": {"exclude_lan": True, "zero_rated": ("vid*",)},
            "none": {},
        }.items()
    }
    assert first["lan"] == (*whole, 1_881, 0, 0, unknown, 9_119)
    assert first["zero"] == first["path"] == (*whole, 0, 2_970, 0, unknown, 8_030)
    assert first["both"] == (*whole, 1_881, 2_200, 0, unknown, 6_919)
    assert first["none"] == (*whole, 0, 0, 0, 0, 11_000)


def test_what_is_left_out_in_free_hours_is_not_taken_off_again(ledger):
    eth0 = ledger.interface("eth0")
    for quarter, given in enumerate(((1_000, 400), (2_000, 800), (3_000, 1_200))):
        at_s = START_S + quarter * QUARTER_S
        counted, lan = given
        ledger.count(eth0, at_s, counted // 4, 0)
        ledger.count(eth0, at_s + 600, counted - counted // 4, 0)
        ledger.share(Part(at_s, eth0, WEB, 1, 6, 4), Counters(lan))
    ledger.commit(START_S + 7200)
    # the first quarter is free, and of the second one what came in its first ten minutes: a quarter of its bytes
    (first, _) = told(ledger.path, plan(exclude_lan=True, free_hours=("00:00-00:25",)))
    free, lan = 1_000 + 500, 600 + 1_200
    assert first == (6_000, free, lan, 0, 0, 900 + 1_800, 6_000 - free - lan)


def test_what_a_host_keeps_at_home_counts_and_is_told_as_unknown(ledger):
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S, 1_000, 0)
    for scope, number in ((SCOPE_AT_HOME, 600), (1, 100)):
        ledger.share(Part(START_S, eth0, WEB, scope, 6, 4), Counters(number))
    ledger.commit(START_S + 7200)
    assert told(ledger.path, plan(exclude_lan=True))[0] == (1_000, 0, 100, 0, 0, 900, 900)
    both = told(ledger.path, plan(exclude_lan=True, zero_rated=("web",)))[0]
    assert both == (1_000, 0, 100, 600, 0, 300, 300)


def test_what_two_sockets_were_given_is_not_left_out_twice(ledger):
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S, 1_000, 0)
    for who, scope, number in ((WEB, 2, 600), (VIDEO, 2, 600), (WEB, 3, 400)):
        ledger.share(Part(START_S, eth0, who, scope, 17, 4), Counters(number))
    ledger.commit(START_S + 7200)
    assert told(ledger.path, plan(exclude_lan=True))[0] == (1_000, 0, 600, 0, 0, 0, 400)
    both = told(ledger.path, plan(exclude_lan=True, zero_rated=("web",)))[0]
    assert both == (1_000, 0, 1_000, 0, 0, 0, 0)


def test_applications_that_are_known_by_days_are_split_as_the_interface_was_used(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for hour, number in ((0, 1_000), (12, 3_000)):
            at_s = START_S + hour * 3600
            ledger.count(eth0, at_s, number)
            ledger.share(Part(at_s, eth0, WEB, 1, 6, 4), Counters(400))
        for day in range(1, 8):
            ledger.commit(START_S + day * DAY_S)
    with LedgerReader(str(path)) as reader:
        assert [row[-1] for row in reader.share_rows(0)] == [DAY_S]
    edges = [START_S, START_S + DAY_S // 2, START_S + DAY_S, START_S + 2 * DAY_S]
    found = told(path, plan(exclude_lan=True), edges)
    assert [one[2] for one in found] == [200, 600, 0]
    free = told(path, plan(exclude_lan=True, free_hours=("00:00-06:00",)), [edges[0], edges[2]])
    assert free == [(4_000, 1_000, 600, 0, 0, 2_400, 2_400)]


def test_where_minutes_are_not_kept_any_more_a_quarter_is_split_in_proportion_and_said_to_be(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 900)
        ledger.count(eth0, START_S + QUARTER_S, 70)
        ledger.share(Part(START_S, eth0, WEB, 1, 6, 4), Counters(300))
        for day in range(1, 5):
            ledger.commit(START_S + day * DAY_S)
    with LedgerReader(str(path)) as reader:
        assert reader.minutes_from_s >= START_S + 2 * QUARTER_S
    # five minutes of the first quarter are free: a third of it
    found = told(path, plan(exclude_lan=True, free_hours=("00:05-00:10",)))[0]
    assert found == (970, 300, 200, 0, 600, 470, 470)


@pytest.mark.parametrize("zone", [UTC, BERLIN, ZoneInfo("Australia/Lord_Howe")])
def test_free_hours_are_those_that_the_local_clock_shows(zone):
    """Against the clock itself, minute by minute, over both days of the year on which it is set."""
    free = ((1 * 60 + 30, 2 * 60 + 20), (23 * 60, 45), (12 * 60, 24 * 60))

    def is_free(at_s):
        at = datetime.fromtimestamp(at_s, zone)
        minute = at.hour * 60 + at.minute
        return any(
            low <= minute < high if low < high else minute >= low or minute < high for low, high in free
        )

    for day in (
        datetime(2026, 3, 28, tzinfo=UTC),
        datetime(2026, 10, 24, tzinfo=UTC),
        datetime(2026, 4, 4, tzinfo=UTC),
    ):
        since_s = int(day.timestamp()) + 60 * 17
        until_s = since_s + 2 * DAY_S
        stretches = free_stretches(free, since_s, until_s, zone)
        inside = {at_s for low, high in stretches for at_s in range(low, high, 60)}
        assert inside == {at_s for at_s in range(since_s, until_s, 60) if is_free(at_s)}


def test_no_free_hours_are_no_stretches():
    assert free_stretches((), START_S, START_S + DAY_S, UTC) == []


@pytest.mark.parametrize("seed", range(3))
def test_any_plan_adds_up_as_counted_by_hand(tmp_path, seed):
    """Every minute and every share by itself, against the account of two days in any cut."""
    dice = random.Random(seed)
    zone = dice.choice([UTC, BERLIN])
    path = tmp_path / "ledger.db"
    minutes, lan = {}, {}
    with writing(path) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("wlan0")]
        for _ in range(300):
            epoch, at_s = dice.randrange(2), START_S + 60 * dice.randrange(2 * 1440)
            rx, tx = dice.randrange(10_000), dice.randrange(1_000)
            ledger.count(epochs[epoch], at_s, rx, tx)
            minutes[at_s] = minutes.get(at_s, 0) + rx
            quarter_s = at_s // QUARTER_S * QUARTER_S
            part = Part(quarter_s, epochs[epoch], WEB, 1, 6, 4)
            lan[part] = lan.get(part, 0) + rx // 2
        for part, number in lan.items():
            ledger.share(part, Counters(number))
        ledger.commit(START_S + 2 * DAY_S)
    edges = sorted(
        {START_S, START_S + 2 * DAY_S, *(START_S + QUARTER_S * dice.randrange(192) for _ in range(5))}
    )
    given = plan(direction="rx", exclude_lan=True, free_hours=("22:00-03:00", "12:15-13:45"))

    def is_free(at_s):
        at = datetime.fromtimestamp(at_s, zone)
        clock = f"{at:%H:%M}"
        return clock >= "22:00" or clock < "03:00" or "12:15" <= clock < "13:45"

    found = told(path, given, edges, zone)
    for (start_s, end_s), one in zip(pairwise(edges), found, strict=True):
        inside = {at_s: number for at_s, number in minutes.items() if start_s <= at_s < end_s}
        free = sum(number for at_s, number in inside.items() if is_free(at_s))
        left_out = sum(
            number
            for part, number in lan.items()
            if start_s <= part.start_s < end_s and not is_free(part.start_s)
        )
        counted = sum(inside.values())
        assert one == (counted, free, left_out, 0, 0, counted - free - left_out, counted - free - left_out)


# ---- Several hosts ----------------------------------------------------------------------------------------------


GROUPS = {
    "total": {},
    "one direction": {"direction": "tx", "interfaces": ("eth0", "wlan*")},
    "lan": {"exclude_lan": True, "free_hours": ("22:00-03:00",)},
    "zero-rated": {"zero_rated": ("vid*",), "interfaces": ("eth*",)},
    "all": {"exclude_lan": True, "zero_rated": ("/srv/*",), "free_hours": ("12:10-13:25", "23:00-01:00")},
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A ledger with others merged into it, and their files: of one applications are known by days, one had much twice."""
    home = tmp_path_factory.mktemp("group")
    with writing(home / "own.db", boot_id="own", machine="own") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 10**15)
        ledger.commit(START_S + 60)
    dice, others = random.Random(7), []
    for name in ("web1", "web2", "db"):
        others.append(str(home / f"{name}.db"))
        folding = {"quarters_kept_s": 2 * DAY_S} if name == "db" else {}
        with writing(others[-1], boot_id=name, machine=name, **folding) as ledger:
            epochs = [
                ledger.interface("eth0"),
                ledger.interface("wlan0"),
                ledger.interface("tun0", "tun", counted=False),
            ]
            for quarter in range(0, 5 * 96, 3):
                at_s = START_S + quarter * QUARTER_S
                epoch, number = dice.choice(epochs), dice.randrange(1_000, 10_000)
                ledger.count(epoch, at_s + 60 * dice.randrange(15), number, number // 2)
                for who, scope in ((WEB, 1), (WEB, 3), (VIDEO, 3), (VIDEO, 1)):
                    had = dice.randrange(number // (2 if name == "web2" else 5))
                    ledger.share(Part(at_s, epoch, who, scope, 6, 4), Counters(had, had // 3))
                if quarter % 96 == 93:
                    ledger.commit(at_s + QUARTER_S)
            ledger.span(epochs[0], (START_S + 1000) * US, (START_S + 90_000) * US, 12_345, 67)
            ledger.commit(START_S + 5 * DAY_S)
        hosts.merge(str(home / "own.db"), others[-1], name, now_us=(START_S + 6 * DAY_S) * US)
    return str(home / "own.db"), others


@pytest.mark.parametrize(("pattern", "number"), [("*", 3), ("web*", 2)], ids=["with days", "quarters"])
@pytest.mark.parametrize("zone", [UTC, BERLIN])
@pytest.mark.parametrize("given", GROUPS.values(), ids=GROUPS)
def test_what_counts_of_several_hosts_is_what_counts_of_each_added_up(group, given, zone, pattern, number):
    merged, others = group
    edges = [START_S + quarter * QUARTER_S for quarter in (0, 8, 96, 200, 201, 480)]
    with HostsReader(merged, [pattern]) as reader:
        found = accounts(reader, plan(**given), edges, zone, InterfaceSettings())
    each = []
    for path in others[:number]:
        with LedgerReader(path) as reader:
            each.append(accounts(reader, plan(**given), edges, zone, InterfaceSettings()))
    assert [tuple(one) for one in found] == [
        (*same[0][:2], *map(sum, zip(*(one[2:] for one in same), strict=True)))
        for same in zip(*each, strict=True)
    ]
    assert sum(one.counted for one in found) > 100_000
    left_out = [sum(getattr(one, name) for one in found) for name in ("lan", "zero_rated")]
    assert [part > 0 for part in left_out] == ["exclude_lan" in given, "zero_rated" in given]


@pytest.mark.parametrize("hours", [(), ("22:00-03:15",)])
def test_names_are_not_asked_of_each_of_many_interfaces_and_the_answer_is_the_same(group, monkeypatch, hours):
    given = plan(exclude_lan=True, zero_rated=("vid*", "/srv/*"), free_hours=hours)
    edges = [START_S + quarter * QUARTER_S for quarter in (0, 96, 192, 480)]
    with HostsReader(group[0], ["web*"]) as reader:
        ask = (reader, given, edges, UTC, InterfaceSettings())
        expected = accounts(*ask)
        by_name = []

        def counting(groups, edges, fields):
            by_name.extend(len(ids) for ids in groups if "name" in fields)
            return HostsReader.shares_by_period(reader, groups, edges, fields)

        monkeypatch.setattr(reader, "shares_by_period", counting)
        monkeypatch.setattr(plan_accounts, "_FEW", 3)
        assert accounts(*ask) == expected
    # of each interface that had something twice, and of the others together
    *twice, others = by_name
    assert set(twice) == {1}
    assert others == 4 - len(twice) > 1
    assert all(one.zero_rated for one in expected)


def test_roughly_is_the_same_where_nothing_was_delivered_twice(ledger):
    for name, rx in (("eth0", 5_000), ("eth1", 7_000)):
        epoch = ledger.interface(name)
        ledger.count(epoch, START_S, rx)
        ledger.share(Part(START_S, epoch, WEB, 1, 6, 4), Counters(rx // 2))
        ledger.share(Part(START_S, epoch, VIDEO, 3, 6, 4), Counters(rx // 4))
    ledger.commit(START_S + 7200)
    given = plan(exclude_lan=True, zero_rated=("video",))
    with LedgerReader(ledger.path) as reader:
        ask = (reader, given, HOURS, UTC, InterfaceSettings())
        assert accounts(*ask, roughly=True) == accounts(*ask)


def test_a_record_without_minutes_splits_a_quarter_in_proportion_and_tells_its_bytes_as_estimated(ledger):
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S + 7 * 3600, 900)  # in the first of the quarter's minutes
    ledger.count(eth0, START_S + 8 * 3600, 5)
    ledger.commit(START_S + DAY_S)

    class OfQuarters(LedgerReader):
        """As a fleet, which has no minutes."""

        minutes_from_s = 1 << 62

    given = plan(free_hours=("07:10-08:00",))
    with OfQuarters(ledger.path) as reader:
        (found,) = accounts(reader, given, [START_S, START_S + DAY_S], UTC, InterfaceSettings())
    assert found[2:] == (905, 300, 0, 0, 600, 0)
    ((*_, estimated, _, used),) = told(ledger.path, given, [START_S, START_S + DAY_S])
    assert (estimated, used) == (0, 905)


def test_roughly_a_record_without_minutes_takes_what_is_left_out_by_days(group):
    class OfQuarters(HostsReader):
        """As a fleet, which has no minutes."""

        minutes_from_s = 1 << 62

    given = plan(exclude_lan=True, zero_rated=("vid*",))
    edges = range(START_S + 20 * 3600, START_S + 4 * DAY_S + 1, 3600)  # begins within a day
    with OfQuarters(group[0], ["web1"]) as reader:
        ask = (reader, given, edges, UTC, InterfaceSettings())
        exactly, roughly = accounts(*ask), accounts(*ask, roughly=True)
    assert [one.counted for one in roughly] == [one.counted for one in exactly]
    days = [4, 28, 52, 76]
    for first, last in pairwise([0, *days]):
        for name in ("lan", "zero_rated", "unknown"):
            expected, found = (
                sum(getattr(one, name) for one in some[first:last]) for some in (exactly, roughly)
            )
            assert found == expected > 0, name
    assert roughly != exactly


@pytest.mark.parametrize("given", [{"exclude_lan": True}, {"exclude_lan": True, "zero_rated": ("vid*",)}])
def test_of_many_interfaces_without_minutes_local_days_are_split_and_their_sums_are_exact(
    group, monkeypatch, given
):
    class OfQuarters(HostsReader):
        """As a fleet, which has no minutes."""

        minutes_from_s = 1 << 62

    days = [START_S - 3600 + n * DAY_S for n in range(7)]  # of Berlin, in winter
    cycles = [days[0], days[3], days[-1]]
    with OfQuarters(group[0], ["web1"]) as reader:
        ask = (reader, plan(**given), days, BERLIN, InterfaceSettings())
        exactly = accounts(*ask)
        assert accounts(*ask, exact_at=cycles) == exactly
        monkeypatch.setattr(plan_accounts, "_FEW", 1)
        split = accounts(*ask, exact_at=cycles)
    assert [one[:4] for one in split] == [one[:4] for one in exactly]
    assert [one.lan for one in split] != [one.lan for one in exactly]
    for first, last in ((0, 3), (3, 6)):
        of_cycles = [
            [sum(column) for column in zip(*(one[2:] for one in some[first:last]), strict=True)]
            for some in (exactly, split)
        ]
        assert of_cycles[0] == of_cycles[1]
