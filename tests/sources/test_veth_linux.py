import pytest

from netusage.model import Counters, Link, LinkChange
from netusage.sources.interfaces_linux_parse import HERE, LinkMessage
from netusage.sources.veth_linux import Pairs

THERE = 3
NEAR, FAR = 10, 20
FULL = Counters(rx_bytes=700, tx_bytes=500, rx_packets=7, tx_packets=5)
SENT_BY_NEAR = Counters(0, 500, 0, 5)
SENT_BY_FAR = Counters(0, 900, 0, 9)
FINAL = Counters(900, 500, 9, 5)
FULL_OF_FAR = Counters(500, 900, 5, 9)
WHOLE, SHORT = (FINAL, True), (FULL, False)


def near(counters, *, up=True, parted=False, removed=False, far=FAR, namespace=THERE, index=NEAR):
    elsewhere = namespace != HERE and not parted
    link = Link(index, "v0", "veth", up=up, lower=0 if parted else far, lower_elsewhere=elsewhere)
    return LinkMessage(link, counters, HERE if parted else namespace, removed)


def far(counters, *, up=True, parted=False, removed=False, lower=NEAR, namespace=0):
    elsewhere = namespace != HERE and not parted
    link = Link(FAR, "v1", "veth", up=up, lower=0 if parted else lower, lower_elsewhere=elsewhere)
    return LinkMessage(link, counters, HERE if parted else namespace, removed)


def there(*messages, namespace=THERE):
    return [(namespace, message) for message in messages]


def known(*others, counters=FULL, **state):
    pairs = Pairs()
    pairs.know([near(counters, **state), *others])
    return pairs


def final(pairs, messages=None, elsewhere=()):
    """The final counters of the last link that is removed, and whether they are whole."""
    events = pairs.complete([GONE] if messages is None else messages, elsewhere)
    last = [event for event in events if event.change is LinkChange.REMOVED][-1]
    return last.counters, last.whole


DOWN = near(SENT_BY_NEAR, up=False, parted=True)
GONE = near(SENT_BY_NEAR, up=False, parted=True, removed=True)
FAR_DOWN = far(SENT_BY_FAR, up=False, parted=True)
FAR_GONE = far(SENT_BY_FAR, up=False, parted=True, removed=True)


def test_what_was_received_is_what_the_far_end_says_it_sent():
    assert final(known(), [DOWN, GONE], there(FAR_DOWN)) == WHOLE


def test_each_end_keeps_what_it_counted_itself():
    gone = near(Counters(22, 500, 2, 5), parted=True, removed=True)
    heard = there(far(Counters(11, 900, 1, 9), parted=True))
    assert final(known(), [gone], heard) == (Counters(922, 511, 11, 6), True)


def test_without_a_word_of_the_far_end_the_final_counters_are_not_whole():
    assert final(known()) == SHORT


def test_what_was_sent_last_is_in_counters_that_are_not_whole():
    gone = near(Counters(0, 999, 0, 9), parted=True, removed=True)
    assert final(known(), [gone]) == (Counters(700, 999, 7, 9), False)


def test_the_far_end_of_another_namespace_with_the_same_index_is_not_taken():
    assert final(known(), [GONE], there(FAR_DOWN, namespace=THERE + 1)) == SHORT


def test_a_far_end_that_is_paired_with_another_link_is_not_taken():
    assert final(known(), [GONE], there(far(FULL_OF_FAR, up=False, lower=NEAR + 1))) == SHORT


def test_nothing_passes_a_near_end_that_is_down():
    assert final(known(), [near(FINAL, up=False), GONE]) == WHOLE


def test_nothing_passes_a_far_end_that_is_down():
    pairs = known()
    pairs.complete([], there(far(FULL_OF_FAR, up=False)))
    assert final(pairs) == WHOLE


def test_a_far_end_that_is_up_again_may_have_sent_more():
    pairs = known()
    pairs.complete([], there(far(FULL_OF_FAR, up=False), far(FULL_OF_FAR, up=True)))
    assert final(pairs) == (FINAL, False)


