import os
import socket
import sys

import pytest

from netusage.clock import boot_id
from netusage.sources.namespace import namespace_of, present_place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces exist on Linux only")


def test_every_socket_of_a_namespace_names_the_same_one():
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_INET) as other:
        assert namespace_of(one) == namespace_of(other) != 0


def test_the_present_place_is_in_the_namespace_of_new_sockets():
    with socket.socket(socket.AF_UNIX) as sock:
        place = present_place()
        assert (place.boot_id, place.namespace) == (boot_id(), namespace_of(sock))


def test_where_sockets_have_no_cookie_the_threads_namespace_file_stands_in():
    sock = socket.socket(socket.AF_UNIX)
    sock.close()  # cannot be asked any more
    assert namespace_of(sock) == os.stat("/proc/thread-self/ns/net").st_ino
