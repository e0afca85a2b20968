"""Opens the best source that works here."""

import sys
from typing import Literal

from netusage.errors import SourceError
from netusage.sources.base import Source

SourceKind = Literal["auto", "netlink", "psutil"]


def open_source(kind: SourceKind = "auto") -> tuple[Source, str]:
    """Open a source of interface counters.

    Args:
        kind: "netlink" or "psutil" insists on that one; "auto" takes netlink on Linux, psutil where netlink
            fails and on every other system.

    Returns:
        The open source, and why it was taken, in one line for people.

    Raises:
        SourceError: it cannot be opened; for "auto", none can.
    """
    if kind == "psutil":
        return _portable(), "psutil was asked for"
    if sys.platform != "linux":
        if kind == "netlink":
            raise SourceError("netlink exists on Linux only", hint="set source.kind to psutil or auto")
        return _portable(), "psutil serves every system but Linux"
    try:
        source = _netlink()
    except SourceError as failure:
        if kind == "netlink":
            raise
        try:
            return _portable(), f"psutil stands in, because netlink failed: {failure.message}"
        except SourceError as second:
            raise SourceError(
                f"neither netlink nor psutil works here: {failure.message}; {second.message}",
                hint=second.hint,
            ) from second
    return source, "netlink was asked for" if kind == "netlink" else "netlink serves Linux"


def _netlink() -> Source:
    from netusage.sources.interfaces_linux import NetlinkSource  # noqa: PLC0415  # Linux only

    return NetlinkSource()


def _portable() -> Source:
    from netusage.sources.interfaces_portable import PortableSource  # noqa: PLC0415  # not where netlink works

    return PortableSource()
