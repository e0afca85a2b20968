"""A process beside the recorder: started again when it ends, and ended with the recorder, however that ends."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest
from support.patience import until

from netusage.model import NS
from netusage.recorder import companion
from netusage.recorder.companion import LONGEST_DELAY_NS, Companion

pytestmark = pytest.mark.system

WAITS = "import os; os.read(0, 1)"


def python(code):
    return (sys.executable, "-c", textwrap.dedent(code))


@pytest.fixture
def beside():
    """Makes a companion and lets it end; `said` is what it told."""
    made = []

    def make(code):
        one = Companion(python(code), "alerts are not watched for", [].append)
        one.said = one._say.__self__
        one.wanted = True
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()
        until(lambda one=one: _has_ended(one), "its end")


def _has_ended(one):
    one.look(1 << 60)
    return not one.pid


def _look_until_ended(one, now_ns):
    """Look at one moment until the process has ended."""
    pid = one.pid

    def ended():
        one.look(now_ns)
        return one.pid != pid

    until(ended, "the end of the process")


def test_it_runs_when_it_is_wanted_and_not_before(beside):
    one = beside(WAITS)
    one.wanted = False
    one.look(NS)
    assert one.pid == 0
    one.wanted = True
    one.look(2 * NS)
    pid = one.pid
    assert pid
    one.look(3 * NS)
    assert one.pid == pid


def test_it_ends_when_it_is_wanted_no_more_and_nothing_is_said(beside):
    one = beside(WAITS)
    one.look(NS)
    one.wanted = False
    _look_until_ended(one, 2 * NS)
    assert (one.pid, one.said) == (0, [])


def test_a_killed_one_is_started_again_after_a_moment_and_that_is_said(beside):
    one = beside(WAITS)
    one.look(NS)
    os.kill(one.pid, signal.SIGKILL)
    _look_until_ended(one, 2 * NS)
    assert one.said == ["alerts are not watched for just now: process ended with signal 9; starting it again"]
    one.look(2 * NS)
    assert one.pid == 0
    one.look(3 * NS)
    assert one.pid


def test_one_that_cannot_run_is_tried_less_and_less_often(beside):
    one = beside("raise SystemExit(1)")
    now_ns, waits = NS, []
    for _ in range(9):
        one.look(now_ns)
        _look_until_ended(one, now_ns)
        waits.append((one._due_ns - now_ns) // NS)
        now_ns = one._due_ns
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert LONGEST_DELAY_NS == 60 * NS


def test_one_that_ran_well_for_long_is_started_again_at_once(beside):
    one = beside(WAITS)
    one._failures = 9
    one.look(NS)
    os.kill(one.pid, signal.SIGKILL)
    _look_until_ended(one, 100 * NS)
    assert one._due_ns == 101 * NS


def test_one_whose_configuration_is_wrong_waits_for_another_one(beside):
    one = beside("raise SystemExit(2)")
    one.look(NS)
    _look_until_ended(one, NS)
    one.look(10**6 * NS)
    assert one.pid == 0
    assert one.said == ["alerts are not watched for until the configuration is read anew"]
    one.reload()
    one.look(10**6 * NS + 1)
    assert one.pid


def test_it_is_told_to_read_its_configuration_anew(beside, tmp_path):
    out = tmp_path / "out"
    one = beside(f"""
        import os, signal
        signal.signal(signal.SIGHUP, lambda *_: open({str(out)!r}, "w").write("anew"))
        open({str(tmp_path / "ready")!r}, "w").close()
        os.read(0, 1)
    """)
    one.look(NS)
    until((tmp_path / "ready").exists, "the process to be ready")
    one.reload()
    until(out.exists, "its answer")


def test_a_program_that_is_not_there_is_said_and_tried_again(tmp_path):
    said = []
    one = Companion((str(tmp_path / "none"),), "alerts are not watched for", said.append)
    one.wanted = True
    before = set(os.listdir("/dev/fd"))
    with closing(one):
        one.look(NS)
        assert said == [
            f"alerts are not watched for: cannot start {tmp_path / 'none'}: No such file or directory"
        ]
        one.look(2 * NS)
        assert len(said) == 2
    assert set(os.listdir("/dev/fd")) == before


def test_it_is_told_nothing_of_the_service_manager(beside, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    out = tmp_path / "out"
    one = beside(
        f"import os; open({str(out)!r}, 'w').write(' '.join(os.environ)); os.rename({str(out)!r}, {str(out)!r} + '.done'); os.read(0, 1)"
    )
    one.look(NS)
    done = tmp_path / "out.done"
    until(done.exists, "its answer")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(done.read_text().split())


def test_it_ends_when_the_recorder_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    program = f"""
        import os, sys, time
        from netusage.recorder.companion import Companion
        one = Companion((sys.executable, "-c", {WAITS!r}), "x", print)
        one.wanted = True
        one.look(1)
        open({str(pid_file)!r} + ".part", "w").write(str(one.pid))
        os.rename({str(pid_file)!r} + ".part", {str(pid_file)!r})
        time.sleep(60)
    """
    source = os.path.dirname(os.path.dirname(os.path.dirname(companion.__file__)))
    recorder = subprocess.Popen(python(program), env=os.environ | {"PYTHONPATH": source})
    try:
        until(pid_file.exists, "the process to be started")
    finally:
        recorder.kill()
        recorder.wait()
    pid = int(pid_file.read_text())
    until(lambda: _is_gone(pid), "the end of the process")


def _is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
