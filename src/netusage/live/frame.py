"""The screen as lines of text: what stands where at which size; pure, so that every size can be looked at as text."""

from collections.abc import Sequence
from datetime import datetime

from netusage.live.board import Board, What
from netusage.live.graph import bars, top_of
from netusage.live.history import NONE, sum_of
from netusage.live.look import Line, Look, Span
from netusage.live.state import TOTAL, Part, Row, State
from netusage.live.table import Table
from netusage.model import US
from netusage.render.cells import pad, shorten, width
from netusage.reports.applications import REST, TWICE
from netusage.units import format_duration

LEAST_WIDTH, LEAST_HEIGHT = 40, 8
_GRAPH_FROM = 18  # lines, below which there is no room for it
_TALLEST_GRAPH = 8
_PART = 38  # cells, the least of one list of parts
_ABOUT_RESTS = {
    REST: "  of no known application; until the last commit, not until now",
    TWICE: "  more than interfaces counted, as of multicast to two sockets",
}


def frame(board: Board, look: Look, columns: int, lines: int) -> list[Line]:
    """The whole screen, line by line; each is at most so many cells wide."""
    if columns < LEAST_WIDTH or lines < LEAST_HEIGHT:
        text = f"netusage live needs {LEAST_WIDTH}x{LEAST_HEIGHT}"
        return [(Span(text[:columns]),), *[()] * (lines - 1)]
    return _Frame(board, look, columns, lines).draw()


