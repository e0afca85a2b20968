"""netusage web: the page."""

import sys

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.cli.output import note
from netusage.errors import ExitCode, NetusageError


@options.command(
    "web",
    examples=[
        ("netusage web", "the page, for this machine only"),
        ("netusage web --port 9000 --db usage.db", "another port, another ledger"),
        ("netusage web --host 0.0.0.0 --token-file token", "for others too, who need the token"),
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
@options.ledger_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, names: tuple[str, ...]) -> ExitCode:
    """Serve the page that shows usage, and the API below it.

    Reads the ledger and never changes it; a recorder need not run. On any address but a loopback one readers have to
    know a token. The API is described at /api/v1/openapi.json.
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
    path = str(inv.ledger_path(for_reading=True))
    code = serve(settings, path, note)
    if code is ExitCode.INTERRUPTED and sys.stderr is not None:
        note("stopped")
    return code
