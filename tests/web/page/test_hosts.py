"""The page over several hosts: hosts are listed and chosen, what is not known is not shown, and failures are told."""

import re
import time

import pytest
from support import browser as chromium
from support import clickhouse, deliveries, machines
from support.machines import HOSTILE, HOUR_S

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory):
    until_s = int(time.time()) // HOUR_S * HOUR_S
    return machines.ledgers(tmp_path_factory.mktemp("machines"), until_s), until_s


@pytest.fixture(scope="module")
def config(store, ledgers, tmp_path_factory):
    """A configuration with a fleet to which all have delivered."""
    settings = machines.delivered(store.url, *ledgers)
    return deliveries.configuration(tmp_path_factory.mktemp("config"), settings)


@pytest.fixture(scope="module")
def fleet(serve, config):
    """The address of a fleet's page."""
    return serve(None, "--fleet", NETUSAGE_CONFIG=str(config), NETUSAGE_REPORT_TZ="Europe/Berlin").address


def names(seen, title):
    """What is in a list of the timeline."""
    return seen.page.locator(f".parts [aria-label='{title}'] .name").all_inner_texts()


def said(seen):
    return seen.page.locator("#chart-words").inner_text()


def test_a_click_on_a_host_filters_the_timeline_and_the_lists_and_the_address_keeps_it(visit, fleet):
    seen = visit(fleet, "/?last=7d")
    assert names(seen, "Hosts") == [HOSTILE, "web1", "web2"]
    assert "postgres" in names(seen, "Applications")
    whole = said(seen)
    seen.page.locator(".parts a", has_text="web1").click()
    seen.settled()
    assert seen.url.endswith("/?last=7d&host=web1")
    assert seen.page.locator(".chip").inner_text().startswith("host: web1")
    for _ in range(2):
        assert names(seen, "Hosts") == ["web1"]
        assert set(names(seen, "Applications")) == {"unattributed", "nginx", "curl"}
        assert "All of it is known until" in said(seen)
        chosen = said(seen)
        seen.open("/?last=7d&host=web1")
        assert said(seen) == chosen != whole
    seen.page.get_by_label("Remove the filter host: web1").click()
    seen.settled()
    assert said(seen) == whole


def test_instead_of_rates_it_says_when_hosts_were_heard_of_and_what_is_missing(visit, fleet):
    seen = visit(fleet)
    page = seen.page
    assert not page.locator("#now .rates").is_visible()
    assert page.locator("#now-state").inner_text() == "3 hosts, 1 far behind"
    assert page.locator("#now-health").get_attribute("data-state") == "late"
    assert re.match(r"last delivery: .*, .* ago", page.locator("#now-more").inner_text())
    assert "as far as delivered" in page.locator("#now").inner_text()
    assert "5 min" not in page.locator(".presets").inner_text()
    assert "1 of 3 hosts has not told all of this stretch (web2); it is known until" in said(seen)
    assert "The others are known until" in said(seen)
    assert "delivered to the fleet" in page.locator("footer").inner_text()
    assert not [url for url in seen.asked if re.search("/(events|recent|versions|away)", url)]


def test_every_host_has_a_row_with_how_far_it_is_known_and_leads_to_its_timeline(visit, fleet):
    seen = visit(fleet, "/hosts?last=7d")
    assert seen.page.locator("nav [aria-current=page]").inner_text() == "Hosts"
    assert seen.page.locator("tbody th").all_inner_texts() == [HOSTILE, "web1", "web2"]
    assert seen.page.locator("thead th").all_inner_texts()[-2:] == ["Last delivery", "Known until"]
    seen.page.locator("tbody a", has_text=HOSTILE).click()
    seen.settled()
    assert seen.url.endswith("/?host=%3Ci%3Edb%3C%2Fi%3E&last=7d")
    assert names(seen, "Applications") == ["unattributed", "postgres"]


@pytest.mark.parametrize("view", ["timeline", "hosts"])
def test_a_view_of_several_hosts_fits_and_is_accessible(visit, fleet, view):
    script = chromium.axe()
    if script is None:
        pytest.skip("needs axe-core: npm install --prefix build/node axe-core@4, or NETUSAGE_AXE")
    seen = visit(fleet, "/hosts" if view == "hosts" else "/", script=script)
    chromium.PICTURES.mkdir(parents=True, exist_ok=True)
    for look, (size, scheme) in chromium.LOOKS.items():
        seen.page.set_viewport_size(size)
        seen.page.emulate_media(color_scheme=scheme)
        seen.settled()
        seen.page.screenshot(path=chromium.PICTURES / f"fleet-{view}-{look}.png", full_page=True)
        assert seen.page.evaluate(chromium.WIDTH) == size["width"], look
        if look in chromium.CHECKED:
            assert seen.page.evaluate(chromium.WRONG) == [], look


def test_what_a_host_had_of_an_application_is_found_and_the_other_views_do_without_what_is_not_there(
    visit, fleet
):
    seen = visit(fleet, "/applications?last=30d")
    assert "Versions" not in seen.page.locator("thead").inner_text()
    seen.page.locator("tbody a", has_text="nginx").click()
    seen.settled()
    assert names(seen, "Hosts") == ["web1", "web2"]
    assert "First seen" in seen.page.locator("dl").inner_text()
    for path in ("/days", "/months"):
        seen.open(path)
        assert seen.page.locator("main .trouble").count() == 0
    seen.open("/interfaces")
    assert seen.page.locator("tbody tr").count() == 6
    seen.page.locator("tbody tr", has_text="web2").locator("a", has_text="eth0").click()
    seen.settled()
    assert seen.url.endswith("/?host=web2&interface=eth0&last=30d")


def test_ledgers_that_were_merged_are_hosts_as_well(visit, serve, ledgers, tmp_path):
    path = machines.merged(tmp_path / "all.db", *ledgers)
    seen = visit(serve(path, "--of-host", "*").address, "/?last=7d")
    assert names(seen, "Hosts") == [HOSTILE, "web1", "web2"]
    assert "as far as merged" in seen.page.locator("#now").inner_text()
    assert seen.page.locator("#host").inner_text() == f"hosts in {path}"


def test_where_the_fleet_cannot_be_asked_nothing_is_shown_but_that(visit, serve, fleet, config, store):
    seen = visit(fleet, "/?last=7d")
    store.kill()
    try:
        seen.page.get_by_role("link", name="1 y", exact=True).click()
        assert_only_the_trouble_is_shown(seen)
        # one that has never had an answer
        other = visit(serve(None, "--fleet", NETUSAGE_CONFIG=str(config)).address)
        assert_only_the_trouble_is_shown(other)
        page = other.page
        assert page.locator("#now-health").get_attribute("data-state") == "off"
        assert page.locator("#now-state").inner_text() == "the hosts cannot be asked"
        assert page.locator("#now-today").inner_text() == "\N{EN DASH}"
        chromium.PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=chromium.PICTURES / "fleet-down.png")
    finally:
        store.start()
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # somebody comes back to it
    page.locator("#now-health[data-state=late]").wait_for()
    page.locator(".parts a", has_text="web1").first.wait_for()
    assert page.locator("main .trouble").count() == 0
    assert names(other, "Hosts") == [HOSTILE, "web1", "web2"]
    for one in (seen, other):
        one.expect("status of ")


def assert_only_the_trouble_is_shown(seen):
    told = seen.page.locator("main .trouble")
    told.wait_for()
    assert "Cannot reach the fleet's store" in told.inner_text()
    assert "Watch the present" not in told.inner_text()
    assert not seen.page.locator(".chart").is_visible()
    assert not seen.page.locator(".parts").is_visible()
