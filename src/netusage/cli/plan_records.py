"""Whom plans are asked of: this machine's ledger, hosts in it, or hosts of the fleet; each is opened once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple, Self

from netusage.cli.output import note
from netusage.errors import ConfigError, NoDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from netusage.cli.context import Invocation
    from netusage.fleet.reader import FleetReader
    from netusage.fleet.store import Store
    from netusage.reports.record import Record
    from netusage.settings.schema import PlanSettings


class _Hosts(NamedTuple):
    """Shell patterns of hosts of the fleet and of their labels."""

    hosts: tuple[str, ...]
    labels: tuple[str, ...]


def asked(inv: Invocation, names: Sequence[str]) -> list[PlanSettings]:
    """The plans that are asked for; about the hosts of --host and --label, where those are given.

    Raises:
        NoDataError: no plan is configured, or all of them say themselves which hosts they are about.
        UsageError: there is none of that name, or one that was named says itself which hosts it is about.
    """
    from dataclasses import replace

    from netusage.reports.plans import chosen

    plans = chosen(inv.settings.plan, names)
    if not (inv.hosts or inv.labels):
        return plans
    hint = "leave out --host and --label"
    others = [plan for plan in plans if not plan.is_of_hosts]
    for plan in plans:
        reason = f"plan {plan.name!r} says itself which hosts it is about"
        if plan.is_of_hosts and names:
            raise UsageError(reason, hint=hint)
        if plan.is_of_hosts and others:
            note(f"{reason}, and is left out; {hint}")
    if not others:
        raise NoDataError("all plans say themselves which hosts they are about", hint=hint)
    return [replace(plan, hosts=inv.hosts, labels=inv.labels) for plan in others]


class Records:
    """The records of one invocation, for `reports.plans.answers`; a context manager.

    A plan that names hosts or labels is asked of the fleet; others are of what --fleet, --host and --label say.

    Args:
        inv: of the command.
        tick: called every now and then during a long question.
    """

    def __init__(self, inv: Invocation, tick: Callable[[], object]) -> None:
        self._inv, self._tick = inv, tick
        self._open = contextlib.ExitStack()
        self._store: Store | None = None
        self._records: dict[_Hosts | None, Record] = {}
        self._of_plans: list[FleetReader] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def of(self, plan: PlanSettings) -> Record:
        """The record that a plan of `asked` is asked of.

        Raises:
            ConfigError: it is about hosts of the fleet, and none is configured.
            NoDataError: there is no ledger, or no such host.
            NetusageError: as `Invocation.record`.
        """
        has_own = plan.is_of_hosts and not (self._inv.hosts or self._inv.labels)
        key = _Hosts(plan.hosts, plan.labels) if has_own else None
        if key not in self._records:
            if key is None:
                record = self._open.enter_context(self._inv.record(("host",)))
            else:
                record = self._of_fleet(plan, key)
            record.on_progress(self._tick)
            self._records[key] = record
        return self._records[key]

    def known_until_s(self) -> dict[str, int]:
        """Until when the hosts are known that plans name themselves, UTC seconds by name, as far as they were asked.

        Raises:
            FleetError: the store cannot be asked.
        """
        found: dict[str, int] = {}
        for fleet in self._of_plans:
            with contextlib.suppress(NoDataError):  # there is no such host, which has been told
                found |= fleet.known_until_s()
        return found

    def _of_fleet(self, plan: PlanSettings, which: _Hosts) -> Record:
        from netusage.fleet.reader import FleetReader
        from netusage.fleet.store import Store, address_of
        from netusage.reports.plans import hosts_words

        if not self._inv.settings.fleet.url:
            raise ConfigError(
                f"plan {plan.name!r} is about hosts of the fleet ({hosts_words(*which)}), and the configuration names none",
                hint='in [fleet], write url = "https://..."; see docs/fleet.md',
            )
        if self._store is None:
            self._store = self._open.enter_context(Store(address_of(self._inv.settings.fleet)))
        reader = FleetReader(self._store, *which)
        self._of_plans.append(reader)
        return reader
