"""The whole chain: a recorder, its watcher, and a real server that is told; whatever is killed meanwhile."""

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from support.book import assert_it_adds_up, recorded, rows
from support.ledgers import writing
from support.namespace import added, difference
from support.patience import until

from netusage.errors import NoDataError
from netusage.ledger.alert_log import entries, watcher
from netusage.model import GapKind

sys.path.insert(0, str(Path(__file__).parents[1] / "alerts"))
from receivers import WebReceiver, free_port, mute_server

pytest.importorskip("apprise")
pytestmark = [pytest.mark.system, pytest.mark.root]

_PLAN = """
[[plan]]
name = "home"
cap = "100 kB"
interfaces = ["va"]
thresholds = [80, 100]
"""


@pytest.fixture
def server(space):
    """A web server in the namespace."""
    with space.inside(WebReceiver) as receiver:
        yield receiver


@pytest.fixture
def configure(tmp_path):
    """Writes the configuration; the watcher looks once a second."""

    def write(*urls, more=_PLAN, alerts=True):
        file = tmp_path / "config.toml"
        said = f"[alerts]\nevery = '1s'\nto = {list(urls)}\n" if alerts else ""
        file.write_text(said + more)
        return file

    return write


@pytest.fixture
def watched(record, ledger, space):
    """Starts a recorder with its watcher, and waits for both."""
    space.pair("va", "vb")

    def begin(file, **options):
        before = watcher_pid(ledger)
        recorder = record(space, "--config", file, **{"commit": "200ms", **options})
        until(lambda: watcher_pid(ledger) not in (0, before), "a watcher")
        return recorder

    yield begin
    until(lambda: not watcher_pid(ledger), "the end of the watcher")


def watcher_pid(ledger):
    holder = watcher(f"{ledger}.alerts")
    return holder.pid if holder else 0


def log(ledger):
    """Every alert that was raised: key, and whether it was delivered to all."""
    found = entries(f"{ledger}.alerts", 0, 1 << 62)
    return {one.alert.key.partition("/")[0] + "/" + one.alert.key.rpartition("/")[2]: one for one in found}


def wait_for_raised(ledger, key):
    until(lambda: os.path.exists(f"{ledger}.alerts"), "a journal")
    return until(lambda: log(ledger).get(key), lambda: f"{key} in {sorted(log(ledger))}")


def test_a_threshold_is_told_once_although_the_recorder_is_killed_and_started_again(
    space, server, configure, watched, ledger
):
    file = configure(server.url())
    recorder = watched(file)
    space.send("va", 85)
    server.wait_for(1)
    recorder.kill()
    recorder = watched(file)
    space.send("va", 20)
    server.wait_for(2)
    assert recorder.stop() == 143
    assert server.titles == ["plan home: 80 % reached", "plan home: 100 % reached"]
    assert log(ledger)["threshold/80"].deliveries[0].delivered_us is not None
    assert_it_adds_up(ledger)


def test_a_watcher_that_is_killed_is_started_again_and_goes_on(space, server, configure, watched, ledger):
    recorder = watched(configure(server.url()))
    space.send("va", 85)
    server.wait_for(1)
    until(lambda: not log(ledger)["threshold/80"].is_waiting, "it to be noted")  # otherwise it is told again
    first = watcher_pid(ledger)
    os.kill(first, signal.SIGKILL)
    recorder.wait_for_words("starting it again")
    until(lambda: watcher_pid(ledger) not in (0, first), "another watcher")
    space.send("va", 20)
    server.wait_for(2)
    assert recorder.stop() == 143
    assert server.titles == ["plan home: 80 % reached", "plan home: 100 % reached"]


def test_what_is_raised_while_nobody_listens_is_delivered_when_somebody_does(
    space, configure, watched, ledger
):
    port = free_port()
    recorder = watched(configure(f"json://127.0.0.1:{port}/hook"))
    space.send("va", 85)
    recorder.wait_for_words("alerts are not delivered by json://127.0.0.1")
    assert wait_for_raised(ledger, "threshold/80").is_waiting
    recorder.kill()
    recorder = watched(configure(f"json://127.0.0.1:{port}/hook"))
    with space.inside(lambda: WebReceiver(port)) as server:
        server.wait_for(1)
        assert recorder.stop() == 143
    assert server.titles == ["plan home: 80 % reached"]


