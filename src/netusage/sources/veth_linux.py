"""The final counters of veth links.

A veth link counts what it sends; what it received is what its other end sent (drivers/net/veth.c). A pair is
parted before it is removed, so the removal message, and the "down" message before it, lack what was received.
The last message of the other end tells it. Ends in other namespaces are heard of through NETLINK_LISTEN_ALL_NSID.
Pure; no system call.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netusage.model import ZERO, Counters, LinkEvent
from netusage.sources.interfaces_linux_parse import HERE, LinkMessage


@dataclass(slots=True)
class _End:
    """An end in this namespace, and what is known of the far one.

    far: the far end's namespace (as numbered here, HERE for this one) and index.
    last: the counters of this end when something last told them whole.
    near_up, far_up: whether the ends are up; a far end that was not heard of is taken to be up. Nothing passes
        unless both are.
    parted: the far end's own counters after the pair was parted.
    paired: the far end is known to have been told of as paired, or it was met before the messages that come now.
        Until then a message that says it has no other end may be its first one, or about an earlier pair.
    """

    far: tuple[int, int]
    last: Counters = ZERO
    near_up: bool = True
    far_up: bool = True
    parted: Counters | None = None
    paired: bool = False


class Pairs:
    """Follows the messages about both ends of every pair with an end in this namespace."""

    def __init__(self) -> None:
        self._ends: dict[int, _End] = {}
        self._near: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def know(self, messages: Sequence[LinkMessage]) -> None:
        """Take in a list of all links of this namespace, and forget those that are not there any more."""
        for index in self._ends.keys() - {message.link.index for message in messages}:
            self._forget(index)
        for message in messages:
            self._meet(message)
        for message in messages:
            self._hear(HERE, message)
        self._know_all()

    def complete(
        self, messages: Sequence[LinkMessage], elsewhere: Iterable[tuple[int, LinkMessage]] = ()
    ) -> list[LinkEvent]:
        """The events that the messages about this namespace are, with counters as whole as can be known.

        Args:
            messages: about links of this namespace, in their order.
            elsewhere: about links of other namespaces, which are numbered as here, in their order. How the two lists
                interleave is not known; every parting of a pair whose removal is in the first is in the second.
                An index there may be given again, so what is said of it after its parting is about another pair.
        """
        waiting: defaultdict[tuple[int, int], deque[LinkMessage]] = defaultdict(deque)
        for namespace, message in elsewhere:
            waiting[namespace, message.link.index].append(message)
        gone: set[int] = set()
        for message in messages:
            if message.link.index not in gone:
                self._note(message)
            if message.removed:
                gone.add(message.link.index)
        events = []
        gone.clear()
        for message in messages:
            if message.removed:
                gone.add(message.link.index)
                self._listen(message.link.index, waiting)
                events.append(message.event(*self._final(message)))
                continue
            if message.link.index in gone:  # another link under the same index
                self._note(message)
            # What a parted link received is not in its message.
            events.append(message.event(None if _is_parted(message) else message.counters))
        for index in self._ends:
            self._listen(index, waiting)
        self._know_all()
        return events

    def deafen(self) -> None:
        """Messages of other namespaces were lost: what was heard of far ends there may be out of date."""
        for end in self._ends.values():
            if end.far[0] != HERE:
                end.parted = None
                end.far_up = True

    def _know_all(self) -> None:
        for end in self._ends.values():
            end.paired = True

    def _listen(self, index: int, waiting: dict[tuple[int, int], deque[LinkMessage]]) -> None:
        """Take in what was said of the far end of a link of this namespace, until it is about another pair."""
        end = self._ends.get(index)
        messages = waiting.get(end.far) if end is not None else None
        if end is None or messages is None:
            return
        while messages:
            message = messages[0]
            is_paired, is_ours = message.link.lower != 0, message.link.lower in (0, index)
            went_down = end.parted is not None and min((message.counters or ZERO).minus(end.parted)) < 0
            if end.paired and (not is_ours or went_down or (is_paired and end.parted is not None)):
                return
            messages.popleft()
            if is_ours:
                self._hear_of(end, message)
                end.paired = end.paired or is_paired
            is_over = message.removed and not is_paired
            if is_over and end.paired:
                return
            if is_over or not is_ours:
                end.parted = None

    def _note(self, message: LinkMessage) -> None:
        if not message.removed:
            self._meet(message)
        self._hear(HERE, message)

    def _meet(self, message: LinkMessage) -> None:
        """Note what a message about a present link of this namespace says of it."""
        link = message.link
        if link.kind != "veth" or not link.lower:
            return
        end = self._ends.get(link.index)
        far = (message.lower_namespace, link.lower)
        if end is None or end.far != far:
            self._forget(link.index)
            end = self._ends[link.index] = _End(far)
            self._near[far] = link.index
        end.near_up = link.up
        end.parted = None
        end.last = message.counters or end.last

    def _hear(self, namespace: int, message: LinkMessage) -> None:
        """Note what a message about a link says of the other end of its pair, if that is in this namespace."""
        near = self._near.get((namespace, message.link.index), 0)
        end = self._ends.get(near)
        if end is not None and message.link.lower in (0, near):
            self._hear_of(end, message)

    @staticmethod
    def _hear_of(end: _End, message: LinkMessage) -> None:
        if message.counters is None:
            return
        if message.link.lower:
            end.parted = None
            end.far_up = message.link.up
            end.last = Counters(*map(max, end.last, _swapped(message.counters)))
        else:
            end.parted = message.counters

    def _final(self, message: LinkMessage) -> tuple[Counters | None, bool]:
        """The final counters of a link of this namespace that is gone, and whether they are whole."""
        end = self._forget(message.link.index)
        counters = message.counters
        if counters is None or not _is_parted(message):
            return counters, True
        if end is None:  # it was never seen with another end: nothing can have passed
            return counters, counters.is_zero
        if end.parted is not None:
            return counters.plus(_swapped(end.parted)), True
        return Counters(*map(max, counters, end.last)), not (end.near_up and end.far_up)

    def _forget(self, index: int) -> _End | None:
        end = self._ends.pop(index, None)
        if end is not None and self._near.get(end.far) == index:
            del self._near[end.far]
        return end


def _is_parted(message: LinkMessage) -> bool:
    """Whether a veth link has no other end: before it is paired, and after its pair was parted."""
    return message.link.kind == "veth" and not message.link.lower


def _swapped(counters: Counters) -> Counters:
    """The counters of the other end: what one received the other sent."""
    return Counters(counters.tx_bytes, counters.rx_bytes, counters.tx_packets, counters.rx_packets)
