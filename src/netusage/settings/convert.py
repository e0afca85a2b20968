"""One value, from TOML or from text, checked against its key."""

import re
from collections.abc import Callable, Iterable
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from netusage.errors import NetusageError, UsageError
from netusage.settings.schema import FLEET_SHARES, Globs, Key, Percents, parse_cycle, parse_hours
from netusage.units import parse_bytes, parse_duration

# what the text of a key may be, beside a word of its choices or anything at all
KINDS = (
    *("duration", "path", "zone", "size", "date", "cycle", "hours", "name", "secret"),
    *("url", "identifier", "shares", "label"),
)
_WANTED = {
    bool: "true or false",
    int: "a whole number",
    str: "text",
    Globs: "a list of names",
    Percents: "a list of whole numbers",
}
_SHOWN = 60  # characters of a wrong value
_LONGEST_NAME = 60
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Invalid(Exception):  # noqa: N818  # it never reaches a person: the caller adds the place
    """A value that its key does not take; the message is the reason."""


def parse(key: Key, value: Any) -> Any:
    """A value as TOML gave it, as the key's own type.

    Raises:
        Invalid: wrong type, or outside the key's range.
        NetusageError: msgspec is needed and not installed.
    """
    if key.kind == "date" and type(value) is date:  # TOML has dates of its own
        value = value.isoformat()
    checked = _check(key, _typed(key, value, strict=True))
    if key.kind == "path" and checked and not Path(checked).is_absolute():
        raise Invalid(f"{value!r} is not an absolute path")
    return checked


def parse_text(key: Key, text: str) -> Any:
    """A value as a flag or an environment variable gave it, as the key's own type; names with commas between.

    Raises:
        Invalid: not what the key wants, or outside its range.
        NetusageError: msgspec is needed and not installed.
    """
    if key.type == Globs:
        return _check(key, tuple(part.strip() for part in text.split(",") if part.strip()))
    return _check(key, _typed(key, text, strict=False))


def nearest(word: str, known: Iterable[str]) -> str:
    """A "; did you mean 'x'?" for the known word that is most like this one, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415  # only when something is wrong

    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _typed(key: Key, value: Any, *, strict: bool) -> Any:
    if key.choices:
        if not isinstance(value, str) or value not in key.choices:
            allowed = ", ".join(key.choices)
            guess = nearest(value, key.choices) if isinstance(value, str) else ""
            raise Invalid(f"expected one of {allowed}, got {_shown(value)}{guess}")
        return key.type(value) if isinstance(key.type, type) and issubclass(key.type, Enum) else value
    if type(value) is key.type:  # nothing to convert: msgspec is not needed
        return value
    try:
        import msgspec  # noqa: PLC0415  # the defaults do without it
    except ImportError as error:
        raise NetusageError(
            f"cannot read {key.dotted!r}: the package msgspec is missing", hint="pip install msgspec"
        ) from error
    try:
        return msgspec.convert(value, key.type, strict=strict)
    except msgspec.ValidationError as error:
        if key.kind == "secret":
            raise Invalid("expected a list of URLs") from None
        raise Invalid(f"expected {_WANTED[key.type]}, got {_shown(value)}") from error


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _check(key: Key, value: Any) -> Any:
    texts = value if isinstance(value, tuple) else (value,)
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise Invalid("a NUL character is not allowed")
    if key.kind == "path" and value.startswith("~"):
        return _expand(value)
    if key.kind in _CHECKS:
        for text in texts:
            _CHECKS[key.kind](key, text)
    elif key.low != "":
        for number in texts:
            if not int(key.low) <= number <= int(key.high):
                raise Invalid(f"{number} is outside {key.low} to {key.high}")
    elif key.type == Globs and not all(value):
        raise Invalid("an empty name matches nothing")
    return value


def _check_duration(key: Key, text: str) -> None:
    microseconds = _read(parse_duration, text)
    if not parse_duration(str(key.low)) <= microseconds <= parse_duration(str(key.high)):
        raise Invalid(f"{text!r} is outside {key.low} to {key.high}")


def _check_size(key: Key, text: str) -> None:
    if _read(parse_bytes, text) < parse_bytes(str(key.low or "0")):
        raise Invalid(f"{text!r} is less than {key.low}")


def _check_date(key: Key, text: str) -> None:
    if not text and not key.needed:
        return
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f'expected a day as in "2026-11-20", got {text!r}') from error
    if found.isoformat() != text or not 1970 <= found.year < 9990:  # days are compared as texts
        raise Invalid(f'expected a day as in "2026-11-20", from 1970 on, got {text!r}')


def _check_name(_: Key, text: str) -> None:
    if not text or not text.isprintable() or text != text.strip() or len(text) > _LONGEST_NAME:
        raise Invalid(f"expected a name of 1 to {_LONGEST_NAME} characters on one line, got {_shown(text)}")


def _check_secret(_: Key, url: str) -> None:
    if not url.partition("://")[0].isascii() or "://" not in url[1:]:
        raise Invalid('expected URLs as in "mailto://user:password@example.org"; one of them is none')


def _read(parse_it: Callable[[str], int], text: str) -> int:
    try:
        return parse_it(text)
    except UsageError as error:
        raise Invalid(str(error)) from error


def _check_cycle(_: Key, text: str) -> None:
    _read(parse_cycle, text)


def _check_hours(_: Key, text: str) -> None:
    try:
        parse_hours(text)
    except UsageError as error:
        raise Invalid(str(error)) from error


def _check_zone(_: Key, name: str) -> None:
    if not name:
        return
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415  # most people set no zone

    from netusage.periods.zones import HINT  # noqa: PLC0415  # as above

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        known = available_timezones()
        guess = nearest(name, known) if known else "; this system has no time zone data: install tzdata"
        guess = guess or f"; {HINT}"
        raise Invalid(f"unknown time zone {name!r}{guess}") from error


def _check_url(_: Key, url: str) -> None:
    from urllib.parse import urlsplit  # noqa: PLC0415  # most people have no fleet

    if not url:
        return
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        fine = False
    if not fine:  # the text is not repeated: a password may stand in it
        raise Invalid('expected a URL as in "https://fleet.example.org:8443"')
    if parts.username is not None or parts.password is not None:
        raise Invalid("a URL has no password here: write it to a file, and name that in password_file")
    if parts.path.strip("/") or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise Invalid("expected a URL of a server alone, without a path")


def _check_identifier(_: Key, text: str) -> None:
    if not _IDENTIFIER.fullmatch(text):
        raise Invalid(f"expected a name of letters, digits and underscores, got {_shown(text)}")


def _check_shares(_: Key, text: str) -> None:
    if text not in FLEET_SHARES:
        raise Invalid(
            f"expected some of {', '.join(FLEET_SHARES)}, got {_shown(text)}{nearest(text, FLEET_SHARES)}"
        )


def _check_label(_: Key, text: str) -> None:
    name, mark, _value = text.partition("=")
    if not (name and mark and text.isprintable()):
        raise Invalid(f'expected labels as in "site=berlin", got {_shown(text)}')


def _expand(text: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise Invalid(f"{text!r}: there is no such home directory") from error


_CHECKS: dict[str, Callable[[Key, str], None]] = {
    "duration": _check_duration,
    "zone": _check_zone,
    "size": _check_size,
    "date": _check_date,
    "cycle": _check_cycle,
    "hours": _check_hours,
    "name": _check_name,
    "secret": _check_secret,
    "url": _check_url,
    "identifier": _check_identifier,
    "shares": _check_shares,
    "label": _check_label,
}
