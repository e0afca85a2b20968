"""`netusage plan`: how much of a data plan is used, and whether it will do; adding and removing plans."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode
from netusage.settings.schema import Key, Percents, PlanSettings, table_keys

if TYPE_CHECKING:
    from netusage.reports.plans import Answer, Missing

TABLE = "plan"
_FLAGS = {  # where a key is a list, one at a time
    "interfaces": "--interface",
    "hosts": "--host",
    "labels": "--label",
    "thresholds": "--threshold",
}
_METAVARS = {"size": "SIZE", "date": "DAY", "cycle": "CYCLE", "hours": "HOURS"}


@options.group(
    "plan",
    examples=[
        ("netusage plan add home --cap 100GB --day 15", "a new cycle begins on the 15th of each month"),
        ("netusage plan show", "used, left, a day's allowance, and when it will be used up"),
        ("netusage plan check --threshold 90", "for scripts: exit code 4 when 90 % are used"),
    ],
)
def command() -> None:
    """Data plans: what is used of them, and whether they will do.

    A plan is a [[plan]] in the configuration. Everything is computed from the record when it is asked, so a plan that
    is changed is changed for past cycles too. One with hosts or labels is about those hosts of the fleet together, and
    the fleet is asked.
    """


# ---- Asking -----------------------------------------------------------------------------------------------------


@command.command(
    "show",
    cls=options.Command,
    examples=[
        ("netusage plan show", "every plan in its present cycle"),
        ("netusage plan show home --cycle -1", "the cycle before"),
        ("netusage plan show home --cycles 6", "the last six cycles"),
        ("netusage plan show --format json", "for a program, with every day"),
        ("netusage plan show --fleet", "what all hosts of the fleet use together, and plans of some hosts"),
    ],
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--cycle",
    type=click.IntRange(-100_000, 0),
    default=0,
    show_default=True,
    help="Which cycle: 0 is the present one, -1 the one before.",
)
@click.option(
    "--cycles",
    type=click.IntRange(1, 100_000),
    default=1,
    show_default=True,
    help="How many, that one and those before it; several are a table.",
)
@options.record_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def show(inv: Invocation, names: tuple[str, ...], cycle: int, cycles: int) -> None:
    """Show what is used and left of plans, and when they will be used up.

    The forecast takes for each hour ahead the mean of the same weekday's hour in the last four weeks; with less than two
    weeks of record it is linear, and says so. Its range is where the cycle ends up in about four of five cases.

    Plans with hosts or labels are always asked of the fleet. --fleet, --host and --label say of which hosts the others
    are shown.
    """
    import os
    import sys
    import time

    from netusage.cli.plan_text import lines
    from netusage.periods import zone
    from netusage.render import plan_documents
    from netusage.render.context import detect
    from netusage.render.formats import render
    from netusage.render.progress import progress

    now_s = int(time.time())
    with progress("Reading the record", stream=sys.stderr) as advance:
        found, missing = _answers(inv, names, now_s, lambda: advance(0), back=-cycle, count=cycles)
    _note(inv, found, missing)
    where = zone(inv.settings.report.tz or None)
    settings = inv.settings.report
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=where)
        if inv.format == "table" and cycles == 1:
            encoding = getattr(out, "encoding", None)
            drawn = ("\n".join(lines(one, where, context, encoding)) for one in found)
            out.write("\n\n".join(drawn) + "\n")
        else:
            path = inv.settings.fleet.url if inv.fleet else str(inv.ledger_path(for_reading=True))
            envelope, columns, rows = plan_documents.plans(found, missing, now_s, where, path)
            render(inv.format, columns, rows, envelope=inv.envelope(envelope), context=context, stream=out)


@command.command(
    "check",
    cls=options.Command,
    examples=[
        ("netusage plan check", "exit code 4 when a plan is used up"),
        ("netusage plan check home --threshold 90", "... when 90 % of it are used"),
        ("netusage plan check --fleet", "... by all hosts of the fleet together"),
    ],
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--threshold",
    type=click.FloatRange(0.1, 1000),
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="How much of what may be used is too much.",
)
@options.record_options
@options.output_options("text", "json")
@options.unit_options
@options.zone_option
@pass_invocation
def check(inv: Invocation, names: tuple[str, ...], threshold: float) -> ExitCode:
    """Check plans against a threshold, for scripts; one line for each.

    Exit code 4 when any of them has reached it in its present cycle; otherwise 3 when nothing is recorded for one of
    them, and 0 when all is well. When the fleet cannot be asked, it is 1, and nothing is told of any plan.
    """
    import json
    import os
    import time

    from netusage.cli.plan_text import threshold_line
    from netusage.periods import isoformat, zone
    from netusage.render import plan_documents
    from netusage.render.context import detect

    now_s = int(time.time())
    found, missing = _answers(inv, names, now_s, lambda: None, ahead=False)
    _note(inv, found, missing)
    where = zone(inv.settings.report.tz or None)
    settings = inv.settings.report
    exceeded = [one.standing.name for one in found if one.standing.reaches(threshold)]
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=where)
        if inv.format == "json":
            rows = [
                {
                    "plan": stands.name,
                    **plan_documents.hosts_of(stands),
                    "end": isoformat(stands.end_s, where),
                    "used_bytes": stands.used_bytes,
                    "limit_bytes": stands.limit_bytes,
                    "share": stands.share,
                    "exceeded": stands.name in exceeded,
                }
                for stands, _ in found
            ]
            envelope = {"version": 1, "report": "plan-check", "threshold_percent": threshold}
            envelope |= {"missing": [one._asdict() for one in missing]}
            out.write(json.dumps({**inv.envelope(envelope), "rows": rows}) + "\n")
        else:
            out.writelines(f"{threshold_line(one.standing, threshold, where, context)}\n" for one in found)
    if exceeded:
        return ExitCode.THRESHOLD
    return ExitCode.NO_DATA if missing else ExitCode.OK


def _answers(
    inv: Invocation, names: Sequence[str], now_s: int, tick: Callable[[], object], **more: Any
) -> tuple[list["Answer"], list["Missing"]]:
    """What is known of plans, and those of which nothing is.

    tick: called every now and then meanwhile.

    Raises:
        NoDataError, UsageError: as `asked` and `answers`.
        NetusageError: as `Records`; nothing is told of any plan then.
    """
    from netusage.cli.plan_records import Records, asked
    from netusage.periods import zone
    from netusage.reports.plans import answers

    plans = asked(inv, names)
    where = zone(inv.settings.report.tz or None)
    with Records(inv, tick) as records:
        found, missing = answers(records.of, plans, now_s, where, inv.settings.interfaces, **more)
        known_until_s = records.known_until_s()
    inv.learn_known(known_until_s)
    return found, missing


def _note(inv: Invocation, found: "Sequence[Answer]", missing: "Sequence[Missing]") -> None:
    """Say what is not in the data."""
    from netusage.cli.output import note

    for reason in dict.fromkeys(one.reason for one in missing):
        note(reason)
    inv.tell_behind(max(one.standing.end_s for one in found))


@command.command(
    "list", cls=options.Command, examples=[("netusage plan list", "every plan, and where it is written")]
)
@options.config_option
@options.output_options(*options.FORMATS)
@pass_invocation
def list_plans(inv: Invocation) -> None:
    """List the plans of the configuration."""
    import os

    from netusage.render import plan_documents
    from netusage.render.context import detect
    from netusage.render.formats import render
    from netusage.reports.plans import chosen

    document = plan_documents.configured(chosen(inv.settings.plan), inv.loaded.origins)
    with inv.output() as out:
        context = detect(out, os.environ)
        render(
            inv.format,
            document.columns,
            document.rows,
            envelope=document.envelope,
            context=context,
            stream=out,
        )


# ---- Changing the configuration ---------------------------------------------------------------------------------


def _flag(name: str) -> str:
    """The option for a key of a plan."""
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def _plan_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each key of a plan but its name, with the meaning that the configuration gives it."""
    for key in reversed(table_keys(TABLE).values()):
        if key.name != "name":
            function = click.option(_flag(key.name), key.name, **_attributes(key))(function)
    return function