@pytest.mark.parametrize("heard", [far(FULL_OF_FAR, up=False), FAR_DOWN])
def test_after_lost_messages_nothing_that_was_heard_is_believed(heard):
    pairs = known()
    pairs.complete([], there(heard))
    pairs.deafen()
    assert not final(pairs)[1]


def test_a_pair_within_the_namespace_does_not_depend_on_messages_of_others():
    pairs = known(namespace=HERE)
    pairs.deafen()
    assert final(pairs, [DOWN, FAR_DOWN, GONE]) == WHOLE


@pytest.mark.parametrize(
    "messages",
    [
        [DOWN, FAR_DOWN, GONE, FAR_GONE],
        [FAR_DOWN, DOWN, GONE],
        [DOWN, GONE, FAR_GONE],  # the far end was down already, and says nothing before it goes
    ],
)
def test_a_pair_within_the_namespace_is_whole_by_its_own_messages(messages):
    pairs = known(far(Counters(500, 700, 5, 7), namespace=HERE), namespace=HERE)
    events = pairs.complete(messages)
    removed = {e.link.index: (e.counters, e.whole) for e in events if e.change is LinkChange.REMOVED}
    assert removed[NEAR] == WHOLE
    if FAR in removed:
        assert removed[FAR] == (Counters(500, 900, 5, 9), True)
    assert len(pairs) == (0 if FAR in removed else 1)


def test_a_far_end_within_the_namespace_is_known_to_be_down_from_the_first_look():
    pairs = known(far(Counters(500, 700, 5, 7), up=False, namespace=HERE), namespace=HERE)
    assert final(pairs, [GONE]) == (FULL, True)


def test_a_link_that_moves_away_is_whole_as_it_is():
    pairs = known()
    assert final(pairs, [near(FULL, removed=True)]) == (FULL, True)
    assert len(pairs) == 0


def test_a_removal_without_counters_has_none():
    gone = near(None, parted=True, removed=True)
    assert final(known(), [gone], there(FAR_DOWN)) == (None, True)


def test_a_far_end_that_comes_here_is_followed_here():
    pairs = known()
    messages = [near(FULL, namespace=HERE), DOWN, FAR_DOWN, GONE]
    assert final(pairs, messages) == WHOLE


def test_a_far_end_that_moves_on_is_followed_to_its_new_place():
    pairs = known()
    pairs.complete([near(FULL, far=FAR + 1, namespace=THERE + 1)])
    assert final(pairs, [GONE], there(FAR_DOWN)) == SHORT


def test_another_pair_under_the_same_indexes_starts_afresh():
    pairs = known()
    pairs.complete([], there(FAR_DOWN))
    pairs.complete([near(Counters())])
    assert final(pairs) == (SENT_BY_NEAR, False)


def test_links_of_other_kinds_are_not_followed():
    pairs = Pairs()
    link = Link(NEAR, "mv0", "macvlan", lower=FAR, lower_elsewhere=True)
    pairs.know([LinkMessage(link, FULL, THERE, removed=False)])
    assert len(pairs) == 0
    assert final(pairs, [LinkMessage(link, FULL, THERE, removed=True)]) == (FULL, True)


def test_links_that_are_gone_are_forgotten():
    pairs = known()
    pairs.know([near(FULL, index=NEAR + 1, far=FAR + 1)])
    assert len(pairs) == 1


def test_an_end_that_was_never_paired_received_nothing():
    never = near(Counters(), up=False, parted=True)
    assert final(Pairs(), [never, near(Counters(), parted=True, removed=True)]) == (Counters(), True)


def test_an_end_that_was_never_seen_paired_but_counted_is_not_whole():
    assert final(Pairs()) == (SENT_BY_NEAR, False)


PAIRED = [near(Counters(), up=False, parted=True), near(Counters())]
HEARD = there(far(Counters()), FAR_DOWN)


def test_a_pair_that_comes_and_goes_between_two_looks_is_whole():
    events = Pairs().complete([*PAIRED, DOWN, GONE], HEARD)
    assert [e.change for e in events] == [LinkChange.PRESENT] * 3 + [LinkChange.REMOVED]
    assert [e.counters for e in events] == [None, Counters(), None, FINAL]
    assert events[-1].whole


