"""On which line of a TOML text each key stands, and how a value is written; `tomllib` only reads values.

The text must be sound TOML: read it with `tomllib` first.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

KeyPath = tuple[
    str | int, ...
]  # of tables that repeat, [[plan]], each has its number after its name: ("plan", 0, "cap")

_KEY_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*""")
# strings, comments and brackets are taken whole, so that what looks like a key inside them is none
_VALUE_PART = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[{\]}]|\n|[^"'#\[\]{}\n]+''',
    re.DOTALL,
)
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")


class Statement(NamedTuple):
    """A table header, or a key with its value, as characters [start, end) of the text."""

    path: KeyPath
    is_header: bool
    start: int
    end: int


def statements(text: str) -> Iterator[Statement]:
    """Every table header and every key outside an inline table, in the order of the text."""
    counts: dict[KeyPath, int] = {}  # of the tables that repeat, how many there were so far
    table: KeyPath = ()
    at = _skip_blank(text, 0)
    while at < len(text):
        start, is_header = at, text[at] == "["
        at += len(text[at:]) - len(text[at:].lstrip("[")) if is_header else 0
        parts, at = _dotted_key(text, at)
        if is_header:
            repeats = text.startswith("]]", at)
            at += len("]]") if repeats else len("]")
            table = _numbered(parts, counts, repeats=repeats)
            yield Statement(table, is_header, start, at)
        else:
            at = _skip_value(text, at + len("="))
            yield Statement(table + parts, is_header, start, at)
        after = _skip_blank(text, at)
        if after == at:
            break  # not sound TOML, or at its end
        at = after


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every table header and every key outside an inline table; of two, the first.

    The path of a table that repeats, without its number, has the line of the first one.
    """
    lines: dict[KeyPath, int] = {}
    line, before = 1, 0
    for found in statements(text):
        line += text.count("\n", before, found.start)
        before = found.start
        for length in range(1, len(found.path) + 1):
            lines.setdefault(found.path[:length], line)
    return lines


def find_line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of a key, or of the nearest table around it; 0 when there is neither."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 0


def toml_text(value: Any) -> str:
    """A setting's value as TOML: text, numbers, truths, and tuples of them."""
    import json  # noqa: PLC0415  # whoever only reads settings does without

    # a TOML basic string is written as a JSON one, but for DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _numbered(parts: tuple[str, ...], counts: dict[KeyPath, int], *, repeats: bool) -> KeyPath:
    """The path of a header: what is below a table that repeats belongs to the latest one."""
    path: KeyPath = ()
    for place, part in enumerate(parts):
        path += (part,)
        if repeats and place == len(parts) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path += (counts[path] - 1,)
    return path


def _skip_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _dotted_key(text: str, at: int) -> tuple[tuple[str, ...], int]:
    parts = []
    while match := _KEY_PART.match(text, at):
        parts.append(next(part for part in match.groups() if part is not None))
        at = match.end()
        if not text.startswith(".", at):
            break
        at += 1
    return tuple(parts), at


def _skip_value(text: str, at: int) -> int:
    """Where the value that starts at `at` ends: the end of its line, outside brackets."""
    depth = 0
    while match := _VALUE_PART.match(text, at):
        part = match.group()
        if part == "\n" and depth == 0:
            break
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(part, 0)
        at = match.end()
    return at
