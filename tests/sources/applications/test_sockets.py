"""What an ordinary user learns of TCP: for each life of a connection, payload to the byte, once, and whose it is."""

import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter

import pytest
from support.patience import until

from netusage.errors import SourceError
from netusage.sources.applications import sockets, sockets_ends
from netusage.sources.applications.counts import UNNAMED, Owner, Scope
from netusage.sources.applications.kernel import netns_cookie
from netusage.sources.applications.sockets import SocketApplications

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]

NOBODY, SOMEBODY = 65534, 65533
TALK = """
    import os, socket, sys
    port, pairs, times, size, answer = map(int, sys.argv[1:])
    listeners = [socket.create_server(("127.0.0.1", port + n), backlog=1024) for n in range(pairs)]

    def serve(listener):
        for _ in range(times):
            connection = listener.accept()[0]
            while connection.recv(1 << 16):
                pass
            connection.sendall(bytes(answer))
            connection.close()

    def connect(n):
        for _ in range(times):
            connection = socket.create_connection(("127.0.0.1", port + n))
            connection.sendall(bytes(size))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
            connection.close()

    for n, listener in enumerate(listeners):
        for act, what in ((serve, listener), (connect, n)):
            if not os.fork():
                act(what)
                os._exit(0)
    for _ in range(2 * pairs):
        assert os.wait()[1] == 0
"""
# Modules are imported before: another user may not be able to read them. As after exec, its /proc is its own.
BECOME = """
    import ctypes, encodings.idna, json, os, socket, sys
    import netusage.sources.applications.sockets as sockets
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
"""
WATCH = (
    BECOME
    + """
    with sockets.SocketApplications() as applications:
        print("ready", flush=True)
        for _ in sys.stdin:
            found = [
                [count.rx_bytes, count.tx_bytes, key.owner, applications.owner(key.owner)]
                for key, count in applications.read().items()
            ]
            print(json.dumps([applications.losses, found]), flush=True)
"""
)
HOLD = (
    BECOME
    + """
    listener = socket.create_server(("127.0.0.1", 0))
    ends = [socket.create_connection(listener.getsockname()), listener.accept()[0]]
    print("ready", flush=True)
    for line in sys.stdin:
        ends[0].sendall(bytes(int(line)))
        ends[1].recv(int(line), socket.MSG_WAITALL)
"""
)


class Clock:
    """The system's, but for what it is put forward."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


class Watched:
    """`SocketApplications` in a namespace; each reading asks for the living sockets, unless its clock is true."""

    def __init__(self, space):
        self._clock = Clock()
        self._step = 1
        self.applications = space.inside(lambda: SocketApplications(self._clock))

    def read(self):
        self._clock.ahead += self._step
        return self.applications.read()

    def keep_time(self):
        """Let the clock be true from here on."""
        self._clock.ahead = self._step = 0

    def total(self):
        """Received and sent bytes of all keys together."""
        counts = self.read().values()
        return sum(count.rx_bytes for count in counts), sum(count.tx_bytes for count in counts)

    def wait_for(self, rx, tx):
        """Wait for these totals; they stay so."""
        until(lambda: self.total() == (rx, tx), lambda: f"{(rx, tx)}, not {self.total()}")
        assert self.total() == (rx, tx)

    def by_place(self):
        """Received and sent bytes by interface, scope and family."""
        found = Counter(), Counter()
        for key, count in self.read().items():
            found[0][key.ifindex, key.scope, key.family] += count.rx_bytes
            found[1][key.ifindex, key.scope, key.family] += count.tx_bytes
        return {place: (found[0][place], found[1][place]) for place in found[0]}


@pytest.fixture
def watch():
    """Starts watching a namespace."""
    made = []

    def begin(space):
        made.append(Watched(space))
        return made[-1]

    yield begin
    for one in made:
        one.applications.close()


class Scripts:
    """Scripts in one namespace, which listen to what they are told; they are ended and reaped with `close`."""

    def __init__(self, space, directory):
        self._space = space
        self._directory = directory
        self._processes = []

    def start(self, name, code, *arguments, **options):
        path = self._directory / name
        path.write_text(textwrap.dedent(code))
        command = self._space.command(sys.executable, str(path), *map(str, arguments))
        self._processes.append(subprocess.Popen(command, text=True, **options))
        return self._processes[-1]

    def start_talk(self, pairs, times, size=100, answer=300):
        return self.start("talk.py", TALK, 5000, pairs, times, size, answer)

    def talk(self, pairs, times):
        assert self.start_talk(pairs, times).wait(60) == 0

    def begin_as(self, user, name, code):
        process = self.start(name, code, user, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n"
        return process

    def close(self):
        for process in self._processes:
            process.kill()
            with process:  # closes the pipes, and waits
                pass


@pytest.fixture
def scripts(space, tmp_path):
    made = Scripts(space, tmp_path)
    yield made
    made.close()


def tell(process, line=""):
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def ask(process):
    """What an ordinary user's process has counted: losses, and bytes and owner of each key."""
    tell(process)
    losses, found = json.loads(process.stdout.readline())
    return losses, [(rx, tx, number, owner and Owner(*owner)) for rx, tx, number, owner in found]


