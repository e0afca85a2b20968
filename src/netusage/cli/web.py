"""netusage web: the page."""

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.cli.output import note
from netusage.errors import ExitCode, NetusageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netusage.fleet.store import Store
    from netusage.reports.record import Record
    from netusage.web.hosts import Heard, Source


@options.command(
    "web",
    examples=[
        ("netusage web", "the page, for this machine only"),
        ("netusage web --port 9000 --db usage.db", "another port, another ledger"),
        ("netusage web --host 0.0.0.0 --token-file token", "for others too, who need the token"),
        ("netusage web --fleet --label site=berlin", "hosts of the fleet, instead of this machine"),
        ("netusage web --of-host '*'", "all hosts whose ledgers were merged into this one"),
    ],
)
@options.setting_option("--host", key="web.host", metavar="ADDRESS", help="Address to listen on.")
@options.setting_option(
    "--port", key="web.port", metavar="PORT", help="Port to listen on; 0: any that is free."
)
@options.setting_option(
    "--token-file",
    key="web.token_file",
    metavar="FILE",
    help="The token that readers have to know; made when the file is not there.",
)
@click.option(
    "--allow-host",
    "names",
    metavar="NAME",
    multiple=True,
    help="A name (glob) under which the page may be asked for; may be repeated.",
)
@options.record_options_with("--of-host")
@options.zone_option
@pass_invocation
def command(inv: Invocation, names: tuple[str, ...]) -> ExitCode:
    """Serve the page that shows usage, and the API below it.

    Reads the ledger and never changes it; a recorder need not run. On any address but a loopback one readers have to
    know a token. The API is described at /api/v1/openapi.json. Of several hosts (--fleet, --of-host) it shows what they
    have told so far, and when that was; rates of this second are known of one machine alone.
    """
    from dataclasses import replace

    settings = inv.settings
    settings = replace(
        settings, web=replace(settings.web, allowed_hosts=(*settings.web.allowed_hosts, *names))
    )
    try:
        from netusage.web.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise NetusageError(
            f"netusage web needs the package {error.name}", hint="pip install 'netusage[web]'"
        ) from error
    with contextlib.ExitStack() as stack:
        code = serve(settings, _source(inv, stack), note)
    if code is ExitCode.INTERRUPTED and sys.stderr is not None:
        note("stopped")
    return code


def _source(inv: Invocation, stack: contextlib.ExitStack) -> "str | Source":
    """What the page is about: this machine's ledger, hosts in it, or hosts of the fleet.

    Raises:
        UsageError, ConfigError: as `Invocation.record`.
        NoDataError: no host of such a name was merged into the ledger.
    """
    inv.refuse_two_records()
    if inv.fleet:
        from netusage.fleet.store import Store, address_of

        return _fleet(stack.enter_context(Store(address_of(inv.settings.fleet))), inv.hosts, inv.labels)
    path = str(inv.ledger_path(for_reading=True))
    return _merged(path, inv) if inv.hosts else path


def _fleet(store: "Store", hosts: tuple[str, ...], labels: tuple[str, ...]) -> "Source":
    """Hosts of the fleet; one client serves all threads."""
    from netusage.fleet.heard import heard
    from netusage.fleet.reader import FleetReader
    from netusage.web.hosts import Heard, Source

    @contextlib.contextmanager
    def opened() -> "Iterator[Record]":
        yield FleetReader(store, hosts, labels)

    return Source(
        "fleet",
        f"the fleet {store.address.url}",
        opened,
        lambda _: [Heard(*one) for one in heard(store, hosts, labels)],
        lambda plan: FleetReader(store, plan.hosts, plan.labels),
    )


def _merged(path: str, inv: Invocation) -> "Source":
    """Hosts whose ledgers were merged into one.

    Raises:
        NoDataError: there is none of such a name.
    """
    from netusage.ledger.reader import LedgerReader
    from netusage.ledger.several import HostsReader
    from netusage.model import US
    from netusage.web.hosts import Heard, Source

    with HostsReader(path, inv.hosts):
        pass  # who names a host that is not there is told so now

    def heard(record: "Record") -> "Sequence[Heard]":
        until_us: dict[str, int] = {}
        for one in record.interfaces():
            until_us[one.host] = max(until_us.get(one.host, 0), one.last_seen_us)
        with LedgerReader(path) as reader:
            known = [host for host in reader.hosts() if host.name in until_us]
        return [Heard(host.name, host.merged_us, until_us[host.name] // US) for host in known]

    return Source("merged", f"hosts in {path}", lambda: HostsReader(path, inv.hosts), heard)
