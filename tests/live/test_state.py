"""What is added up of what the threads tell."""

from live.told import BACKUP, FIREFOX, LAN, LOOPBACK, START_S, WEB, Told, busy_house, use

from netusage.live.history import Both
from netusage.live.news import Recorded, Spent, Trouble
from netusage.live.state import Row, differences
from netusage.model import US


def by_name(rows: list[Row]):
    return {row.name: row for row in rows}


def test_interfaces_have_what_they_counted_since_the_start():
    told = Told("eth0", "lo")
    told.present(eth0=(1000, 10), lo=(5, 5))
    told.present(eth0=(500, 20))
    rows = by_name(told.state.interface_rows())
    assert rows["eth0"].since == Both(1500, 30)
    assert rows["eth0"].rates == Both(500, 20)
    assert rows["lo"].since == Both(5, 5)
    assert told.state.total().since == Both(1500, 30)
    assert told.state.begun_us == START_S * US


def test_an_interface_that_came_again_goes_on_with_what_it_had():
    told = Told("eth0", "tun0")
    told.present(tun0=(1000, 1000))
    del told.counters["tun0"]
    told.present()
    assert "tun0" not in by_name(told.state.interface_rows())
    told.counters["tun0"] = told.counters["eth0"].minus(told.counters["eth0"])
    told.present(tun0=(7, 8))
    assert by_name(told.state.interface_rows())["tun0"].since == Both(1007, 1008)


def test_an_interface_that_was_replaced_between_two_looks_is_never_negative():
    told = Told("tun0")
    told.present(tun0=(1000, 1000))
    told.counters["tun0"] = told.counters["tun0"].minus(told.counters["tun0"])
    told.present(tun0=(7, 8))
    assert by_name(told.state.interface_rows())["tun0"].since == Both(1007, 1008)


def test_interfaces_that_come_and_go_for_ever_are_forgotten():
    told = Told("eth0")
    for n in range(600):
        told.counters[f"veth{n}"] = told.counters["eth0"].minus(told.counters["eth0"])
        told.present(**{f"veth{n}": (1, 1)})
        del told.counters[f"veth{n}"]
    assert len(told.state._since) < 300


def test_chosen_interfaces_are_all_there_is_and_are_added_up():
    told = Told("eth0", "lo", "wlan0", patterns=("lo", "wl*"), hidden=("wlan0",))
    told.present(eth0=(1000, 0), lo=(5, 6), wlan0=(10, 20))
    told.spent(1, (use(FIREFOX, "wlan0"), 9, 9), (use(BACKUP, "eth0"), 7, 7))
    told.recorded(
        total=Both(10**6, 10**6), interfaces={"eth0": Both(500, 500), "lo": Both(1, 2), "wlan0": Both(3, 4)}
    )
    state = told.state
    assert sorted(by_name(state.interface_rows())) == ["lo", "wlan0"]
    assert state.total().since == Both(15, 26)
    assert state.total().rates == Both(15, 26)
    assert state.total().today == Both(4, 6)
    assert list(by_name(state.application_rows())) == ["firefox"]


def test_hidden_interfaces_are_left_out_and_counted_all_the_same():
    told = Told("eth0", "veth1", hidden=("veth*",))
    told.present(eth0=(1, 1), veth1=(2, 2))
    assert list(by_name(told.state.interface_rows())) == ["eth0"]
    assert told.state.total().since == Both(3, 3)


def test_the_trip_meter_counts_from_its_reset_on():
    told = Told("eth0")
    told.present(eth0=(1000, 10))
    told.spent(1, (use(FIREFOX), 100, 100))
    told.state.reset_trip()
    told.present(eth0=(5, 6))
    told.spent(1, (use(FIREFOX), 3, 4))
    state = told.state
    assert state.trip_us == (START_S + 1) * US
    assert by_name(state.interface_rows())["eth0"].trip == Both(5, 6)
    assert state.total().trip == Both(5, 6)
    assert state.total().since == Both(1005, 16)
    assert state.application_row("firefox").trip == Both(3, 4)
    assert state.parts_of_application("firefox")["scope"][0].trip == Both(3, 4)


