"""The timeline: zoom, choose, filter, share by address; by mouse and by keys alone; days on which the clock is set."""

import csv
import io
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest

pytestmark = pytest.mark.system

DAY_S = 86_400
AUTUMN = "/?since=2025-10-25T22:00:00Z&until=2025-10-26T23:00:00Z"  # a day of 25 hours in Berlin
SPRING = "/?since=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z"  # one of 23


def asked(seen):
    """What the page's address asks for."""
    return parse_qs(urlsplit(seen.url).query)


def words(seen):
    return seen.settled().locator("#chart-words").inner_text()


def width(seen):
    """The width of bars, in words, and how many there are."""
    count, name = re.search(r"; (\d+) bars? of ([^,]+),", words(seen)).groups()
    return name, int(count)


def length(seen):
    """Seconds from since to until."""
    since, until = (
        seen.page.evaluate("(text) => Date.parse(text) / 1000", asked(seen)[one][0])
        for one in ("since", "until")
    )
    return until - since


def drag(seen, from_part, to_part):
    """Over the chart, from one part of its width to another."""
    box = seen.page.locator(".u-over").bounding_box()
    y = box["y"] + box["height"] / 3
    seen.page.mouse.move(box["x"] + box["width"] * from_part, y)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] * to_part, y, steps=4)
    seen.page.mouse.up()


def test_it_goes_from_the_last_minutes_to_ten_years_without_a_reload(visit):
    seen = visit("years")
    seen.page.evaluate("() => { window.still = true; }")
    found = {}
    for name in ("1 h", "24 h", "7 d", "30 d", "1 y", "All"):
        seen.page.locator(".presets").get_by_text(name, exact=True).click()
        found[name] = width(seen)[0]
    assert found == {
        "1 h": "1 minute",
        "24 h": "5 minutes",
        "7 d": "1 hour",
        "30 d": "6 hours",
        "1 y": "1 day",
        "All": "1 month",
    }
    assert seen.page.evaluate("() => window.still")


def test_dragging_zooms_in_and_escape_goes_back_out(visit):
    seen = visit("years", "/?last=all")
    drag(seen, 0.4, 0.6)
    assert 1.8 * 365 < length(seen) / DAY_S < 2.3 * 365
    assert width(seen)[0] in ("1 week", "1 month")
    drag(seen, 0.5, 0.52)
    assert length(seen) < 60 * DAY_S
    assert width(seen)[0] in ("1 hour", "6 hours")
    inner = seen.url
    seen.page.keyboard.press("Escape")
    assert 1.8 * 365 < length(seen) / DAY_S < 2.3 * 365
    seen.page.go_back()
    assert seen.url == inner
    seen.page.keyboard.press("0")
    seen.page.keyboard.press("0")
    seen.settled()
    assert asked(seen) == {"last": ["all"]}


def test_a_finger_zooms_too(browser, servers):
    from support.browser import NARROW, Visit

    seen = Visit(browser, servers("years"), size=NARROW)
    seen.open("/?last=7d")
    seen.page.locator(".u-over").scroll_into_view_if_needed()
    box = seen.page.locator(".u-over").bounding_box()
    finger = seen.context.new_cdp_session(seen.page)
    for kind, part in (("touchStart", 0.25), ("touchMove", 0.35), ("touchMove", 0.5)):
        point = {"x": box["x"] + box["width"] * part, "y": box["y"] + 60}
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert DAY_S < length(seen) < 3 * DAY_S
    seen.settled()
    seen.close()


def test_everything_can_be_done_by_keys(visit):
    seen = visit("years", "/?last=30d")
    page = seen.page
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.classList.contains('chart')"):
            break
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Chart of rates"
    page.keyboard.press("+")
    seen.settled()
    assert 9 < length(seen) / DAY_S < 11
    before = asked(seen)
    page.keyboard.press("ArrowLeft")
    seen.settled()
    assert asked(seen)["since"] < before["since"]
    page.keyboard.press("ArrowRight")
    seen.settled()
    assert asked(seen)["since"][0][:10] == before["since"][0][:10]
    page.keyboard.press("n")
    seen.settled()
    assert asked(seen)["last"][0] == "10d"
    page.keyboard.press("Home")
    assert width(seen)[0] == "1 month"
    page.keyboard.press("Escape")
    seen.settled()
    assert asked(seen)["last"][0] == "10d"
    assert page.evaluate("() => document.activeElement.classList.contains('chart')")
    # on to the first application, which Enter chooses
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.dataset.id?.startsWith('application ')"):
            break
    page.keyboard.press("Enter")
    seen.settled()
    assert asked(seen)["application"] == ["firefox"]
    assert page.evaluate("() => document.activeElement.dataset.id") == "application firefox"


def test_choosing_filters_and_the_address_says_all_of_it(visit, servers):
    seen = visit("years", "/?last=7d")
    whole = words(seen)
    seen.page.locator(".parts a", has_text="firefox").click()
    filtered = words(seen)
    assert filtered != whole
    seen.page.locator(".parts section[aria-label=Interfaces] a", has_text="eth0").click()
    narrower = words(seen)
    assert narrower != filtered
    assert asked(seen) == {"last": ["7d"], "application": ["firefox"], "interface": ["eth0"]}
    drag(seen, 0.3, 0.6)
    chosen = words(seen), seen.page.locator(".title").inner_text()
    assert set(asked(seen)) == {"since", "until", "application", "interface"}
    # somebody else opens it
    other = visit("years", seen.url.removeprefix(servers("years")))
    assert (words(other), other.page.locator(".title").inner_text()) == chosen
    chips = [" ".join(one.split()) for one in other.page.locator(".chip").all_inner_texts()]
    assert chips == [
        "interface: eth0 \N{MULTIPLICATION SIGN}",
        "application: firefox \N{MULTIPLICATION SIGN}",
    ]
    other.page.get_by_label("Remove the filter interface: eth0").click()
    other.settled()
    assert "interface" not in asked(other)
    other.page.go_back()
    assert words(other) == chosen[0]


