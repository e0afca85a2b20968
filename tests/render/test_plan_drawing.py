"""Plans drawn in characters."""

from netusage.render.plan_drawing import ASCII, BLOCKS, bar, chart, marks_of

GB = 10**9


def test_marks_are_those_that_the_stream_can_take():
    assert marks_of("utf-8") is BLOCKS
    for encoding in ("ascii", "latin-1", "no-such-encoding", None):
        assert marks_of(encoding) is ASCII


def test_a_bar_is_filled_as_far_as_the_plan_is_used_with_a_mark_where_the_cycle_stands():
    assert bar(0.5, 0.8, 10, ASCII) == "#####---|-"
    assert bar(0.5, 0.2, 10, ASCII) == "##|##-----"
    assert bar(0, None, 10, ASCII) == "----------"
    assert bar(3.5, 1, 10, ASCII) == "#########|"
    assert bar(0.999, None, 10, ASCII) == "#########-"


def test_a_chart_rises_to_what_is_used_and_goes_on_to_what_may_be():
    # by the end of each of four days, the third of which is today with 4 so far
    used, ahead = [1, 2, 4], [(4, 4, 5), (6, 5, 8)]
    assert chart(used, ahead, 8, 4, ASCII) == [
        "===.",
        "   .",
        "   +",
        "  .+",
        "  ##",
        "  ##",
        " ###",
        "####",
    ]


def test_the_limit_is_a_line_wherever_nothing_else_is():
    found = chart([2 * GB], [], GB, 8, BLOCKS)
    assert found[0] == "█" * 8
    assert chart([0], [], GB, 4, BLOCKS) == ["┄┄┄┄", *[""] * 7]


def test_a_cycle_that_is_longer_than_the_line_shares_columns_and_a_short_one_widens_them():
    assert {len(line) for line in chart(range(1, 366), [], 1000, 70, ASCII) if line.startswith("=")} == {70}
    assert len(chart([1, 2], [], 3, 79, ASCII)[0]) == 78


def test_a_range_that_is_not_known_is_not_drawn():
    assert all("." not in line for line in chart([0], [(8, None, None)], 8, 4, ASCII))
