"""A ledger with all that a picture can show, and pictures that can be read."""

import re
from datetime import datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, writing

from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import US, Counters, Who
from netusage.plot.contents import Panel, gather, usual_panels
from netusage.plot.picture import draw
from netusage.plot.style import THEMES, Style
from netusage.reports.usage import Question, ReportKind

BERLIN = ZoneInfo("Europe/Berlin")
_SVG = "{http://www.w3.org/2000/svg}"


class Recorded(NamedTuple):
    """A ledger's path, when it begins and when it ends."""

    path: str
    begin_s: int
    end_s: int


def moment(*parts, zone=BERLIN):
    """UTC seconds of a local time."""
    return int(datetime(*parts, tzinfo=zone).timestamp())


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Eight days around the one of 23 hours, 29 March 2026; every hour n of them has n * 1000 bytes or so.

    On the third day nothing runs from 00:00 to 12:00; 24,000,000 bytes came then, and some may have been lost. On the
    fourth, reading eth0 failed for a while, and on the fifth wlan0.
    """
    path = str(tmp_path_factory.mktemp("plot") / "ledger.db")
    begin, end = moment(2026, 3, 26), moment(2026, 4, 3)
    stop, again = moment(2026, 3, 28), moment(2026, 3, 28, 12)
    names = ("firefox", "$x^2$ \\frac", "evil\x1b[31m\nname", "long-" * 40, "微信", "<b>&amp;\ufffe")
    with writing(path, begin, minutes_kept_s=30 * DAY_S) as ledger:
        ledger.tier = "kernel"
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        ledger.interface("tun0")
        since = begin
        for hour, at in enumerate(range(begin, end, 3600)):
            if at == stop:
                ledger.commit(at, watched_from_s=since)
                ledger.span(eth0, stop * US, again * US, 24_000_000, 12_000_000)
                ledger.gap(stop, again, lossy=True)
                since = ledger.now_s = again
            if stop <= at < again:
                continue
            ledger.count(eth0, at, 1_000_000 + hour * 1000, 500_000)
            ledger.count(wlan0, at, 100_000, 50_000)
            for n, name in enumerate(names):
                who = Who("application", name, "/usr/bin/x", "eva")
                ledger.share(Part(at, eth0, who, 3, 6, 4), Counters(100_000 - n * 10_000, 20_000, 100, 20))
        ledger.gap(moment(2026, 3, 29, 6), moment(2026, 3, 29, 7), lossy=True, interface="eth0")
        ledger.gap(moment(2026, 3, 30, 6), moment(2026, 3, 30, 7), lossy=True, interface="wlan0")
        ledger.commit(end, watched_from_s=since)
    return Recorded(path, begin, end)


@pytest.fixture
def ask(recorded):
    """Asks for what a picture shows."""

    def begin(kind, *panels, path=recorded.path, now_s=recorded.end_s, zone=BERLIN, plan=None, **parts):
        question = Question(ReportKind(kind), zone, now_s, packets=False, **parts)
        with LedgerReader(path) as reader:
            return gather(reader, question, panels or usual_panels(question.kind), plan)

    return begin


class Drawing:
    """A picture in SVG, read back: its texts, and its shapes by what they are called."""

    def __init__(self, data):
        self.root = ET.fromstring(data)
        self.texts = ["".join(one.itertext()).strip() for one in self.root.iter(f"{_SVG}text")]
        self.names = [one.get("id") for one in self.root.iter() if one.get("id")]

    @property
    def hatches(self):
        """The ground and the lines of each hatching."""
        return {
            (ground.get("fill"), re.search(r"fill: (#[0-9a-f]{6})", lines.get("style"))[1])
            for ground, lines in self.root.iter(f"{_SVG}pattern")
        }

    def boxes(self, name):
        """Left, top, right and bottom of each shape of a name, in points."""
        (group,) = (one for one in self.root.iter(f"{_SVG}g") if one.get("id") == name)
        found = []
        for path in group.iter(f"{_SVG}path"):
            numbers = [float(one) for one in re.findall(r"-?[0-9.]+", path.get("d"))]
            across, down = numbers[::2], numbers[1::2]
            found.append((min(across), min(down), max(across), max(down)))
        return found

    def colours(self, name):
        """How each shape of a name is filled."""
        (group,) = (one for one in self.root.iter(f"{_SVG}g") if one.get("id") == name)
        return [re.search(r"fill: (#[0-9a-f]{6})", one.get("style"))[1] for one in group.iter(f"{_SVG}path")]


@pytest.fixture
def drawing():
    """Draws contents as SVG, and reads that."""

    def begin(contents, *panels, theme="light", wide=1200, high=800, **parts):
        style = Style(THEMES[theme], wide, high, keeps_text=True, **parts)
        return Drawing(draw(contents, panels or tuple(Panel), style, "svg"))

    return begin