def _attributes(key: Key) -> dict[str, Any]:
    if key.type is bool:
        return {"is_flag": True, "default": None, "help": key.doc}
    if key.choices:
        return {"type": click.Choice(list(key.choices)), "help": f"{key.doc}  [default: {key.default}]"}
    metavar = _METAVARS.get(key.kind, "N")
    if key.type in (str, int):
        known = "" if key.needed or key.default == "" else f"  [default: {key.default}]"
        return {"metavar": metavar, "required": key.needed, "help": key.doc + known}
    if key.type == Percents:
        return {"type": int, "multiple": True, "metavar": "PERCENT", "help": f"{key.doc} May be repeated."}
    return {
        "multiple": True,
        "metavar": metavar if key.kind else "GLOB",
        "help": f"{key.doc} May be repeated.",
    }


@command.command(
    "add",
    cls=options.Command,
    examples=[
        ("netusage plan add home --cap 100GB", "100 GB a month, both directions, the machine's total"),
        (
            "netusage plan add lte --cap 20GB --day 15 --interface 'wwan*'",
            "of one interface, from the 15th on",
        ),
        ("netusage plan add sim --cap 5GiB --cycle 30d --start 2026-11-20", "30 days each"),
        ("netusage plan add sat --cap 50GB --free-hours 01:00-06:00", "the night is free"),
        (
            "netusage plan add berlin --cap 50TB --label site=berlin",
            "hosts of the fleet with that label, together",
        ),
        ("sudo netusage plan add home --cap 100GB --system", "for a service and its alerts too"),
    ],
)
@click.argument("name")
@_plan_options
@click.option(
    "--system",
    is_flag=True,
    help="Write the system's configuration file, which services read, and not yours.",
)
@options.dry_run_option
@options.config_option
@pass_invocation
def add(inv: Invocation, /, name: str, *, system: bool, dry_run: bool, **given: Any) -> None:
    """Add a plan to the configuration file.

    It is written at the end of the file that --config names, or else of your own one, which is made when it is not there;
    the rest of the file stays as it is. A recorder that runs as a service of the system, and its alerts, know the plans of
    the system's file: --system. With --host or --label it is about hosts of the fleet.
    """
    import sys

    from netusage.cli import plan_file
    from netusage.cli.output import note

    values = _values(inv, name, given)
    change = plan_file.added(inv, values, system=system)
    if (values.get("hosts") or values.get("labels")) and not inv.settings.fleet.url:
        note(
            f"the plan {name!r} is about hosts of the fleet, and the configuration names none yet: docs/fleet.md"
        )
    if dry_run:
        sys.stdout.write(change.lines)
        return
    plan_file.write(change)
    sys.stdout.write(f"The plan {name!r} is in {change.path} now; see it with: netusage plan show\n")


