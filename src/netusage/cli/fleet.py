"""netusage fleet: the store that many hosts share: its tables, its hosts, and whether this one's record is in it."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode

if TYPE_CHECKING:
    from netusage.fleet.check import Compared
    from netusage.fleet.store import Store

F = TypeVar("F", bound=Callable[..., Any])
_LONGEST_S = 600  # that a table's rows are being deleted


def _store_options(function: F) -> F:
    """--url and --database, for every command that asks the store."""
    url = options.setting_option("--url", key="fleet.url", metavar="URL", help="The fleet's store.")
    return url(_database_option(function))


_database_option = options.setting_option(
    "--database", key="fleet.database", metavar="NAME", help="The database there."
)


@options.group(
    "fleet",
    examples=[
        ("netusage fleet init https://fleet.example.org:8443", "make the tables, or bring them up to date"),
        ("netusage fleet status", "every host, and when it was heard of"),
        ("netusage fleet verify", "is all of this machine's record there, to the byte?"),
    ],
)
def command() -> None:
    """A copy of the records of many hosts, in ClickHouse.

    Each host keeps its exact ledger and delivers what is new in it (netusage ship; netusage daemon starts it where
    [fleet] names a server). docs/fleet.md leads from nothing to a working fleet.
    """


@command.command(
    "init",
    cls=options.Command,
    examples=[
        ("netusage fleet init http://127.0.0.1:8123", "on one server"),
        ("netusage fleet init URL --dry-run", "what would be sent to it"),
        ("netusage fleet init URL URL --cluster NAME", "on each server of a cluster"),
    ],
)
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option(
    "--cluster", metavar="NAME", help="Servers that share the rows, by the name that they know it by."
)
@options.dry_run_option
@_database_option
@options.config_option
@pass_invocation
def init(inv: Invocation, urls: tuple[str, ...], cluster: str | None, dry_run: bool) -> None:
    """Make the tables, or bring them up to date.

    They are made on the servers URL, without any on that of the configuration. Can be done again at any time; nothing is ever dropped. A cluster's tables
    have to be made on each of its servers. --dry-run writes the statements.
    """
    from netusage.cli.output import note
    from netusage.fleet.tables import check_shards, missing

    with _stores(inv, urls or ("",)) as stores:
        for store in stores:
            statements = missing(store, cluster or "")
            for statement in statements:
                if dry_run:
                    click.echo(f"-- {statement.what}, on {store.address.url}\n{statement.sql};\n")
                else:
                    store.execute(statement.sql)
                    note(f"{store.address.url}: made the {statement.what}")
            if not statements:
                note(f"{store.address.url}: has all tables in {store.address.database} already")
        for store in stores if cluster and not dry_run else ():
            check_shards(store)


@command.command(
    "status",
    cls=options.Command,
    examples=[
        ("netusage fleet status", "every host, and when it was heard of"),
        ("netusage fleet status --format json", "for a program"),
    ],
)
@_store_options
@options.config_option
@options.output_options(*options.FORMATS)
@options.zone_option
@pass_invocation
def status(inv: Invocation) -> None:
    """List the hosts and when they were heard of.

    Also their versions, their labels, and the gaps that they declared; "record lag" is how long ago the record ends that the fleet has of a host. Below zero, the host's clock is ahead of this one's. A host is known by the key of its machine, so two of one name are two, and one that was renamed is one. A host
    that has had several ledgers has a line for each.
    """
    import time

    from netusage.cli.output import note
    from netusage.cli.shares import write
    from netusage.fleet import documents
    from netusage.fleet.hosts import hosts, shared_names
    from netusage.periods import zone

    where = zone(inv.settings.report.tz or None)
    with _store(inv) as store:
        rows = hosts(store)
        now_us = time.time_ns() // 1000
        write(inv, documents.status(rows, now_us, where, store.address.url), (), where)
    for name, keys in shared_names(rows).items():
        note(f"{len(keys)} hosts are called {name!r}; they are kept apart by their keys: {', '.join(keys)}")
    if not rows:
        note(f"no host has delivered anything to {store.address.url} yet")


@command.command(
    "verify",
    cls=options.Command,
    examples=[
        ("netusage fleet verify", "is all of this machine's record there?"),
        ("netusage fleet verify --all", "every month of every interface, not only where it is not"),
        ("netusage fleet verify --rewind", "where it is not, deliver everything again"),
    ],
)
@click.option("--all", "everything", is_flag=True, help="List also what is exact.")
@click.option("--rewind", is_flag=True, help="Where there is a difference, have everything delivered again.")
@_store_options
@options.ledger_options
@options.output_options(*options.FORMATS)
@pass_invocation
def verify(inv: Invocation, *, everything: bool, rewind: bool) -> ExitCode:
    """Compare the fleet with this machine's ledger.

    Rows, bytes and packets have to be the same, to the last one. Goes by interface and UTC month: what was counted, what
    applications had of it, the declared gaps, and in the fleet the days and months, which have to be the sums of its
    quarters of an hour. What the next delivery will bring is "waiting" and no difference. Exits with 1 when there is a
    difference. Delivering again is harmless: nothing is ever counted twice.
    """
    from datetime import UTC

    from netusage.cli.output import note
    from netusage.cli.shares import write
    from netusage.fleet import documents
    from netusage.fleet.check import Outcome, compare
    from netusage.ledger import ship_journal

    path = str(inv.ledger_path(for_reading=True))
    with _store(inv) as store:
        rows, tells_days = compare(store, path)
    url, database = store.address.url, store.address.database
    number = Counter(row.outcome for row in rows)
    shown = [row for row in rows if everything or row.outcome is not Outcome.EXACT]
    counts = {outcome.value: number[outcome] for outcome in Outcome}
    if shown or inv.format != "table":
        write(inv, documents.verified(shown, counts, url, path), (), UTC)
    note(_verdict(rows, number[Outcome.WAITING], number[Outcome.DIFFERS]))
    apart = sum(row.is_apart for row in rows)
    if apart:
        note(
            f"of {apart:,} months of applications the fleet has the same bytes in more rows: they were folded here after "
            "they were delivered"
        )
    if not tells_days:
        note("the fleet is not told days and months of this ledger; quarters of an hour were compared")
    if not number[Outcome.DIFFERS]:
        return ExitCode.OK
    if rewind:
        ship_journal.rewind(path, url, database)
        note("everything is delivered again from now on; at once with: netusage ship --once")
    else:
        note("to have everything delivered again: netusage fleet verify --rewind")
    return ExitCode.FAILURE


def _verdict(rows: "Sequence[Compared]", waiting: int, different: int) -> str:
    counted = [row for row in rows if row.part.what in ("usage", "span")]
    interfaces = len({row.part[1:3] for row in rows if "gap" not in row.part.what})
    months = len({row.part[1:] for row in rows if "gap" not in row.part.what})
    total = sum(row.ledger.rx_bytes + row.ledger.tx_bytes for row in counted)
    of_all = f"{len(rows):,} parts of {months:,} months of {interfaces:,} interfaces"
    if different:
        return f"DIFFERENT: {different:,} of {of_all} are not in the fleet as here"
    if waiting:
        return f"OK so far: {waiting:,} of {of_all} wait for the next delivery"
    return f"OK: {of_all}, {total:,} bytes, are in the fleet to the byte"


@command.command(
    "retire",
    cls=options.Command,
    examples=[
        ("netusage fleet retire web1 --dry-run", "how many rows it has"),
        ("netusage fleet retire web1", "take it out"),
        ("netusage fleet retire web1 --node URL", "in a cluster, with the other servers of it"),
    ],
)
@click.argument("host")
@click.option(
    "--node", "nodes", metavar="URL", multiple=True, help="Another server of the cluster; may be repeated."
)
@options.yes_option
@options.dry_run_option
@_store_options
@options.config_option
@pass_invocation
def retire(inv: Invocation, host: str, nodes: tuple[str, ...], yes: bool, dry_run: bool) -> None:
    """Delete everything that the fleet has of HOST.

    HOST is a name or a key of netusage fleet status; all its ledgers go. Its own ledger stays as it is; stop its deliveries first, or it comes back. Waits until everything is gone.
    """
    from netusage.cli.output import note
    from netusage.fleet.hosts import find, hosts, retire, rows_of
    from netusage.render.progress import progress

    with _store(inv) as store, _stores(inv, nodes) as others:
        rows = hosts(store)
        key = find(rows, host)
        name = next(row.name for row in rows if row.key == key)
        numbers = rows_of(store, key)
        told = ", ".join(f"{number:,} of {table}" for table, number in numbers.items() if number)
        what = f"{sum(numbers.values()):,} rows of the host {name} ({key}): {told}"
        if dry_run:
            note(f"would delete {what}")
        elif options.confirm(f"Delete {what}?", yes=yes):
            with progress("Deleting", stream=sys.stderr) as advance:
                retire(store, key, others, _LONGEST_S, lambda: advance(0))
            note(f"deleted {what}")


def _store(inv: Invocation) -> "Store":
    """The store of the configuration."""
    from netusage.fleet.store import Store, address_of

    return Store(address_of(inv.settings.fleet))


@contextlib.contextmanager
def _stores(inv: Invocation, urls: Sequence[str]) -> Iterator["list[Store]"]:
    """Several servers, each asked as the configuration says; "" is the one that it names.

    Raises:
        UsageError: one is no URL.
    """
    from netusage.fleet.store import Store, address_of
    from netusage.settings.load import flag_value

    checked = [flag_value("fleet.url", url, "URL").value for url in urls]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Store(address_of(inv.settings.fleet, url))) for url in checked]
