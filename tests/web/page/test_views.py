"""Applications, days, months and interfaces: what they tell, how they are sorted, searched and walked through."""

import json
import re
import time

import pytest

pytestmark = pytest.mark.system


def api(seen, question):
    """What the API answers to the page."""
    ask = "async (path) => (await fetch(path)).text()"
    return json.loads(seen.page.evaluate(ask, f"/api/v1/{question}"))


def column(seen, n):
    """The n-th cell of every row."""
    return seen.page.locator(f"tbody tr > :nth-child({n})").all_inner_texts()


def test_two_thousand_applications_are_shown_in_parts_and_found_by_words(visit):
    seen = visit("many", "/applications?last=7d")
    rows = seen.page.locator("tbody tr")
    assert rows.count() == 200
    seen.page.get_by_role("button", name="Show 200 more").click()
    assert rows.count() == 400
    took = seen.page.evaluate(
        """() => {
          const field = document.querySelector('input[type=search]');
          const begun = performance.now();
          field.value = 'job-0123';
          field.dispatchEvent(new Event('input'));
          return performance.now() - begun;
        }"""
    )
    assert took < 200
    assert column(seen, 1) == ["job-0123"]
    assert seen.page.locator(".tools [role=status]").inner_text() == "1 of 2001"


def test_a_table_is_sorted_by_its_headings_by_mouse_and_by_keys(visit):
    seen = visit("years")
    seen.open("/applications?last=30d")
    sizes = api(seen, "applications?since=30d&by=application")["rows"]
    assert column(seen, 1)[0] == sizes[0]["application"] == "firefox"
    seen.page.get_by_role("button", name="Total").focus()
    seen.page.keyboard.press("Enter")
    assert column(seen, 1)[-1] == "firefox"
    assert seen.page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    seen.page.get_by_role("button", name="Application").click()
    names = column(seen, 1)
    assert names == sorted(names, key=str.lower)
    assert {"firefox", "unattributed"} < set(names)


def test_names_that_want_to_do_harm_are_only_names(visit):
    from support.books import HOSTILE

    seen = visit("many", "/applications?last=7d")
    shown = column(seen, 1)
    assert "<img src=x onerror=alert(1)>" in shown
    assert "\\u{1b}[31mred\\u{1b}[0m" in shown
    assert "\\u{202e}gpj.exe" in shown
    for name in (HOSTILE[0], HOSTILE[4], HOSTILE[5]):
        seen.open("/applications?last=7d")
        seen.page.locator("tbody a", has_text=name[:30]).click()
        seen.settled()
        assert seen.page.locator("h1").inner_text() == name
        assert re.search(r"In all\s+1[01]\.\d\d MB", seen.page.locator("dl").inner_text())
        assert seen.page.evaluate("() => document.documentElement.scrollWidth") == 1280
    assert seen.page.locator("main img").count() == 0


def test_an_application_has_its_history_and_its_versions(visit):
    seen = visit("years", "/applications?last=30d")
    seen.page.locator("tbody a", has_text="firefox").click()
    seen.settled()
    assert seen.page.locator("nav [aria-current=page]").inner_text() == "Applications"
    facts = seen.page.locator("dl").inner_text()
    assert "/usr/lib/firefox/firefox" in facts
    assert "eva" in facts
    assert "6 hours" in seen.page.locator("#chart-words").inner_text()
    seen.page.get_by_text("3 versions of its executables").click()
    assert seen.page.locator("tbody tr").count() == 3
    assert "Applications" not in seen.page.locator(".parts h3").all_inner_texts()
    seen.page.get_by_role("link", name="7 days").or_(seen.page.get_by_text("7 d", exact=True)).click()
    seen.settled()
    assert seen.url.endswith("/applications/firefox?last=7d")