def test_parts_have_shares_and_what_is_left_over_is_told(visit):
    seen = visit("years", "/?last=24h")
    lists = seen.page.locator(".parts section")
    assert lists.locator("h3").all_inner_texts() == [
        "Applications", "Users", "Units", "Containers", "Scopes", "Interfaces",
    ]  # fmt: skip
    first = seen.page.locator(".parts section[aria-label=Scopes] li").all_inner_texts()
    shares = [float(re.search(r"([\d.]+) %", one)[1]) for one in first]
    assert 99 <= sum(shares) <= 101
    assert (
        seen.page.locator(".parts section[aria-label=Applications] li").last.inner_text().split()[1] == "more"
    )


def test_days_on_which_the_clock_is_set_have_all_their_hours_once(visit):
    seen = visit("years", f"{AUTUMN}&bars=1")
    seen.page.get_by_role("button", name="Show as table").click()
    assert width(seen) == ("15 minutes", 100)
    rows = seen.page.locator("tbody th").all_inner_texts()
    twice = [one for one in rows if "02:00 to 02:15" in one]
    assert len(set(rows)) == 100
    assert [one.split()[-1] for one in twice] == ["UTC+1", "UTC+2"]  # the newest first
    seen.open(SPRING)
    seen.page.get_by_role("button", name="Show as table").click()
    assert width(seen)[1] * {"5 minutes": 1, "15 minutes": 3}[width(seen)[0]] == 276
    rows = seen.page.locator("tbody th").all_inner_texts()
    assert not [one for one in rows if ", 02:" in one]


def test_the_axis_has_the_local_clock_on_both_sides_of_a_change(visit):
    seen = visit("years", AUTUMN)
    marks = seen.page.evaluate(
        """async () => {
          const f = await import('/static/format.js');
          const at = (text) => Date.parse(text) / 1000;
          const words = (low, high, count) => f.timeMarks(at(low), at(high), count).map(([s, word]) => [f.iso(s), word.split('\\n')[0]]);
          return [words('2025-10-25T22:00:00Z', '2025-10-26T23:00:00Z', 9), words('2025-10-20T22:00:00Z', '2025-10-30T23:00:00Z', 10),
            words('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', 24)];
        }"""
    )
    day, week, spring = marks
    assert ["2025-10-25T22:00:00Z", "00:00"] in day
    assert ["2025-10-26T02:00:00Z", "03:00"] in day
    assert ["2025-10-26T11:00:00Z", "12:00"] in day
    assert {at[11:] for at, _ in week if at < "2025-10-26"} == {"22:00:00Z"}
    assert {at[11:] for at, _ in week if at > "2025-10-26"} == {"23:00:00Z"}
    assert [word for _, word in spring][:5] == ["00:00", "01:00", "03:00", "04:00", "05:00"]


def test_gaps_and_estimated_stretches_are_told(visit):
    seen = visit("years", "/?last=7d")
    assert re.search(r"; 1 gap, (no bytes lost|of which)", words(seen))
    legend = seen.page.locator(".card .legend").first.inner_text()
    assert "received" in legend
    assert "gap" in legend
    seen = visit("many", "/?last=7d")
    assert "1 gap, of which 1 may have lost bytes" in words(seen)
    assert "gap, bytes may be lost" in seen.page.locator(".card .legend").first.inner_text()
    box = seen.page.locator(".u-over").bounding_box()
    for part in range(830, 880, 3):
        seen.page.mouse.move(box["x"] + box["width"] * part / 1000, box["y"] + 50)
        if "gap" in seen.page.locator(".tip").inner_text():
            break
    assert "<b>pulled the plug</b>; bytes may be lost" in seen.page.locator(".tip").inner_text()


def test_the_table_has_what_the_bars_have(visit):
    seen = visit("years", "/?last=1y")
    name, count = width(seen)
    button = seen.page.get_by_role("button", name="Show as table")
    button.click()
    assert name == "1 day"
    assert seen.page.locator("tbody tr").count() == count
    assert "bytes per second" in seen.page.locator("caption").inner_text()
    seen.page.get_by_role("button", name="Hide the table").click()
    assert seen.page.locator("tbody tr").first.is_hidden()


def test_what_is_shown_can_be_taken_along(visit):
    seen = visit("years", "/?last=7d&application=firefox")
    seen.settled()
    taken = {}
    for kind in ("CSV", "JSON", "PNG"):
        seen.page.get_by_text("Download").click()
        with seen.page.expect_download() as found:
            seen.page.locator(".menu[open]").get_by_text(kind, exact=True).click()
        taken[kind] = found.value
        seen.page.keyboard.press("Escape")
    rows = list(csv.DictReader(io.StringIO(taken["CSV"].path().read_text())))
    document = json.loads(taken["JSON"].path().read_text())
    assert [int(row["rx_bytes"]) for row in rows] == document["rx_bytes"]
    assert taken["PNG"].suggested_filename == "netusage-timeline.png"
    assert taken["PNG"].path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_time_that_makes_no_sense_is_the_last_day(visit):
    seen = visit("years", "/?since=yesterday&last=soon")
    assert width(seen)[0] == "5 minutes"


def test_an_interface_that_is_not_there_is_said_so(visit):
    seen = visit("years", "/?interface=nosuch")
    assert "nosuch" in seen.page.locator("main .trouble").inner_text()
    seen.expect("status of 404")
