import sys

import pytest

from netusage.doctor.findings import Verdict
from netusage.doctor.machine import check_machine
from netusage.settings.schema import RecorderSettings, Settings, SourceSettings

linux = pytest.mark.skipif(sys.platform != "linux", reason="netlink exists on Linux only")


def findings(kind="auto", *, applications="off"):
    settings = Settings(
        source=SourceSettings(kind=kind), recorder=RecorderSettings(applications=applications)
    )
    return {finding.about: finding for finding in check_machine(settings)}


@linux
@pytest.mark.system
@pytest.mark.alone
def test_netlink_is_found_with_its_events_and_lives():
    found = findings()
    assert found["source"].verdict is Verdict.OK
    assert found["source"].found.startswith("netlink")
    assert "received" in found["link events"].found
    assert found["lives of links"].verdict is Verdict.OK


@pytest.mark.system
@pytest.mark.alone
def test_psutil_has_no_link_events_and_says_what_that_costs():
    found = findings("psutil")
    assert found["link events"].verdict is Verdict.NOTE
    assert "up to a second" in found["link events"].found


def test_the_identities_of_boot_and_machine_are_looked_at():
    found = findings("psutil")
    assert {"system", "boot", "machine"} <= found.keys()


@linux
def test_where_applications_are_switched_off_doctor_says_how_to_have_them():
    found = findings("psutil")["applications"]
    assert (found.verdict, found.found) == (Verdict.OK, "interfaces only: the configuration says so")
    assert "daemon --applications auto" in found.todo


@pytest.mark.system
@pytest.mark.alone
@pytest.mark.root
def test_the_best_tier_is_tried_and_named(loadable):
    found = findings(applications="auto")["applications"]
    assert found.verdict is Verdict.OK
    assert found.found == "kernel: every byte that an interface carries"
