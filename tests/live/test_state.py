"""What is added up of what the threads tell."""

from hypothesis import given
from hypothesis import strategies as st
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
    rows = by_name(state.application_rows())
    assert {name: row.since for name, row in rows.items()} == {
        "firefox": Both(9, 9),
        "unattributed": Both(6, 17),
    }
    assert rows["unattributed"].today == Both(4, 6)


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
    assert set(rows) == {"firefox", "backup.py", "nginx", "unattributed"}
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


def test_what_no_application_is_known_of_is_what_is_missing_from_the_total():
    told = Told("eth0", "lo")
    told.recorded()
    told.present(eth0=(1000, 100), lo=(50, 50))
    told.spent(
        1, (use(FIREFOX), 700, 40), (use(BACKUP), 100, 0), (use(WEB, "lo", LOOPBACK, in_total=False), 50, 50)
    )
    told.recorded(
        total=Both(5000, 500), interfaces={"eth0": Both(5000, 500)}, applications={use(WEB): Both(4000, 1)}
    )
    row = by_name(told.state.application_rows())["unattributed"]
    assert row == Row("unattributed", Both(200, 60), Both(1000, 499), Both(200, 60), Both(200, 60))
    assert told.state.application_row("unattributed") == row


def test_it_is_what_was_missing_at_the_last_commit_and_not_what_has_only_come_since():
    told = Told("eth0")
    told.present(eth0=(1000, 1000))
    told.spent(1, (use(FIREFOX), 990, 1000))
    for _ in range(9):
        told.present(eth0=(5000, 5000))
        assert told.state.application_row("unattributed").since == Both(10, 0)
    told.spent(9, (use(FIREFOX), 45_000, 44_100))
    row = told.state.application_row("unattributed")
    assert (row.since, row.rates) == (Both(10, 900), Both(0, 100))


def test_what_is_read_a_moment_after_the_interfaces_is_never_a_negative_rest():
    told = Told("eth0")
    told.recorded()
    known = 0
    for second, late in enumerate((10, 30, 0, 1000, 0), 1):
        told.present(eth0=(1000, 1000))
        told.spent(1, (use(FIREFOX), 1000 * second + late - known, 500))
        known = 1000 * second + late
        told.recorded(
            until=second,
            total=Both(1000 * second, 1000),
            applications={use(FIREFOX): Both(known, 500)},
        )
        rows = by_name(told.state.application_rows())
        assert set(rows) == {"firefox", "unattributed"}
        row = rows["unattributed"]
        assert (row.rates, row.since, row.today) == (Both(0, 500), Both(0, 500 * second), Both(0, 500))
    assert rows["firefox"].since == Both(5000, 2500)


def test_what_interfaces_have_not_counted_even_a_commit_later_was_delivered_twice():
    told = Told("eth0")
    told.recorded()
    for second in range(1, 4):
        told.present(eth0=(1000, 100))
        told.spent(1, (use(FIREFOX), 1000, 50), (use(BACKUP), 1000, 0))
        told.recorded(
            until=second,
            total=Both(1000 * second, 100),
            applications={use(FIREFOX): Both(2000 * second, 50)},
        )
    rows = by_name(told.state.application_rows())
    twice = rows["delivered twice"]
    assert twice == Row("delivered twice", Both(-1000, 0), Both(-1000, 0), Both(-1000, 0), Both(-1000, 0))
    assert rows["unattributed"].since == Both(0, 150)
    assert not any(bar.rx for bar in told.state.spent_history.bars("delivered twice", 1, 9))
    told.recorded(recorder=None, until=3, total=Both(3000, 100), applications={use(FIREFOX): Both(6000, 50)})
    assert told.state.application_row("delivered twice").today == Both(-3000, 0)


@given(
    st.lists(
        st.tuples(*[st.integers(0, 10**9)] * 2, st.floats(0, 1), st.floats(0, 1), st.integers(1, 20)),
        min_size=1,
        max_size=8,
    )
)
def test_all_rows_add_up_to_what_interfaces_counted_until_the_last_commit(commits):
    told = Told("eth0", "wlan0")
    for rx, tx, one, other, seconds in commits:
        told.present(seconds, eth0=(rx, tx), wlan0=(tx, rx))
        told.spent(
            seconds,
            (use(FIREFOX), int(rx * one), int(tx * other)),
            (use(WEB, "wlan0"), int(tx * one), int(rx * other)),
        )
    total = told.state.total().since
    told.present(eth0=(7, 7))
    rows = told.state.application_rows()
    assert Both(sum(row.since.rx for row in rows), sum(row.since.tx for row in rows)) == total
    assert all(number >= 0 for row in rows for number in (*row.since, *row.rates))


def test_the_rest_has_its_trip_its_graph_and_the_interfaces_that_it_came_from():
    told = Told("eth0", "lo", "wlan0")
    told.present(2, eth0=(1000, 0), wlan0=(500, 0), lo=(40, 40))
    told.spent(2, (use(FIREFOX), 900, 0))
    told.state.reset_trip()
    told.present(2, eth0=(10, 0))
    told.spent(2, (use(FIREFOX), 4, 0))
    told.recorded(total=Both(9, 0), interfaces={"eth0": Both(9, 0), "lo": Both(0, 5)})
    state = told.state
    row = state.application_row("unattributed")
    assert (row.since, row.trip, row.today) == (Both(606, 0), Both(6, 0), Both(9, 0))
    assert state.spent_history.bars("unattributed", 1, 9) == [Both(300, 0)] * 2 + [Both(3, 0)] * 2
    parts = state.parts_of_application("unattributed")
    assert list(parts) == ["interface"]
    assert {part.label: (part.today, part.since, part.trip, part.apart) for part in parts["interface"]} == {
        "eth0": (Both(9, 0), Both(106, 0), Both(6, 0), False),
        "lo": (Both(0, 5), Both(40, 40), Both(), True),
        "wlan0": (Both(), Both(500, 0), Both(), False),
    }


def test_the_parts_of_an_interface_are_all_of_it():
    parts = busy_house().state.parts_of_interface("eth0")
    for word in ("application", "scope"):
        assert sum(part.today.rx for part in parts[word]) == 5_120_000_000
        assert "unattributed" in [part.label for part in parts[word]]
    assert "unattributed" not in [part.label for part in parts["user"]]


def test_where_applications_are_not_told_apart_there_is_no_row_that_says_it_of_everything():
    told = Told("eth0")
    told.present(eth0=(1000, 100))
    told.recorded(total=Both(1000, 100), interfaces={"eth0": Both(1000, 100)})
    assert told.state.application_rows() == []
    assert told.state.parts_of_application("unattributed")["interface"][0].today == Both(1000, 100)


def test_an_application_of_the_same_name_is_added_to_it_as_reports_do():
    told = Told("eth0")
    told.present(eth0=(1000, 100))
    told.spent(1, (use(FIREFOX._replace(name="unattributed")), 300, 10), (use(BACKUP), 600, 0))
    rows = told.state.application_rows()
    assert [(row.name, row.since) for row in rows if row.name == "unattributed"] == [
        ("unattributed", Both(400, 100))
    ]
