"""Adding a table to the text of a configuration file, or taking one out of it; every other character stays.

The text must be sound TOML. What comes out is to be read again before it is kept: a text may be written in ways that
are not foreseen here.
"""

from collections.abc import Mapping
from typing import Any

from netusage.settings.toml_lines import statements, toml_text


def with_table(text: str, table: str, values: Mapping[str, Any]) -> str:
    """The text with a table at its end, below an empty line."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [f"[[{table}]]", *(f"{name} = {toml_text(value)}" for name, value in values.items()), ""]
    before = "" if not text.strip() else end if text.endswith("\n") else end * 2
    return text + before + end.join(lines)


def table_place(text: str, table: str, number: int) -> tuple[int, int] | None:
    """The characters [start, end) of a table that repeats: whole lines, from its header to its last key.

    With it goes the empty line above it, where there is another one below it, or the end of the text. Comments above
    the header stay.

    Returns:
        None where it is not written below a header of its own, [[plan]].
    """
    own = [found for found in statements(text) if found.path[:2] == (table, number)]
    if not own or not own[0].is_header:
        return None
    start = text.rfind("\n", 0, own[0].start) + 1
    end = text.find("\n", own[-1].end) + 1 or len(text)
    above = text.rfind("\n", 0, start - 1) + 1 if start else 0
    below = text[end:].partition("\n")[0] if end < len(text) else ""
    if start and not text[above:start].strip() and not below.strip():
        start = above
    return start, end