def test_days_are_walked_through_by_keys_and_open_their_timeline(visit):
    seen = visit("years", "/days")
    year = int(time.strftime("%Y")) - 1
    seen.page.get_by_role("link", name=str(year)).click()
    seen.settled()
    page = seen.page
    last = page.locator(f"a[data-id='{year}-12-31']")
    last.focus()
    for key, day in (
        ("ArrowUp", "12-30"),
        ("ArrowLeft", "12-23"),
        ("ArrowRight", "12-30"),
        ("Home", "01-01"),
        ("ArrowDown", "01-02"),
    ):
        page.keyboard.press(key)
        assert page.evaluate("() => document.activeElement.dataset.id") == f"{year}-{day}", key
    assert page.locator(".calendar a[tabindex='0']").count() == 1
    label = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    seen.settled()
    assert seen.url.endswith(f"/?since={year}-01-02&until={year}-01-03")
    assert page.locator(".title").inner_text() == label.split(":")[0]
    received = re.search(r"received ([\d.]+ GB)", label)[1]
    assert f"Received {received}," in page.locator("#chart-words").inner_text()


def test_a_year_has_all_its_days_once(visit):
    seen = visit("years", "/days")
    year = int(time.strftime("%Y")) - 2
    seen.open(f"/days?year={year}")
    found = seen.page.locator(".calendar a").evaluate_all("(all) => all.map((one) => one.dataset.id)")
    days = [
        row["start"][:10] for row in api(seen, f"report/day?since={year}-01-01&until={year}-12-31")["rows"]
    ]
    assert sorted(found) == days
    assert len(days) == (366 if year % 4 == 0 else 365)


def test_months_have_totals_peaks_and_a_sum(visit):
    seen = visit("years", "/months")
    rows = seen.page.locator("tbody tr")
    start = api(seen, "now")["record"]["start_s"]
    months = api(seen, f"report/month?since=@{start}&peak=1")["rows"]
    assert rows.count() == len(months) > 120
    assert rows.first.inner_text().startswith(time.strftime("%B %Y"))
    whole = sum(row["rx_bytes"] for row in months)
    assert f"{whole / 1e12:.2f} TB" in seen.page.locator("tfoot").inner_text()
    assert "B/s" in rows.nth(1).inner_text()
    rows.nth(1).locator("a").click()
    seen.settled()
    assert seen.page.locator(".title").inner_text().startswith("1 ")


def test_five_hundred_interfaces_are_searched_and_each_has_an_account(visit):
    seen = visit("many", "/interfaces?last=7d")
    assert seen.page.locator("section[aria-label=Interfaces] tbody tr").count() == 200
    seen.page.get_by_label("Search interfaces").fill("eth0")
    row = seen.page.locator("section[aria-label=Interfaces] tbody tr", has_text="hardware")
    assert "yes: hardware" in row.inner_text()
    account = seen.page.locator("table.sum")
    account.wait_for()
    numbers = [
        [int(one.replace("\u2009", "").replace("\u00a0", "").replace(" ", "")) for one in cells]
        for cells in account.locator("tr:has(td.n)").evaluate_all(
            "(rows) => rows.map((row) => [...row.querySelectorAll('td.n')].slice(0, 3).map((cell) => cell.textContent))"
        )
    ]
    *lines, whole = numbers
    assert [sum(column) for column in zip(*lines, strict=True)] == whole
    assert whole[0] == 13_000_000_000
    assert "reached no socket" in account.inner_text()
    seen.page.get_by_label("Search interfaces").fill("veth0001")
    seen.page.locator("section[aria-label=Interfaces] tbody a").click()
    seen.settled()
    assert "veth0001" in seen.page.locator("section[aria-label=Account] h2").inner_text()
    if any("404" in one for one in seen.trouble):
        seen.expect("status of 404")  # nothing is known of who had its bytes


def test_tables_can_be_taken_along(visit):
    for path, name in (
        ("/applications?last=7d", "netusage-applications.csv"),
        ("/days", "netusage-report-day.csv"),
        ("/months", "netusage-report-month.csv"),
    ):
        seen = visit("years", path)
        seen.page.get_by_text("Download").click()
        with seen.page.expect_download() as found:
            seen.page.get_by_text("CSV", exact=True).click()
        assert found.value.suggested_filename == name
        assert len(found.value.path().read_text().splitlines()) > 2
