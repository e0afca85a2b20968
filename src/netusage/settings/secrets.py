"""URLs that hold passwords and tokens, and what may be shown of them.

In many of apprise's URLs what stands where a host does is a token, so a host is shown only where it is known to be one.
"""

from collections.abc import Iterable

HIDDEN = "…"
_WITH_HOST = {
    *("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "gotify", "gotifys"),
    *("matrix", "matrixs", "mqtt", "mqtts", "apprise", "apprises", "hassio", "hassios", "nctalk", "nctalks"),
    *("rsyslog", "signal", "signals", "xbmc", "xbmcs", "kodi", "kodis", "lmetric", "growl", "irc", "ircs"),
}
_HOST_IF_PATH = {"ntfy", "ntfys"}  # otherwise it is a topic, which only those are to know who read it
_LOCAL = {"dbus", "glib", "gnome", "kde", "macosx", "windows", "syslog", "notify"}


def names_of(urls: Iterable[str]) -> tuple[str, ...]:
    """A name for each URL, without what is secret in it; those that would be alike are numbered."""
    found: list[str] = []
    for url in urls:
        name = _name(url)
        alike = sum(one == name or one.startswith(f"{name} #") for one in found)
        found.append(f"{name} #{alike + 1}" if alike else name)
    return tuple(found)


def without_secrets(text: str, url: str) -> str:
    """A text in which nothing stands that is secret in a URL."""
    scheme, _, rest = url.partition("://")
    host = _host(scheme.lower(), rest)
    shown = {host, *host.split(":")}
    for part in sorted(_parts(rest), key=len, reverse=True):
        if part.lower() not in shown and len(part) > 3:  # shorter ones are in every text
            text = text.replace(part, HIDDEN)
    return text


def _name(url: str) -> str:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme in _LOCAL:
        return f"{scheme}://"
    host = _host(scheme, rest)
    return f"{scheme}://{host}/{HIDDEN}" if host else f"{scheme}://{HIDDEN}"


def _host(scheme: str, rest: str) -> str:
    """The host and its port, "" where it may be a secret."""
    place, _, path = rest.partition("?")[0].partition("/")
    host = place.rpartition("@")[2]
    known = scheme in _WITH_HOST or (scheme in _HOST_IF_PATH and path.strip("/"))
    return host.lower() if known else ""


def _parts(rest: str) -> set[str]:
    """All the words that a URL consists of, as they are and decoded."""
    from urllib.parse import unquote  # noqa: PLC0415  # only when something is wrong

    words = {rest}
    for mark in "?&=/@:,#+":
        words = {piece for word in words for piece in word.split(mark)} | words
    return {form for word in words for form in (word, unquote(word))}
