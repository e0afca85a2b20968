"""Metrics as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0.0, which is the same but for headers.

Names follow its conventions: base units, `_total` for what only grows, one name for one thing. Every counter comes from
the ledger and goes on after any restart; the one that begins at zero again is that of an application that was forgotten
and came back. https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import ItemsView, Iterable, Iterator
from typing import NamedTuple

from netusage.model import US
from netusage.reports.metrics import Metrics, Runs

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_DIRECTIONS = (("receive", "received", 0), ("transmit", "sent", 1))  # and the place in a pair of both
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})
_Samples = Iterable[tuple[dict[str, str], int | float]]


class _Family(NamedTuple):
    """One metric.

    kind: "counter" or "gauge".
    doc: one line, without a backslash.
    samples: labels and value of each series.
    """

    name: str
    kind: str
    doc: str
    samples: _Samples


def exposition(found: Metrics, *, version: str, openmetrics: bool = False) -> str:
    """All metrics as text.

    Args:
        found: the metrics.
        version: of this program.
        openmetrics: in that format.
    """
    lines: list[str] = []
    for family in _families(found, version):
        name = family.name.removesuffix("_total") if openmetrics else family.name
        lines += (f"# HELP {name} {family.doc}", f"# TYPE {name} {family.kind}")
        lines += (f"{family.name}{labels} {_number(value)}" for labels, value in _distinct(family.samples))
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _families(found: Metrics, version: str) -> Iterator[_Family]:
    yield _Family(
        "netusage_build_info",
        "gauge",
        "The version of netusage that tells this.",
        [({"version": version}, 1)],
    )
    yield from _of_interfaces(found)
    yield from _of_applications(found)
    yield from _of_machine(found)
    yield from _of_gaps(found)
    yield from _of_recorder(found)


def _of_interfaces(found: Metrics) -> Iterator[_Family]:
    named = [({"interface": one.name, "kind": one.kind}, one) for one in found.interfaces]
    for direction, done, place in _DIRECTIONS:
        yield _Family(
            f"netusage_interface_{direction}_bytes_total",
            "counter",
            f"Bytes that the interface {done}, of all time.",
            [(labels, one.totals[place]) for labels, one in named],
        )
        yield _Family(
            f"netusage_interface_{direction}_packets_total",
            "counter",
            f"Packets that the interface {done}, of all time.",
            [(labels, one.totals[2 + place]) for labels, one in named],
        )
        yield _Family(
            f"netusage_interface_estimated_{direction}_bytes_total",
            "counter",
            f"Of the bytes that the interface {done}, those that came while nobody looked: exact, but not in time.",
            [(labels, one.estimated[place]) for labels, one in named],
        )
    yield _Family(
        "netusage_interface_counted",
        "gauge",
        "Whether the interface is part of the machine's total (1) or not (0).",
        [(labels, int(one.counted)) for labels, one in named],
    )


def _of_applications(found: Metrics) -> Iterator[_Family]:
    for direction, done, place in _DIRECTIONS:
        yield _Family(
            f"netusage_application_{direction}_bytes_total",
            "counter",
            f"Bytes of the machine's total that the application {done}; those with the most of all time.",
            [
                ({"application": one.application, "scope": one.scope}, one.both[place])
                for one in found.applications
            ],
        )
        yield _Family(
            f"netusage_attributed_{direction}_bytes_total",
            "counter",
            f"Bytes of the machine's total that any application {done}, also those that are not told apart.",
            [({"scope": one.scope}, one.both[place]) for one in found.attributed],
        )


def _of_machine(found: Metrics) -> Iterator[_Family]:
    periods = (("today", found.today), ("month", found.month))
    yield _Family(
        "netusage_machine_receive_bytes",
        "gauge",
        "Bytes that the machine received since the local day or the billing month began.",
        [({"period": period}, usage.rx_bytes) for period, usage in periods],
    )
    yield _Family(
        "netusage_machine_transmit_bytes",
        "gauge",
        "Bytes that the machine sent since the local day or the billing month began.",
        [({"period": period}, usage.tx_bytes) for period, usage in periods],
    )


def _of_gaps(found: Metrics) -> Iterator[_Family]:
    named = [({"kind": one.kind, "lossy": "yes" if one.lossy else "no"}, one) for one in found.gaps]
    yield _Family(
        "netusage_gaps_total",
        "counter",
        "Declared gaps; bytes may be missing from the record in those that are lossy, and in no others.",
        [(labels, one.number) for labels, one in named],
    )
    yield _Family(
        "netusage_gap_seconds_total",
        "counter",
        "How long declared gaps were, each by itself.",
        [(labels, one.length_us / US) for labels, one in named],
    )


_RUNS = (
    ("number", "runs", "Times that a recorder was started."),
    ("samples", "samples", "Readings of all counters."),
    ("failed_samples", "failed_samples", "Readings that failed."),
    ("late_samples", "late_samples", "Readings that came later than they should."),
    ("events", "link_events", "Link events of the kernel."),
    ("commits", "commits", "Commits into the ledger."),
    ("failed_commits", "failed_commits", "Commits that failed; what they had was committed later."),
)


def _of_recorder(found: Metrics) -> Iterator[_Family]:
    run = found.recorder.last_run
    yield _Family(
        "netusage_recorder_up",
        "gauge",
        "Whether a recorder holds the ledger (1) or not (0).",
        [({}, int(found.recorder.holder is not None))],
    )
    if run is not None:
        tier = run.tier or "interfaces"
        yield _Family(
            "netusage_recorder_info",
            "gauge",
            "Where the last recorder has its numbers from, and how it tells applications apart.",
            [({"source": run.source, "tier": tier}, 1)],
        )
        yield _Family(
            "netusage_recorder_start_time_seconds",
            "gauge",
            "When the last recorder was started, since 1970.",
            [({}, run.started_us / US)],
        )
        yield _Family(
            "netusage_recorder_last_commit_timestamp_seconds",
            "gauge",
            "Up to when all is in the ledger, since 1970.",
            [({}, run.last_us / US)],
        )
    for field, name, doc in _RUNS:
        value = found.runs[Runs._fields.index(field)]
        yield _Family(f"netusage_recorder_{name}_total", "counter", doc, [({}, value)])
    yield _Family(
        "netusage_recorder_commit_seconds_total",
        "counter",
        "Time that commits took.",
        [({}, found.runs.commit_total_us / US)],
    )


def _distinct(samples: _Samples) -> ItemsView[str, int | float]:
    """Labels as text, each once: what cannot be told apart as text is added up, for a series twice is none at all."""
    found: dict[str, int | float] = {}
    for labels, value in samples:
        text = ",".join(f'{name}="{_label(word)}"' for name, word in labels.items())
        key = f"{{{text}}}" if text else ""
        found[key] = found.get(key, 0) + value
    return found.items()


def _label(text: str) -> str:
    """Text that breaks out of no label and no line; what cannot be printed is shown by its number, as in reports."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text.translate(_ESCAPES)


def _number(value: float) -> str:
    """As exact as it is: an integer has all its digits."""
    return repr(value)