@pytest.fixture
def connected():
    """Makes connections in a namespace: both ends, which are closed at the end."""
    made = []

    def make(space, address="127.0.0.1", *, peer=None, dual=False, port=0):
        family = socket.AF_INET6 if ":" in address or dual else socket.AF_INET
        bind = "::" if dual else address
        with (peer or space).inside(
            lambda: socket.create_server((bind, port), family=family, dualstack_ipv6=dual)
        ) as listener:
            name = (address, listener.getsockname()[1])
            made.append(space.inside(lambda: socket.create_connection(name, timeout=20)))
            made.append(listener.accept()[0])
        made[-1].settimeout(20)
        return made[-2:]

    yield make
    for one in made:
        one.close()


def send(one, other, size):
    """Send from one end to the other, which reads all of it."""
    sender = threading.Thread(target=one.sendall, args=(bytes(size),))
    sender.start()
    left = size
    while left:
        left -= len(other.recv(min(left, 1 << 16)))
    sender.join()


def finish(client, server):
    """Close a connection, the client first; both have read to the end."""
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    server.close()
    assert client.recv(1) == b""
    client.close()


# ---- Bytes ------------------------------------------------------------------------------------------------------


def test_an_ordinary_user_has_every_byte_of_20000_short_connections(scripts):
    watcher = scripts.begin_as(NOBODY, "watch.py", WATCH)
    scripts.talk(pairs=4, times=5000)
    found = until(lambda: _complete(watcher, 20_000 * 400), "every byte")
    assert found == (0, 20_000 * 400, 20_000 * 400)


def _complete(watcher, size):
    """Losses and totals, when there is nothing to come."""
    losses, found = ask(watcher)
    rx, tx = sum(each[0] for each in found), sum(each[1] for each in found)
    return (losses, rx, tx) if losses or min(rx, tx) >= size else None


def test_small_buffers_are_many_and_each_message_is_in_one_of_them(space, watch, scripts, monkeypatch):
    monkeypatch.setattr(sockets_ends, "_BUFFER", 212_992)
    watched = watch(space)
    assert len(watched.applications._ends.fds) == 32
    scripts.talk(pairs=2, times=500)
    watched.wait_for(1000 * 400, 1000 * 400)


def test_what_finds_no_room_in_the_buffer_is_a_loss(space, watch, scripts, monkeypatch):
    monkeypatch.setattr(sockets_ends, "_BUFFER", 4096)
    monkeypatch.setattr(sockets_ends, "_MOST_SOCKETS", 1)
    watched = watch(space)
    with watched.applications._lock:
        scripts.talk(pairs=1, times=100)
    rx, _ = until(lambda: watched.applications.losses and watched.total(), "a loss")
    assert rx < 100 * 400
    scripts.talk(pairs=1, times=1)
    assert until(lambda: watched.total()[0] > rx and watched.total()[0] - rx, "new bytes") <= 400


def test_a_long_connection_is_exact_while_it_lives_and_afterwards(space, watch, connected):
    watched = watch(space)
    client, server = connected(space)
    watched.wait_for(0, 0)
    rx = tx = 0
    for size in (1, 1_000_000, 5_000_000, 17):
        send(client, server, size)
        send(server, client, 2 * size)
        rx, tx = rx + 3 * size, tx + 3 * size
        watched.wait_for(rx, tx)
    finish(client, server)
    watched.wait_for(rx, tx)


