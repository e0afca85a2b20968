"""Owners as the ledger knows them."""

import pytest

from netusage.model import Who
from netusage.sources.applications.counts import FORWARDED, KERNEL, UNNAMED, Owner
from netusage.sources.applications.identity import Identity
from netusage.sources.applications.names import Application, Unit
from netusage.sources.applications.naming import Naming


class Programs:
    """Owner 20 is described; all others are not."""

    def owner(self, number):
        return Owner(5, 6, 7, 8, 9, "tool", "", "/usr/bin/tool") if number == 20 else None


class Identities:
    def __init__(self, application, unit=Unit()):  # noqa: B008  # it cannot be changed
        self._identity = Identity(application, "alice", unit, (7, 5))

    def of(self, _owner):
        return self._identity


TOOL = Application("tool", "/usr/bin/tool")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(KERNEL, "kernel"), (FORWARDED, "forwarded"), (UNNAMED, "unnamed"), (21, "unnamed")],
    ids=["kernel", "forwarded", "unnamed", "not described"],
)
def test_what_is_nobody_s_is_of_its_kind(number, kind):
    assert Naming(Programs(), Identities(TOOL)).who(number) == Who(kind)


def test_an_application_has_its_name_its_user_and_its_unit():
    naming = Naming(Programs(), Identities(TOOL, Unit("tool.service")))
    assert naming.who(20) == Who("application", "tool", "/usr/bin/tool", "alice", "tool.service")


@pytest.mark.parametrize(
    "unit", [Unit("tool.service"), Unit(container="docker 0123456789ab"), Unit(pod="1-2")]
)
def test_who_has_no_name_keeps_the_user_and_what_runs_it(unit):
    found = Naming(Programs(), Identities(Application("", ""), unit)).who(20)
    assert found == Who("unnamed", "", "", "alice", *unit)
