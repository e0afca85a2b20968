"""Shared by all tests: what needs root or a system says so when it cannot run, and fixtures that clean up."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for `support`, in every import mode

from support import looking  # it is there from here on

_ALL_SYSTEM = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.system\b", re.MULTILINE)
_STRICT = os.environ.get("CI") == "true"


def pytest_configure():
    """A shell's background job ignores Ctrl-C, and so would every process that a test starts; and how widely to look."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    looking.load()


def pytest_ignore_collect(collection_path, config):
    """Where only unit tests are asked for, files that have none are not imported: they need much that takes its time."""
    if not config.option.markexpr.startswith("not system") or collection_path.suffix != ".py":
        return None
    return True if _ALL_SYSTEM.search(collection_path.read_text("utf-8")) else None


def pytest_runtest_setup(item):
    reason = ""
    if item.get_closest_marker("system") is not None:
        reason = _why_not_system()
    if not reason and item.get_closest_marker("root") is not None:
        reason = _why_not_root()
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    _refuse_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    outcome = yield
    _refuse_skip(outcome.get_result())


def _refuse_skip(report):
    """Where everything must be tested (CI=true), what is skipped has failed."""
    if _STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI=true allows no skip: {report.longrepr}"


def _why_not_system():
    return "" if os.name == "posix" else "needs signals and processes as POSIX has them"


def _once(function):
    found = []

    def remembered():
        if not found:
            found.append(function())
        return found[0]

    return remembered


@_once
def _why_not_root():
    if sys.platform != "linux":
        return "needs Linux (network namespaces, tmpfs)"
    if os.geteuid() != 0:
        return "needs root (network namespaces, mounts)"
    if shutil.which("ip") is None:
        return "needs iproute2 (the command ip)"
    from netusage.errors import SourceError
    from netusage.sources.interfaces_linux import NetlinkSource

    try:
        NetlinkSource().close()
    except SourceError as error:
        return f"needs netlink: {error}"
    name = f"nutest{os.getpid()}x0"
    made = subprocess.run(("ip", "netns", "add", name), capture_output=True, text=True, check=False)
    subprocess.run(("ip", "netns", "del", name), capture_output=True, check=False)
    if made.returncode:
        return f"needs network namespaces: {made.stderr.strip()}"
    from support import filesystem, namespace

    namespace.remove_leftovers()
    filesystem.remove_leftovers()
    return ""


@pytest.fixture
def spaces():
    """Makes network namespaces; they are removed at the end, whatever happens."""
    from support.namespace import Namespace

    made = []

    def make():
        made.append(Namespace())
        return made[-1]

    yield make
    for space in made:
        space.remove()


@pytest.fixture
def space(spaces):
    """One network namespace."""
    return spaces()


@pytest.fixture
def start(tmp_path):
    """Starts netusage as processes; those that still run at the end are ended and reaped."""
    from support.process import Process

    started = []

    def begin(*arguments, home=tmp_path, **options):
        started.append(Process(arguments, home, **options))
        return started[-1]

    yield begin
    for process in started:
        process.reap()


@pytest.fixture
def ledger(tmp_path):
    """Where a ledger may be made."""
    return tmp_path / "ledger.db"


@pytest.fixture
def record(start, ledger):
    """Starts a daemon that reads often, and waits until it records."""

    def begin(space, *arguments, path=ledger, sample="100ms", commit="10s", **options):
        intervals = ("--sample-interval", sample, "--commit-interval", commit)
        process = start("daemon", "--db", path, *intervals, *arguments, space=space, **options)
        return process.wait_until_recording()

    return begin


@pytest.fixture
def disks(tmp_path):
    """Makes small file systems; they are unmounted at the end, whatever happens."""
    from support.filesystem import SmallDisk

    made = []
    numbers = itertools.count(1)

    def make(kib=2048):
        made.append(SmallDisk(tmp_path / f"disk{next(numbers)}", kib))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


@pytest.fixture(scope="session")
def loadable():
    """Skips where the kernel does not take the programs that count by application."""
    if sys.platform != "linux":
        pytest.skip("BPF is Linux's")
    from netusage.errors import SourceError
    from netusage.sources.applications.kernel import KernelApplications

    try:
        KernelApplications().close()
    except SourceError as error:
        pytest.skip(f"{error}")


@pytest.fixture
def kept(tmp_path):
    """A directory of a BPF file system of its own; nothing is left in it."""
    from support.namespace import run

    from netusage.sources.applications import pins

    place = tmp_path / "bpf"
    place.mkdir()
    run("mount", "-t", "bpf", "none", str(place))
    try:
        yield str(place / "netusage")
    finally:
        pins.remove(str(place / "netusage"))
        run("umount", str(place))
