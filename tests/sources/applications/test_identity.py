"""Who an owner is: from the kernel's note alone, and with the help of /proc while its process lives."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from netusage.sources.applications.cgroups import mounted_at
from netusage.sources.applications.counts import Owner
from netusage.sources.applications.identity import Identities
from netusage.sources.applications.names import Application, Unit

GONE = 2**22 + 1  # no process has such a number


@pytest.fixture
def tree(tmp_path):
    """A tree of directories in the place of cgroups: a cgroup's number is its directory's."""
    for path in ("system.slice/ssh.service", "user.slice/user-7.slice/session-9.scope"):
        (tmp_path / "tree" / path).mkdir(parents=True)
    return tmp_path / "tree"


def owner(path="/usr/bin/curl", script="", cgroup=1, uid=0, tgid=GONE):
    return Owner(77, cgroup, 5, uid, tgid, "name", script, path)


def test_what_the_kernel_noted_is_enough_when_the_process_is_gone(tree):
    number = (tree / "system.slice/ssh.service").stat().st_ino
    found = Identities(str(tree)).of(owner("/usr/sbin/sshd", cgroup=number))
    assert found == (
        Application("sshd", "/usr/sbin/sshd"),
        pwd.getpwuid(0).pw_name,
        Unit("ssh.service"),
        (5, 77),
    )


def test_the_number_of_a_user_without_a_name_is_shown(tree):
    assert Identities(str(tree)).of(owner(uid=4_000_111_222)).user == "4000111222"


def test_a_cgroup_that_appears_later_is_found_and_one_that_is_gone_has_no_unit(tree):
    seconds = [0.0]
    identities = Identities(str(tree), clock=lambda: seconds[0])
    assert identities.of(owner(cgroup=3)).unit == Unit()
    (tree / "late.service").mkdir()
    number = (tree / "late.service").stat().st_ino
    assert identities.of(owner(cgroup=number)).unit == Unit()  # the tree is not gone through again at once
    seconds[0] = 1.0
    assert identities.of(owner(cgroup=number)).unit == Unit("late.service")
    (tree / "late.service").rmdir()
    assert identities.of(owner(cgroup=number)).unit == Unit("late.service")  # it was seen


def test_the_cgroup_that_the_kernel_noted_tells_the_unit_when_it_is_gone(tree):
    gone = owner(cgroup=3)._replace(cgroup_path="/system.slice/backup.service")
    assert Identities(str(tree)).of(gone).unit == Unit("backup.service")


@pytest.fixture
def process(tmp_path):
    """A script that runs where it lies and was started by its short name."""
    (tmp_path / "tool.py").write_text("import sys\nprint('ready', flush=True)\nsys.stdin.read()\n")
    found = subprocess.Popen(
        [sys.executable, "-u", "tool.py", "argument"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert found.stdout.readline() == b"ready\n"
    yield found
    found.stdin.close()
    assert found.wait(20) == 0
    found.stdout.close()


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("script", ["tool.py", ""], ids=["noted", "not noted"])
def test_a_living_process_tells_where_its_script_is(process, tmp_path, tree, script):
    exe = os.path.realpath(sys.executable)
    found = Identities(str(tree)).of(owner(f"…/{Path(exe).name}", script, tgid=process.pid))
    assert found.application == Application("tool.py", str(tmp_path / "tool.py"))


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_process_that_has_the_number_of_another_one_now_is_not_asked(process, tree):
    assert Identities(str(tree)).of(owner(tgid=process.pid)).application == Application(
        "curl", "/usr/bin/curl"
    )


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_script_is_not_looked_for_where_another_one_runs(process, tmp_path, tree):
    (tmp_path / "other.py").touch()
    exe = os.path.realpath(sys.executable)
    found = Identities(str(tree)).of(owner(exe, "other.py", tgid=process.pid))
    assert found.application == Application("other.py", "other.py")


# ---- Where nothing but a thread's name is known -----------------------------------------------------------------


def nameless(comm, tgid=GONE, cgroup=1):
    return Owner(0, cgroup, 0, 0, tgid, comm, "", "")


def test_of_a_process_that_is_gone_the_name_is_what_is_known(tree):
    found = Identities(str(tree)).of(nameless("kworker/0:1"))
    assert found == (Application("kworker/0:1", ""), pwd.getpwuid(0).pw_name, Unit(), (0, 0))


def test_a_package_is_told_by_its_cgroup_alone(tree):
    place = tree / "app.slice/app-flatpak-org.example.Mail-77.scope"
    place.mkdir(parents=True)
    found = Identities(str(tree)).of(nameless("mail", cgroup=place.stat().st_ino))
    assert found.application == Application("org.example.Mail", "")


def test_who_has_neither_path_nor_name_has_none_but_a_user_and_a_unit(tree):
    number = (tree / "system.slice/ssh.service").stat().st_ino
    found = Identities(str(tree)).of(nameless("", tgid=0, cgroup=number))
    assert found[:3] == (Application("", ""), pwd.getpwuid(0).pw_name, Unit("ssh.service"))


def processes(directory, exe, arguments, *names):
    """A directory in the place of /proc, with process 7 and its threads."""
    own = directory / "proc/7"
    for number, name in enumerate(names, start=7):
        (own / "task" / str(number)).mkdir(parents=True)
        (own / "task" / str(number) / "comm").write_text(f"{name}\n")
    (own / "exe").symlink_to(exe)
    (own / "cwd").symlink_to("/")
    (own / "cmdline").write_bytes(b"".join(one.encode() + b"\0" for one in arguments))
    return str(directory / "proc")


def test_a_living_process_with_such_a_thread_tells_its_executable(tree, tmp_path):
    proc = processes(tmp_path, "/usr/bin/browser", ["browser", "--new"], "browser", "DNS Res~ver #1")
    for comm in ("browser", "DNS Res~ver #1"):
        found = Identities(str(tree), proc).of(nameless(comm, tgid=7))
        assert found.application == Application("browser", "/usr/bin/browser")


def test_a_living_process_without_such_a_thread_is_another_one(tree, tmp_path):
    proc = processes(tmp_path, "/usr/bin/browser", ["browser"], "browser")
    assert Identities(str(tree), proc).of(nameless("curl", tgid=7)).application == Application("curl", "")


@pytest.mark.parametrize(
    ("comm", "application"),
    [
        ("a-long-name-of-a", Application("a-long-name-of-a", "")),  # no thread's name is that long
        ("a-long-name-of-", Application("a-long-name-of-a-tool", "/opt/a-long-name-of-a-tool")),
        ("python3", Application("python3.11", "/usr/bin/python3.11")),
    ],
    ids=["another", "named after it", "named after the interpreter"],
)
def test_a_script_is_told_only_where_the_thread_is_named_after_it(tree, tmp_path, comm, application):
    """All that an interpreter runs under its own name is one owner."""
    names = ("a-long-name-of-", "python3")
    arguments = ["python3", "/opt/a-long-name-of-a-tool"]
    proc = processes(tmp_path, "/usr/bin/python3.11", arguments, *names)
    assert Identities(str(tree), proc).of(nameless(comm, tgid=7)).application == application


@pytest.mark.system
@pytest.mark.root
def test_the_cgroup_of_a_living_process_is_read_from_proc(cgroup, process):
    path = cgroup("web.service")
    Path(path, "cgroup.procs").write_text(str(process.pid))
    found = Identities(mounted_at("/proc/self/mountinfo")).of(
        owner(tgid=process.pid, cgroup=os.stat(path).st_ino)
    )
    assert found.unit == Unit(os.path.basename(path))
