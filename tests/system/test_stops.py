"""A recorder that is stopped, killed or held up for longer than a reading may take: all bytes, marked as estimated."""

import signal
import time

import pytest
from support.book import assert_it_adds_up, epochs, gaps, recorded, rows
from support.namespace import added, difference
from support.patience import until

from netusage.model import ZERO

pytestmark = [pytest.mark.system, pytest.mark.root]

_TOO_LONG = 5.3  # seconds; readings further apart than 5 s are an estimated stretch


def _spans(ledger):
    found = rows(
        ledger, "SELECT s.*, i.name FROM span s JOIN interface i ON i.id = s.interface_id ORDER BY i.name"
    )
    return {row["name"]: (row["rx_bytes"], row["tx_bytes"], row["kind"]) for row in found}


def _is_gap(row, seconds):
    return row["end_us"] - row["start_us"] >= seconds * 1_000_000 and not row["lossy"]


@pytest.mark.parametrize("kind", ["stopped", "killed"])
def test_what_passed_while_no_recorder_ran_is_recorded_as_estimated(space, record, ledger, kind):
    space.pair("va", "vb")
    recorder = record(space)
    space.send("va", 10)
    if kind == "stopped":
        assert recorder.stop() == 143
    else:
        recorder.kill()
    space.send("va", 500)
    space.send("vb", 100, 300)
    time.sleep(_TOO_LONG)
    recorder = record(space)
    space.send("va", 20)
    truth = added(space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    during = 500_000 if kind == "stopped" else 510_000
    assert _spans(ledger) == {"va": (30_000, during, kind), "vb": (during, 30_000, kind)}
    (gap,) = gaps(ledger)
    assert gap["kind"] == kind
    assert _is_gap(gap, _TOO_LONG)
    assert [row["ended"] for row in rows(ledger, "SELECT ended FROM run ORDER BY id")] == [
        "stopped" if kind == "stopped" else None,
        "stopped",
    ]
    assert len(epochs(ledger, "va")) == 1
    assert_it_adds_up(ledger)


def test_what_passed_while_the_recorder_was_held_up_is_recorded_as_estimated(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, commit="100ms")
    space.send("va", 10)
    until(lambda: recorded(ledger).get("vb", ZERO).rx_packets == 10, "the reading of that")
    recorder.send(signal.SIGSTOP)
    space.send("vb", 70, 100)
    time.sleep(_TOO_LONG)
    recorder.send(signal.SIGCONT)
    until(lambda: _spans(ledger), "the reading after that")
    space.send("va", 20)
    truth = added(space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert _spans(ledger) == {"va": (7000, 0, "stalled"), "vb": (0, 7000, "stalled")}
    (gap,) = gaps(ledger)
    assert gap["kind"] == "stalled"
    assert _is_gap(gap, _TOO_LONG - 0.5)
    assert len(rows(ledger, "SELECT * FROM watched")) == 2
    assert_it_adds_up(ledger)


def test_interfaces_that_came_and_went_while_no_recorder_ran_are_counted_and_declared(space, record, ledger):
    space.pair("va", "vb")
    space.pair("wa", "wb")
    recorder = record(space)
    space.send("va", 10)
    space.send("wa", 10)
    truth = added(space.counters())
    assert recorder.stop() == 143
    space.ip("link", "del", "va")
    space.pair("xa", "xb")
    space.send("xa", 30)
    space.ip("link", "set", "wa", "name", "ya")
    space.send("ya", 40)
    recorder = record(space)
    space.send("xb", 7)
    now = space.counters()
    assert recorder.stop() == 143
    found = recorded(ledger)
    assert [found[name] for name in ("va", "vb", "xa", "xb")] == [
        truth["va"],
        truth["vb"],
        now["xa"],
        now["xb"],
    ]
    both = added({"": found["wa"]}, {"": found.get("ya", ZERO)})  # nobody saw when it was renamed
    assert both == {"": now["ya"]}
    assert {row["interface"] for row in gaps(ledger, kind="vanished", lossy=1)} == {"va", "vb"}
    assert_it_adds_up(ledger)


def test_the_last_reading_is_taken_at_the_very_stop(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, sample="60s", commit="10min")
    before = space.counters()
    space.send("va", 123)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert_it_adds_up(ledger)
