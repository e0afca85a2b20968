"""Whether a ppp link runs over Ethernet (PPPoE), so that an Ethernet interface counts its bytes too.

The kernel gives all ppp links one kind. /proc/net/pppoe lists the PPPoE sessions of the namespace, below a heading
(drivers/net/ppp/pppoe.c); it does not say which link belongs to a session, so one session makes all of them PPPoE.
"""

from netusage.model import Link

_SESSIONS = "/proc/net/pppoe"


def told_apart(link: Link) -> Link:
    """The link, with the kind "pppoe" when it is a ppp link and PPPoE is in use."""
    if link.kind != "ppp":
        return link
    try:
        with open(_SESSIONS, encoding="ascii", errors="replace") as file:
            return link._replace(kind="pppoe") if has_sessions(file.read()) else link
    except OSError:
        return link


def has_sessions(text: str) -> bool:
    """Whether the text of /proc/net/pppoe lists a session below its heading."""
    return len([line for line in text.splitlines() if line.strip()]) > 1
