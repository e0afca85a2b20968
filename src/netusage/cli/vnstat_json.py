"""netusage vnstat-json: what vnStat would write of this ledger, for programs that read that."""

from typing import TYPE_CHECKING

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from netusage.exporters.vnstat_json import Edge
    from netusage.ledger.reader import LedgerReader
    from netusage.reports.clock_lists import Tally
    from netusage.settings.schema import Settings

_ONELINES = ("scaled", "b")


@options.command(
    "vnstat-json",
    examples=[
        ("netusage vnstat-json", "what vnstat --json writes"),
        ("netusage vnstat-json d 7 --interface eth0", "what vnstat -i eth0 --json d 7 writes"),
        ("netusage vnstat-json --oneline b", "what vnstat --oneline b writes"),
        ("ln -s $(command -v netusage) ~/bin/vnstat", "let whatever calls vnstat have it from here"),
    ],
)
@click.argument("mode", type=click.Choice(list("asfhdmyt")), default="a")
@click.argument("limit", type=click.IntRange(min=0), required=False)
@click.option(
    "--interface", metavar="NAME", help="Only this one; eth0+wlan0 takes two together.  [default: all]"
)
@click.option(
    "--begin", metavar="DATE", help="First date of the lists: 2026-11-26, '2026-11-26 13:05' or today."
)
@click.option("--end", metavar="DATE", help="Last date of the lists: 2026-11-26 or '2026-11-26 13:05'.")
@click.option(
    "--oneline",
    type=click.Choice(_ONELINES),
    is_flag=False,
    flag_value=_ONELINES[0],
    metavar="[b]",
    help="One line with today, this month and all time instead; b: in bytes. Of the busiest interface by default.",
)
@options.setting_option(
    "--billing-day", key="report.billing_day", metavar="N", help="Day on which a month begins."
)
@options.host_option
@options.ledger_options
@options.file_option
@options.zone_option
@pass_invocation
def command(  # noqa: PLR0917  # click passes them by name
    inv: Invocation,
    mode: str,
    limit: int | None,
    interface: str | None,
    begin: str | None,
    end: str | None,
    oneline: str | None,
) -> None:
    """Write what vnstat --json of vnStat 2.10 would, of what is recorded here.

    MODE is a (all), s (summary), f (5 minutes), h (hours), d (days), m (months), y (years) or t (top days); LIMIT is how
    many rows of each, 0 for all that are recorded. Without it there are as many as vnStat keeps by default: 48 hours of
    five minutes, 4 days of hours, 62 days, 25 months, all years and 20 top days. Five minutes go back as far as minutes
    are kept. Started by the name vnstat, as by a link, the program has vnStat's own command line.
    """
    from netusage.cli.as_vnstat import lists_of
    from netusage.exporters import vnstat_json
    from netusage.ledger.reader import LedgerReader
    from netusage.reports.clock_lists import busiest

    request = vnstat_json.Request(mode, limit, _edge("--begin", begin), _edge("--end", end))
    settings = inv.settings
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path, inv.host) as reader:
        shown = _chosen(reader, settings, interface)
        lists = lists_of(reader, settings)
        with inv.output() as out:
            if oneline is None:
                text = vnstat_json.document(lists, shown, request, encoding=out.encoding)
            else:
                text = vnstat_json.oneline(lists, busiest(shown), in_bytes=oneline == "b")
            out.write(f"{text}\n")


def _chosen(reader: "LedgerReader", settings: "Settings", words: str | None) -> "list[Tally]":
    """The interface that was named, or all but the hidden ones.

    Raises:
        NoDataError: there is none.
    """
    from netusage.errors import NoDataError
    from netusage.reports.clock_lists import find, monitored, tallies

    interfaces = reader.interfaces()
    if words is None:
        shown = monitored(interfaces, settings.interfaces.hidden)
    else:
        found = find(tallies(interfaces), words)
        shown = [] if found is None else [found]
    if not shown:
        what = "no interface" if words is None else f"no interface {words!r}"
        raise NoDataError(f"{what} has been recorded", hint="see those that were with: netusage interfaces")
    return shown


def _edge(option: str, text: str | None) -> "Edge | None":
    from netusage.errors import UsageError
    from netusage.exporters.vnstat_json import parse_edge

    edge = None if text is None else parse_edge(text)
    if text is not None and (edge is None or (edge.day is None and option == "--end")):
        raise UsageError(
            f"{option} {text!r} is not a date", hint="write it as in 2026-11-26, or '2026-11-26 13:05'"
        )
    return edge