def test_applications_add_up_over_users_interfaces_and_scopes_but_not_beside_the_total():
    told = busy_house()
    rows = by_name(told.state.application_rows())
    assert set(rows) == {"firefox", "backup.py", "nginx"}
    assert rows["firefox"].since == Both(9 * 8_001_000, 9 * 202_000)
    assert rows["nginx"].since == Both(900, 2700)
    assert rows["firefox"].rates == Both(800_100, 20_200)
    assert rows["firefox"].today == Both(5_000_000_000, 100_000_000)


def test_the_parts_of_an_application_add_up_to_it():
    state = busy_house().state
    parts = state.parts_of_application("firefox")
    assert [part.label for part in parts["scope"]] == ["internet", "LAN"]
    assert [part.label for part in parts["user"]] == ["anna"]
    assert "unit" not in parts
    for own in parts.values():
        assert sum(part.since.rx for part in own) == state.application_row("firefox").since.rx


def test_an_interface_beside_the_total_is_a_part_that_is_set_apart():
    parts = busy_house().state.parts_of_application("nginx")
    assert {part.label: part.apart for part in parts["interface"]} == {"eth0": False, "lo": True}
    assert [part.label for part in parts["scope"]] == ["internet"]
    assert [part.label for part in parts["container"]] == ["shop"]


def test_the_parts_of_an_interface_are_those_that_used_it():
    parts = busy_house().state.parts_of_interface("lo")
    assert [part.label for part in parts["application"]] == ["nginx"]
    assert parts["application"][0].since == Both(81_000, 81_000)
    assert parts["application"][0].today == Both(81_000, 81_000)


def test_without_a_ledger_there_is_no_today():
    told = Told("eth0")
    told.present()
    told.state.take(Recorded(None))
    assert told.state.total().today is None
    assert told.state.recorder is None
    assert not told.state.has_today


def test_a_ledger_that_cannot_be_read_for_now_leaves_what_is_known():
    told = busy_house()
    told.state.take(Recorded(4242, trouble="the ledger is locked"))
    assert told.state.total().today == Both(5_120_000_000, 310_000_000)
    assert told.state.recorded.trouble == "the ledger is locked"


def test_when_the_recorder_ends_nobody_has_a_rate_until_applications_are_seen_again():
    told = busy_house()
    assert told.state.application_row("firefox").rates.rx
    told.recorded(recorder=None, until=90)
    assert told.state.application_row("firefox").rates == Both()
    assert told.state.application_row("firefox").since.rx == 9 * 8_001_000


def test_the_graph_of_an_application_has_the_seconds_between_two_commits():
    told = busy_house()
    assert told.state.spent_history.seconds == 90
    assert set(told.state.spent_history.bars("firefox", 1, 90)) == {Both(800_100, 20_200)}


def test_the_first_thing_that_is_told_of_applications_only_names_the_way():
    told = Told("eth0")
    told.state.take(Spent({use(FIREFOX): Both(9, 9)}, 0, "sockets"))
    assert told.state.tier == "sockets"
    assert told.state.application_rows() == []


def test_trouble_is_kept():
    told = Told("eth0")
    told.state.take(Trouble("it broke"))
    assert told.state.trouble == "it broke"


def test_a_copy_stands_still():
    told = busy_house()
    copy = told.state.copy()
    before = (copy.total(), copy.application_rows(), copy.history.bars("", 1, 9))
    told.present(eth0=(10**9, 10**9))
    told.spent(10, (use(WEB), 10**9, 0))
    told.state.reset_trip()
    assert (copy.total(), copy.application_rows(), copy.history.bars("", 1, 9)) == before
    assert copy.trip_us is None


def test_what_became_less_counts_as_nothing():
    one, other = use(FIREFOX), use(WEB, "lo", LOOPBACK)
    assert differences({one: Both(10, 5), other: Both(1, 9)}, {one: Both(4, 5), other: Both(3, 3)}) == {
        one: Both(6, 0),
        other: Both(0, 6),
    }
    assert differences({one: Both(3, 3)}, {one: Both(3, 3)}) == {}
    assert differences({use(BACKUP, scope=LAN): Both(1, 0)}, {}) == {use(BACKUP, scope=LAN): Both(1, 0)}
