"""What has been counted since the terminal is watched: by interface, by application; pure, and told by `news`."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self, TypeVar

from netusage.live.history import NONE, Both, History, sum_of
from netusage.live.news import News, Recorded, Spent, Trouble
from netusage.live.rest import RESTS, Rest, growth
from netusage.model import NS, US, ZERO, Counters
from netusage.recorder.shares import Use
from netusage.recorder.watch import InterfaceNow, Present
from netusage.reports.applications import SCOPES, TWICE, name_of
from netusage.reports.selection import matches

T = TypeVar("T")
TOTAL = ""  # the name of the sum of all, which no interface has
_MOST_GONE = 256


class Row(NamedTuple):
    """One interface or application.

    rates: bytes per second.
    today: as far as it is recorded; None where nothing is.
    since, trip: since the start, and since the trip meter was reset.
    about: the interface; None for an application, and for the sum.
    who: what else it can be found by: users and units of an application, kind of an interface and its rule.
    """

    name: str
    rates: Both
    today: Both | None
    since: Both
    trip: Both
    about: InterfaceNow | None = None
    who: str = ""


class Part(NamedTuple):
    """A part of what one had; apart: it is not in the sum."""

    label: str
    today: Both | None
    since: Both
    trip: Both
    apart: bool = False


_BY: dict[str, Callable[[Use], str]] = {
    "application": lambda use: name_of(use.who),
    "interface": lambda use: use.interface,
    "scope": lambda use: SCOPES[use.scope] if use.scope < len(SCOPES) else str(use.scope),
    "user": lambda use: use.who.user,
    "unit": lambda use: use.who.unit,
    "container": lambda use: use.who.container,
}


class _Then(NamedTuple):
    """What had been added up when the trip meter was reset: by interface, by use, by application, and the rests."""

    since: Mapping[str, Both] = {}
    spent: Mapping[Use, Both] = {}
    by_application: Mapping[str, Both] = {}
    rests: Mapping[str, Rest] = {}


class State:
    """Adds up what it is told.

    Args:
        patterns: shell patterns of the interfaces to show and to add up; none is the machine's total.
        hidden: those that are not shown.

    Attributes:
        at_us: of the last reading, UTC microseconds; begun_us: of the first one.
        trip_us: when the trip meter was reset; None when it was not.
        recorded: what the ledger has; None until it was looked at.
        tier: how applications are told apart; "" where they are not.
        passed_us: the time in which applications had what their rates tell, microseconds.
        trouble: why nothing is read any more; "" while it is.
    """

    def __init__(self, patterns: Iterable[str] = (), hidden: Iterable[str] = ()) -> None:
        self._patterns, self._hidden = tuple(patterns), tuple(hidden)
        self.at_us = self.begun_us = self.passed_us = 0
        self.trip_us: int | None = None
        self.recorded: Recorded | None = None
        self.tier = self.trouble = ""
        self.interfaces: tuple[InterfaceNow, ...] = ()
        self.history, self.spent_history = History(), History()
        self._boot_ns = 0
        self._total_before = ZERO
        self._last: dict[str, Counters] = {}
        self._counted: dict[str, bool] = {}  # whether interfaces that are there are in the machine's total
        self._rates: dict[str, Both] = {}
        self._since: dict[str, Both] = {}
        self._spent_rates: dict[str, Both] = {}
        self._spent: dict[Use, Both] = {}
        self._by_application: dict[str, Both] = {}
        self._today_by_application: dict[str, Both] = {}
        self._found_by: dict[str, str] = {}
        self._rests: dict[str, Rest] = {}  # since applications are told apart, by interface and of `TOTAL`
        self._rests_today: dict[str, Rest] = {}
        self._trip = _Then()

    def copy(self) -> Self:
        """The same at this moment; neither changes with the other."""
        found = object.__new__(type(self))
        for name, value in vars(self).items():
            vars(found)[name] = value.copy() if isinstance(value, dict | History) else value
        return found

    # ---- What it is told ----------------------------------------------------------------------------------------

    def take(self, news: News) -> None:
        """Add it up."""
        match news:
            case Present():
                self._take_present(news)
            case Spent():
                self._take_spent(news)
            case Recorded():
                self._take_recorded(news)
            case Trouble():
                self.trouble = news.text

    def reset_trip(self) -> None:
        """Begin the trip meter anew."""
        self.trip_us = self.at_us
        self._trip = _Then(
            self._since.copy(), self._spent.copy(), self._by_application.copy(), self._rests.copy()
        )

    def _take_present(self, present: Present) -> None:
        if not self.begun_us:
            self.begun_us = present.at.wall_us - present.running_us
            self._boot_ns = present.at.boot_ns - present.running_us * 1000
        passed_ns = max(present.at.boot_ns - self._boot_ns, 1)
        self.at_us, self._boot_ns = present.at.wall_us, present.at.boot_ns
        self._counted = {one.name: one.counted for one in present.interfaces}
        self.interfaces = tuple(one for one in present.interfaces if self._is_chosen(one.name))
        more = counted_since(self.interfaces, self._last)
        self._last = {one.name: one.since_start for one in self.interfaces}
        self._rates = {one.name: Both(*one.rates) for one in self.interfaces}
        if self._patterns:
            more[TOTAL] = sum_of(more.values())
            self._rates[TOTAL] = sum_of(self._rates.values())
        else:
            more[TOTAL] = both(present.since_start.minus(self._total_before))
            self._rates[TOTAL] = Both(*present.rates)
            self._total_before = present.since_start
        for name, amount in more.items():
            self._since[name] = self._since.get(name, NONE).plus(amount)
        self.history.push(more, max(round(passed_ns / NS), 1))
        self._forget_gone()

    def _forget_gone(self) -> None:
        """Of interfaces that come and go for ever, only the last ones are known."""
        for known in (self._since, self._rests):
            gone = [name for name in known if name not in self._counted and name != TOTAL]
            for name in gone[: max(len(gone) - _MOST_GONE, 0)]:
                del known[name]

    def _take_spent(self, news: Spent) -> None:
        self.tier = news.tier
        if not news.passed_us:
            self._spent_rates = {}
            return
        more: dict[str, Both] = {}
        for use, amount in news.more.items():
            self._spent[use] = self._spent.get(use, NONE).plus(amount)
            if self._adds_up(use):
                name = name_of(use.who)
                more[name] = more.get(name, NONE).plus(amount)
                self._note(name, use)
        for name, amount in more.items():
            self._by_application[name] = self._by_application.get(name, NONE).plus(amount)
        before = self._rests.get(TOTAL, Rest())
        self._add_to_rests(news)
        for name in RESTS:
            more[name] = more.get(name, NONE).plus(growth(name, self._rests[TOTAL], before))
        self.passed_us = news.passed_us
        self._spent_rates = {
            name: Both(amount.rx * US // news.passed_us, amount.tx * US // news.passed_us)
            for name, amount in more.items()
        }
        seen = {name: amount for name, amount in more.items() if name != TWICE}
        self.spent_history.push(seen, max(round(news.passed_us / US), 1))

    def _add_to_rests(self, news: Spent) -> None:
        known = self._by_interface(news.more)
        counted = {**news.counted, TOTAL: self._total_of(news.counted, news.total)}
        for name in counted | known:
            old = self._rests.get(name, Rest())
            self._rests[name] = old.plus(counted.get(name, NONE), known.get(name, NONE))

    def _by_interface(self, uses: Mapping[Use, Both]) -> dict[str, Both]:
        """What applications had, by interface, and in `TOTAL` of those that are added up."""
        found = {TOTAL: NONE}
        for use, amount in uses.items():
            found[use.interface] = found.get(use.interface, NONE).plus(amount)
            if self._adds_up(use):
                found[TOTAL] = found[TOTAL].plus(amount)
        return found

    def _total_of(self, interfaces: Mapping[str, Both], machine: Both) -> Both:
        """What is added up: the interfaces that were chosen, or the machine's total."""
        if not self._patterns:
            return machine
        return sum_of(amount for name, amount in interfaces.items() if matches(name, self._patterns))

    def _take_recorded(self, news: Recorded) -> None:
        if news.trouble and self.recorded is not None:
            news = self.recorded._replace(recorder=news.recorder, trouble=news.trouble)
        if self.recorder != news.recorder:
            self._spent_rates = {}
        self._rests_today = self._rests_of(news)
        self.recorded = news
        sums: dict[str, Both] = {}
        for use, amount in news.applications.items():
            if self._adds_up(use):
                name = name_of(use.who)
                sums[name] = sums.get(name, NONE).plus(amount)
                self._note(name, use)
        self._today_by_application = sums

    def _rests_of(self, news: Recorded) -> dict[str, Rest]:
        """What of today no application is known of, by interface and of `TOTAL`."""
        known = self._by_interface(news.applications)
        counted = {**news.interfaces, TOTAL: self._total_of(news.interfaces, news.total)}
        last = self.recorded
        before = self._rests_today if last is not None and last.today_s == news.today_s else {}
        has_more = last is None or last.until_us != news.until_us
        found = {}
        for name in counted | known:
            rest = Rest(counted.get(name, NONE), known.get(name, NONE))
            old = before.get(name, Rest())
            if news.recorder is None:  # nothing comes any more that could make up for it
                rest = rest._replace(known_before=rest.known)
            else:
                rest = rest._replace(known_before=old.known if has_more else old.known_before)
            found[name] = rest
        return found

    def _note(self, name: str, use: Use) -> None:
        """Remember by what else an application is to be found."""
        known = self._found_by.get(name, "")
        for word in (use.who.user, use.who.unit, use.who.container):
            if word and word not in known:
                known = f"{known} {word}".lstrip()
        self._found_by[name] = known[:200]

    def _is_chosen(self, name: str) -> bool:
        return not self._patterns or matches(name, self._patterns)

    def _adds_up(self, use: Use) -> bool:
        return matches(use.interface, self._patterns) if self._patterns else use.in_total

    def _is_added_up(self, interface: str) -> bool:
        return matches(interface, self._patterns) if self._patterns else self._counted.get(interface, True)

    # ---- What it tells ------------------------------------------------------------------------------------------

    @property
    def has_today(self) -> bool:
        """Whether anything is recorded."""
        return self.recorded is not None and self.recorded.until_us is not None

    @property
    def recorder(self) -> int | None:
        """The process that records, 0 when its number is not known; None when nobody does."""
        return None if self.recorded is None else self.recorded.recorder

    def total(self) -> Row:
        """The sum of the interfaces: the machine's total, or of those that were chosen."""
        today = None
        if self.recorded is not None and self.has_today:
            today = self._total_of(self.recorded.interfaces, self.recorded.total)
        return self._interface_row("Total", TOTAL, today, None)

    def interface_rows(self) -> list[Row]:
        """Those that are there and not hidden, by name."""
        return [
            self._interface_row(one.name, one.name, self._today_of(one.name), one)
            for one in self.interfaces
            if self._patterns or not matches(one.name, self._hidden)
        ]

    def application_rows(self) -> list[Row]:
        """Those that had anything today or since the start, and what no application is known of."""
        names = self._by_application | self._today_by_application
        if names or self.tier:
            names |= {name: NONE for name in RESTS if _has_any(self._part_of_rest(name, TOTAL))}
        return [self.application_row(name) for name in names]

    def application_row(self, name: str) -> Row:
        """What an application has, or one of `RESTS`."""
        since = self._by_application.get(name, NONE)
        trip = since.minus(self._trip.by_application.get(name, NONE))
        today = self._today_by_application.get(name, NONE)
        if name in RESTS:
            of_rest = self._part_of_rest(name, TOTAL)
            since, trip, today = (
                since.plus(of_rest.since),
                trip.plus(of_rest.trip),
                today.plus(of_rest.today or NONE),
            )
        return Row(
            name,
            self._spent_rates.get(name, NONE),
            today if self.has_today else None,
            since,
            trip,
            who=self._found_by.get(name, ""),
        )

    def _part_of_rest(self, name: str, interface: str) -> Part:
        """One of `RESTS`, of an interface or of `TOTAL`."""
        amount = RESTS[name]
        now, then = self._rests.get(interface, Rest()), self._trip.rests.get(interface, Rest())
        today = amount(self._rests_today.get(interface, Rest())) if self.has_today else None
        return Part(name, today, amount(now), growth(name, now, then))

    def parts_of_interface(self, name: str) -> dict[str, list[Part]]:
        """What an interface carried, by application, scope, user, unit and container.

        By application and scope, which everything else has, with what no application is known of.
        """
        found = self._parts(
            lambda use: use.interface == name, ("application", "scope", "user", "unit", "container")
        )
        rests = [part for part in (self._part_of_rest(one, name) for one in RESTS) if _has_any(part)]
        for word in ("application", "scope"):
            if word in found:
                found[word] = _most_first([*found[word], *rests])
        return found

    def parts_of_application(self, name: str) -> dict[str, list[Part]]:
        """What an application had, by interface, scope, user, unit and container; of interfaces, those not added up too.

        One of `RESTS` has interfaces only.
        """
        if name in RESTS:
            names = dict.fromkeys([*self._rests, *self._rests_today])
            parts = [
                self._part_of_rest(name, one)._replace(label=one, apart=not self._is_added_up(one))
                for one in names
                if one != TOTAL
            ]
            parts = [part for part in parts if _has_any(part)]
            return {"interface": _most_first(parts)} if parts else {}

        def is_it(use: Use) -> bool:
            return name_of(use.who) == name

        found = self._parts(is_it, ("interface",))
        return found | self._parts(
            lambda use: is_it(use) and self._adds_up(use), ("scope", "user", "unit", "container")
        )

    def _parts(self, is_it: Callable[[Use], bool], by: Iterable[str]) -> dict[str, list[Part]]:
        """By each of those that tell anything, the most first."""
        today = self.recorded.applications if self.recorded is not None else {}
        uses = [use for use in self._spent | dict(today) if is_it(use)]
        found = {}
        for word in by:
            sums: dict[str, Part] = {}
            for use in uses:
                label = _BY[word](use)
                old = sums.get(label, Part(label, NONE, NONE, NONE))
                since = self._spent.get(use, NONE)
                sums[label] = Part(
                    label,
                    (old.today or NONE).plus(today.get(use, NONE)) if self.has_today else None,
                    old.since.plus(since),
                    old.trip.plus(since.minus(self._trip.spent.get(use, NONE))),
                    word == "interface" and not self._adds_up(use),
                )
            if any(sums):
                found[word] = _most_first(sums.values())
        return found

    def _today_of(self, interface: str) -> Both | None:
        if self.recorded is None or not self.has_today:
            return None
        return self.recorded.interfaces.get(interface, NONE)

    def _interface_row(self, name: str, key: str, today: Both | None, about: InterfaceNow | None) -> Row:
        since = self._since.get(key, NONE)
        trip = since.minus(self._trip.since.get(key, NONE))
        who = ": ".join(filter(None, (about.kind, about.reason))) if about is not None else ""
        return Row(name, self._rates.get(key, NONE), today, since, trip, about, who)


def both(counters: Counters) -> Both:
    """Only the bytes."""
    return Both(counters.rx_bytes, counters.tx_bytes)


def counted_since(interfaces: Iterable[InterfaceNow], last: Mapping[str, Counters]) -> dict[str, Both]:
    """What interfaces counted since they had counted so much."""
    found = {}
    for one in interfaces:
        before = last.get(one.name, ZERO)
        if one.since_start.rx_bytes < before.rx_bytes or one.since_start.tx_bytes < before.tx_bytes:
            before = ZERO  # another one of the same name
        found[one.name] = both(one.since_start.minus(before))
    return found


def _has_any(part: Part) -> bool:
    return part.since != NONE or part.today not in (None, NONE)


def _most_first(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda one: (-(one.today or one.since).total, -one.since.total, one.label))


def differences(now: Mapping[T, Both], before: Mapping[T, Both]) -> dict[T, Both]:
    """What has come since; what became less has become something else, and counts as nothing."""
    found = {}
    for whose, amount in now.items():
        more = amount.minus(before.get(whose, NONE))
        more = Both(max(more.rx, 0), max(more.tx, 0))
        if more != NONE:
            found[whose] = more
    return found
