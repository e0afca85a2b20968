"""The best of the tiers that this machine gives: ways to tell applications from one another, the exact one first."""

import sys
from collections.abc import Callable
from typing import NamedTuple

from netusage.errors import SourceError
from netusage.sources.applications.base import Tier
from netusage.sources.applications.identity import Identities
from netusage.sources.applications.naming import Naming

TIERS = ("kernel", "before-queueing", "sockets")  # as the setting recorder.applications names them


class Chosen(NamedTuple):
    """What counts by owner, who owners are, and what people should know of it.

    refused: why each better tier is not to be had, by its name in the settings.
    notes: lines about what is missing.
    """

    source: Tier
    names: Naming
    refused: dict[str, SourceError]
    notes: tuple[str, ...]


def open_applications(wanted: str, pins: str, *, anew: bool = False) -> Chosen:
    """Open the best tier.

    Args:
        wanted: one of `TIERS`, or "auto".
        pins: where programs in the kernel stay when this process ends, "" for nowhere.
        anew: take up nothing that is there.

    Raises:
        SourceError: none of those that are wanted is to be had; why the best of them is not.
    """
    if sys.platform != "linux":
        raise SourceError("applications are told apart on Linux only", hint="")
    refused: dict[str, SourceError] = {}
    for tier in TIERS if wanted == "auto" else (wanted,):
        try:
            source, notes = _OPENERS[tier](pins, anew)
        except SourceError as error:
            refused[tier] = error
        else:
            return Chosen(source, Naming(source, Identities(source.cgroups)), refused, notes)
    raise next(iter(refused.values()))


def _open_kernel(pins: str, anew: bool) -> tuple[Tier, tuple[str, ...]]:
    return _open_programs(pins, anew, before_queueing=False)


def _open_before_queueing(pins: str, anew: bool) -> tuple[Tier, tuple[str, ...]]:
    return _open_programs(pins, anew, before_queueing=True)


def _open_programs(pins: str, anew: bool, *, before_queueing: bool) -> tuple[Tier, tuple[str, ...]]:
    from netusage.sources.applications.kernel import KernelApplications  # noqa: PLC0415  # only what is tried
    from netusage.sources.applications.pins import can_pin  # noqa: PLC0415

    notes = []
    if pins and not can_pin(pins):
        notes.append(
            f"{pins} is in no BPF file system that can be written: what applications have while no recorder runs "
            "will be nobody's (mount -t bpf none /sys/fs/bpf)"
        )
        pins = ""
    found = KernelApplications(pins=pins or None, anew=anew, before_queueing=before_queueing)
    if not (found.hands_over or before_queueing):
        notes.append(
            "a socket that is passed on stays with who made it: Linux 6.3 and newer tell who uses it"
        )
    return found, tuple(notes)


def _open_sockets(pins: str, anew: bool) -> tuple[Tier, tuple[str, ...]]:  # noqa: ARG001  # it has neither
    from netusage.sources.applications.sockets import SocketApplications  # noqa: PLC0415

    return SocketApplications(), ()


_OPENERS: dict[str, Callable[[str, bool], tuple[Tier, tuple[str, ...]]]] = {
    "kernel": _open_kernel,
    "before-queueing": _open_before_queueing,
    "sockets": _open_sockets,
}
