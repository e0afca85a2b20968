"""Every view in each size and colour: complete, accessible, and quick; pictures of all are kept in build/screenshots."""

import pytest
from support import browser as chromium

pytestmark = pytest.mark.system


@pytest.mark.parametrize("view", chromium.VIEWS)
def test_a_view_fits_and_is_accessible(visit, view):
    script = chromium.axe()
    if script is None:
        pytest.skip("needs axe-core: npm install --prefix build/node axe-core@4, or NETUSAGE_AXE")
    seen = visit("years", chromium.VIEWS[view], script=script)
    chromium.PICTURES.mkdir(parents=True, exist_ok=True)
    assert seen.page.locator("h1").count() == 1
    for look, (size, scheme) in chromium.LOOKS.items():
        seen.page.set_viewport_size(size)
        seen.page.emulate_media(color_scheme=scheme)
        seen.settled()
        seen.page.screenshot(path=chromium.PICTURES / f"{view}-{look}.png", full_page=view != "months")
        assert seen.page.evaluate(chromium.WIDTH) == size["width"], look
        if look in chromium.CHECKED:
            assert seen.page.evaluate(chromium.WRONG) == [], look


@pytest.mark.parametrize("book", ["none", "empty"])
@pytest.mark.parametrize("view", ["timeline", "applications", "days", "months", "interfaces", "plans"])
def test_where_nothing_is_recorded_a_view_says_what_to_do(visit, book, view):
    seen = visit(book, chromium.VIEWS[view], size=chromium.NARROW)
    trouble = seen.page.locator("main .trouble")
    trouble.wait_for()
    assert "Nothing to show yet" in trouble.inner_text()
    assert "netusage" in seen.page.locator("#now-more").inner_text()
    assert seen.page.evaluate(chromium.WIDTH) == 360
    chromium.PICTURES.mkdir(parents=True, exist_ok=True)
    seen.page.screenshot(path=chromium.PICTURES / f"{book}-{view}.png")
    if any("404" in one for one in seen.trouble):
        seen.expect("status of 404")


def test_colours_follow_the_system_and_the_settings(visit):
    seen = visit("years")
    back = "() => getComputedStyle(document.body).backgroundColor"
    light = seen.page.evaluate(back)
    seen.page.emulate_media(color_scheme="dark")
    seen.page.wait_for_function(f"() => ({back})() === 'rgb(20, 24, 31)'")
    assert light == "rgb(246, 247, 249)"
    seen.page.get_by_text("Settings").click()
    seen.page.get_by_label("light", exact=True).check()
    assert seen.page.evaluate(back) == light
    seen.open("/days")
    assert seen.page.evaluate(back) == light


def test_sizes_and_rates_are_written_as_the_settings_say(visit):
    seen = visit("years")
    assert " GB" in seen.page.locator("#now-month").inner_text()
    seen.page.get_by_text("Settings").click()
    seen.page.get_by_label("KiB, MiB, GiB (1024)").check()
    seen.page.get_by_label("in bits").check()
    assert " GiB" in seen.page.locator("#now-month").inner_text()
    assert "bit/s" in seen.page.locator("#now-rx").inner_text()
    seen.settled()
    assert "bits per second" in seen.page.locator("#chart-words").inner_text()


def test_a_first_visit_is_light(browser, servers):
    sizes = {}
    seen = chromium.Visit(browser, servers("years"))
    seen.page.on(
        "requestfinished", lambda request: sizes.update({request.url: len(request.response().body())})
    )
    seen.open("/?last=all")
    seen.page.wait_for_selector(".uplot")
    seen.close()
    assert len(sizes) > 10
    assert sum(size for address, size in sizes.items() if not address.endswith("/events")) < 250_000