def test_a_dead_server_delays_no_reading_and_holds_up_no_other_server(
    space, server, configure, watched, ledger
):
    with contextlib.ExitStack() as stack:
        mute = space.inside(lambda: stack.enter_context(mute_server()))
        urls = (f"json://127.0.0.1:{mute}/", f"json://127.0.0.1:{free_port()}/", server.url())
        before = space.counters()
        recorder = watched(configure(*urls), sample="1s", commit="1s")
        space.send("va", 85)
        server.wait_for(1)
        space.send("va", 20)
        server.wait_for(2)
        time.sleep(3)  # for readings that might be late
        truth = added(difference(before, space.counters()))
        assert recorder.stop() == 143
    found = recorded(ledger)
    assert found["va"] == truth["va"]
    assert found["vb"] == truth["vb"]
    assert rows(ledger, "SELECT late_samples, failed_samples FROM run")[0][:] == (0, 0)
    assert_it_adds_up(ledger)


def test_alerts_that_are_configured_later_are_watched_for_after_a_reload_and_no_more_after_another(
    space, server, configure, record, ledger
):
    space.pair("va", "vb")
    recorder = record(space, "--config", configure(alerts=False), commit="200ms")
    space.send("va", 85)
    assert not os.path.exists(f"{ledger}.alerts")
    configure(server.url())
    recorder.send(signal.SIGHUP)
    server.wait_for(1)
    configure(alerts=False)
    recorder.send(signal.SIGHUP)
    until(lambda: not watcher_pid(ledger), "the end of the watcher")
    assert recorder.stop() == 143
    assert server.titles == ["plan home: 80 % reached"]
    assert len(recorder.err.splitlines()) == 3  # that it records, and two reloads


def test_a_reload_gives_the_watcher_another_server(space, server, configure, watched, ledger):
    recorder = watched(configure(f"json://127.0.0.1:{free_port()}/hook"))
    space.send("va", 85)
    recorder.wait_for_words("alerts are not delivered by")
    configure(server.url())
    recorder.send(signal.SIGHUP)
    recorder.wait_for_words("configuration reloaded")
    space.send("va", 20)
    server.wait_for(1)
    assert recorder.stop() == 143
    assert server.titles == ["plan home: 100 % reached"]
    assert log(ledger)["threshold/80"].is_waiting  # for the one that never was there


def test_with_the_recorder_its_watcher_ends_and_nothing_is_left_in_the_way(
    space, server, configure, watched, ledger
):
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        recorder = watched(configure(server.url()))
        pid = watcher_pid(ledger)
        recorder.send(end)
        recorder.popen.wait()
        recorder.reap()
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "the end of the watcher")


def test_a_journal_that_is_damaged_is_set_aside_and_told_and_the_recorder_records_on(
    space, server, configure, watched, ledger
):
    recorder = watched(configure(server.url()))
    space.send("va", 85)
    server.wait_for(1)
    assert recorder.stop() == 143
    until(lambda: not watcher_pid(ledger), "the end of the watcher")
    Path(f"{ledger}.alerts").write_bytes(b"garbage" * 1000)
    recorder = watched(configure(server.url()))
    recorder.wait_for_words("the journal of alerts was damaged")
    server.wait_for(2)
    assert "the journal of alerts was damaged" in server.titles
    assert list(ledger.parent.glob("ledger.db.alerts.set-aside-*"))
    assert recorder.stop() == 143
    assert_it_adds_up(ledger)


def test_a_watcher_that_was_started_by_hand_is_not_joined_by_another_one(
    space, server, configure, record, start, ledger
):
    space.pair("va", "vb")
    file = configure(server.url())
    alone = start("alerts", "watch", "--db", ledger, "--config", file, space=space)
    until(lambda: watcher_pid(ledger), lambda: f"the watcher; it said {alone.err}")
    own = watcher_pid(ledger)
    recorder = record(space, "--config", file, commit="200ms")
    second = start("alerts", "watch", "--db", ledger, "--config", file, space=space)
    assert second.wait() == 1
    assert f"watched for already (process {own})" in second.err
    space.send("va", 85)
    server.wait_for(1)
    assert alone.stop(signal.SIGINT) == 130
    until(lambda: watcher_pid(ledger) not in (0, own), "the recorder's watcher takes over")
    space.send("va", 20)
    server.wait_for(2)
    assert recorder.stop() == 143
    until(lambda: not watcher_pid(ledger), "the end of the watcher")
    assert server.titles == ["plan home: 80 % reached", "plan home: 100 % reached"]


