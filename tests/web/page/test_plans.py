"""The view of data plans: what it tells is what the API answers, and what it says where there is none."""

import json

import pytest
from support import browser as chromium
from support.process import Process

pytestmark = pytest.mark.system


def api(seen, question):
    """What the API answers to the page."""
    ask = "async (path) => (await fetch(path)).text()"
    return json.loads(seen.page.evaluate(ask, f"/api/v1/{question}"))


def shown(seen, number):
    """Bytes as the page writes them."""
    return seen.page.evaluate(
        "async (number) => (await import('/static/format.js')).bytes(number)", abs(number)
    )


def test_each_plan_has_a_card_with_what_the_api_answers(visit):
    seen = visit("years", "/plans")
    home, small = api(seen, "plans")["rows"]
    assert seen.page.locator("nav [aria-current=page]").inner_text() == "Plans"
    card = seen.page.get_by_role("region", name="Plan home")
    text = " ".join(card.inner_text().split())
    for number in ("used_bytes", "limit_bytes", "left_bytes", "allowance_bytes", "pace_bytes"):
        assert shown(seen, home[number]) in text, number
    for number in ("forecast_bytes", "forecast_low_bytes", "forecast_high_bytes", "free_bytes"):
        assert shown(seen, home[number]) in text, number
    assert "by the same weekdays\N{RIGHT SINGLE QUOTATION MARK} hours" in text
    assert home["rolled_over_bytes"] > 0
    assert "were left of earlier cycles" in text
    meter = card.get_by_role("meter")
    assert meter.get_attribute("aria-valuenow") == str(min(int(home["share"] * 100), 100))
    assert small["left_bytes"] < 0
    used_up = " ".join(seen.page.get_by_role("region", name="Plan <i>small</i>").inner_text().split())
    assert f"nothing, {shown(seen, small['left_bytes'])} too much" in used_up
    assert "Used up since" in used_up
    assert "in the local network" in used_up


def test_a_plan_of_which_nothing_is_recorded_says_why_beside_the_others(visit):
    seen = visit("years", "/plans")
    card = seen.page.get_by_role("region", name="Plan lte")
    assert "wwan* has not been recorded" in card.inner_text()
    assert seen.page.locator(".plan").count() == 2
    assert seen.page.locator("h2 i").count() == 0


def test_the_picture_is_told_in_words_and_has_the_forecast(visit):
    seen = visit("years", "/plans")
    home = api(seen, "plans?plan=home")["rows"][0]
    picture = seen.page.get_by_role("region", name="Plan home").get_by_role("img")
    words = picture.get_attribute("aria-label")
    assert f"{shown(seen, home['forecast_bytes'])} expected by the end" in words
    for part in ("used", "band", "expected", "limit"):
        assert picture.locator(f".{part}").count() == 1
    line = picture.locator(".expected").get_attribute("d")
    assert line.count("L") == len(home["ahead"])
    assert "NaN" not in "".join(one.get_attribute("d") for one in picture.locator("path").all())


def test_earlier_cycles_are_asked_for_when_somebody_opens_them(visit):
    seen = visit("years", "/plans")
    card = seen.page.get_by_role("region", name="Plan home")
    assert not [url for url in seen.asked if "cycles=" in url]
    card.get_by_text("Earlier cycles", exact=True).click()
    rows = card.locator("tbody tr")
    rows.first.wait_for()
    expected = api(seen, "plans?plan=home&cycle=-1&cycles=12")["rows"]
    assert rows.count() == len(expected) == 12
    assert shown(seen, expected[0]["used_bytes"]) in rows.first.inner_text()


def test_without_a_plan_it_says_how_to_add_one(browser, books, tmp_path):
    started = []

    def start(*arguments, **options):
        started.append(Process(*arguments, **options))
        return started[-1]

    try:
        _, address = chromium.server(start, tmp_path, books("empty"))
        seen = chromium.Visit(browser, address, size=chromium.NARROW)
        seen.open("/plans")
        trouble = seen.page.locator("main .trouble").inner_text()
        assert "No plan is configured." in trouble
        assert 'netusage plan add NAME --cap "100 GB"' in trouble
        assert "Then start netusage web anew." in trouble
        assert seen.page.evaluate("() => document.documentElement.scrollWidth") == 360
        seen.expect("status of 404")
        seen.close()
    finally:
        for process in started:
            process.reap()
