"""The page over several hosts: hosts are listed and chosen, what is not known is not shown, and failures are told."""

import json
import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from support import browser as chromium
from support import clickhouse, deliveries, machines
from support.machines import HOSTILE, HOUR_S

from netusage.cli.failures import run
from netusage.units import format_bytes

pytestmark = pytest.mark.system
ZONE = "Europe/Berlin"
# with a host, those that the other views' addresses have as well
VIEWS = {
    "timeline": "/",
    "hosts": "/hosts",
    "days": "/days",
    "months": "/months",
    "applications": "/applications",
    "application": "/applications/nginx",
    "interfaces": "/interfaces",
    "plans": "/plans",
}


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
    file = deliveries.configuration(tmp_path_factory.mktemp("config"), settings)
    with file.open("a") as more:
        more.write('[[plan]]\nname = "all"\ncap = "1 GB"\n')
    return file


@pytest.fixture(scope="module")
def fleet(serve, config):
    """The address of a fleet's page."""
    return serve(None, "--fleet", NETUSAGE_CONFIG=str(config), NETUSAGE_REPORT_TZ=ZONE).address


@pytest.fixture(scope="module")
def merged(ledgers, tmp_path_factory):
    return machines.merged(tmp_path_factory.mktemp("merged") / "all.db", *ledgers)


@pytest.fixture(params=["fleet", "merged"])
def record(request, fleet, serve, merged):
    """The address of a page over the hosts, and what the command line is told to ask the same record."""
    if request.param == "fleet":
        return fleet, ["--fleet"]
    server = serve(merged, "--of-host", "*", NETUSAGE_REPORT_TZ=ZONE)
    return server.address, ["--db", str(merged)]


