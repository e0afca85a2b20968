"""The present: rates that move with real traffic, the recorder's state, and what happened while nobody looked."""

import contextlib
import re
import socket
import time

import pytest
from support import browser as chromium
from support.process import Process

pytestmark = pytest.mark.system

COUNTED = {"NETUSAGE_INTERFACES_COUNTED": "lo"}


@pytest.fixture
def reaped():
    """Starts processes that are ended with the test."""
    started = []

    def start(*arguments, **options):
        started.append(Process(*arguments, **options))
        return started[-1]

    yield start
    for process in started:
        process.reap()


def rate(text):
    """Bytes per second, as the page writes them."""
    number, unit = text.split()
    return float(number) * {"B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9}[unit]


@contextlib.contextmanager
def sink():
    """Sends datagrams over loopback to a socket that takes them."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as giver,
    ):
        taker.bind(("127.0.0.1", 0))
        yield lambda: [giver.sendto(b"x" * 50_000, taker.getsockname()) for _ in range(40)]


def test_rates_and_sums_move_while_traffic_flows(browser, reaped, tmp_path):
    path = tmp_path / "ledger.db"
    recorder = reaped(
        ("daemon", "--db", path, "--commit-interval", "1s"), tmp_path, environment=COUNTED
    ).wait_until_recording()
    _, address = chromium.server(reaped, tmp_path, path, **COUNTED)
    seen = chromium.Visit(browser, address)
    page = seen.open("/?last=5m")
    page.wait_for_function(
        "() => document.getElementById('now-state').textContent.startsWith('recording since')"
    )
    assert re.search(r"last commit \d+ s ago", page.locator("#now-more").inner_text())
    assert "applications are not told apart" in page.locator("#now-more").inner_text()
    shape = "() => document.querySelector('#now-spark .rx').getAttribute('d')"
    before = page.evaluate(shape)
    fast = 0
    with sink() as send:
        end = time.monotonic() + 20
        while fast < 500_000 and time.monotonic() < end:
            send()
            page.wait_for_timeout(200)
            fast = rate(page.locator("#now-rx").inner_text())
    assert fast >= 500_000
    assert page.evaluate(shape) != before
    page.wait_for_function("() => document.getElementById('now-today').textContent.endsWith('MB')")
    # the chart of the last minutes goes with them
    page.wait_for_function(
        "() => /Received [0-9.]+ MB/.test(document.getElementById('chart-words').textContent)"
    )
    assert "live: bars of 1 second" in page.locator("#chart-words").inner_text()
    recorder.stop()
    page.wait_for_function(
        "() => document.getElementById('now-state').textContent === 'no recorder is running'"
    )
    if any("404" in one for one in seen.trouble):
        seen.expect("status of 404")  # of the first minute there is no quarter yet
    seen.close()


def test_a_stream_that_breaks_off_is_said_and_taken_up_again(browser, reaped, tmp_path, books):
    process, address = chromium.server(reaped, tmp_path, books("years"))
    seen = chromium.Visit(browser, address)
    page = seen.open("/months")
    process.kill()
    page.wait_for_function("() => document.getElementById('now-state').textContent.includes('trying again')")
    assert page.locator("#now-rx").inner_text() == "\N{EN DASH}"
    port = address.rsplit(":", 1)[1]
    reaped(
        ("web", "--db", books("years"), "--port", port), tmp_path, environment={"NETUSAGE_REPORT_TZ": "UTC"}
    ).wait_for_words("the page is at")
    page.wait_for_function("() => document.getElementById('now-rx').textContent.includes('B/s')")
    seen.expect("ERR_")
    seen.close()


def test_nothing_is_asked_of_the_present_while_nobody_looks(visit):
    seen = visit("years", "/days")
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    streams = [url for url in seen.asked if url.endswith("/events")]
    seen.page.evaluate(hide, True)
    seen.page.evaluate(hide, False)
    with seen.page.expect_request("**/events"):
        seen.page.evaluate(hide, True)
        seen.page.evaluate(hide, False)
    assert len([url for url in seen.asked if url.endswith("/events")]) > len(streams)


def test_after_an_absence_one_card_says_what_was(visit):
    seen = visit("years", "/")
    assert seen.page.locator("#away *").count() == 0
    visited = int(time.time()) - 3 * 86_400
    seen.page.evaluate("(at) => localStorage.setItem('netusage.visited', at)", str(visited))
    leave = "() => Object.defineProperty(document, 'hidden', { value: true, configurable: true })"
    seen.page.evaluate(leave)  # so that going away is no visit
    seen.open("/")
    card = seen.page.locator("#away section")
    card.wait_for()
    text = card.inner_text()
    assert "In 3 d, since" in text
    assert card.locator("h3", has_text="Most of it").count() == 1
    assert card.locator("ul").first.locator("li").count() in (4, 5)
    assert "syncthing for the first time" in text
    card.get_by_role("link", name="Show this stretch").click()
    seen.settled()
    assert "since=" in seen.url
    card.get_by_role("button", name="Dismiss").click()
    assert seen.page.locator("#away *").count() == 0


def test_who_has_to_log_in_is_led_there_and_back(browser, reaped, tmp_path, books):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    token.chmod(0o600)
    process = reaped(
        ("web", "--db", books("years"), "--port", "0", "--token-file", token), tmp_path
    ).wait_for_words("the page is at http")
    address = process.err.split("the page is at ")[1].split()[0].split("/login")[0].rstrip("/")
    seen = chromium.Visit(browser, address)
    seen.page.goto(f"{address}/days?year=2025")
    seen.page.get_by_label("Token").fill("0123456789abcdef0123456789abcdef")
    seen.page.get_by_role("button", name="Log in").click()
    seen.settled()
    assert seen.url == f"{address}/days?year=2025"
    assert seen.page.locator("h1").inner_text() == "Days"
    seen.trouble = [one for one in seen.trouble if "401" not in one]
    seen.close()
