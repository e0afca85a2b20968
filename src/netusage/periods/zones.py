"""Time zones by name, and the zone of this machine.

The machine's zone is a real ZoneInfo wherever its name or its rules can be found, so that days far from today get
the offset of their own date: tzset(3) and localtime(5) say where to look.
"""

import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from io import BytesIO

from netusage.errors import UsageError

# zoneinfo is imported by what needs it: a machine that keeps UTC, as most servers do, is answered sooner without it

HINT = 'write a name like "Europe/Berlin", or "UTC"'


def zone(name: str | None = None) -> tzinfo:
    """The time zone of that name; None is the zone of this machine.

    Raises:
        UsageError: there is no zone of that name.
    """
    if name is None:
        return system_zone()
    found = _named(name)
    if found is not None:
        return found
    import zoneinfo  # noqa: PLC0415  # see above

    known = zoneinfo.available_timezones()
    if not known:
        raise UsageError(
            f"time zone {name!r} cannot be looked up: this machine has no time zone data",
            hint="install the tzdata package",
        )
    raise UsageError(f"there is no time zone {name!r}", hint=_nearest(name, known))


def system_zone(environ: Mapping[str, str] = os.environ, etc: str | os.PathLike[str] = "/etc") -> tzinfo:
    """The zone of this machine: TZ, then the link or file at /etc/localtime, then UTC.

    /etc/timezone only names the rules of /etc/localtime when that is a plain file: where both differ, the C library
    follows /etc/localtime, and so does this. Windows has neither; its own rules are asked there.
    """
    text = environ.get("TZ")
    if text is not None:
        found = _from_tz(text)
        if found is not None:
            return found
    localtime = os.path.join(etc, "localtime")
    for target in _links(localtime):
        name = _name_in(target)
        found = UTC if name == "Etc/UTC" else _named(name)
        if found is not None:
            return found
    found = _from_timezone_file(os.path.join(etc, "timezone"), localtime) or _from_file(localtime)
    if found is not None:
        return found
    return RunningZone() if os.name == "nt" else UTC


def _nearest(name: str, known: set[str]) -> str:
    import difflib  # noqa: PLC0415  # only for a wrong name

    folded = {other.lower(): other for other in sorted(known)}
    cities = {other.rpartition("/")[2].lower(): other for other in sorted(known, reverse=True)}
    wanted = name.strip().lower().replace(" ", "_")
    for names in (folded, cities):
        for key in difflib.get_close_matches(wanted, names, n=1, cutoff=0.75):
            return f"did you mean {names[key]!r}?"
    return HINT


def _named(name: str) -> tzinfo | None:
    """The zone of exactly this name; names that are paths, or not names at all, are nobody's."""
    if name == "UTC":
        return UTC
    import zoneinfo  # noqa: PLC0415  # see above

    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _name_in(path: str) -> str:
    """The zone's name in the path of its file; "" when the path is outside a zoneinfo directory."""
    _, found, name = path.replace(os.sep, "/").rpartition("zoneinfo/")
    return name.removeprefix("posix/").removeprefix("right/") if found else ""


def _links(path: str) -> Iterator[str]:
    """What a link points to, link by link: an alias is a link as well, and the first name is the one chosen."""
    for _ in range(8):
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            return
        yield path


def _from_file(path: str) -> tzinfo | None:
    import zoneinfo  # noqa: PLC0415  # see above

    try:
        with open(path, "rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, key=_name_in(path) or None)
    except (OSError, ValueError):
        return None


def _from_timezone_file(timezone: str, localtime: str) -> tzinfo | None:
    try:
        with open(timezone, encoding="ascii") as file:
            name = file.read().strip()
        rules = _bytes_of(localtime) if os.path.exists(localtime) else None
    except (OSError, ValueError):
        return None
    found = _named(name)
    if found is None or rules is None:
        return found
    import zoneinfo  # noqa: PLC0415  # see above

    for directory in zoneinfo.TZPATH:
        try:
            if _bytes_of(os.path.join(directory, name)) == rules:
                return found
        except OSError:
            continue
    return None


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _from_tz(text: str) -> tzinfo | None:
    """The zone that TZ names: a zone's name, a path, or rules such as "CET-1CEST,M3.5.0,M10.5.0/3"."""
    name = text.removeprefix(":")
    if not name:
        return UTC  # as the C library reads it
    if name.startswith("/"):
        return _named(_name_in(name)) or _from_file(name)
    return _named(name) or _from_rules(name)


def _from_rules(rules: str) -> tzinfo | None:
    """A zone from POSIX rules: RFC 8536 carries them as the footer of a file, so one without transitions is made."""
    import zoneinfo  # noqa: PLC0415  # see above
    from struct import pack  # noqa: PLC0415  # only here

    header = b"TZif2" + bytes(15) + pack(">6l", 0, 0, 0, 0, 1, 4)
    block = pack(">lbb", 0, 0, 0) + b"UTC\0"
    try:
        file = BytesIO(header + block + header + block + b"\n" + rules.encode("ascii") + b"\n")
        made = zoneinfo.ZoneInfo.from_file(file, key=rules)
        datetime.now(made)
    except (ValueError, OverflowError):
        return None
    return made


class RunningZone(tzinfo):
    """The zone as the C library of the running system applies it, for systems that have no zone file.

    Where that library knows no local time, as Windows before 1970, it is taken to be standard time.
    """

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """The offset of a local time; of a repeated one, the one that `fold` selects."""
        if dt is None:
            return None
        try:
            return dt.replace(tzinfo=None).astimezone().utcoffset()
        except (OSError, OverflowError, ValueError):
            return timedelta(seconds=-time.timezone)

    def dst(self, dt: datetime | None) -> timedelta | None:
        """How much of the offset is daylight saving time, by today's standard time."""
        offset = self.utcoffset(dt)
        return None if offset is None else max(offset - timedelta(seconds=-time.timezone), timedelta())

    def tzname(self, dt: datetime | None) -> str | None:
        """The system's abbreviation."""
        return None if dt is None else time.tzname[bool(self.dst(dt))]

    def fromutc(self, dt: datetime) -> datetime:
        """The local time of a UTC time, with `fold` set in the second pass of a repeated hour."""
        try:
            local = dt.replace(tzinfo=UTC).astimezone().replace(tzinfo=self, fold=0)
        except (OSError, OverflowError, ValueError):
            return dt + timedelta(seconds=-time.timezone)
        again = local.replace(tzinfo=None) - (self.utcoffset(local) or timedelta()) != dt.replace(tzinfo=None)
        return local.replace(fold=int(again))
