"""Several hosts of a ledger as one record: what each has, added up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import NoDataError
from netusage.ledger import hosts
from netusage.ledger.answers import NO_USAGE, Peaks, Usage
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import US, Counters, Who

DAYS = 3
END_S = START_S + DAYS * DAY_S
CURL, NGINX = Who("application", "curl", "/usr/bin/curl"), Who("application", "nginx", "/usr/sbin/nginx")


def make(path, machine, rx, *, minutes_kept_s=35 * DAY_S):
    """A ledger with `rx` bytes received in each hour, now more, now less, and a host inside of none."""
    with writing(path, machine=machine, boot_id=machine, minutes_kept_s=minutes_kept_s) as ledger:
        ledger.tier = "kernel" if machine == "a" else "sampled"
        epochs = [ledger.interface("eth0"), ledger.interface("wlan0", counted=False)]
        ledger.commit(START_S + 1)
        for hour in range(24 * DAYS):
            at_s = START_S + hour * 3600 + 60 * (rx % 7)
            for n, epoch in enumerate(epochs):
                more = rx * (1 + (hour * rx + n) % 5)
                ledger.count(epoch, at_s, more, 2 * more, 1, 2, peak_rx=more, peak_tx=3 * more)
                part = Part(at_s // 900 * 900, epoch, CURL if hour % 2 else NGINX, 3, 6, 4)
                ledger.share(part, Counters(more // 2, more, 0, 1))
            if hour % 8 == 7:
                ledger.commit(at_s + 1800)
        ledger.version(CURL, 1, rx)
        ledger.span(epochs[0], (START_S + rx) * US, (START_S + rx + 7200) * US, 1000 + rx, 1, 0, 0)
        ledger.gap(START_S + rx, START_S + 7200, lossy=machine == "a")
        ledger.commit(END_S, ended="SIGTERM")
    return str(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A ledger of its own, with the hosts a, b and web/1 in it."""
    directory = tmp_path_factory.mktemp("several")
    own = make(directory / "own.db", "own", 1_000_000)
    for name, machine, rx in (("a", "a", 11), ("b", "b", 700), ("web/1", "c", 500)):
        other = make(
            directory / f"{machine}.db", machine, rx, minutes_kept_s=DAY_S if machine == "c" else 35 * DAY_S
        )
        hosts.merge(own, other, name, now_us=END_S * US)
    return own


@pytest.fixture(scope="module")
def all_of_it(path):
    with HostsReader(path, ["*"]) as reader:
        yield reader


@pytest.fixture(scope="module")
def singles(path):
    """A reader of each host, by name."""
    readers = {name: LedgerReader(path, name) for name in ("a", "b", "web/1")}
    yield readers
    for reader in readers.values():
        reader.close()


def numbers(reader, name="eth0", host=None):
    return [one.id for one in reader.interfaces() if one.name == name and host in (None, one.host)]


def added(parts):
    return [Usage(*map(sum, zip(*same, strict=True))) for same in zip(*parts, strict=True)]


# ---- Which hosts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*"], ["a", "b", "web/1"]),
        (["b", "a"], ["a", "b"]),
        (["web/*"], ["web/1"]),
        (["[ab]", "a"], ["a", "b"]),
    ],
)
def test_hosts_are_those_that_fit_a_pattern(path, patterns, names):
    with HostsReader(path, patterns) as reader:
        assert reader.hosts == names
        assert {one.host for one in reader.interfaces()} == set(names)
        assert (reader.path, reader.place) == (path, f"the ledger {path}")


def test_a_name_with_signs_of_a_pattern_in_it_is_found_by_itself(path, tmp_path):
    own = make(tmp_path / "own.db", "own", 3)
    hosts.merge(own, make(tmp_path / "other.db", "other", 4), "a[b]*", now_us=END_S * US)
    with HostsReader(own, ["a[b]*"]) as reader:
        assert reader.hosts == ["a[b]*"]


@pytest.mark.parametrize("missing", ["nobody", "c*", "A"])
def test_a_pattern_that_fits_no_host_is_refused_as_a_missing_host_is(path, missing):
    with pytest.raises(NoDataError) as of_one:
        LedgerReader(path, missing)
    with pytest.raises(NoDataError) as of_several:
        HostsReader(path, ["a", missing])
    assert of_several.value.message == of_one.value.message == f"no host {missing!r} in the ledger {path}"
    assert of_several.value.hint == of_one.value.hint == "there are: a, b, web/1"


def test_a_ledger_without_hosts_says_how_to_have_some(tmp_path):
    own = make(tmp_path / "own.db", "own", 3)
    with pytest.raises(NoDataError) as error:
        HostsReader(own, ["*"])
    assert error.value.hint == "netusage merge takes in the ledger of another machine"


# ---- What was counted -------------------------------------------------------------------------------------------


