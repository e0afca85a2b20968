from netusage.model import Link
from netusage.sources.pppoe_linux import has_sessions, told_apart

HEADING = "Id       Address              Device\n"


def test_a_heading_alone_is_no_session():
    assert not has_sessions(HEADING)
    assert not has_sessions("")


def test_a_line_below_the_heading_is_a_session():
    assert has_sessions(HEADING + "000C0000 00:11:22:33:44:55     eth0\n")


def test_other_links_are_left_as_they_are():
    link = Link(3, "eth0")
    assert told_apart(link) is link
