"""The text that Prometheus reads: exact, whole, and never to be broken by a name."""

import re
import shutil
import subprocess

import pytest
from support import book
from support.books import many
from support.ledgers import DAY_S, START_S, writing

from netusage.exporters.prometheus import exposition
from netusage.ledger.answers import NO_USAGE, GapCount, RecorderState, Usage
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, Counters, Who
from netusage.periods import zone
from netusage.reports.metrics import InterfaceTotals, Metrics, Runs, ScopeTotals, metrics
from netusage.settings.schema import InterfaceSettings

HOSTILE = (
    'a"b',
    "a\\b",
    "a\\nb",
    "a\nb",
    "a\r\nb",
    '"} 1\nnetusage_recorder_up 1',
    "\udcff\udc80",
    "\0",
    "\x1b[31m",
    "\u202egpj.exe",
    "下载管理器",
    "a,b=c{d}#e",
    " ",
    "",
    "n" * 5000,
)
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def found(interfaces=(), applications=(), **more):
    fields = {
        "attributed": [],
        "gaps": [],
        "runs": Runs(),
        "recorder": RecorderState(None, None),
        "today": NO_USAGE,
        "month": NO_USAGE,
    }
    return Metrics(list(interfaces), list(applications), **{**fields, **more})


def text(answer, **options):
    return exposition(answer, version="1.2.3", **options)


def samples(lines):
    """Name and labels of each sample as they are written, and the value."""
    told = {}
    for line in lines.splitlines():
        if not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            key = match[1], match[2] or ""
            assert key not in told, "a series twice"
            told[key] = float(match[3])
    return told


def promtool(written):
    """What the real tool finds wrong."""
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (the package prometheus)")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=written.encode(), capture_output=True, timeout=60, check=False
    )
    return (done.returncode, (done.stdout + done.stderr).decode())


def hostile():
    totals = Counters(2**63 - 1, 2**53 + 1, 3, 4)
    return found(
        [
            InterfaceTotals(name, kind, counted=True, totals=totals, estimated=(1, 2))
            for name in HOSTILE
            for kind in ("", name)
        ],
        [ScopeTotals(name, scope, (1, 2)) for name in HOSTILE for scope in ("LAN", name)],
        attributed=[ScopeTotals("", name, (1, 2)) for name in HOSTILE],
        gaps=[GapCount(name, lossy, 1, 1) for name in HOSTILE for lossy in (True, False)],
    )


def test_the_text_is_what_it_is():
    answer = found(
        [InterfaceTotals("eth0", "", counted=True, totals=Counters(1, 2, 3, 4), estimated=(5, 6))],
        [ScopeTotals("web", "LAN", (7, 8))],
        attributed=[ScopeTotals("", "LAN", (70, 80))],
        gaps=[GapCount("killed", True, 2, 1_500_000)],
        runs=Runs(3, 10, 1, 2, 6, 4, 5, 2_250_000),
        today=Usage(11, 12),
        month=Usage(13, 14),
    )
    written = text(answer)
    assert written.startswith(
        "# HELP netusage_build_info The version of netusage that tells this.\n"
        "# TYPE netusage_build_info gauge\n"
        'netusage_build_info{version="1.2.3"} 1\n'
    )
    assert samples(written) == {
        ("netusage_build_info", 'version="1.2.3"'): 1,
        ("netusage_interface_receive_bytes_total", 'interface="eth0",kind=""'): 1,
        ("netusage_interface_transmit_bytes_total", 'interface="eth0",kind=""'): 2,
        ("netusage_interface_receive_packets_total", 'interface="eth0",kind=""'): 3,
        ("netusage_interface_transmit_packets_total", 'interface="eth0",kind=""'): 4,
        ("netusage_interface_estimated_receive_bytes_total", 'interface="eth0",kind=""'): 5,
        ("netusage_interface_estimated_transmit_bytes_total", 'interface="eth0",kind=""'): 6,
        ("netusage_interface_counted", 'interface="eth0",kind=""'): 1,
        ("netusage_application_receive_bytes_total", 'application="web",scope="LAN"'): 7,
        ("netusage_application_transmit_bytes_total", 'application="web",scope="LAN"'): 8,
        ("netusage_attributed_receive_bytes_total", 'scope="LAN"'): 70,
        ("netusage_attributed_transmit_bytes_total", 'scope="LAN"'): 80,
        ("netusage_machine_receive_bytes", 'period="today"'): 11,
        ("netusage_machine_transmit_bytes", 'period="today"'): 12,
        ("netusage_machine_receive_bytes", 'period="month"'): 13,
        ("netusage_machine_transmit_bytes", 'period="month"'): 14,
        ("netusage_gaps_total", 'kind="killed",lossy="yes"'): 2,
        ("netusage_gap_seconds_total", 'kind="killed",lossy="yes"'): 1.5,
        ("netusage_recorder_up", ""): 0,
        ("netusage_recorder_runs_total", ""): 3,
        ("netusage_recorder_samples_total", ""): 10,
        ("netusage_recorder_failed_samples_total", ""): 1,
        ("netusage_recorder_late_samples_total", ""): 2,
        ("netusage_recorder_link_events_total", ""): 6,
        ("netusage_recorder_commits_total", ""): 4,
        ("netusage_recorder_failed_commits_total", ""): 5,
        ("netusage_recorder_commit_seconds_total", ""): 2.25,
    }