def test_sockets_older_than_the_source_count_only_from_then_on(space, watch, connected):
    ends = [connected(space) for _ in range(3)]
    for client, server in ends:
        send(client, server, 100_000)
        send(server, client, 50_000)
    watched = watch(space)
    finish(*ends[0])
    send(*ends[1], 1000)
    finish(*ends[1])
    watched.wait_for(1000, 1000)
    send(*ends[2], 70)
    watched.wait_for(1070, 1070)


def test_a_connection_that_was_reset_before_and_is_closed_afterwards_does_not_count(space, watch, connected):
    client, server = connected(space)
    send(client, server, 100_000)
    _reset(client)
    until(lambda: server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "the reset")
    time.sleep(0.05)
    watched = watch(space)
    watched.keep_time()
    server.close()
    send(*connected(space), 10)
    watched.wait_for(10, 10)


def _reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_connection_that_was_reset_counts_once_however_late_it_is_closed(space, watch, connected):
    watched = watch(space)
    client, server = connected(space)
    send(client, server, 100_000)
    watched.wait_for(100_000, 100_000)
    _reset(client)
    for _ in range(3):
        watched.wait_for(100_000, 100_000)
    server.close()
    send(*connected(space), 10)
    watched.wait_for(100_010, 100_010)


def test_ends_that_are_awaited_for_too_long_are_forgotten_and_do_not_count_again(
    space, watch, connected, monkeypatch
):
    monkeypatch.setattr(sockets, "_ENDS_AWAITED", 0)
    watched = watch(space)
    client, server = connected(space)
    send(client, server, 100_000)
    watched.wait_for(100_000, 100_000)
    _reset(client)
    time.sleep(0.05)
    watched.wait_for(100_000, 100_000)
    assert not watched.applications._known
    watched.keep_time()
    watched.applications._dumped_at = watched.applications._since = time.monotonic()
    server.close()
    send(*connected(space), 10)
    watched.wait_for(100_010, 100_010)


def test_a_socket_that_is_connected_again_counts_both_times(space, watch, connected):
    watched = watch(space)
    client, server = connected(space)
    send(client, server, 5000)
    watched.wait_for(5000, 5000)
    client.settimeout(None)
    with space.inside(lambda: socket.create_server(("127.0.0.1", 0))) as listener:
        kind = struct.pack("=H14x", socket.AF_UNSPEC)
        address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", listener.getsockname()[1])
        for name in (kind, address + socket.inet_aton("127.0.0.1") + bytes(8)):
            assert _connect(client.fileno(), name) == 0
        again = listener.accept()[0]
    with again:
        send(client, again, 700)
        watched.wait_for(5700, 5700)


def _connect(fd, name):
    import ctypes

    return ctypes.CDLL(None).connect(fd, name, len(name))


def test_nothing_counts_twice_when_sockets_close_while_others_are_listed(space, watch, scripts):
    watched = watch(space)
    talk = scripts.start_talk(pairs=2, times=1500)
    while talk.poll() is None:
        rx, tx = watched.total()
        assert rx <= 3000 * 400
        assert tx <= 3000 * 400
    assert talk.returncode == 0
    watched.wait_for(3000 * 400, 3000 * 400)


@pytest.mark.parametrize("closer", [0, 1])
def test_whoever_closes_first_counts_are_off_by_no_more_than_the_fin(space, watch, connected, closer):
    watched = watch(space)
    for _ in range(20):
        ends = connected(space)
        send(*ends, 100)
        ends[closer].close()
        assert ends[1 - closer].recv(1) == b""
        ends[1 - closer].close()
    rx, tx = until(lambda: watched.total()[1] == 2000 and watched.total(), "all that was sent")
    assert tx == 2000
    assert 0 <= 2000 - rx <= 20


def test_what_the_queue_of_an_interface_drops_was_not_sent(spaces, watch, connected):
    left, right = cable(spaces)
    limit = ("rate", "200mbit", "burst", "16k", "limit", "20000")
    subprocess.run(
        ("tc", "-n", left.name, "qdisc", "add", "dev", "cable", "root", "tbf", *limit), check=True, timeout=20
    )
    watched = watch(left)
    ends = [connected(left, "10.9.0.2", peer=right, port=5000 + n) for n in range(8)]
    senders = [threading.Thread(target=send, args=(*pair, 500_000)) for pair in ends]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    for pair in ends:
        finish(*pair)
    watched.wait_for(0, 8 * 500_000)


# ---- Where ------------------------------------------------------------------------------------------------------


