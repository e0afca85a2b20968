"""The list: which columns there is room for, and what stands in them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from netusage.live.board import Board, Column
from netusage.live.history import Both
from netusage.live.look import Line, Look, Span
from netusage.live.state import Row, State
from netusage.render.cells import pad, shorten

_NAME = 14  # cells, the least for names before columns are left out
_WIDE = 130  # cells, from which amounts are told by direction
_LONG_NAME = 40


class _Field(NamedTuple):
    """One column of the list: its title, cells, what it is sorted by, and what stands in it."""

    title: str
    cells: int
    column: Column
    text: Callable[[Row], str]


class Table:
    """The columns that fit, with the name as wide as there is room."""

    def __init__(self, state: State, board: Board, look: Look, columns: int) -> None:
        self._board, self._look, self._columns = board, look, columns
        self._signs = look.signs
        self._is_wide = columns >= _WIDE
        fields = [*self._rates(), *self._amounts(state)]
        dropped = [Column.TODAY, Column.SINCE]
        if state.trip_us is not None:
            dropped = [Column.SINCE, Column.TODAY, Column.TRIP]
        while dropped and columns - self._used(fields) < _NAME:
            fields = [one for one in fields if one.column is not dropped[0]]
            del dropped[0]
        self._fields = fields
        self._name = max(columns - self._used(fields), 1)
        self._about = 0  # cells for what else is known of each
        if self._name > _LONG_NAME + 20:
            self._about = self._name - _LONG_NAME
            self._name = _LONG_NAME

    def _used(self, fields: Sequence[_Field]) -> int:
        return sum(one.cells + self._gap for one in fields)

    @property
    def _gap(self) -> int:
        return 2 if self._is_wide else 1

    def _rates(self) -> list[_Field]:
        look, sign = self._look, self._signs
        wide = look.rate_cells
        return [
            _Field(f"{sign.rx} now", wide, Column.RX, lambda row: look.rate(row.rates.rx)),
            _Field(f"{sign.tx} now", wide, Column.TX, lambda row: look.rate(row.rates.tx)),
        ]

    def _amounts(self, state: State) -> list[_Field]:
        now = state.at_us
        found = self._amount("today", Column.TODAY, lambda row: row.today)
        found += self._amount(
            self._look.time(state.begun_us, now), Column.SINCE, lambda row: row.since, "since "
        )
        if state.trip_us is not None:
            found += self._amount(
                self._look.time(state.trip_us, now), Column.TRIP, lambda row: row.trip, "trip "
            )
        return found

    def _amount(
        self, title: str, column: Column, number: Callable[[Row], Both | None], before: str = ""
    ) -> list[_Field]:
        look, sign = self._look, self._signs
        if not self._is_wide:
            cells = max(look.amount_cells, len(before + title) + 1)

            def both(row: Row) -> str:
                found = number(row)
                return look.amount(None if found is None else found.total)

            return [_Field(before + title, cells, column, both)]

        def one_way(way: int) -> Callable[[Row], str]:
            def text(row: Row) -> str:
                found = number(row)
                return look.amount(None if found is None else found[way])

            return text

        cells = max(look.amount_cells, len(before + title) + 4)
        return [
            _Field(f"{sign.rx} {before}{title}", cells, column, one_way(0)),
            _Field(f"{sign.tx} {before}{title}", cells, column, one_way(1)),
        ]

    def head(self) -> Line:
        """The titles, with a sign at the one that it is sorted by."""
        board = self._board
        falling = (board.sort is not Column.NAME) is not board.reverse
        sign = self._signs.falling if falling else self._signs.rising
        title = f"  Name{sign if board.sort is Column.NAME else ''}"
        text = title.ljust(self._name)
        for field in self._fields:
            mark = sign if field.column is board.sort else ""
            text += " " * self._gap + f"{mark}{field.title}".rjust(field.cells)
        return (Span(text[: self._columns], "head"),)

    def line(self, row: Row, style: str) -> Line:
        """One row."""
        is_apart = row.about is not None and not row.about.counted
        mark = f"{self._signs.apart} " if is_apart else "  "
        name = shorten(mark + self._look.name(row.name), self._name, self._signs.mark)
        spans = [Span(pad([name], self._name, right=False)[0], style)]
        # the sign of what was delivered twice may stand in the gap
        spans += [Span(field.text(row).rjust(self._gap + field.cells), style) for field in self._fields]
        if self._about and row.who:
            said = shorten(self._look.name(row.who), self._about - 3, self._signs.mark)
            spans.append(Span(f"   {said}", style))
        return tuple(spans)
