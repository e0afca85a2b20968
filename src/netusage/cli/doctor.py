"""netusage doctor: what works here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode, NetusageError

if TYPE_CHECKING:
    from netusage.doctor.findings import Finding


@options.command(
    "doctor",
    examples=[
        ("netusage doctor", "what works on this machine, and what to do about what does not"),
        ("netusage doctor --format json", "the same for a program"),
        ("sudo netusage doctor --clean", "nothing of netusage is left in the kernel"),
    ],
)
@click.option(
    "--clean",
    is_flag=True,
    help="Take the programs off the kernel that a recorder left counting there, with their counters, and do nothing else.",
)
@options.ledger_options
@options.output_options()
@options.unit_options
@pass_invocation
def command(inv: Invocation, *, clean: bool) -> ExitCode:
    """Say what is available here and what to do about what is not.

    Looks at the source of the numbers, the clocks, the configuration, the ledger, the recorder and its health, alerts,
    deliveries to a fleet, and the service. Changes nothing without --clean. Exits with 1 when something does not work.
    """
    from netusage.doctor.findings import Verdict

    if clean:
        return _clean(inv)

    findings = list(_findings(inv))
    with inv.output() as out:
        if inv.format == "table":
            out.writelines(f"{line}\n" for finding in findings for line in _lines(finding))
        else:
            _render(findings, inv.format, out)
    problems = sum(finding.verdict is Verdict.PROBLEM for finding in findings)
    return ExitCode.FAILURE if problems else ExitCode.OK


def _clean(inv: Invocation) -> ExitCode:
    from netusage.sources.applications.pins import remove

    pins = inv.settings.recorder.pins_directory
    try:
        removed = remove(pins) if pins else 0
    except OSError as error:
        raise NetusageError(
            f"cannot remove what is kept in {pins}: {error.strerror}", hint="sudo netusage doctor --clean"
        ) from error
    with inv.output() as out:
        out.write(
            f"{removed} pins removed from {pins}\n" if removed else "the kernel keeps nothing of netusage\n"
        )
    return ExitCode.OK


def _findings(inv: Invocation) -> "Iterator[Finding]":
    from netusage.doctor.alerts import check_alerts
    from netusage.doctor.findings import Finding, Verdict
    from netusage.doctor.fleet import check_fleet
    from netusage.doctor.machine import check_machine
    from netusage.doctor.record import check_record
    from netusage.settings.schema import Settings

    try:
        settings = inv.settings
        path = inv.ledger_path(for_reading=True)
    except NetusageError as error:
        yield Finding("configuration", Verdict.PROBLEM, error.message, error.hint or "netusage config check")
        yield from check_machine(Settings())
        return
    yield from check_machine(settings)
    yield _check_configuration(inv)
    yield from check_record(path, settings.report.units)
    yield from check_alerts(settings, str(path))
    yield from check_fleet(settings, str(path))
    yield _check_service()


def _check_configuration(inv: Invocation) -> "Finding":
    from netusage.doctor.findings import Finding, Verdict

    changed = [f"{key} ({origin})" for key, origin in inv.loaded.origins.items() if str(origin) != "default"]
    found = ", ".join(changed) if changed else "all defaults"
    return Finding("configuration", Verdict.OK, found)


def _check_service() -> "Finding":
    from netusage.doctor.findings import Finding, Verdict
    from netusage.service.job import Scope
    from netusage.service.manage import default_manager, state, this_place

    found = state(default_manager(), Scope.SYSTEM, this_place())
    if found.installed:
        return Finding("service", Verdict.OK, f"installed; {found.detail}")
    return Finding(
        "service", Verdict.NOTE, "not installed: nothing records after a reboot", "netusage service install"
    )


def _lines(finding: "Finding") -> Iterator[str]:
    """A finding for people; long lines wrap where the terminal wraps them."""
    yield f"{finding.verdict:<8}  {finding.about + ':':<15} {finding.found}"
    if finding.todo:
        yield f"{'':<8}  {'':<15} -> {finding.todo}"


def _render(findings: "list[Finding]", format_name: str, out: TextIO) -> None:
    from dataclasses import asdict

    from netusage.render.columns import Column
    from netusage.render.context import RenderContext
    from netusage.render.formats import render

    columns = [
        Column("about", "About"),
        Column("verdict", "Verdict"),
        Column("found", "Found"),
        Column("todo", "To do"),
    ]
    rows = [asdict(finding) for finding in findings]
    render(format_name, columns, rows, envelope={"report": "doctor"}, context=RenderContext(), stream=out)