class _Frame:
    def __init__(self, board: Board, look: Look, columns: int, lines: int) -> None:
        self._board, self._look = board, look
        self._columns, self._lines = columns, lines
        self._state: State = board.shown
        self._signs = look.signs

    def draw(self) -> list[Line]:
        found = [self._header(), self._about()]
        if self._board.help:
            found += self._help()
        else:
            if self._lines >= _GRAPH_FROM:
                found += self._graph()
            room = self._lines - len(found) - 1
            found += self._detail(room) if self._board.detail else self._list(room)
        found = found[: self._lines - 1]
        found += [()] * (self._lines - 1 - len(found))
        return [*found, self._footer()]

    # ---- Above and below ----------------------------------------------------------------------------------------

    def _header(self) -> Line:
        state, board = self._state, self._board
        left = [Span("netusage live", "bold"), Span(f"  {self._look.time(state.at_us)}")]
        if board.paused:
            left.append(Span("  PAUSED, counting goes on", "warning"))
        recorded = state.recorded
        right = ""
        if recorded is not None and recorded.until_us is not None:
            until = datetime.fromtimestamp(recorded.until_us // US, self._look.zone)
            now = datetime.fromtimestamp(state.at_us // US, self._look.zone)
            at = f"{until:%H:%M:%S}" if until.date() == now.date() else f"{until:%Y-%m-%d %H:%M}"
            right = f"today: recorded until {at}"
        return self._between(left, right)

    def _about(self) -> Line:
        """Who records, and whatever is wrong."""
        state, recorded = self._state, self._state.recorded
        if state.trouble:
            return self._cut(Span(f"nothing is read any more: {self._look.name(state.trouble)}", "warning"))
        if recorded is not None and recorded.trouble:
            return self._cut(Span(self._look.name(recorded.trouble), "warning"))
        if recorded is None:
            return ()
        if recorded.recorder is None:
            return self._cut(
                Span("no recorder is running: nothing is recorded; start one with: netusage daemon")
            )
        who = f"recorder: process {recorded.recorder}" if recorded.recorder else "a recorder is running"
        if not state.tier:
            return self._cut(Span(f"{who}; it does not tell applications apart"))
        every = "with each commit"
        if state.passed_us:
            every = f"every {format_duration(max(round(state.passed_us / US), 1) * US)}"
        return self._cut(Span(f"{who}; applications: {every}, from the recorder"))

    def _footer(self) -> Line:
        board = self._board
        if board.filtering:
            keys = [("enter", "keep"), ("esc", "clear")]
            return self._keys([("filter:", f"{self._look.name(board.filter)}_"), *keys])
        if board.help:
            return self._keys([("any key", "back")])
        if board.detail:
            keys = [("esc", "back"), ("up/down", "another"), ("p", "pause"), ("t", "trip"), ("+-", "bars")]
            return self._keys([*keys, ("?", "help"), ("q", "quit")])
        other = board.what.other
        keys = [(other[0], str(other)), ("enter", "open"), ("s", "sort"), ("/", "filter"), ("p", "pause")]
        return self._keys([*keys, ("t", "trip"), ("?", "help"), ("q", "quit")])

    def _keys(self, keys: Sequence[tuple[str, str]]) -> Line:
        spans = []
        for key, said in keys:
            spans += [Span(key, "bold"), Span(f" {said}  ")]
        return self._cut(*spans)

    def _help(self) -> list[Line]:
        keys = [
            ("q, Ctrl-C", "quit"),
            ("tab, i, a", "interfaces or applications"),
            ("up, down, page up, page down", "pick one; also k and j, home and end"),
            ("enter", "its own graph, users, units, scopes"),
            ("esc", "back; drop the filter; pick none"),
            ("s, S", "sort by the next column; the other way round"),
            ("/", "only those with these letters in them"),
            ("p, space", "the screen stands still, counting goes on"),
            ("t", "reset the trip meter"),
            ("+, -", "wider and narrower bars"),
            ("?", "this help"),
        ]
        sign = self._signs
        said = [
            f"{sign.rx} is received, {sign.tx} is sent.",
            f"{sign.apart} is an interface that is not in the machine's total.",
            "The scale and the width of bars are written above each graph.",
            f"{REST} is what interfaces counted of no known application, and",
            "counts as applications do: until the last commit, not until now.",
        ]
        wide = max(len(key) for key, _ in keys)
        found: list[Line] = [()]
        found += [self._cut(Span(f"  {key:<{wide}}  ", "bold"), Span(text)) for key, text in keys]
        return [*found, (), *(self._cut(Span(f"  {text}")) for text in said)]

    # ---- The graph ----------------------------------------------------------------------------------------------

    def _graph(self) -> list[Line]:
        board, state = self._board, self._state
        rows = max(2, min((self._lines - 12) // 4, _TALLEST_GRAPH))
        whose, history = TOTAL, state.history
        if board.detail:
            whose = board.detail
            if board.what is What.APPLICATIONS:
                history = state.spent_history
        seen = history.bars(whose, board.bar_s, self._columns)
        name = self._look.name(whose) if whose else "total"
        found: list[Line] = []
        for word, style, heights in (
            ("received", "rx", [one.rx for one in seen]),
            ("sent", "tx", [one.tx for one in seen]),
        ):
            top = top_of(max(heights, default=0), self._look.units, bits=self._look.bits)
            sign = self._signs.rx if style == "rx" else self._signs.tx
            right = f"1 bar = {board.bar_s} s, top = {self._look.rate(top)}"
            left = [
                Span(f"{sign} {shorten(name, self._columns // 3, self._signs.mark)} {word}", "bold"),
                Span(f"  last {format_duration(board.bar_s * self._columns * US)}"),
            ]
            found.append(self._between(left, right))
            found += [
                (Span(text.rjust(self._columns), style),) if text.strip() else ()
                for text in bars(heights, top, rows, self._signs.blocks)
            ]
        return found

    # ---- The list -----------------------------------------------------------------------------------------------

    def _list(self, room: int) -> list[Line]:
        board = self._board
        rows = board.rows()
        table = Table(self._state, board, self._look, self._columns)
        shown = board.window(rows, room - 3)
        found = [self._title(len(rows)), table.head(), table.line(self._state.total(), "bold")]
        found += [table.line(row, "picked" if row.name == board.selected else "") for row in shown]
        if not rows:
            found.append(self._cut(Span(f"  {self._why_empty()}")))
        return found

    def _title(self, count: int) -> Line:
        board, state = self._board, self._state
        spans = [Span(f" {what.capitalize()} ", "picked" if what is board.what else "") for what in What]
        if board.what is What.APPLICATIONS and state.tier:
            spans.append(Span(f" told apart by: {state.tier}"))
        page = board.page
        first, last = board.top + 1, min(board.top + page, count)
        right = f"{first}-{last} of {count}" if count > page else f"{count}"
        if board.filter or board.filtering:
            right = f"with '{shorten(self._look.name(board.filter), 20, self._signs.mark)}': {right}"
        return self._between(spans, right)

    def _why_empty(self) -> str:
        if self._board.filter:
            return "nothing has such a name"
        if self._board.what is What.INTERFACES:
            return "no interface is there"
        if self._state.tier:
            return "no application has had anything yet"
        if self._state.recorder is not None:
            return "the recorder does not tell applications apart; see: netusage doctor"
        return "applications are not told apart here; see: netusage doctor"

    # ---- One alone ----------------------------------------------------------------------------------------------

    def _detail(self, room: int) -> list[Line]:
        board, state = self._board, self._state
        name = board.detail
        if board.what is What.APPLICATIONS:
            row, parts = state.application_row(name), state.parts_of_application(name)
            said = _ABOUT_RESTS.get(name, "")
        else:
            rows = [one for one in state.interface_rows() if one.name == name]
            if not rows:
                return [self._cut(Span(f"{self._look.name(name)} is gone", "warning"))]
            row, parts = rows[0], state.parts_of_interface(name)
            said = _about_interface(row)
        table = Table(state, board, self._look, self._columns)
        found = [self._cut(Span(self._look.name(name), "bold"), Span(said))]
        found += [table.head(), table.line(row, "bold")]
        if not parts:
            return [*found, self._cut(Span(f"  {self._why_empty_alone()}"))]
        return found + self._parts(parts, room - len(found))

    def _why_empty_alone(self) -> str:
        if self._state.tier:
            return "no application is known to have had anything of it"
        return self._why_empty()

    def _parts(self, parts: dict[str, list[Part]], room: int) -> list[Line]:
        """Lists side by side, in as many rows of them as are needed."""
        across = min(max(self._columns // _PART, 1), len(parts))
        wide = (self._columns - 2 * (across - 1)) // across
        words = list(parts)
        levels = [words[n : n + across] for n in range(0, len(words), across)]
        found: list[Line] = []
        for n, level in enumerate(levels):
            tall = max((room - len(found)) // (len(levels) - n), 2)
            lists = [self._part_list(word, parts[word], wide, tall) for word in level]
            found += [
                tuple(span for own in row for span in (*own, Span("  ")))[:-1]
                for row in zip(*lists, strict=True)
            ]
        return found

    def _part_list(self, word: str, parts: Sequence[Part], wide: int, tall: int) -> list[Line]:
        state, look = self._state, self._look
        trip = state.trip_us is not None
        amount = look.amount_cells
        name = wide - 2 * (amount + 1)
        since = "trip" if trip else "since"
        head = f"{'by ' + word:<{name}} {'today':>{amount}} {since:>{amount}}"
        found: list[Line] = [(Span(head[:wide], "head"),)]
        for part in _fitting(parts, tall - 1):
            mark = f"{self._signs.apart} " if part.apart else ""
            label = shorten(mark + (look.name(part.label) or "-"), name, self._signs.mark)
            numbers = (
                part.today.total if part.today is not None else None,
                (part.trip if trip else part.since).total,
            )
            text = "".join(f"{look.amount(number):>{1 + amount}}" for number in numbers)
            found.append((Span(pad([label], name, right=False)[0] + text),))
        found += [(Span(" " * wide),)] * (tall - len(found))
        return found

    # ---- Lines --------------------------------------------------------------------------------------------------

    def _between(self, left: Sequence[Span], right: str) -> Line:
        """One part at the left edge and one at the right, which is left out where there is no room for it."""
        used = sum(width(span.text) for span in left)
        space = self._columns - used - width(right)
        if space < 1 or not right:
            return self._cut(*left)
        return (*left, Span(" " * space), Span(right))

    def _cut(self, *spans: Span) -> Line:
        """As much as fits."""
        found, room = [], self._columns
        for span in spans:
            if room <= 0:
                break
            text = span.text
            if width(text) > room:
                text = shorten(text, room, self._signs.mark)
            found.append(Span(text, span.style))
            room -= width(text)
        return tuple(found)


def _fitting(parts: Sequence[Part], count: int) -> Sequence[Part]:
    """So many of them; those that do not fit become one, so that nothing is missing from the sum."""
    if len(parts) <= count:
        return parts
    rest = parts[max(count - 1, 0) :]
    today = sum_of(part.today or NONE for part in rest) if rest[0].today is not None else None
    since, trip = sum_of(part.since for part in rest), sum_of(part.trip for part in rest)
    return [*parts[: max(count - 1, 0)], Part(f"{len(rest)} more", today, since, trip)]


def _about_interface(row: Row) -> str:
    about = row.about
    if about is None:
        return ""
    kind, up = f"{about.kind}, " if about.kind else "", "up" if about.up else "down"
    part = "in the machine's total" if about.counted else "not in the machine's total"
    return f"  {kind}{up}, {part}: {about.reason}"
