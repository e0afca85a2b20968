"""On which line of a TOML text each key stands; `tomllib` reads values and keeps no places.

The text must be sound TOML: read it with `tomllib` first.
"""

import re

KeyPath = tuple[str, ...]

_KEY_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*""")
# strings, comments and brackets are taken whole, so that what looks like a key inside them is none
_VALUE_PART = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[{\]}]|\n|[^"'#\[\]{}\n]+''',
    re.DOTALL,
)
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every table header and every key outside an inline table; of two, the first."""
    text = text.replace("\r\n", "\n")
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at = _skip_blank(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        header = text[at] == "["
        at += len(text[at:]) - len(text[at:].lstrip("[")) if header else 0
        path, at = _dotted_key(text, at)
        if header:
            table = path
            at += len("]]") if text.startswith("]]", at) else len("]")
        else:
            path = table + path
            at = _skip_value(text, at + len("="))
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
        after = _skip_blank(text, at)
        if after == at:
            break  # not sound TOML, or at its end
        at = after
    return lines


def find_line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of a key, or of the nearest table around it; 0 when there is neither."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 0


def _skip_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _dotted_key(text: str, at: int) -> tuple[KeyPath, int]:
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
