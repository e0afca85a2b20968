"""What the program does when it is called `vnstat`: a link of that name feeds what reads vnStat.

The command line, the messages (on standard output, as vnStat has them) and the exit codes are those of vnStat 2.10, see
vnstat(1). The ledger and the settings are netusage's; vnStat's own database and configuration are not read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from netusage.errors import NetusageError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TextIO

    from netusage.exporters.vnstat_json import Edge
    from netusage.ledger.reader import LedgerReader
    from netusage.reports.clock_lists import ClockLists, Tally
    from netusage.settings.schema import Settings

_HELP = """
      --json [mode] [limit]        show database in json format
      --oneline [mode]             show simple parsable format
      --dbiflist [mode]            show list of interfaces in database
      --iflist [mode]              show list of available interfaces

      -b, --begin <date>           set list begin date
      -e, --end <date>             set list end date
      --limit <limit>              set output entry limit
      -i, --iface <interface>      select interface, or several: eth0+eth1

      --config <file>, --dbdir <directory>, --locale <locale>, --style <mode>, -ru [mode], -q, -D
                                   known, and without effect

Everything else is in: netusage --help
"""
_LIST_MODES = {"0": "show verbose (default)", "1": "show one interface per line"}
_ONELINE_MODES = {"(none)": "automatically scaled units visible", "b": "all values in bytes"}
_MEANT_FOR = {"--config": "File", "--dbdir": "Directory", "--locale": "Locale", "--style": "Mode"}
_DATES = {
    "-b": 'YYYY-MM-DD HH:MM, YYYY-MM-DD or "today"',
    "-e": "YYYY-MM-DD HH:MM or YYYY-MM-DD",
}
# What vnStat shows as text, and what shows it here; of these and --json the last one is what is wanted. Those that may
# have a number behind them, and the others.
_LISTS = {
    "-5": "netusage report 5min",
    "-h": "netusage report hour",
    "-d": "netusage report day",
    "-m": "netusage report month",
    "-y": "netusage report year",
    "-t": "netusage report top",
}
_OTHERS = {
    "": "netusage",
    "-s": "netusage",
    "-hg": "netusage report hour",
    "--xml": "vnstat --json",
    "--showconfig": "netusage config show",
}
# What it does whatever else it is told.
_DEEDS = {
    "-tr": "netusage live",
    "-l": "netusage live",
    "--alert": "netusage plan check",
    "--add": "netusage interfaces",
    "--remove": "netusage interfaces",
    "--rename": "netusage interfaces",
    "--setalias": "netusage interfaces",
}
_SHORT = {
    "--iface": "-i",
    "--begin": "-b",
    "--end": "-e",
    "--rateunit": "-ru",
    "--query": "-q",
    "--debug": "-D",
    "--fiveminutes": "-5",
    "--hours": "-h",
    "--days": "-d",
    "--months": "-m",
    "--years": "-y",
    "--top": "-t",
    "--traffic": "-tr",
    "--live": "-l",
    "--short": "-s",
    "--hoursgraph": "-hg",
    "--version": "-v",
    "--help": "-?",
    "--longhelp": "-?",
}


class _Refusal(NetusageError):  # noqa: N818  # vnStat has its own words for it
    """What vnStat says to a command line, word for word."""


class _Line:
    """A command line, read from the left as vnStat reads it.

    Attributes:
        output: the option that says what is wanted, in its short form; "" for none.
        mode: the letter behind it, "" for none.
        limit: of lists; None for none.
        interface: its name, "" for none.
        begin, end: of lists.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.output = self.mode = self.interface = ""
        self.limit: int | None = None
        self.begin: Edge | None = None
        self.end: Edge | None = None
        self._words = list(argv)
        limit = None  # the one of --limit, which wins wherever it stands
        while self._words:
            given = self._words.pop(0)
            word = _SHORT.get(given, given)
            if word == "--limit":
                limit = self._number()
                if limit is None:
                    raise _Refusal("Error: Invalid or missing parameter for --limit.")
            elif not self._took_setting(word, given):
                self._take_output(word)
        if limit is not None:
            self.limit = limit

    def _took_setting(self, word: str, given: str) -> bool:
        """Take an option that does not say what is wanted, if it is one."""
        if word == "-i":
            self.interface = self._next(f"Error: Interface for {given} missing.")
        elif word == "-b":
            self.begin = self._edge(word, given)
        elif word == "-e":
            self.end = self._edge(word, given)
        elif word in _MEANT_FOR:
            self._next(f"Error: {_MEANT_FOR[word]} for {given} missing.")
        elif word == "-ru":
            self._number()
        else:
            return word in {"-q", "-D"}
        return True

    def _take_output(self, word: str) -> None:
        if word in _LISTS or word in _OTHERS:
            self.output = word
            if word in _LISTS:
                self._number()
        elif word in _DEEDS:
            self.output, self._words = word, []
        elif word in {"--json", "--oneline"}:
            self.output, self.mode = word, self._letter(word)
            self.limit = self._number() if word == "--json" and self.mode else None
        elif word in _WRITERS:  # these are done at once
            self.output, self.mode = word, self._letter(word)
            self._words = []
        elif len(word) == 1 or word.startswith("-"):
            raise _Refusal(f'Unknown parameter "{word}". Use --help for help.')
        else:
            self.interface = word

    def _edge(self, word: str, given: str) -> Edge:
        from netusage.exporters.vnstat_json import parse_edge

        edge = parse_edge(self._next(f"Error: Date of format {_DATES[word]} for {given} missing."))
        if edge is None or (edge.day is None and word == "-e"):
            raise _Refusal(f"Error: Invalid date format, expected {_DATES[word]}.")
        return edge

    def _next(self, complaint: str) -> str:
        if not self._words:
            raise _Refusal(complaint)
        return self._words.pop(0)

    def _letter(self, word: str) -> str:
        """The mode behind an output: a word of one letter."""
        from netusage.exporters.vnstat_json import MODE_NAMES

        modes = {
            "--json": MODE_NAMES,
            "--oneline": _ONELINE_MODES,
            "--dbiflist": _LIST_MODES,
            "--iflist": _LIST_MODES,
        }
        known = modes.get(word)
        if known is None or not self._words or len(self._words[0]) != 1:
            return ""
        mode = self._words.pop(0)
        if mode not in known:
            width = max(map(len, known))
            names = [f"    {name:<{width}} - {text}" for name, text in known.items()]
            first = f'Error: Invalid mode parameter "{mode}".'
            raise _Refusal("\n".join((first, f" Valid parameters for {word}:", *names)))
        return mode

    def _number(self) -> int | None:
        """The number that the next word begins with; None, and the word stays, where it does not."""
        from itertools import takewhile

        word = self._words[0] if self._words else ""
        digits = "".join(takewhile("0123456789".__contains__, word))
        if not digits:
            return None
        del self._words[0]
        return int(digits)


