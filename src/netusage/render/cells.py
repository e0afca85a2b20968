"""Text that may not break out of its cell, and how wide it is.

Names come from the kernel and from people. Control characters, line breaks and characters that turn the direction
of writing are shown as escapes, so that no name can forge a row or reach the terminal.
"""

from collections.abc import Sequence

ELLIPSIS = "…"
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKDOWN = str.maketrans({char: f"\\{char}" for char in "\\|`*<[&~"})


def safe(text: str) -> str:
    """The text with everything escaped that a terminal would not print as a character."""
    if text.isprintable():
        return text
    import unicodedata  # noqa: PLC0415  # most text is ASCII

    return "".join(_escape(char) if unicodedata.category(char) in _ESCAPED else char for char in text)


def encodable(text: str, encoding: str | None) -> str:
    """The text with everything escaped that the stream cannot encode; None is a stream that takes everything."""
    if text.isascii() or encoding is None:
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def markdown(text: str) -> str:
    """Safe text with the characters escaped that Markdown would read."""
    return text.translate(_MARKDOWN)


def are_ascii(texts: Sequence[str]) -> bool:
    """Whether all of the texts are ASCII; one long text knows that of itself."""
    return "".join(texts).isascii()


def width(text: str) -> int:
    """How many cells of a terminal some safe text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def widest(texts: Sequence[str]) -> int:
    """How many cells the widest of some safe texts takes."""
    if are_ascii(texts):
        return max(map(len, texts))
    return max(map(width, texts))


def pad(texts: Sequence[str], cells: int, *, right: bool) -> list[str]:
    """Safe texts, each filled up with spaces to so many cells; `right` moves them to the right edge."""
    if are_ascii(texts):
        return [text.rjust(cells) for text in texts] if right else [text.ljust(cells) for text in texts]
    spaces = [" " * (cells - width(text)) for text in texts]
    return [space + text if right else text + space for text, space in zip(texts, spaces, strict=True)]


def shorten(text: str, cells: int, mark: str = ELLIPSIS) -> str:
    """The text in so many cells, its middle left out where it is longer: names differ at both ends."""
    if width(text) <= cells:
        return text
    room = cells - width(mark)
    if room <= 0:
        return mark[:cells]
    tail = _take(text[::-1], room // 2)[::-1]
    while tail and not _char_width(tail[0]):
        tail = tail[1:]  # a mark whose letter is left out
    head = _take(text, room - width(tail))
    return head + mark + tail


def _take(text: str, cells: int) -> str:
    """As many of the first characters as fit."""
    used = 0
    for place, char in enumerate(text):
        used += _char_width(char)
        if used > cells:
            return text[:place]
    return text


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _char_width(char: str) -> int:
    """0 for what is drawn over the character before it, 2 for wide characters; UAX #11 and Hangul's vowels."""
    import unicodedata  # noqa: PLC0415  # as above

    if unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