def test_large_numbers_have_all_their_digits():
    totals = Counters(2**63 - 1, 2**53 + 1, 0, 0)
    written = text(found([InterfaceTotals("eth0", "", counted=True, totals=totals, estimated=(0, 0))]))
    assert " 9223372036854775807\n" in written
    assert " 9007199254740993\n" in written


@pytest.mark.parametrize("openmetrics", [False, True])
def test_no_name_breaks_out_of_its_label_or_makes_a_series_come_twice(openmetrics):
    written = text(hostile(), openmetrics=openmetrics)
    assert written.encode("utf-8").decode() == written
    assert all(char.isprintable() for char in written.replace("\n", ""))
    told = samples(written)
    assert told["netusage_recorder_up", ""] == 0
    assert ("netusage_application_receive_bytes_total", 'application="下载管理器",scope="LAN"') in told
    assert ("netusage_application_receive_bytes_total", r'application="a\"b",scope="LAN"') in told


def test_names_that_cannot_be_told_apart_are_added_up():
    written = text(found([], [ScopeTotals("a\nb", "LAN", (1, 10)), ScopeTotals(r"a\nb", "LAN", (2, 20))]))
    told = samples(written)
    assert told["netusage_application_receive_bytes_total", r'application="a\\nb",scope="LAN"'] == 3


def test_openmetrics_names_families_without_total_and_has_an_end():
    plain, open_ = text(hostile()), text(hostile(), openmetrics=True)
    assert open_.endswith("\n# EOF\n")
    assert samples(plain) == samples(open_)
    for line in open_.splitlines():
        if line.startswith("# TYPE"):
            assert not line.split()[2].endswith("_total")


@pytest.mark.system
def test_promtool_finds_nothing_wrong_with_any_name_or_with_many_of_them(tmp_path):
    assert promtool(text(hostile())) == (0, "")
    many(tmp_path / "ledger.db", START_S + 3 * DAY_S)
    with LedgerReader(str(tmp_path / "ledger.db")) as reader:
        answer = metrics(
            reader,
            now_s=START_S + 3 * DAY_S,
            zone=zone("UTC"),
            overrides=InterfaceSettings(),
            most_applications=2000,
        )
    written = text(answer)
    assert written.count("netusage_interface_receive_bytes_total{") == 500
    assert written.count("netusage_application_receive_bytes_total{") == 2000
    assert promtool(written) == (0, "")


@pytest.mark.system
def test_promtool_would_find_what_is_wrong():
    assert promtool(text(found()).replace("# HELP netusage_recorder_up", "# HELP other"))[0] != 0


@pytest.mark.thorough
def test_no_counter_goes_down_over_restarts_and_folding_and_they_grow_by_what_was_written(tmp_path):
    """A week in which a recorder is started every day, applications come and go, and each day's tail is folded."""
    path = tmp_path / "ledger.db"
    before: dict[tuple[str, str], float] = {}
    written = 0
    for day in range(7):
        with writing(path, START_S + day * DAY_S, quarters_kept_s=3 * DAY_S) as ledger:
            eth0 = ledger.interface("eth0", first=Counters(written, 0, 0, 0))
            for hour in range(24):
                now_s = START_S + day * DAY_S + hour * 3600
                for n, name in enumerate(("web", "ssh", "zoom")):
                    number = 2 if (day + n) % 3 == 0 else 100_000 * (n + 1)
                    part = Part(now_s // QUARTER_S * QUARTER_S, eth0, Who("application", name), 3, 6, 4)
                    ledger.share(part, Counters(number, 0, 1, 0))
                    ledger.count(eth0, now_s, number, 0, 1, 0)
                    written += number
                ledger.commit(now_s + 60)
                told = counters_of(path, now_s + 60)
                fallen = {key for key, value in before.items() if told[key] < value}
                assert not fallen
                assert told["netusage_interface_receive_bytes_total", 'interface="eth0",kind=""'] == written
                assert told["netusage_attributed_receive_bytes_total", 'scope="internet"'] == written
                by_name = [
                    v for (name, _), v in told.items() if name == "netusage_application_receive_bytes_total"
                ]
                assert sum(by_name) == written
                before = told
    assert before["netusage_recorder_runs_total", ""] == 7
    (folded,) = book.rows(path, "SELECT count(*) FROM application WHERE kind = 'other'")[0]
    assert folded, "nothing was folded"


def counters_of(path, now_s):
    with LedgerReader(str(path)) as reader:
        answer = metrics(reader, now_s=now_s, zone=zone("UTC"), overrides=InterfaceSettings())
    return {key: value for key, value in samples(text(answer)).items() if key[0].endswith("_total")}
