"""Counters by owner from programs in the kernel: every packet that interfaces count.

Needs Linux with BTF (`bpf/applications.bpf.c`) or without it (`bpf/before_queueing.bpf.c`), the privileges CAP_BPF,
CAP_PERFMON and CAP_NET_ADMIN, and the root of the unified cgroup tree.
"""

import contextlib
import errno
import os
import socket
import struct
from functools import partial
from mmap import mmap
from typing import NamedTuple, Self

from netusage.errors import SourceError
from netusage.sources.applications import bpf, cgroups, skeleton
from netusage.sources.applications.counts import KERNEL, Count, Key, Owner, Scope
from netusage.sources.applications.pins import Pins, can_pin

_WITHOUT_NAMESPACES = b"\0"  # packets_have_namespaces in bpf/counting.h
# those for newer kernels first
_KERNEL = ("applications.skeleton", "older_kernels.skeleton")
_BEFORE_QUEUEING = ("before_queueing.skeleton",)
# the programs, as they are attached, and those that are attached to cgroups
_IN_ORDER = ("made", "sent", "received", "found", "transmit", "egress", "ingress")
_OF_CGROUPS = {"made": bpf.ATTACH_SOCK_CREATE, "egress": bpf.ATTACH_EGRESS, "ingress": bpf.ATTACH_INGRESS}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OVERFLOW_SLOTS = 256
_SLOTS = 16384
_KEY = struct.Struct("=QQIBBBB")
_COUNTER = struct.Struct("=8Q")
_count = partial(tuple.__new__, Count)  # `Count._make` that need not see how many there are
_STATE = struct.Struct("=5Q")
_PATH_PARTS, _PART_LENGTH = 8, 48
_CGROUP_PARTS, _CGROUP_LENGTH = 5, 96
_OWNER = struct.Struct(f"=QQIII4x16s256s{_PATH_PARTS * _PART_LENGTH}s{_CGROUP_PARTS * _CGROUP_LENGTH}s")
_SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h, since Linux 5.14


class State(NamedTuple):
    """What the programs say of themselves: see `struct state` in bpf/layout.h.

    born: tells this life of the counters, which began at zero, from any other.
    """

    slots_used: int
    overflows: int
    nameless: int
    without_storage: int
    born: int