def test_a_full_disk_is_told_although_the_journal_cannot_be_written(
    space, server, configure, record, disks, ledger
):
    space.pair("va", "vb")
    disk = disks(256)
    journal = disk.path / "journal"
    more = f"journal = '{journal}'\n{_PLAN}"
    recorder = record(space, "--config", configure(server.url(), more=more), commit="200ms")
    until(journal.exists, "a journal")
    until(lambda: watcher(str(journal)), "a watcher")
    time.sleep(1.5)  # for a first look
    disk.fill()
    space.send("va", 85)
    recorder.wait_for_words("alerts are looked for again until they can be kept")
    server.wait_for(1)
    disk.free()
    recorder.wait_for_words("alerts can be kept again; none was lost")
    server.wait_for(2)
    assert recorder.stop() == 143
    until(lambda: not watcher(str(journal)), "the end of the watcher")
    assert server.titles == ["alerts cannot be kept", "plan home: 80 % reached"]
    assert_it_adds_up(ledger)


def test_what_talks_for_the_first_time_is_logged_on_the_first_day_and_told_to_nobody(
    space, server, configure, record, ledger
):
    file = configure(server.url(), more="")
    environment = {"NETUSAGE_RECORDER_APPLICATIONS": "sockets"}
    recorder = record(space, "--config", file, commit="200ms", environment=environment)
    with contextlib.ExitStack() as stack:
        listener = space.inside(lambda: stack.enter_context(socket.create_server(("127.0.0.1", 0))))
        client = space.inside(lambda: stack.enter_context(socket.create_connection(listener.getsockname())))
        accepted = stack.enter_context(listener.accept()[0])

        def is_logged():
            client.sendall(b"x" * 1000)
            accepted.recv(1000)
            with contextlib.suppress(NoDataError):  # it is being made
                return [
                    one for one in entries(f"{ledger}.alerts", 0, 1 << 62) if one.alert.kind == "first-seen"
                ]

        (entry, *_) = until(is_logged, "an application in the log", every=0.05)
    assert recorder.stop() == 143
    until(lambda: not watcher_pid(ledger), "the end of the watcher")
    assert entry.alert.only_logged
    assert "python" in entry.alert.subject or "pytest" in entry.alert.subject
    assert server.posted == []


def test_a_watcher_that_is_killed_again_and_again_raises_each_alert_once_and_delivers_all_of_them(
    start, ledger, tmp_path
):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    told = tmp_path / "told"
    file = tmp_path / "config.toml"
    command = ["/bin/sh", "-c", 'echo "$NETUSAGE_ALERT_TEXT" >> "$1"', "sh", str(told)]
    file.write_text(f"[alerts]\nevery = '1s'\nper_hour = 1000\ncommand = {json.dumps(command)}\n")
    now_s = int(time.time())
    kills = 12
    with writing(ledger, now_s - 3600) as book:
        book.commit(now_s - 3600)
        watch_it = ("alerts", "watch", "--db", ledger, "--config", file)
        first = start(*watch_it)
        until(lambda: watcher_pid(ledger), lambda: f"the watcher; it said {first.err}")
        until(lambda: _remembers_gaps(ledger), "a first look")
        first.kill()
        for number in range(kills):
            book.gap(now_s - 3000 + number, now_s - 3000 + number, GapKind.LEDGER, note=f"number {number}.")
            book.commit(now_s - 2000 + number)
            killed = start(*watch_it)
            time.sleep(moments.uniform(0.1, 1.2))
            killed.kill()
        last = start(*watch_it).wait_for_words("for alerts")
        until(
            lambda: told.exists() and all(f"number {n}." in told.read_text() for n in range(kills)),
            "all of them",
        )
        until(
            lambda: not any(one.is_waiting for one in entries(f"{ledger}.alerts", 0, 1 << 62)),
            "the last note",
        )
        assert last.stop() == 143
    found = [one.alert.key for one in entries(f"{ledger}.alerts", 0, 1 << 62) if one.alert.kind == "ledger"]
    assert len([key for key in found if key.startswith("gap/")]) == kills
    lines = [line for line in told.read_text().splitlines() if "number" in line]
    assert kills <= len(lines) <= 2 * kills  # at least once; more only for those that were not noted


def _remembers_gaps(ledger):
    with (
        contextlib.closing(sqlite3.connect(f"{ledger}.alerts")) as journal,
        contextlib.suppress(sqlite3.Error),
    ):
        return journal.execute("SELECT 1 FROM memory WHERE name = 'gaps'").fetchone()
    return None
