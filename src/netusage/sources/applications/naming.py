"""Owners as the ledger knows them."""

from netusage.model import Who
from netusage.sources.applications.counts import FORWARDED, KERNEL
from netusage.sources.applications.identity import Identities
from netusage.sources.applications.kernel import KernelApplications


class Naming:
    """Says who owners are, and asks about each only once.

    Args:
        programs: what counts by owner.
        identities: finds out who they are.
    """

    def __init__(self, programs: KernelApplications, identities: Identities) -> None:
        self._programs = programs
        self._identities = identities
        self._known = {KERNEL: Who("kernel"), FORWARDED: Who("forwarded")}

    def who(self, owner: int) -> Who:
        """Who an owner is."""
        found = self._known.get(owner)
        if found is None:
            found = self._known[owner] = self._find_out(owner)
        return found

    def _find_out(self, number: int) -> Who:
        owner = self._programs.owner(number)
        if owner is None:
            return Who("unnamed")
        identity = self._identities.of(owner)
        return Who("application", *identity.application, identity.user, *identity.unit)