class KernelApplications:
    """Loads and attaches the programs, and reads what they count; a context manager.

    Args:
        cgroup: the root of the unified cgroup tree, or a part of it; None looks for it.
        pins: a directory of a BPF file system in which the programs stay when the process ends, and where those of an
            earlier one are taken up: they have counted meanwhile. None takes them off at the end.
        anew: take up nothing, and count from zero.
        before_queueing: load the programs that need no BTF of the kernel. What is sent they count before queues drop it
            and software divides it, and without Ethernet headers; sockets that are older have no name.

    Attributes:
        tier: what the counts are exact for: "kernel", or "kernel before queueing".
        lasts: the programs stay when the process ends.
        frames: what is sent is counted with its Ethernet header; see `framing.as_counted`.
        hands_over: a socket belongs to who used it last, which Linux 6.3 and newer tell; else to who made it.
        cgroups: a path of that root, for as long as this is open.

    Raises:
        SourceError: the kernel refused, or there is no such tree.
    """

    def __init__(
        self,
        cgroup: str | None = None,
        pins: str | None = None,
        *,
        anew: bool = False,
        before_queueing: bool = False,
    ) -> None:
        self.tier = "kernel before queueing" if before_queueing else "kernel"
        self.lasts = pins is not None
        self.frames = not before_queueing
        self.hands_over = False
        self._skeletons = _BEFORE_QUEUEING if before_queueing else _KERNEL
        self._open: list[int] = []
        self._mapped: list[mmap] = []
        self._places: list[Key | None] = [None] * _OVERFLOW_SLOTS  # whose each counter is
        self._unwritten: set[int] = set()
        try:
            root = os.open(cgroup, _DIRECTORY) if cgroup is not None else cgroups.open_root()
            self.cgroups = f"/proc/self/fd/{self._opened(root)}"
            fds = self._maps = self._kept_or_loaded(root, pins, anew=anew)
            self.hands_over = "received" in fds
            self._state = self._map(fds["states"], _STATE.size)
            self._keys = self._map(fds["keys"], _KEY.size * _SLOTS)
            self._counters = self._map(fds["counters"], _COUNTER.size * _SLOTS)
        except OSError as error:
            self.close()
            raise SourceError(
                f"the kernel does not count by application here: {error.strerror or error}",
                hint=_hint(error, pins, before_queueing=before_queueing),
            ) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _kept_or_loaded(self, root: int, pins: str | None, *, anew: bool) -> dict[str, int]:
        """The maps that are read and the links, by name."""
        if pins is not None and not anew:
            for name in self._skeletons:
                fds = Pins(pins, skeleton.build(name)).find()
                self._open += fds.values()
                if fds:
                    return fds
        name, loaded = self._loaded()
        fds = self._attached(root, loaded)
        if pins is not None:
            Pins(pins, skeleton.build(name)).keep(fds)
        return fds

    def _loaded(self) -> tuple[str, skeleton.Loaded]:
        """The first of the skeletons that the kernel takes, and what came of it; its reasons against the first one."""
        refusals = []
        for name in self._skeletons:
            for constants in (b"", _WITHOUT_NAMESPACES):
                try:
                    return name, skeleton.load(name, constants)
                except OSError as error:
                    refusals.append(error)
        raise refusals[0]

    def _attached(self, root: int, loaded: skeleton.Loaded) -> dict[str, int]:
        """Maps and links of programs that count from now on.

        Owners first, so that nothing is counted whose owner could not be known.
        """
        maps, programs = loaded
        self._open += [*maps.values(), *programs.values()]
        born = _STATE.pack(0, 0, 0, 0, int.from_bytes(os.urandom(7), "little"))
        bpf.update(maps["states"], struct.pack("=I", 0), born)
        links = {}
        for name in _IN_ORDER:
            if name == "found" and name in programs:
                bpf.run_iterator(programs[name])
            elif name in _OF_CGROUPS and name in programs:
                links[name] = self._opened(bpf.link_to_cgroup(programs[name], root, _OF_CGROUPS[name]))
            elif name in programs:
                links[name] = self._opened(bpf.link_to_tracepoint(programs[name]))
        return {name: maps[name] for name in ("owners", "states", "keys", "counters")} | links

    def _opened(self, fd: int) -> int:
        self._open.append(fd)
        return fd

    def _map(self, fd: int, size: int) -> mmap:
        self._mapped.append(bpf.mapped(fd, size))
        return self._mapped[-1]

    def close(self) -> None:
        """Let go of everything, and take the programs off unless they are pinned; may be called twice."""
        for one in self._mapped:
            one.close()
        for fd in reversed(self._open):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._mapped.clear()
        self._open.clear()

    @property
    def born(self) -> int:
        """Tells this life of the counters, which began at zero, from any other."""
        return self.state().born

    def look(self) -> None:
        """Nothing has to be seen in time: the kernel notes who owners are."""

    @property
    def losses(self) -> int:
        """Packets and owners for which there was no room, so that they have no name."""
        state = self.state()
        return state.overflows + state.nameless

    def state(self) -> State:
        """What the programs say of themselves."""
        return State(*_STATE.unpack_from(self._state))

    def is_nearly_full(self) -> bool:
        """Whether three quarters of the counters are taken, or an owner could not be described any more."""
        state = self.state()
        return state.slots_used > 3 * _SLOTS // 4 or state.nameless > 0 or state.overflows > 0

    def read(self) -> dict[Key, Count]:
        """Everything that was counted since the programs were loaded.

        What no slot of its own could be had for is under the owner KERNEL with an interface's last eight bits for its
        number, and counted in `State.overflows`.
        """
        state = self.state()
        used = min(state.slots_used + _OVERFLOW_SLOTS, _SLOTS)
        self._note_keys(used)
        first = _OVERFLOW_SLOTS * _COUNTER.size
        counts = map(_count, _COUNTER.iter_unpack(self._counters[first : used * _COUNTER.size]))
        keys = self._places[_OVERFLOW_SLOTS:]
        found = {key: count for key, count in zip(keys, counts, strict=True) if key is not None}
        if state.overflows:
            for place, values in enumerate(_COUNTER.iter_unpack(self._counters[:first])):
                if any(values):
                    found[Key(KERNEL, 0, place, Scope.INTERNET, 0, 0)] = Count(*values)
        return found

    def _note_keys(self, used: int) -> None:
        """Read the keys of counters that are new; a key never changes once it is written."""
        self._unwritten.update(range(len(self._places), used))
        self._places += [None] * (used - len(self._places))
        for place in sorted(self._unwritten):
            end = (place + 1) * _KEY.size
            if self._keys[
                end - 1
            ]:  # what is written last is looked at first: the kernel may be writing right now
                owner, netns, ifindex, scope, protocol, family, _ = _KEY.unpack_from(
                    self._keys, end - _KEY.size
                )
                self._places[place] = Key(owner, netns, ifindex, Scope(scope), protocol, family)
                self._unwritten.discard(place)

    def owner(self, number: int) -> Owner | None:
        """Who an owner is; None for those that are none, and where there was no room for a description."""
        raw = bpf.lookup(self._maps["owners"], struct.pack("=Q", number), _OWNER.size)
        if raw is None:
            return None
        inode, cgroup, device, uid, tgid, comm, script, path, cgroups_ = _OWNER.unpack(raw)
        cgroup_path = _path(cgroups_, _CGROUP_LENGTH) or ("/" if self.frames else "")
        return Owner(
            inode,
            cgroup,
            device,
            uid,
            tgid,
            _text(comm),
            _text(script),
            _path(path, _PART_LENGTH),
            cgroup_path,
        )


def _hint(error: OSError, pins: str | None, *, before_queueing: bool) -> str:
    if os.geteuid():
        return "run it as root, or give it CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"
    if error.errno in (errno.EPERM, errno.EACCES) and pins is not None and not can_pin(pins):
        return "pins need a BPF file system: mount -t bpf none /sys/fs/bpf"
    if error.errno in (errno.EPERM, errno.EACCES):
        return "it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and no sandbox that forbids bpf(2)"
    if isinstance(error, FileNotFoundError):
        return "mount the unified cgroup tree: mount -t cgroup2 none /sys/fs/cgroup/unified"
    if before_queueing:
        return "it needs Linux 5.14 or newer with BPF (CONFIG_CGROUP_BPF) and the unified cgroup tree"
    return "it needs Linux 5.17 or newer with BPF, BTF (CONFIG_DEBUG_INFO_BTF) and the unified cgroup tree"


def _text(raw: bytes) -> str:
    return os.fsdecode(raw.partition(b"\0")[0])


def _path(raw: bytes, length: int) -> str:
    """A path of its parts, each of so many bytes, the last one first; the root's name is a slash, or nothing.

    "" where there are no parts.
    """
    parts = [_text(raw[at : at + length]) for at in range(0, len(raw), length)]
    found: list[str] = []
    if not parts[0]:
        return ""
    for part in parts:
        if part in ("/", ""):
            return "/" + "/".join(reversed(found))
        found.append(part)
    return "…/" + "/".join(reversed(found))


def netns_cookie() -> int:
    """The cookie of the calling thread's network namespace: a number that no other one gets until the next boot."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return int(struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))[0])
