"""When the hosts of a fleet were heard of last, and how far each is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netusage.fleet.members import Asked, Members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netusage.fleet.store import Store


class Heard(NamedTuple):
    """A host.

    name: as `FleetReader` calls it.
    seen_us: when it delivered last, UTC microseconds.
    sealed_until_s: all that it counted before this time has arrived, UTC seconds.
    """

    name: str
    seen_us: int
    sealed_until_s: int


def heard(store: Store, hosts: Sequence[str] = (), labels: Sequence[str] = ()) -> list[Heard]:
    """The chosen hosts, as `FleetReader` chooses them.

    Raises:
        NoDataError: there is no such host.
        FleetError: the store cannot be asked, or not all of it.
    """
    members = Members(Asked(store.columns, store.table), hosts, labels)
    return [Heard(name, seen_us, members.known_until_s[name]) for name, seen_us in members.seen_us.items()]