def cable(spaces):
    """Two namespaces with a cable between them, 10.9.0.1 and 10.9.0.2."""
    left, right = spaces(), spaces()
    left.pair("cable", "cable", peer=right, index=177, other_index=178)
    for space, own in ((left, 1), (right, 2)):
        space.ip("addr", "add", f"10.9.0.{own}/24", "dev", "cable")
    return left, right


def test_a_connection_over_the_cable_is_the_cable_s_and_what_stays_here_is_that_of_lo(
    spaces, watch, connected
):
    left, right = cable(spaces)
    watched = watch(left), watch(right)
    client, server = connected(left, "10.9.0.2", peer=right)
    send(client, server, 1000)
    send(server, client, 300)
    send(*connected(left), 10)
    send(*connected(left, "10.9.0.1"), 7)
    watched[0].wait_for(317, 1017)
    assert watched[0].by_place() == {
        (177, Scope.LAN, 4): (300, 1000),
        (1, Scope.LOOPBACK, 4): (10, 10),
        (1, Scope.LAN, 4): (7, 7),
    }
    watched[1].wait_for(1000, 300)
    assert watched[1].by_place() == {(178, Scope.LAN, 4): (1000, 300)}
    keys = watched[0].read().keys()
    assert {key.netns for key in keys} == {left.inside(netns_cookie)}
    assert {key.protocol for key in keys} == {6}


def test_an_address_that_is_new_is_looked_up(spaces, watch, connected):
    left, right = cable(spaces)
    watched = watch(left)
    left.ip("addr", "add", "10.9.0.9/24", "dev", "cable")
    left.ip("route", "add", "10.9.0.2", "dev", "cable", "src", "10.9.0.9")
    watched._clock.ahead += 1
    client, server = connected(left, "10.9.0.2", peer=right)
    send(client, server, 50)
    finish(client, server)
    watched.wait_for(0, 50)
    assert watched.by_place() == {(177, Scope.LAN, 4): (0, 50)}


def test_ipv6_is_ipv6_and_ipv4_on_a_socket_of_ipv6_is_ipv4(space, watch, connected):
    space.inside(_with_ipv6)
    watched = watch(space)
    ends = connected(space, "::1"), connected(space, dual=True)
    for size, pair in zip((1000, 20), ends, strict=True):
        send(*pair, size)
    watched.wait_for(1020, 1020)
    expected = {(1, Scope.LOOPBACK, 6): (1000, 1000), (1, Scope.LOOPBACK, 4): (20, 20)}
    assert watched.by_place() == expected
    for pair in ends:
        finish(*pair)
    short = connected(space, "::1")
    send(*short, 3)
    finish(*short)
    watched.wait_for(1023, 1023)
    assert watched.by_place() == expected | {(1, Scope.LOOPBACK, 6): (1003, 1003)}


def _with_ipv6():
    for which in ("all", "default", "lo"):
        with open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as file:
            file.write("0")


# ---- Whose ------------------------------------------------------------------------------------------------------


def test_who_has_a_living_connection_is_known_by_its_script(space, watch, scripts):
    watched = watch(space)
    holder = scripts.begin_as(SOMEBODY, "hold.py", HOLD)
    tell(holder, 1000)
    watched.wait_for(1000, 1000)
    owners = {key.owner for key in watched.read()}
    assert len(owners) == 1
    owner = watched.applications.owner(owners.pop())
    about = os.stat(f"/proc/{holder.pid}/exe")
    assert os.path.basename(owner.script) == "hold.py"
    assert (owner.uid, owner.tgid, owner.exe_inode) == (SOMEBODY, holder.pid, about.st_ino)
    assert owner.exe_device == os.major(about.st_dev) << 20 | os.minor(about.st_dev)
    assert owner.path == os.readlink(f"/proc/{holder.pid}/exe")
    assert owner.cgroup
    assert owner.comm


def test_processes_of_one_application_are_one_owner(space, watch, scripts):
    watched = watch(space)
    for _ in range(2):
        tell(scripts.begin_as(SOMEBODY, "hold.py", HOLD), 1000)
    watched.wait_for(2000, 2000)
    assert len({key.owner for key in watched.read()}) == 1