def answer(argv: Sequence[str], out: TextIO) -> int:
    """Answer a command line of vnStat.

    Returns:
        The exit code: 0, or 1 whatever went wrong.
    """
    try:
        line = _Line(argv)
        _WRITERS.get(line.output, _refuse)(line, out)
    except _Refusal as refusal:
        out.write(f"{refusal}\n")
        return 1
    except NetusageError as error:
        out.write(f"Error: {error}\n")
        return 1
    return 0


def _refuse(line: _Line, _: TextIO) -> None:
    instead = {**_LISTS, **_OTHERS, **_DEEDS}[line.output]
    asked = f"vnstat {line.output}".rstrip()
    raise NetusageError(f"what {asked} does is not made here", hint=f"use {instead}; or see vnstat --help")


# ---- What is written --------------------------------------------------------------------------------------------


def _write_lists(line: _Line, out: TextIO) -> None:
    from netusage.exporters import vnstat_json
    from netusage.ledger.reader import LedgerReader
    from netusage.reports.clock_lists import busiest

    settings, path = _settings_and_path()
    with LedgerReader(path) as reader:
        shown = _chosen(reader, settings, line.interface)
        lists = lists_of(reader, settings)
        if line.output == "--oneline":
            text = vnstat_json.oneline(lists, busiest(shown), in_bytes=line.mode == "b")
        else:
            request = vnstat_json.Request(line.mode or "a", line.limit, line.begin, line.end)
            text = vnstat_json.document(lists, shown, request, encoding=out.encoding)
    out.write(f"{text}\n")


def _chosen(reader: LedgerReader, settings: Settings, words: str) -> list[Tally]:
    """The interface that was named, or all that vnStat would have."""
    from netusage.reports.clock_lists import find, monitored, tallies

    interfaces = reader.interfaces()
    if words:
        found = find(tallies(interfaces), words)
        if found is None and "+" in words:
            raise _Refusal(
                "Error: Not all requested interfaces found in database or given interfaces aren't unique."
            )
        if found is None:
            raise _Refusal(f'Error: No interface matching "{words}" found in database.')
        return [found]
    shown = monitored(interfaces, settings.interfaces.hidden)
    if not shown:
        raise _Refusal("Error: Unable to discover suitable interface from database.")
    return shown


def _write_recorded(line: _Line, out: TextIO) -> None:
    from netusage.ledger.reader import LedgerReader
    from netusage.reports.clock_lists import monitored

    settings, path = _settings_and_path()
    with LedgerReader(path) as reader:
        names = [one.name for one in monitored(reader.interfaces(), settings.interfaces.hidden)]
    if line.mode == "1":
        out.writelines(f"{name}\n" for name in names)
    else:
        out.write(f"Interfaces in database: {' '.join(names)}\n" if names else "Database is empty.")


def _write_present(line: _Line, out: TextIO) -> None:
    import socket

    from netusage.reports.clock_lists import PSEUDO

    names = [name for _, name in socket.if_nameindex() if name not in PSEUDO]
    if line.mode == "1":
        out.writelines(f"{name}\n" for name in names)
    else:
        out.write(f"Available interfaces: {''.join(f'{name} ' for name in names)}\n")


def _write_version(_: _Line, out: TextIO) -> None:
    from netusage import __version__
    from netusage.exporters.vnstat_json import VNSTAT_VERSION

    out.write(f"vnStat {VNSTAT_VERSION} as written by netusage {__version__}\n")


def _write_help(line: _Line, out: TextIO) -> None:
    _write_version(line, out)
    out.write(_HELP)


_WRITERS = {
    "--json": _write_lists,
    "--oneline": _write_lists,
    "--dbiflist": _write_recorded,
    "--iflist": _write_present,
    "-v": _write_version,
    "-?": _write_help,
}


def lists_of(reader: LedgerReader, settings: Settings) -> ClockLists:
    """The lists of a ledger up to now, by the clock and the billing day of the settings."""
    import time

    from netusage.periods import zone
    from netusage.reports.clock_lists import ClockLists

    report = settings.report
    return ClockLists(reader, zone(report.tz or None), int(time.time()), billing_day=report.billing_day)


def _settings_and_path() -> tuple[Settings, str]:
    from netusage.settings.load import load
    from netusage.settings.paths import ledger_path

    settings = load(flags={}, config_file=None, environment=os.environ).settings
    return settings, str(ledger_path(settings, for_reading=True))
