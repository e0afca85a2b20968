"""Checks of the machine: the source of numbers, the clocks, the identities that tell epochs apart."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterator

from netusage.clock import boot_id, machine_id
from netusage.doctor.findings import Finding, Verdict
from netusage.errors import SourceError
from netusage.settings.schema import Settings
from netusage.sources.base import Source
from netusage.sources.choose import open_source

# what each tier is exact for
_EXACT = {
    "kernel": "every byte that an interface carries",
    "kernel before queueing": "received bytes; sent ones as they were before queues dropped any",
    "sockets": "payload of TCP; owners of sockets that lived for a second, other users' only as root",
}
_EVENT_BUFFER_BYTES = 16 << 20


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Look at what counting stands on; changes nothing."""
    system = (
        f"Python {platform.python_version()} on {platform.system()} {platform.release()} {platform.machine()}"
    )
    yield Finding("system", Verdict.OK, system)
    try:
        source, why = open_source(settings.source.kind)
    except SourceError as error:
        yield Finding("source", Verdict.PROBLEM, error.message, error.hint)
    else:
        with contextlib.closing(source):
            yield from _check_source(source, why)
    if sys.platform == "linux":
        yield _check_applications(settings.recorder.applications)
    yield _check_boot()
    if machine_id():
        yield Finding("machine", Verdict.OK, "has an identity: a copied ledger is told from this machine's")
    else:
        todo = "systemd-machine-id-setup" if sys.platform == "linux" else ""
        found = "no machine-id: a ledger copied from another machine takes this one's traffic for its own"
        yield Finding("machine", Verdict.NOTE, found, todo)


def _check_source(source: Source, why: str) -> Iterator[Finding]:
    try:
        links = source.links()
        source.read()
    except SourceError as error:
        yield Finding("source", Verdict.PROBLEM, error.message, error.hint)
        return
    stands_in = source.name == "psutil" and sys.platform == "linux"
    todo = "allow netlink sockets (AF_NETLINK) to the recorder" if stands_in else ""
    text = f"{source.name}: {why}; {len(links)} interfaces"
    yield Finding("source", Verdict.NOTE if stands_in else Verdict.OK, text, todo)
    if source.fileno() is None:
        found = (
            "no link events: an interface that goes away takes up to a second of its bytes with it (declared)"
        )
        yield Finding("link events", Verdict.NOTE, found)
    else:
        yield _check_events(source)
    if source.counter_bits != 64:
        found = (
            "byte counters are cut to 32 bits here: whole turns during a stop of the recorder cannot be seen"
        )
        yield Finding("counters", Verdict.NOTE, found, "keep the recorder running")
    if sys.platform == "linux":
        if any(link.life for link, _ in links):
            found = "told by sysfs: a re-created interface is never taken for the old one"
            yield Finding("lives of links", Verdict.OK, found)
        else:
            found = (
                "sysfs does not show them: across a stop, a re-created interface may be taken for the old one"
            )
            yield Finding("lives of links", Verdict.NOTE, found, "mount sysfs at /sys in this namespace")


def _check_events(source: Source) -> Finding:
    size = getattr(source, "event_buffer_bytes", 0)
    if size >= _EVENT_BUFFER_BYTES:
        return Finding("link events", Verdict.OK, f"received, with a buffer of {size >> 20} MiB")
    found = (
        f"received, with a buffer of {size >> 10} KiB: a burst of removals may overflow it (a declared gap)"
    )
    return Finding(
        "link events", Verdict.NOTE, found, "give the recorder CAP_NET_ADMIN: netusage service install"
    )


def _check_applications(wanted: str) -> Finding:
    """The tier in force, tried and let go at once; and the one command that raises it."""
    if wanted == "off":
        found = "interfaces only: the configuration says so"
        return Finding(
            "applications", Verdict.OK, found, "to tell them apart: netusage daemon --applications auto"
        )
    from netusage.sources.applications.choose import TIERS, open_applications  # noqa: PLC0415  # seldom wanted

    try:
        chosen = open_applications(wanted, pins="")
    except SourceError as error:
        found = f"interfaces only: {error.message}"
        return Finding(
            "applications", Verdict.NOTE if wanted == "auto" else Verdict.PROBLEM, found, _raise_tier(error)
        )
    with contextlib.closing(chosen.source):
        tier = chosen.source.tier
    about = _EXACT[tier]
    if tier == TIERS[0] or not chosen.refused:
        return Finding("applications", Verdict.OK, f"{tier}: {about}")
    why = next(iter(chosen.refused.values()))
    return Finding("applications", Verdict.NOTE, f"{tier}: {about}; {why.message}", _raise_tier(why))


def _raise_tier(why: SourceError) -> str:
    """The one command that gives a better tier; for root, what the kernel lacks."""
    if sys.platform != "linux" or not os.geteuid():
        return why.hint or ""
    return "sudo netusage service install" if os.path.isdir("/run/systemd/system") else "sudo netusage daemon"


def _check_boot() -> Finding:
    identity = boot_id()
    if identity.startswith("boottime-"):
        found = "this system gives boots no identity: a step of the clock may look like a reboot"
        return Finding("boot", Verdict.NOTE, found)
    return Finding("boot", Verdict.OK, "has an identity: a step of the clock is not taken for a reboot")