def test_an_ordinary_user_knows_own_processes_and_of_others_the_user(scripts):
    watcher = scripts.begin_as(NOBODY, "watch.py", WATCH)
    for user, size in ((NOBODY, 1000), (SOMEBODY, 200)):
        tell(scripts.begin_as(user, f"hold{user}.py", HOLD), size)
    losses, found = until(lambda: _both(watcher), "both connections")
    own, other = sorted(found, reverse=True)
    assert losses == 0
    assert own[:2] == (1000, 1000)
    assert os.path.basename(own[3].script) == f"hold{NOBODY}.py"
    assert other[:2] == (200, 200)
    assert other[3] == Owner(0, other[3].cgroup, 0, SOMEBODY, 0, "", "", "")


def _both(watcher):
    losses, found = ask(watcher)
    return (losses, found) if sorted(each[0] for each in found) == [200, 1000] else None


def test_who_had_what_was_seen_only_at_its_end_is_not_known(space, watch, scripts):
    watched = watch(space)
    scripts.talk(pairs=1, times=1)
    until(lambda: sum(count.rx_bytes for count in watched.applications.read().values()) == 400, "the ends")
    assert {key.owner for key in watched.read()} == {UNNAMED}
    assert watched.applications.owner(UNNAMED) is None


def test_processes_are_looked_through_only_for_sockets_that_are_new(space, watch, connected, monkeypatch):
    from netusage.sources.applications import sockets_owners

    looks = []
    whole = sockets_owners._processes_of
    monkeypatch.setattr(sockets_owners, "_processes_of", lambda inodes: looks.append(inodes) or whole(inodes))
    watched = watch(space)
    watched.read()
    assert looks == []
    pair = connected(space)
    send(*pair, 10)
    watched.wait_for(10, 10)
    watched.wait_for(10, 10)
    assert looks == [{os.fstat(one.fileno()).st_ino for one in pair}]


# ---- The source -------------------------------------------------------------------------------------------------


def test_living_sockets_are_listed_once_a_second_at_the_most(space, monkeypatch):
    now = [time.monotonic()]
    with space.inside(lambda: SocketApplications(lambda: now[0])) as applications:
        dumps = []
        monkeypatch.setattr(applications, "_dump", lambda: dumps.append(now[0]) or [])
        for step in (0.5, 0.4, 0.2, 0.9, 0.2):
            now[0] += step
            applications.read()
        assert len(dumps) == 2


def test_nothing_stays_open_or_running_after_close(space):
    def state():
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before = state()
    for _ in range(20):
        applications = space.inside(SocketApplications)
        applications.read()
        applications.close()
        applications.close()
        assert state() == before


def test_a_life_of_the_counters_has_a_number_of_its_own(space):
    with space.inside(SocketApplications) as one, space.inside(SocketApplications) as other:
        assert one.born != other.born
        assert 0 <= one.born < 1 << 56
        assert (one.tier, one.lasts, one.losses) == ("sockets", False, 0)
        assert not one.is_nearly_full()
        assert one.read() == {}


def test_it_is_nearly_full_when_it_holds_very_many_owners(space, monkeypatch):
    monkeypatch.setattr(sockets, "_OWNERS", -1)
    with space.inside(SocketApplications) as applications:
        assert applications.is_nearly_full()


def test_where_the_kernel_does_not_tell_the_error_says_what_is_needed(monkeypatch):
    def refuse(_protocol):
        raise PermissionError(1, "Operation not permitted")

    threads = threading.active_count()
    monkeypatch.setattr(sockets, "_netlink", refuse)
    with pytest.raises(
        SourceError, match="does not tell of TCP sockets here: Operation not permitted"
    ) as raised:
        SocketApplications()
    assert "tcp_diag" in raised.value.hint
    assert threading.active_count() == threads


def test_what_failed_once_has_failed_for_good_and_can_be_closed(space, monkeypatch):
    with space.inside(lambda: SocketApplications(Clock())) as applications:
        applications._clock.ahead = 1
        with monkeypatch.context() as patch:
            patch.setattr(sockets.parse, "decode_sockets", _make_no_sense)
            with pytest.raises(SourceError, match="no sense"):
                applications.read()
        with pytest.raises(SourceError, match="no sense"):
            applications.read()


def _make_no_sense(_data, _into):
    raise SourceError("it makes no sense")


def test_the_thread_s_failure_is_told_by_the_next_reading(space, monkeypatch, connected):
    with space.inside(SocketApplications) as applications:
        with monkeypatch.context() as patch:
            patch.setattr(sockets.parse, "decode_sockets", _make_no_sense)
            finish(*connected(space))
            until(lambda: applications._failure, "the failure")
        with pytest.raises(SourceError, match="no sense"):
            applications.read()