@pytest.fixture
def report(record, config, capsys, monkeypatch):
    """Rows of the command line."""
    monkeypatch.setenv("NETUSAGE_CONFIG", str(config))
    monkeypatch.setenv("NETUSAGE_REPORT_TZ", ZONE)

    def ask(*arguments):
        assert run([*arguments, *record[1], "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)["rows"]

    return ask


def bytes_of(rows):
    """What the page writes of their bytes: received, sent and both, of each."""
    return [
        tuple(
            format_bytes(one, "si")
            for one in (row["rx_bytes"], row["tx_bytes"], row["rx_bytes"] + row["tx_bytes"])
        )
        for row in rows
    ]


def go(seen, view):
    """Follow the link to another view."""
    seen.page.locator("header nav").get_by_role("link", name=view, exact=True).click()
    seen.page.locator("h1", has_text=view).wait_for(state="attached")
    return seen.settled()


def days(seen):
    """Received, sent and both of the days that have a record."""
    labels = seen.page.locator(".calendar a").evaluate_all(
        "(all) => all.sort((a, b) => (a.dataset.id < b.dataset.id ? -1 : 1)).map((one) => one.getAttribute('aria-label'))"
    )
    return [re.fullmatch(r".*: (.*), received (.*), sent (.*)", one).group(2, 3, 1) for one in labels]


def cells(seen, *columns):
    """Some cells of each row of the table."""
    rows = seen.page.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    return [tuple(row[n] for n in columns) for row in rows]


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


@pytest.mark.parametrize(
    ("view", "host"), [*((view, "web1") for view in VIEWS), ("timeline", ""), ("months", "")]
)
def test_a_view_of_several_hosts_fits_and_is_accessible(visit, fleet, view, host):
    script = chromium.axe()
    if script is None:
        pytest.skip("needs axe-core: npm install --prefix build/node axe-core@4, or NETUSAGE_AXE")
    seen = visit(fleet, VIEWS[view] + (f"?host={host}" if host else ""), script=script)
    chromium.PICTURES.mkdir(parents=True, exist_ok=True)
    for look, (size, scheme) in chromium.LOOKS.items():
        seen.page.set_viewport_size(size)
        seen.page.emulate_media(color_scheme=scheme)
        seen.settled()
        name = "-".join(one for one in ("fleet", view, host, look) if one)
        seen.page.screenshot(path=chromium.PICTURES / f"{name}.png", full_page=True)
        assert seen.page.evaluate(chromium.WIDTH) == size["width"], look
        if look in chromium.CHECKED:
            assert seen.page.evaluate(chromium.WRONG) == [], look


def test_every_view_follows_the_chosen_host_with_the_numbers_of_the_command_line(
    visit, record, report, ledgers
):
    of_host = ("--host", "web1", "--until", f"@{ledgers[1]}")
    seen = visit(record[0], "/?last=7d")
    seen.page.locator(".parts a", has_text="web1").click()
    seen.settled()
    since = f"{datetime.fromtimestamp(ledgers[1] - 1, ZoneInfo(ZONE)).year}-01-01"
    for view, shown, rows in (
        ("Days", days, report("report", "day", *of_host, "--since", since)),
        ("Months", lambda seen: cells(seen, 1, 2, 3)[::-1], report("report", "month", *of_host)),
        ("Applications", lambda seen: cells(seen, 1, 2, 3), report("apps", *of_host, "--since", "30d")),
    ):
        go(seen, view)
        assert seen.url.endswith(f"/{view.lower()}?host=web1")
        assert shown(seen) == bytes_of(rows)
        assert rows
        assert seen.page.locator(".whose").inner_text().startswith("These are the numbers of web1 alone.")
        seen.open(f"/{view.lower()}?host=web1")
        assert shown(seen) == bytes_of(rows)
        assert seen.page.locator(".chip").inner_text().startswith("host: web1")
    go(seen, "Timeline")
    assert seen.url.endswith("/?host=web1")


def test_without_a_chosen_host_the_views_are_about_all_and_say_so(visit, record, report, ledgers):
    seen = visit(record[0], "/months")
    rows = report("report", "month", "--host", "*", "--until", f"@{ledgers[1]}")
    assert cells(seen, 1, 2, 3)[::-1] == bytes_of(rows)
    assert seen.page.locator(".whose").inner_text().startswith("All hosts together.")
    assert (
        "1 of 3 hosts has not told all of this stretch (web2)" in seen.page.locator(".whose b").inner_text()
    )
    assert ("1 month." if len(rows) == 1 else "2 months, the newest first.") in seen.page.locator(
        ".tools"
    ).inner_text()


def test_the_choice_is_taken_away_by_keys_and_that_is_said(visit, fleet):
    seen = visit(fleet, "/?host=web2")
    page = seen.page
    for view in ("Days", "Months", "Applications", "Interfaces"):
        go(seen, view)
        assert page.locator("#said").inner_text() == f"{view}. These are the numbers of web2 alone."
        told = page.locator(".whose b").inner_text().strip()
        assert re.fullmatch(r"Host web2 is known until .*\.", told)
        page.keyboard.press("Tab")  # from the content, where the focus goes with a view
        assert page.evaluate("() => document.activeElement.ariaLabel") == "Remove the filter host: web2"
        page.keyboard.press("Enter")
        page.wait_for_function("() => !location.search")
        seen.settled()
        assert page.locator("#said").inner_text() == f"{view}. All hosts together."
        assert page.evaluate("() => document.activeElement.id") == "main"
        assert page.locator(".chip").count() == 0
        page.go_back()
        page.locator(".chip").wait_for()
        seen.settled()


def test_of_several_chosen_hosts_the_views_have_the_sum_and_each_can_be_taken_away(
    visit, fleet, config, capsys, monkeypatch
):
    monkeypatch.setenv("NETUSAGE_CONFIG", str(config))
    names_of = ("--host", "web1", "--host", "web2")
    assert run(["report", "total", "--fleet", *names_of, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    seen = visit(fleet, "/months?host=web1&host=web2")
    foot = seen.page.locator("tfoot td").all_inner_texts()
    assert tuple(foot[:3]) == bytes_of(rows)[0]
    assert seen.page.locator(".whose").inner_text().startswith("These are the numbers of 2 hosts together.")
    seen.page.get_by_label("Remove the filter host: web1").click()
    seen.page.locator(".whose", has_text="of web2 alone").wait_for()
    seen.settled()
    assert seen.url.endswith("/months?host=web2")


def test_what_a_view_leads_to_is_about_the_same_host(visit, fleet):
    seen = visit(fleet, "/days?host=web1")
    page = seen.page
    page.locator(".calendar a").last.click()
    seen.settled()
    assert re.search(r"/\?host=web1&since=[\d-]+&until=[\d-]+$", seen.url)
    go(seen, "Months")
    page.locator("tbody a").first.click()
    seen.settled()
    assert re.search(r"/\?host=web1&since=", seen.url)
    go(seen, "Applications")
    page.get_by_role("link", name="7 days").click()
    seen.settled()
    assert seen.url.endswith("/applications?host=web1&last=7d")
    page.locator("tbody a", has_text="nginx").click()
    page.locator("dl").wait_for()
    seen.settled()
    assert seen.url.endswith("/applications/nginx?host=web1&last=7d")
    facts = page.locator("[aria-label='About it']").inner_text()
    assert "These are the numbers of web1 alone." in facts
    assert "known of all hosts together only" in facts
    assert names(seen, "Hosts") == ["web1"]
    page.get_by_label("Remove the filter host: web1").click()
    page.locator("dt", has_text="First seen").wait_for()
    seen.settled()
    assert names(seen, "Hosts") == ["web1", "web2"]
    go(seen, "Hosts")
    assert page.locator("tbody [aria-current]").count() == 0


def test_what_an_application_had_on_a_host_is_told_without_what_only_all_hosts_have(visit, fleet):
    seen = visit(fleet, "/applications?host=web1")
    heads = seen.page.locator("thead th").all_inner_texts()
    assert heads == ["Application", "Received", "Sent", "Total", "Share"]
    assert "is known of all hosts together only" in seen.page.locator("main").inner_text()
    seen.page.get_by_label("Remove the filter host: web1").click()
    seen.page.get_by_role("button", name="First seen").wait_for()
    assert "is known of all hosts together only" not in seen.page.locator("main").inner_text()
    seen.open("/applications/postgres?host=web1")
    facts = seen.page.locator("[aria-label='About it']")
    facts.get_by_text("Nothing of this application is recorded there.").wait_for()


@pytest.mark.parametrize("path", ["/", "/months"])
def test_a_host_that_is_not_there_can_be_taken_away(visit, fleet, path):
    seen = visit(fleet, f"{path}?host=nobody")
    told = seen.page.locator("main .trouble")
    told.wait_for()
    assert "No host 'nobody' has been recorded." in told.inner_text()
    seen.expect("status of 404")
    seen.page.get_by_label("Remove the filter host: nobody").click()
    told.wait_for(state="detached")
    seen.settled()
    assert seen.url.endswith(path)


def test_days_after_the_last_word_of_a_host_have_no_record(visit, fleet, ledgers):
    last = datetime.fromtimestamp(ledgers[1] - 5 * HOUR_S - 1, ZoneInfo(ZONE)).date()
    seen = visit(fleet, f"/days?host=web2&year={last.year}")
    shown = seen.page.locator(".calendar a").evaluate_all("(all) => all.map((one) => one.dataset.id)")
    assert max(shown) == last.isoformat()


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
