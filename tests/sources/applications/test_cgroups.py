"""The root of the unified cgroup tree is found where it is mounted, and opened where it is not."""

import os
import sys

import pytest
from support.namespace import run

from netusage.sources.applications.cgroups import mounted_at, open_root

HYBRID = "30 1 0:5 / /sys/fs/cgroup rw - cgroup cgroup rw\n"


def test_only_the_root_of_the_unified_tree_is_taken_where_it_can_be_seen(tmp_path):
    place, hidden = tmp_path / "a place", tmp_path / "hidden"
    for one in (place, hidden):
        one.mkdir()
    (place / "cgroup.procs").touch()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(HYBRID)
    assert mounted_at(mounts) == ""
    escaped = str(place).replace(" ", "\\040")
    lines = [
        f"31 1 0:6 /part {escaped} rw - cgroup2 none rw",
        f"32 1 0:6 / {hidden} rw - cgroup2 none rw",
        f"33 1 0:6 / {escaped} rw,nosuid shared:1 - cgroup2 none rw",
    ]
    mounts.write_text(HYBRID + "".join(f"{line}\n" for line in lines))
    assert mounted_at(mounts) == str(place)


@pytest.mark.system
@pytest.mark.root
def test_a_tree_that_is_mounted_nowhere_is_opened_all_the_same(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(HYBRID)
    fd = open_root(str(mounts))
    try:
        assert "cgroup.procs" in os.listdir(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


@pytest.mark.system
@pytest.mark.root
def test_who_may_neither_see_nor_open_it_is_told_so(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(HYBRID)
    code = f"""
from netusage.sources.applications.cgroups import open_root
try:
    open_root({str(mounts)!r})
except FileNotFoundError as error:
    print(error.strerror)
"""
    only = "--bounding-set=-all"
    assert run("setpriv", only, "--inh-caps=-all", sys.executable, "-c", code) == (
        "the unified cgroup tree (cgroup2) is not mounted\n"
    )
