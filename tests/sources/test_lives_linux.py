"""The identity of one life of a link: real links in namespaces of their own, seen through their own sysfs."""

import os
import sys

import pytest

from netusage.sources.lives_linux import life_of

pytestmark = [pytest.mark.system, pytest.mark.root]

_LIVES = """
import os
from netusage.sources.lives_linux import life_of
for name in os.listdir("/sys/class/net"):
    print(name, life_of(name, int(open(f"/sys/class/net/{name}/ifindex").read())))
"""


def lives(namespace):
    return {name: int(life) for name, life in map(str.split, namespace.python(_LIVES).splitlines())}


def test_a_link_that_is_made_later_has_a_greater_life_whatever_its_index_and_name(namespace):
    found = []
    for index in (900, 800, 850, 800):
        namespace.ip(f"link add k0 index {index} type ifb")
        found.append(lives(namespace)["k0"])
        namespace.ip("link del k0")
    assert found == sorted(set(found))


def test_a_life_stays_through_renames_and_moves_between_namespaces(new_namespace):
    one, other = new_namespace(), new_namespace()
    one.ip("link add v0 type veth peer name v1")
    born = lives(one)
    assert born["v0"] > born["v1"]  # the end that is named last is made first
    one.ip(f"link set v0 netns {other.name}")
    other.ip("link set v0 name w0")
    assert lives(other)["w0"] == born["v0"]
    other.ip(f"link set w0 netns {one.name}")
    one.ip("link add k0 type ifb")
    now = lives(one)
    assert now["w0"] == born["v0"]
    assert now["k0"] > max(born.values())


@pytest.mark.skipif(sys.platform != "linux", reason="needs sysfs")
def test_the_life_of_another_link_under_the_same_name_is_not_told():
    assert life_of("lo", 1) == os.stat("/sys/class/net/lo").st_ino
    assert life_of("lo", 2) == 0
    assert life_of("there-is-no-such-link", 1) == 0
