"""vnStat's own daemon and this recorder side by side, in one network namespace, on the same traffic."""

import contextlib
import io
import json
import os
import signal
import subprocess

import pytest
from support import real_vnstat
from support.book import recorded
from support.namespace import Traffic
from support.patience import LONG, until
from support.real_vnstat import needs_vnstat

from netusage.cli.as_vnstat import answer

pytestmark = [pytest.mark.system, pytest.mark.root, needs_vnstat]

_CONFIGURATION = """
DatabaseDir "{directory}"
UpdateInterval 2
PollInterval 2
SaveInterval 1
UseLogging 0
UpdateFileOwner 0
"""


@pytest.fixture
def vnstatd(space, tmp_path):
    """A daemon of vnStat in the namespace; it writes what it knows when it is told to."""
    directory = tmp_path / "vnstat"
    directory.mkdir()
    (tmp_path / "vnstat.conf").write_text(_CONFIGURATION.format(directory=directory))
    processes = []

    def start():
        command = [real_vnstat.DAEMON, "--nodaemon", "--config", str(tmp_path / "vnstat.conf")]
        log = (tmp_path / "vnstatd.log").open("wb")
        environment = {**os.environ, "TZ": "UTC"}
        processes.append(subprocess.Popen(space.command(*command), stdout=log, stderr=log, env=environment))
        log.close()
        until((directory / "vnstat.db").exists, "the database of vnstatd")
        until(lambda: b"Monitoring" in (tmp_path / "vnstatd.log").read_bytes(), "vnstatd to begin")
        return processes[-1]

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(LONG)


def totals(document):
    return {one["name"]: one["traffic"]["total"] for one in document["interfaces"]}


def keys(value):
    """The structure of a document: keys in their order, and types; of a list what all its members have."""
    if isinstance(value, dict):
        return [(key, keys(member)) for key, member in value.items()]
    if isinstance(value, list):
        shapes = [keys(member) for member in value]
        assert all(shape == shapes[0] for shape in shapes)
        return shapes[:1]
    return type(value).__name__


def test_both_tell_the_same_totals_to_the_byte_in_documents_of_the_same_form(
    space, record, ledger, vnstatd, tmp_path, monkeypatch
):
    space.pair("va", "vb")
    daemon, recorder = vnstatd(), record(space, commit="500ms")
    with Traffic(space, "va", "vb"):
        until(lambda: space.counters()["va"].rx_bytes > 200_000, "some traffic")
    counters = space.counters()
    truth = {name: {"rx": counters[name].rx_bytes, "tx": counters[name].tx_bytes} for name in ("va", "vb")}
    until(
        lambda: {name: recorded(ledger).get(name) for name in truth} == {n: counters[n] for n in truth},
        "a commit",
    )

    def theirs():
        daemon.send_signal(signal.SIGHUP)  # what it has not yet written
        code, text = real_vnstat.ask(tmp_path / "vnstat", "--json")
        return json.loads(text) if code == 0 else {"interfaces": []}

    until(lambda: totals(theirs()) == truth, lambda: f"{truth} in vnStat: {totals(theirs())}", every=0.5)
    monkeypatch.setenv("NETUSAGE_DB", str(ledger))
    monkeypatch.setenv("NETUSAGE_REPORT_TZ", "UTC")
    out = io.StringIO()
    assert answer(["--json"], out) == 0
    ours, known = json.loads(out.getvalue()), theirs()
    assert totals(ours) == truth
    assert keys(ours) == keys(known)
    for mine, other in zip(ours["interfaces"], known["interfaces"], strict=True):
        # each counted from its own start, before there was any traffic
        assert abs(mine["created"]["timestamp"] - other["created"]["timestamp"]) < 60
        whole = tuple(mine["traffic"].pop("total").values())
        # sums, because vnStat counts what came up to two seconds before a boundary after it
        assert {name: sums(rows) for name, rows in mine["traffic"].items()} == dict.fromkeys(
            mine["traffic"], whole
        )
        assert {sums(other["traffic"][name]) for name in mine["traffic"]} == {whole}
    assert recorder.stop() == 143


def sums(rows):
    return tuple(sum(row[way] for row in rows) for way in ("rx", "tx"))
