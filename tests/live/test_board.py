"""What keys do."""

import pytest
from live.told import FIREFOX, Told, busy_house, use

from netusage.live.board import BAR_WIDTHS, Column, What
from netusage.live.history import Both


@pytest.fixture
def board():
    return busy_house().board


def names(board):
    return [row.name for row in board.rows()]


def press(board, *keys):
    for key in keys:
        board.press(key, key if len(key) == 1 else None)
    return board


def test_the_busiest_since_the_start_come_first(board):
    assert names(board) == ["eth0", "lo", "wlan0"]
    assert names(press(board, "a")) == ["firefox", "unattributed", "backup.py", "nginx"]


def test_s_goes_through_the_columns_that_there_are_and_round(board):
    seen = [board.sort]
    for _ in range(5):
        press(board, "s")
        seen.append(board.sort)
    assert seen == [Column.SINCE, Column.RX, Column.TX, Column.TODAY, Column.NAME, Column.SINCE]
    press(board, "t", "s")
    assert board.sort is Column.TRIP


def test_without_a_ledger_one_cannot_sort_by_today():
    board = Told("eth0").board
    assert Column.TODAY not in board.columns()


def test_sorting_and_the_other_way_round(board):
    press(board, "a", "s", "s")
    assert (board.sort, names(board)) == (Column.TX, ["unattributed", "backup.py", "firefox", "nginx"])
    assert names(press(board, "S")) == ["nginx", "firefox", "backup.py", "unattributed"]
    press(board, "s", "s")
    assert (board.sort, names(board)) == (Column.NAME, ["backup.py", "firefox", "nginx", "unattributed"])
    assert names(press(board, "S")) == ["unattributed", "nginx", "firefox", "backup.py"]


def test_equals_are_sorted_by_name_and_do_not_jump():
    told = Told("c", "a", "b", apart=())
    told.present(a=(1, 1), b=(1, 1), c=(1, 1))
    assert names(told.board) == ["a", "b", "c"]
    assert names(press(told.board, "S")) == ["a", "b", "c"]


def test_a_filter_keeps_names_with_these_letters_and_escape_drops_it(board):
    press(board, "a", "/", "F", "O", "X")
    assert names(board) == ["firefox"]
    press(board, "enter")
    assert (board.filtering, names(board)) == (False, ["firefox"])
    press(board, "escape")
    assert (board.filter, len(names(board))) == ("", 4)
    assert names(press(board, "/", *"attrib")) == ["unattributed"]


def test_a_filter_finds_users_and_units_too(board):
    assert names(press(board, "a", "/", *"backup.serv")) == ["backup.py"]
    press(board, "escape", "/", *"anna")
    assert names(board) == ["firefox"]


def test_while_a_filter_is_typed_letters_are_no_commands(board):
    press(board, "/", "p", "s", "?", "q", " ")
    assert board.filter == "ps?q "
    assert not board.paused
    assert not board.help
    press(board, "backspace", "backspace", "escape")
    assert (board.filter, board.filtering) == ("", False)
    assert not board.press("f5", None)


def test_arrows_pick_a_row_that_stays_picked_when_it_moves(board):
    press(board, "a", "down", "down")
    assert board.selected == "unattributed"
    press(board, "s", "s")
    assert names(board)[0] == "unattributed"
    assert board.selected == "unattributed"
    assert press(board, "up").selected == "unattributed"
    assert press(board, "end").selected == "nginx"
    assert press(board, "down").selected == "nginx"
    assert press(board, "home").selected == "unattributed"
    assert press(board, "escape").selected == ""
    assert press(board, "up").selected == "nginx"


def test_enter_opens_the_picked_one_and_escape_goes_back(board):
    press(board, "down", "down", "enter")
    assert board.detail == "lo"
    press(board, "down")
    assert board.detail == "wlan0"
    assert press(board, "home").detail == "eth0"
    assert press(board, "end").detail == "wlan0"
    press(board, "escape")
    assert (board.detail, board.selected) == ("", "wlan0")


def test_enter_opens_the_first_where_none_is_picked_and_nothing_where_there_is_none(board):
    assert press(board, "enter").detail == "eth0"
    press(board, "escape", "/", *"nothing", "enter", "enter")
    assert board.detail == ""
    press(board, "down", "home")
    assert board.selected == "eth0"  # still the one that was picked, though it is filtered out


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (["tab"], What.APPLICATIONS),
        (["a"], What.APPLICATIONS),
        (["a", "i"], What.INTERFACES),
        (["tab", "tab"], What.INTERFACES),
        (["enter", "shift+tab"], What.APPLICATIONS),
    ],
)
def test_one_goes_from_interfaces_to_applications_and_back(board, keys, what):
    press(board, *keys)
    assert (board.what, board.detail) == (what, "")


def test_a_pause_stops_the_screen_and_not_the_counting():
    told = Told("eth0")
    told.present(eth0=(1000, 0))
    board = press(told.board, "p")
    told.present(eth0=(500, 0))
    assert board.paused
    assert board.rows()[0].since == Both(1000, 0)
    press(board, "p")
    assert board.rows()[0].since == Both(1500, 0)


def test_the_trip_meter_is_reset_while_paused_too():
    told = Told("eth0")
    told.present(eth0=(1000, 0))
    board = press(told.board, " ", "t")
    assert board.rows()[0].trip == Both()
    told.present(eth0=(5, 0))
    assert press(board, " ").rows()[0].trip == Both(5, 0)


def test_plus_and_minus_change_the_width_of_bars_within_bounds(board):
    seen = []
    for key in "++++----":
        press(board, key)
        seen.append(board.bar_s)
    assert seen == [2, 3, 5, 5, 3, 2, 1, 1]
    assert max(BAR_WIDTHS) == 5


def test_help_goes_away_with_any_key_which_does_nothing_else(board):
    press(board, "?", "p")
    assert (board.help, board.paused) == (False, False)


def test_a_key_without_a_meaning_is_told_apart(board):
    assert not board.press("f7", None)
    assert not board.press("x", "x")
    assert board.press("s", "s")


def test_the_picked_row_is_always_among_those_that_fit():
    told = Told("eth0")
    told.present()
    told.spent(1, *((use(FIREFOX._replace(name=f"n{n:02}")), 100 - n, 0) for n in range(30)))
    board = press(told.board, "a")
    for key in ["down"] * 12 + ["pagedown", "pagedown", "end", "up", "up", "pageup", "home"]:
        press(board, key)
        rows = board.rows()
        seen = board.window(rows, 7)
        assert len(seen) == 7
        assert board.selected in [row.name for row in seen]
    assert board.top == 0


def test_when_rows_go_away_the_list_is_still_full():
    told = Told("eth0")
    told.present()
    told.spent(1, *((use(FIREFOX._replace(name=f"n{n:02}")), 100 - n, 0) for n in range(30)))
    board = press(told.board, "a", "end")
    assert board.window(board.rows(), 7)[-1].name == "n29"
    press(board, "escape")
    fewer = board.rows()[:10]
    assert board.window(fewer, 7) == fewer[3:]