def test_every_interface_has_a_number_of_its_own_and_its_host(all_of_it, singles):
    found = all_of_it.interfaces()
    assert len({one.id for one in found}) == len(found) == 6
    assert [(one.name, one.host) for one in found] == [
        (name, host) for host in ("a", "b", "web/1") for name in ("eth0", "wlan0")
    ]
    for host, reader in singles.items():
        own = [one._replace(id=0, host="") for one in found if one.host == host]
        assert own == [one._replace(id=0) for one in reader.interfaces()]


@given(
    st.lists(st.integers(START_S // 60 - 30, END_S // 60 + 30), min_size=2, max_size=12, unique=True).map(
        sorted
    ),
    st.sets(st.integers(0, 5), min_size=1),
    st.booleans(),
)
def test_usage_is_the_sum_of_what_the_hosts_have(all_of_it, singles, minutes, chosen, packets):
    edges = [60 * minute for minute in minutes]
    everything = all_of_it.interfaces()
    mine = [everything[n] for n in sorted(chosen)]
    ((*found,),) = all_of_it.usage([[one.id for one in mine]], edges, packets=packets)
    parts = []
    for host, reader in singles.items():
        names = {one.name for one in mine if one.host == host}
        ids = [one.id for one in reader.interfaces() if one.name in names]
        parts += reader.usage([ids], edges, packets=packets)
    assert found == added(parts)
    ranked = sorted(range(len(found)), key=lambda n: -found[n].total_bytes)
    busiest = all_of_it.busiest([one.id for one in mine], edges, 3, packets=packets)
    assert busiest == [(n, found[n]) for n in ranked[:3] if found[n].total_bytes]


def test_groups_are_answered_each_by_itself_also_those_of_nobody(all_of_it):
    edges = list(range(START_S, END_S + 1, 3600))
    ids = numbers(all_of_it)
    each = all_of_it.usage([[number] for number in ids], edges)
    both, none = all_of_it.usage([ids, []], edges)
    assert both == added(each)
    assert none == [NO_USAGE] * (len(edges) - 1)
    assert all_of_it.usage([ids, []], edges[:1]) == [[], []]
    assert all_of_it.busiest([], edges, 5) == []
    assert all_of_it.peaks([[]], edges[:2]) == [[Peaks()]]
    assert all_of_it.slots([[]], START_S, START_S + 1800, 900) == [([0, 0], [0, 0])]


def test_the_peak_is_the_highest_of_any_host_and_says_whose_it_was(all_of_it, singles):
    edges = list(range(START_S, END_S + 1, DAY_S))
    (found,) = all_of_it.peaks([numbers(all_of_it)], edges)
    each = {host: reader.peaks([numbers(reader)], edges)[0] for host, reader in singles.items()}
    names = {one.id: (one.host, one.name) for one in all_of_it.interfaces()}
    for n, pair in enumerate(found):
        for way, peak in enumerate(pair):
            best = max((own[n][way].rate, host) for host, own in each.items())
            assert (peak.rate, names[peak.interface_id]) == (best[0], (best[1], "eth0"))
            own = each[best[1]][n][way]
            assert (peak.at_s, peak.width_s) == (own.at_s, own.width_s)


def test_slots_are_added_up(all_of_it, singles):
    (found,) = all_of_it.slots([numbers(all_of_it)], START_S, END_S, 900)
    each = [reader.slots([numbers(reader)], START_S, END_S, 900)[0] for reader in singles.values()]
    for way in (0, 1):
        assert list(found[way]) == list(map(sum, zip(*(own[way] for own in each), strict=True)))


def test_minutes_are_told_from_when_on_every_host_has_them(all_of_it, singles):
    assert len({reader.minutes_from_s for reader in singles.values()}) > 1
    assert all_of_it.minutes_from_s == max(reader.minutes_from_s for reader in singles.values())


def test_the_record_goes_from_the_first_to_the_last(all_of_it, tmp_path):
    assert all_of_it.extent()[0] == START_S
    later = tmp_path / "own.db"
    with writing(later, END_S) as ledger:
        ledger.commit(END_S + 60)
    with writing(tmp_path / "late.db", END_S, machine="late", boot_id="late") as ledger:
        ledger.count(ledger.interface("eth0"), END_S, 1, 1, 1, 1)
        ledger.commit(END_S + 60)
    with writing(tmp_path / "empty.db", END_S, machine="empty", boot_id="empty") as ledger:
        ledger.commit(END_S + 60)
    for name in ("late", "empty"):
        hosts.merge(str(later), str(tmp_path / f"{name}.db"), name, now_us=END_S * US)
    hosts.merge(str(later), make(tmp_path / "early.db", "early", 5), "early", now_us=END_S * US)
    with HostsReader(str(later), ["*"]) as reader:
        assert reader.extent() == (START_S, END_S + 60)
    with HostsReader(str(later), ["empty"]) as reader:
        assert reader.extent() is None


def test_estimated_stretches_come_by_start_with_the_numbers_of_the_record(all_of_it, singles):
    found = all_of_it.spans(0, END_S * US)
    assert [one.start_us for one in found] == [(START_S + rx) * US for rx in (11, 500, 700)]
    hosts_of = {one.id: one.host for one in all_of_it.interfaces()}
    assert [hosts_of[one.interface_id] for one in found] == ["a", "web/1", "b"]
    assert all_of_it.spans(0, START_S * US) == []
    assert {hosts_of[number]: pair for number, pair in all_of_it.estimated().items()} == {
        host: pair for host, reader in singles.items() for pair in reader.estimated().values()
    }


# ---- What applications had --------------------------------------------------------------------------------------


def told(records):
    """What each application had, whichever interface it was."""
    sums = {}
    for one in records:
        key = (one.who, one.scope, one.protocol, one.family)
        sums[key] = sums.get(key, Counters()).plus(one.counters)
    return sums


def test_what_applications_had_is_the_sum_of_what_they_had_on_the_hosts(all_of_it, singles):
    edges = [START_S, START_S + 900, START_S + DAY_S, END_S]
    (found,) = all_of_it.shares_by_period([numbers(all_of_it)], edges, ("name",))
    each = [reader.shares_by_period([numbers(reader)], edges)[0] for reader in singles.values()]
    for n, _ in enumerate(pairwise(edges)):
        assert told(found[n]) == told([one for own in each for one in own[n]])
    hosts_of = {one.id: one.host for one in all_of_it.interfaces()}
    assert {hosts_of[one.interface_id] for one in found[2]} == {"a", "b", "web/1"}
    of_one = all_of_it.shares_by_period([numbers(all_of_it, host="b"), numbers(all_of_it, "wlan0")], edges)
    assert told(of_one[0][1]) == told(each[1][1])


def test_rows_come_by_time_with_numbers_that_name_application_and_interface(all_of_it, singles):
    since_s = START_S + DAY_S
    rows = list(all_of_it.share_rows(since_s))
    starts = [row[0] for row in rows]
    assert starts == sorted(starts)
    assert starts[0] >= since_s
    applications = all_of_it.applications()
    interfaces = {one.id: one for one in all_of_it.interfaces()}
    found = sorted((interfaces[row[2]].host, row[0], applications[row[1]].name, *row[3:]) for row in rows)
    wanted = []
    for host, reader in singles.items():
        known = reader.applications()
        wanted += [(host, row[0], known[row[1]].name, *row[3:]) for row in reader.share_rows(since_s)]
    assert found == sorted(wanted)


def test_rows_go_on_while_other_questions_are_asked(all_of_it):
    expected = list(all_of_it.share_rows(0))
    found = []
    for row in all_of_it.share_rows(0):
        found.append(row)
        if len(found) % 40 == 0:
            all_of_it.usage([[one.id] for one in all_of_it.interfaces()], [START_S, END_S])
            all_of_it.peaks([numbers(all_of_it)], [START_S, END_S])
    assert found == expected


def test_applications_of_different_hosts_have_different_numbers(all_of_it):
    applications = all_of_it.applications()
    assert sorted(who.name for who in applications.values()) == ["curl"] * 3 + ["nginx"] * 3
    assert {one.id: one.who for one in all_of_it.seen()} == applications
    assert sum(one.versions for one in all_of_it.seen()) == 3


def test_executables_say_on_which_host_they_were(all_of_it):
    assert [(one.host, one.who, one.inode) for one in all_of_it.versions()] == [
        ("a", CURL, 11),
        ("b", CURL, 700),
        ("web/1", CURL, 500),
    ]


def test_each_way_of_telling_applications_apart_is_named_once(all_of_it):
    assert all_of_it.tiers(0, END_S * US) == ["kernel", "sampled"]
    assert all_of_it.tiers(0, 1) == []


# ---- What was watched -------------------------------------------------------------------------------------------


def test_gaps_come_by_start_and_say_whose_they_are(all_of_it):
    assert [(one.start_us // US - START_S, one.host, one.lossy) for one in all_of_it.gaps(0, END_S * US)] == [
        (11, "a", True),
        (500, "web/1", False),
        (700, "b", False),
    ]


def test_watched_stretches_are_those_of_all_hosts_by_start(all_of_it, singles):
    found = all_of_it.watched(0, END_S * US)
    assert found == sorted(found, key=lambda one: one.start_us)
    assert sorted(one[:2] for one in found) == sorted(
        one[:2] for reader in singles.values() for one in reader.watched(0, END_S * US)
    )
    assert len({one.run_id for one in found}) == 3


def test_a_long_question_can_be_ended(path):
    def enough():
        raise KeyboardInterrupt

    def ask(reader):
        while True:
            list(reader.share_rows(0))

    with HostsReader(path, ["*"]) as reader:
        reader.on_progress(enough)
        with pytest.raises(KeyboardInterrupt):
            ask(reader)