def _values(inv: Invocation, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the command line says of a plan, by key; the same checks as those of the configuration.

    Raises:
        UsageError: a value is none, or they contradict each other.
    """
    from datetime import datetime

    from netusage.errors import UsageError
    from netusage.periods import zone
    from netusage.settings.convert import Invalid, parse, parse_text

    values: dict[str, Any] = {}
    for key in table_keys(TABLE).values():
        value = {"name": name, **given}[key.name]
        try:
            if isinstance(value, str):
                values[key.name] = parse_text(key, value)
            elif value not in (None, ()):
                values[key.name] = parse(key, list(value) if isinstance(value, tuple) else value)
        except Invalid as error:
            where = "NAME" if key.name == "name" else _flag(key.name)
            raise UsageError(f"plan add: {where}: {error}") from error
    if "already_used" in values and "already_used_at" not in values:
        today = datetime.now(zone(inv.settings.report.tz or None))
        values["already_used_at"] = f"{today:%Y-%m-%d}"
    contradiction = PlanSettings(**values).contradiction()
    if contradiction:
        key_name, reason = contradiction
        raise UsageError(f"plan add: {_flag(key_name)}: {reason}")
    return values


@command.command(
    "remove",
    cls=options.Command,
    examples=[
        ("netusage plan remove home", "asks first"),
        ("netusage plan remove home --dry-run", "the lines that would go"),
    ],
)
@click.argument("name")
@options.yes_option
@options.dry_run_option
@options.config_option
@pass_invocation
def remove(inv: Invocation, name: str, *, yes: bool, dry_run: bool) -> ExitCode:
    """Take a plan out of the configuration file; the record is not touched."""
    import sys

    from netusage.cli import plan_file
    from netusage.reports.plans import chosen

    chosen(inv.settings.plan, (name,))
    change = plan_file.removed(inv, name)
    if dry_run:
        sys.stdout.write(change.lines)
        return ExitCode.OK
    if not options.confirm(f"Take {name!r} out of {change.path}?", yes=yes):
        sys.stdout.write("Nothing has been changed.\n")
        return ExitCode.FAILURE
    plan_file.write(change)
    sys.stdout.write(f"The plan {name!r} is no longer in {change.path}.\n")
    return ExitCode.OK
