"""More link events than the kernel keeps for the recorder: declared as a gap, and counting goes on exactly."""

import signal

import pytest
from support.book import assert_it_adds_up, epochs, gaps, recorded
from support.namespace import added, difference
from support.patience import until

from netusage.model import ZERO

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]

_TOO_MANY = 24_000  # changes; the event buffer of 16 MB holds some 7,000


def test_lost_link_events_are_a_declared_gap_and_counting_goes_on_exactly(space, record, ledger):
    space.pair("va", "vb")
    space.pair("wa", "wb", index=4001)
    recorder = record(space, commit="100ms")
    before = space.counters()
    space.send("va", 10)
    space.send("wa", 20)
    before_removal = space.counters()
    until(lambda: recorded(ledger).get("wb", ZERO).rx_packets == 20, "the reading of all that")
    recorder.send(signal.SIGSTOP)
    space.batch(f"link set lo alias flood-{n}" for n in range(_TOO_MANY))
    space.ip("link", "del", "wa")  # nobody is told
    space.pair("wa", "wb", index=4001)
    space.send("wa", 7)
    space.pair("xa", "xb")
    space.send("xb", 8)
    space.send("va", 30)
    recorder.send(signal.SIGCONT)
    recorder.wait_for_words("declared as a gap")
    space.send("va", 40)
    space.send("xa", 5)
    truth = added(
        difference(
            before,
            before_removal | {name: value for name, value in space.counters().items() if name[0] in "vx"},
        ),
        {name: value for name, value in space.counters().items() if name[0] == "w"},
    )
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert len(epochs(ledger, "va")) == 1
    assert len(epochs(ledger, "wa")) == 2
    assert [row["lossy"] for row in gaps(ledger, kind="events-lost")] == [1]
    assert gaps(ledger, kind="vanished", interface="wa", lossy=1)
    assert recorder.err.count("declared as a gap") == 1
    assert_it_adds_up(ledger)
