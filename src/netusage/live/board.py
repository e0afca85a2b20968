"""What the watcher wants to see, and what keys do about it; pure."""

from collections.abc import Callable, Sequence
from enum import StrEnum

from netusage.live.state import Row, State

BAR_WIDTHS = (1, 2, 3, 5)


class What(StrEnum):
    """What the list shows."""

    INTERFACES = "interfaces"
    APPLICATIONS = "applications"

    @property
    def other(self) -> "What":
        """The other one."""
        return What.APPLICATIONS if self is What.INTERFACES else What.INTERFACES


class Column(StrEnum):
    """What the list can be sorted by, in the order in which `s` goes through it."""

    SINCE = "since"
    TRIP = "trip"
    RX = "rx"
    TX = "tx"
    TODAY = "today"
    NAME = "name"


_AMOUNTS: dict[Column, Callable[[Row], int]] = {
    Column.RX: lambda row: row.rates.rx,
    Column.TX: lambda row: row.rates.tx,
    Column.TODAY: lambda row: row.today.total if row.today is not None else 0,
    Column.SINCE: lambda row: row.since.total,
    Column.TRIP: lambda row: row.trip.total,
}


class Board:
    """Answers keys; `frame` draws it.

    Attributes:
        state: what is counted, always the present.
        what: what the list shows.
        sort, reverse: by what, and the other way round.
        filter: what names have to contain; filtering: it is being typed.
        selected: the name of the row that is picked, "" for none.
        top: the first row on the screen.
        detail: the name of the one that is looked at alone; "" for none.
        bar_s: the width of a bar, seconds.
        help: the keys are shown.
        page: how many rows are on the screen.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._frozen: State | None = None
        self.what = What.INTERFACES
        self.sort = Column.SINCE
        self.reverse = False
        self.filter = ""
        self.filtering = False
        self.selected = ""
        self.top = 0
        self.detail = ""
        self.bar_s = BAR_WIDTHS[0]
        self.help = False
        self.page = 1

    @property
    def paused(self) -> bool:
        """Whether the screen stands still; counting goes on."""
        return self._frozen is not None

    @property
    def shown(self) -> State:
        """What is to be seen: the present, or the moment at which it was paused."""
        return self._frozen or self.state

    def rows(self) -> list[Row]:
        """The rows of the list, filtered and sorted."""
        state = self.shown
        found = state.interface_rows() if self.what is What.INTERFACES else state.application_rows()
        if self.filter:
            wanted = self.filter.casefold()
            found = [row for row in found if wanted in f"{row.name} {row.who}".casefold()]
        found.sort(key=lambda row: row.name)
        amount = _AMOUNTS.get(self.sort)
        if amount is None:
            if self.reverse:
                found.reverse()
        else:
            found.sort(key=amount, reverse=not self.reverse)
        return found

    def columns(self) -> list[Column]:
        """What can be sorted by."""
        without = set()
        if not self.shown.has_today:
            without.add(Column.TODAY)
        if self.shown.trip_us is None:
            without.add(Column.TRIP)
        return [one for one in Column if one not in without]

    def press(self, key: str, character: str | None = None) -> bool:
        """Do what a key asks for.

        Args:
            key: its name, as in "down", "enter", "a".
            character: what it types, if anything.

        Returns:
            Whether it is a key that means something here.
        """
        if self.filtering:
            return self._type(key, character)
        if self.help:
            self.help = False  # any key goes on
            return True
        act = self._acts().get(character if character is not None and character.isprintable() else key)
        if act is None:
            return False
        act()
        return True

    def _acts(self) -> dict[str, Callable[[], None]]:
        return {
            "?": lambda: setattr(self, "help", True),
            "p": self._pause,
            " ": self._pause,
            "s": self._sort_next,
            "S": lambda: setattr(self, "reverse", not self.reverse),
            "/": self._begin_filter,
            "tab": lambda: self._show(self.what.other),
            "shift+tab": lambda: self._show(self.what.other),
            "i": lambda: self._show(What.INTERFACES),
            "a": lambda: self._show(What.APPLICATIONS),
            "t": self._reset_trip,
            "+": lambda: self._widen(1),
            "=": lambda: self._widen(1),
            "-": lambda: self._widen(-1),
            "down": lambda: self._move(1),
            "j": lambda: self._move(1),
            "up": lambda: self._move(-1),
            "k": lambda: self._move(-1),
            "pagedown": lambda: self._move(self.page),
            "pageup": lambda: self._move(-self.page),
            "home": lambda: self._pick(0),
            "end": lambda: self._pick(-1),
            "enter": self._look_closer,
            "escape": self._back,
        }

    def _type(self, key: str, character: str | None) -> bool:
        match key:
            case "enter":
                self.filtering = False
            case "escape":
                self.filter, self.filtering = "", False
            case "backspace":
                self.filter = self.filter[:-1]
            case "up" | "down":
                self.filtering = False
                self._move(1 if key == "down" else -1)
            case _:
                if character is None or not character.isprintable():
                    return False
                self.filter = (self.filter + character)[:80]
        self.top = 0
        return True

    def _begin_filter(self) -> None:
        self.detail, self.filtering = "", True

    def _pause(self) -> None:
        self._frozen = None if self.paused else self.state.copy()

    def _reset_trip(self) -> None:
        self.state.reset_trip()
        if self._frozen is not None:
            self._frozen.reset_trip()

    def _sort_next(self) -> None:
        columns = self.columns()
        place = columns.index(self.sort) if self.sort in columns else -1
        self.sort, self.reverse = columns[(place + 1) % len(columns)], False

    def _show(self, what: What) -> None:
        if what is not self.what:
            self.what, self.selected, self.top = what, "", 0
        self.detail = ""

    def _widen(self, by: int) -> None:
        place = BAR_WIDTHS.index(self.bar_s) + by
        self.bar_s = BAR_WIDTHS[min(max(place, 0), len(BAR_WIDTHS) - 1)]

    def _names(self) -> list[str]:
        return [row.name for row in self.rows()]

    def _move(self, by: int) -> None:
        names = self._names()
        if not names:
            return
        if self.selected in names:
            place = min(max(names.index(self.selected) + by, 0), len(names) - 1)
        else:
            place = 0 if by > 0 else len(names) - 1
        self._pick(place)

    def _pick(self, place: int) -> None:
        names = self._names()
        if names:
            self.selected = names[place]
            if self.detail:
                self.detail = self.selected

    def _look_closer(self) -> None:
        names = self._names()
        if names:
            self.selected = self.selected if self.selected in names else names[0]
            self.detail = self.selected

    def _back(self) -> None:
        if self.detail:
            self.detail = ""
        elif self.filter:
            self.filter = ""
        else:
            self.selected = ""

    def window(self, rows: Sequence[Row], height: int) -> Sequence[Row]:
        """The rows that fit, with the picked one among them."""
        self.page = max(height, 1)
        place = next((n for n, row in enumerate(rows) if row.name == self.selected), None)
        if place is not None:
            self.top = min(max(self.top, place - self.page + 1), place)
        self.top = max(min(self.top, len(rows) - self.page), 0)
        return rows[self.top : self.top + height]
