import io

import pytest

from netusage.errors import SourceError
from netusage.model import NS, Counters, Instant, Link, LinkChange, LinkEvent, Place
from netusage.sources.base import EventsLostError
from netusage.sources.replay import PLACE, START, ReplayClock, ReplaySource, Step
from netusage.sources.replay_file import Capture, load

HEAD = '{"replay": 1}'


def script(tmp_path, *lines):
    path = tmp_path / "script.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_script_is_played_as_it_is_written(tmp_path):
    path = script(
        tmp_path,
        '{"replay": 1, "boot_ns": 5, "awake_ns": 4, "wall_us": 3, "boot_id": "b1", "namespace": 7, "machine": "m", '
        '"counter_bits": 32}',
        '{"links": [{"index": 2, "name": "größe", "life": 8, "counters": [1000, 500, 10, 5]}, '
        '{"index": 3, "name": "v0", "kind": "veth", "up": false, "master": 4, "lower": 5, "lower_elsewhere": true}]}',
        "",
        '{"after_ns": 1000, "awake_ns": 900, "wall_step_us": 2, "counters": {"größe": [9223372036854775807, 0, 1, 0]}}',
        '{"events": [{"change": "removed", "index": 3, "name": "v0", "counters": [1, 2, 3, 4], "whole": false}], "events_lost": true, '
        '"place": {"boot_id": "b2"}}',
        '{"failure": "broken"}',
    )
    source = load(path)
    assert source.counter_bits == 32
    assert source.place() == Place("b1", 7, "m")
    assert source.clock.now() == Instant(5, 4, 3)
    assert source.links() == [
        (Link(2, "größe", life=8), Counters(1000, 500, 10, 5)),
        (Link(3, "v0", "veth", up=False, master=4, lower=5, lower_elsewhere=True), Counters()),
    ]
    source.advance()
    assert source.clock.now() == Instant(1005, 904, 3 + 1 + 2)
    assert list(source.read().rx_bytes) == [2**63 - 1, 0]
    source.advance()
    assert source.events() == [
        LinkEvent(LinkChange.REMOVED, Link(3, "v0"), Counters(1, 2, 3, 4), whole=False)
    ]
    with pytest.raises(EventsLostError):
        source.events()
    assert source.place() == Place("b2")
    source.advance()
    with pytest.raises(SourceError, match="broken"):
        source.read()


def test_everything_has_a_default(tmp_path):
    source = load(script(tmp_path, HEAD))
    assert source.clock.now() == START
    assert source.place() == PLACE
    assert source.counter_bits == 64
    assert source.links() == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD, "{"], "line 2 of the script .* is wrong"),
        ([HEAD, "{}", '{"after": 5}'], "line 3 .* unknown field `after`"),
        ([HEAD, '{"links": [{"index": "2", "name": "a"}]}'], r"line 2 .* `\$\.links\[0\]\.index`"),
        ([HEAD, '{"links": [{"name": "a"}]}'], "line 2 .* missing required field `index`"),
        ([HEAD, '{"counters": {"a": [1, 2.5]}}'], r"line 2 .* `\$\.counters\[\.\.\.\]\[1\]`"),
        ([HEAD, '{"events": [{"change": "gone", "index": 1, "name": "a"}]}'], "line 2 .* 'gone'"),
        (["{}"], "line 1 .* missing required field `replay`"),
        (["[]"], "line 1"),
        (['{"replay": 2}'], "not a script of version 1"),
        ([""], "not a script of version 1"),
    ],
)
def test_a_mistake_in_a_script_is_told_with_its_place(tmp_path, lines, message):
    with pytest.raises(SourceError, match=message):
        load(script(tmp_path, *lines))


def test_a_script_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "script.jsonl"
    path.write_bytes(HEAD.encode() + b'\n{"failure": "\xff"}\n')
    with pytest.raises(SourceError, match="line 2"):
        load(path)


def test_a_script_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError, match="cannot read the script"):
        load(tmp_path / "missing.jsonl")


def played(source):
    """Everything that a source says, step by step."""
    said = []
    while True:
        events, lost = [], False
        try:
            while batch := source.events():
                events += batch
        except EventsLostError:
            lost = True
        except SourceError as error:
            said.append((source.clock.now(), str(error)))
        else:
            lost = lost or False
        if not said or said[-1][0] != source.clock.now():
            said.append((source.clock.now(), source.place(), source.links(), source.read(), events, lost))
        if not source.advance():
            return said


ETH0 = Link(2, "eth0", life=71)
VETH = Link(9, "veth9", "veth", up=False, lower=3, lower_elsewhere=True, life=72)
STEPS = [
    Step(links=[(ETH0, Counters(1, 2, 3, 4))]),
    Step(after_ns=NS, counters={"eth0": Counters(5, 6, 7, 8)}),
    Step(after_ns=8 * NS, awake_ns=NS, wall_step_us=-5, place=Place("b2", 3, "m")),
    Step(after_ns=NS, events=[LinkEvent(LinkChange.PRESENT, VETH, None)]),
    Step(after_ns=NS, failure="for a while"),
    Step(
        after_ns=NS,
        events=[LinkEvent(LinkChange.REMOVED, VETH, Counters(9, 9, 9, 9), whole=False)],
        events_lost=True,
    ),
    Step(after_ns=NS, counters={"eth0": Counters(2**63 - 1, 6, 7, 8)}),
]


def test_what_is_captured_plays_the_same_again(tmp_path):
    path = tmp_path / "captured.jsonl"
    original = ReplaySource(STEPS, clock=ReplayClock())
    with path.open("wb") as file:
        capture = Capture(original, original.clock, file)
        capture.step()
        while original.advance():
            capture.step()
    assert played(load(path)) == played(ReplaySource(STEPS))


def test_a_captured_script_is_short_where_nothing_but_counters_changes():
    source = ReplaySource(STEPS[:2])
    file = io.BytesIO()
    capture = Capture(source, source.clock, file)
    capture.step()
    source.advance()
    capture.step()
    last = file.getvalue().splitlines()[-1]
    assert last == b'{"after_ns":1000000000,"awake_ns":1000000000,"counters":{"eth0":[5,6,7,8]}}'
