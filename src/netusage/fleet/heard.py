"""When the hosts of a fleet were heard of last, and how far each is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netusage.fleet.members import Asked, Members
from netusage.fleet.schema import HOST

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
    names = Members(Asked(store.columns, store.table), hosts, labels).names
    sql = f"SELECT host, max(seen_us), max(sealed_until_s) FROM {store.table(HOST.name)} FINAL GROUP BY host"  # noqa: S608  # our own names
    return [Heard(names[key], seen_us, until_s) for key, seen_us, until_s in store.query(sql) if key in names]