def test_the_far_end_may_be_heard_one_look_before_the_removal():
    pairs = Pairs()
    pairs.complete(PAIRED, HEARD)
    assert final(pairs, [DOWN, GONE]) == WHOLE


def removals(events):
    return [(e.counters, e.whole) for e in events if e.change is LinkChange.REMOVED]


def test_of_two_pairs_under_one_index_between_two_looks_none_gets_the_others_bytes():
    other = near(Counters(), far=FAR + 1)
    events = Pairs().complete([*PAIRED, DOWN, GONE, other, DOWN, GONE], HEARD)
    assert removals(events) == [WHOLE, (SENT_BY_NEAR, False)]


def test_of_two_pairs_with_one_far_index_between_two_looks_none_gets_the_others_bytes():
    second = [near(Counters(), index=NEAR + 1), near(SENT_BY_NEAR, parted=True, removed=True, index=NEAR + 1)]
    heard = there(far(Counters(), lower=NEAR + 1), far(Counters(0, 300, 0, 3), parted=True))
    events = Pairs().complete([*PAIRED, DOWN, GONE, *second], [*HEARD, *heard])
    assert removals(events) == [WHOLE, (Counters(300, 500, 3, 5), True)]


BORN = far(Counters(), up=False, parted=True)
AGAIN = [DOWN, GONE, *PAIRED]


@pytest.mark.parametrize(
    "second",
    [
        [far(Counters())],
        [BORN, far(Counters())],
        [BORN, far(Counters(4, 2000, 4, 20)), far(Counters(4, 2000, 4, 20), removed=True)],
        [BORN, far(Counters()), far(Counters(0, 77, 0, 1), up=False, parted=True)],
    ],
    ids=["without its birth", "born", "moved on", "parted"],
)
@pytest.mark.parametrize("first", [[FAR_DOWN, FAR_GONE], [FAR_DOWN]], ids=["gone", "going"])
def test_what_is_heard_of_the_next_pair_under_the_same_indexes_is_not_given_to_the_first(first, second):
    pairs = known()
    events = pairs.complete(AGAIN, there(*first, *second))
    assert removals(events) == [WHOLE]
    ((_, end),) = pairs._ends.items()
    assert end.parted == (Counters(0, 77, 0, 1) if second[-1].link.lower == 0 else None)


def test_of_two_pairs_under_the_same_indexes_between_two_looks_each_gets_its_own_bytes():
    last = [near(Counters(0, 40, 0, 4), up=False, parted=True, removed=True)]
    heard = there(FAR_DOWN, FAR_GONE, BORN, far(Counters()), far(Counters(0, 60, 0, 6), parted=True))
    assert removals(known().complete([*AGAIN, DOWN, *last], heard)) == [
        WHOLE,
        (Counters(60, 40, 6, 4), True),
    ]


def test_what_is_left_to_say_of_an_earlier_pair_is_not_given_to_the_next_one():
    assert final(Pairs(), [*PAIRED, DOWN, GONE], there(FAR_GONE)) == (SENT_BY_NEAR, False)
    for earlier in ([FAR_GONE], [far(FULL_OF_FAR, lower=NEAR + 1), FAR_DOWN]):
        heard = there(*earlier, BORN, *(message for _, message in HEARD))
        assert final(Pairs(), [*PAIRED, DOWN, GONE], heard) == WHOLE


def test_a_far_end_that_moves_away_and_back_is_the_same_one():
    left, back = far(FULL_OF_FAR, up=False, removed=True), far(FULL_OF_FAR)
    assert final(known(), [DOWN, GONE], there(left, back, FAR_DOWN, FAR_GONE)) == WHOLE


def test_of_two_pairs_under_the_same_indexes_within_the_namespace_none_gets_the_others_bytes():
    born = [near(Counters(), namespace=HERE), far(Counters(), namespace=HERE)]
    events = Pairs().complete([*born, DOWN, FAR_DOWN, GONE, FAR_GONE, *born, GONE, FAR_GONE])
    assert removals(events)[:2] == [WHOLE, (FULL_OF_FAR, True)]
    assert [counters for counters, _ in removals(events)[2:]] == [SENT_BY_NEAR, SENT_BY_FAR]
    assert not any(whole for _, whole in removals(events)[2:])
