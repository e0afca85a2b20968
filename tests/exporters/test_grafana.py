"""The dashboard: what Grafana's own models read of it, and that it asks only for what is told."""

import itertools
import json
import re
from importlib.resources import files

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import bargauge, prometheus, stat, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard, RowPanel

from netusage.exporters.prometheus import exposition
from netusage.ledger.answers import NO_USAGE, GapCount, RecorderState, RunRecord
from netusage.model import ZERO
from netusage.reports.metrics import InterfaceTotals, Metrics, Runs, ScopeTotals

TEXT = files("netusage.exporters").joinpath("grafana.json").read_text("utf-8")
OPTIONS = {"timeseries": timeseries.Options, "stat": stat.Options, "bargauge": bargauge.Options}


@pytest.fixture(scope="module")
def dashboard():
    plugins.register_default_plugins()
    return Dashboard.from_json(json.loads(TEXT))


def panels(dashboard):
    return [one for one in dashboard.panels if not isinstance(one, RowPanel) and one.type_val != "row"]


def test_nothing_of_it_is_unknown_to_grafanas_own_models(dashboard):
    """What they do not know of is dropped when they write it again."""
    written = json.loads(JSONEncoder().encode(dashboard))
    assert lacking(json.loads(TEXT), written) == []


def lacking(given, written, path=""):
    if isinstance(given, dict) and isinstance(written, dict):
        return [
            line
            for key, value in given.items()
            for line in (
                [f"{path}/{key}"] if key not in written else lacking(value, written[key], f"{path}/{key}")
            )
        ]
    if isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        pairs = enumerate(zip(given, written, strict=True))
        return [line for n, (one, other) in pairs for line in lacking(one, other, f"{path}/{n}")]
    return [] if given == written else [f"{path}: {given} is {written}"]


def test_its_panels_and_questions_are_of_kinds_that_grafana_has(dashboard):
    found = panels(dashboard)
    assert len(found) > 15
    for panel in found:
        assert isinstance(panel.options, OPTIONS[panel.type_val]), panel.title
        assert panel.targets
        assert all(isinstance(target, prometheus.Dataquery) for target in panel.targets)


def test_no_panel_hides_another_or_has_its_number(dashboard):
    numbers = [panel.id_val for panel in dashboard.panels]
    assert len(numbers) == len(set(numbers))
    for one, other in itertools.combinations([panel.grid_pos for panel in dashboard.panels], 2):
        apart = (
            one.x + one.w <= other.x
            or other.x + other.w <= one.x
            or one.y + one.h <= other.y
            or other.y + other.h <= one.y
        )
        assert apart, (one, other)
        assert one.x + one.w <= 24


def test_the_data_source_and_the_machine_are_chosen_by_who_looks(dashboard):
    variables = {one.name: one for one in dashboard.templating.list_val}
    assert variables["datasource"].query == "prometheus"
    for panel in panels(dashboard):
        assert panel.datasource.uid == "${datasource}"
        for target in panel.targets:
            assert target.datasource["uid"] == "${datasource}"
            names = len(re.findall(r"netusage_\w+", target.expr))
            assert target.expr.count('instance=~"$instance"') == names, target.expr


def test_it_asks_for_nothing_that_is_not_told_and_leaves_out_little_that_is(dashboard):
    told = set(re.findall(r"^(netusage_\w+)", exposition(everything(), version="1"), re.MULTILINE))
    asked = {
        name
        for panel in panels(dashboard)
        for target in panel.targets
        for name in re.findall(r"netusage_\w+", target.expr)
    }
    assert asked <= told
    assert told - asked <= {
        "netusage_build_info",
        "netusage_gap_seconds_total",
        "netusage_recorder_info",
        "netusage_recorder_link_events_total",
        "netusage_recorder_runs_total",
        "netusage_recorder_start_time_seconds",
    }


def everything():
    run = RunRecord(1, "boot", 1, "machine", 1, 2, None, "netlink", *range(8), "kernel")
    return Metrics(
        [InterfaceTotals("eth0", "", counted=True, totals=ZERO, estimated=(0, 0))],
        [ScopeTotals("web", "LAN", (0, 0))],
        [ScopeTotals("", "LAN", (0, 0))],
        [GapCount("killed", True, 0, 0)],
        Runs(),
        RecorderState(None, run),
        NO_USAGE,
        NO_USAGE,
    )
