"""Owners as the ledger knows them."""

from collections.abc import Mapping

from netusage.model import Who
from netusage.sources.applications.base import Tier
from netusage.sources.applications.counts import FORWARDED, KERNEL, KERNEL_SOCKETS, RESETS, UNNAMED
from netusage.sources.applications.identity import Identities

_NOBODY = {
    KERNEL: Who("kernel"),
    FORWARDED: Who("forwarded"),
    UNNAMED: Who("unnamed"),
    RESETS: Who("kernel", "TCP resets"),
    KERNEL_SOCKETS: Who("kernel", "sockets of its own"),
}


class Naming:
    """Says who owners are, and asks about each only once.

    Args:
        programs: what counts by owner.
        identities: finds out who they are.
    """

    def __init__(self, programs: Tier, identities: Identities) -> None:
        self._programs = programs
        self._identities = identities
        self._known = dict(_NOBODY)
        self._versions: dict[int, tuple[int, int]] = {}

    def who(self, owner: int) -> Who:
        """Who an owner is."""
        found = self._known.get(owner)
        if found is None:
            found = self._known[owner] = self._find_out(owner)
        return found

    def version(self, owner: int) -> tuple[int, int] | None:
        """Device and inode of its executable, as they were when it was met; None where they are not known."""
        return self._versions.get(owner)

    def know(self, owners: Mapping[int, Who]) -> None:
        """Who some are: that was found out when their processes lived."""
        self._known |= {owner: who for owner, who in owners.items() if who.kind == "application"}

    def _find_out(self, number: int) -> Who:
        owner = self._programs.owner(number)
        if owner is None:
            return Who("unnamed")
        identity = self._identities.of(owner)
        if owner.exe_inode:
            self._versions[number] = identity.version
        if not identity.application.name:
            return Who("unnamed", user=identity.user, **identity.unit._asdict())
        return Who("application", *identity.application, identity.user, *identity.unit)
