"""The lock that makes one recorder the only one, between real processes."""

import os
import subprocess
import sys
import textwrap

import pytest

from netusage.errors import LedgerError, LedgerHeldError
from netusage.ledger import lock

STARTED_US = 1_773_100_800_000_000

_HOLDER = textwrap.dedent("""
    import sys
    from netusage.errors import LedgerHeldError
    from netusage.ledger import lock
    try:
        hold = lock.hold(sys.argv[1], 123)
    except LedgerHeldError as error:
        print(f"refused: {error.message}", flush=True)
        sys.exit(3)
    print("held", flush=True)
    sys.stdin.readline()
""")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.db")


@pytest.fixture
def other(path):
    """Starts another process that wants the ledger."""
    started = []

    def start():
        source = os.path.dirname(os.path.dirname(os.path.dirname(lock.__file__)))
        environment = {**os.environ, "PYTHONPATH": source}
        command = [sys.executable, "-c", _HOLDER, path]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_ledger_that_nobody_holds_has_no_holder(path):
    assert lock.holder(path) is None
    lock.hold(path, STARTED_US).release()
    assert lock.holder(path) is None


def test_the_holder_says_who_it_is_and_since_when(path):
    hold = lock.hold(path, STARTED_US)
    assert lock.holder(path) == lock.Holder(os.getpid(), STARTED_US)
    hold.release()


def test_a_second_recorder_is_refused_and_told_who_holds_it(path):
    hold = lock.hold(path, STARTED_US)
    with pytest.raises(LedgerHeldError, match=f"process {os.getpid()}") as failure:
        lock.hold(path, STARTED_US)
    assert failure.value.hint
    hold.release()
    lock.hold(path, STARTED_US).release()


def test_releasing_twice_is_harmless(path):
    hold = lock.hold(path, STARTED_US)
    hold.release()
    second = lock.hold(path, STARTED_US)
    hold.release()
    with pytest.raises(LedgerHeldError):
        lock.hold(path, STARTED_US)
    second.release()


def test_two_names_of_one_file_share_the_lock(path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    hold = lock.hold(path, STARTED_US)
    with pytest.raises(LedgerHeldError):
        lock.hold(str(link), STARTED_US)
    hold.release()


def test_two_ledgers_have_two_locks(path, tmp_path):
    first, second = lock.hold(path, 1), lock.hold(str(tmp_path / "other.db"), 2)
    first.release()
    second.release()


def test_another_process_is_refused_while_this_one_holds_it(path, other):
    hold = lock.hold(path, STARTED_US)
    process, answer = other()
    assert answer.startswith("refused: ")
    assert f"process {os.getpid()}" in answer
    assert process.wait() == 3
    hold.release()
    assert other()[1] == "held"


def test_a_lock_is_gone_with_its_process_however_that_ended(path, other):
    process, answer = other()
    assert answer == "held"
    assert lock.holder(path) == lock.Holder(process.pid, 123)
    process.kill()
    process.wait()
    assert lock.holder(path) is None
    lock.hold(path, STARTED_US).release()


def test_looking_at_the_holder_does_not_disturb_it(path, other):
    process, _ = other()
    for _ in range(20):
        assert lock.holder(path).pid == process.pid
    with pytest.raises(LedgerHeldError):
        lock.hold(path, STARTED_US)


def test_a_look_in_the_wrong_moment_does_not_keep_a_recorder_out(path, monkeypatch):
    """`holder` takes the lock for an instant; whoever wants to hold it tries again."""
    real, tries = lock._lock, []

    def contended(descriptor, *, shared=False):
        tries.append(1)
        if len(tries) < 4:
            raise BlockingIOError
        return real(descriptor, shared=shared)

    monkeypatch.setattr(lock, "_lock", contended)
    monkeypatch.setattr(lock.time, "sleep", lambda _: None)
    lock.hold(path, STARTED_US).release()
    assert len(tries) == 4


@pytest.mark.parametrize("text", ["", "garbage", "12 34 56", "x y"])
def test_a_lock_file_that_cannot_be_read_still_holds(path, text):
    hold = lock.hold(path, STARTED_US)
    with open(lock.lock_path(path), "w", encoding="ascii") as file:
        file.write(text)
    assert lock.holder(path) == lock.Holder(0, 0)
    with pytest.raises(LedgerHeldError, match="another process"):
        lock.hold(path, STARTED_US)
    hold.release()


def test_a_longer_line_of_an_earlier_holder_leaves_nothing_behind(path):
    with open(lock.lock_path(path), "w", encoding="ascii") as file:
        file.write("99999999999 99999999999999999999999999\n")
    hold = lock.hold(path, 5)
    with open(lock.lock_path(path), encoding="ascii") as file:
        assert file.read() == f"{os.getpid()} 5\n"
    hold.release()


def test_a_lock_file_that_cannot_be_made_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(LedgerError, match="cannot create the lock file") as failure:
        lock.hold(str(tmp_path / "missing" / "ledger.db"), STARTED_US)
    assert "--db" in failure.value.hint


def test_a_child_does_not_keep_the_lock_of_its_parent(path):
    hold = lock.hold(path, STARTED_US)
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    hold.release()
    lock.hold(path, STARTED_US).release()
    child.communicate()
