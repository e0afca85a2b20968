"""The system's Chromium, without what it does in the background; and pages that may ask nobody but one server."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from support.patience import LONG

_QUIET = (
    "--no-sandbox",  # root has none
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-domain-reliability",
)
VIEWS = {
    "timeline": "/",
    "all-time": "/?last=all",
    "applications": "/applications",
    "application": "/applications/firefox",
    "days": "/days",
    "months": "/months",
    "interfaces": "/interfaces",
    "plans": "/plans",
}
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
LOOKS = {
    "wide-light": (WIDE, "light"),
    "wide-dark": (WIDE, "dark"),
    "narrow-light": (NARROW, "light"),
    "narrow-dark": (NARROW, "dark"),
}
CHECKED = ("wide-light", "narrow-dark")  # each colour and each size once
# where pictures of pages are kept
PICTURES = Path(os.environ.get("NETUSAGE_SCREENSHOTS") or Path(__file__).parents[2] / "build/screenshots")
# asked of a page: what axe-core finds seriously wrong with it, and how wide it is
WRONG = """async () => (await axe.run()).violations
  .filter((one) => ['serious', 'critical'].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)"""
WIDTH = "() => document.documentElement.scrollWidth"


def executable():
    """Where it is, or None."""
    return os.environ.get("NETUSAGE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def launch(playwright):
    """Start it."""
    return playwright.chromium.launch(executable_path=executable(), args=list(_QUIET))


def server(start, home, path, **environment):
    """`netusage web` on a free port, by what `start` makes of arguments, and its address."""
    settings = {"NETUSAGE_REPORT_TZ": "Europe/Berlin", **environment}
    process = start(("web", "--db", path, "--port", "0"), home, environment=settings)
    process.wait_for_words("the page is at http")
    address = process.err.split("the page is at ")[1].split()[0].rstrip("/")
    return process, address


class Visit:
    """A page in a context of its own.

    Attributes:
        page: playwright's.
        asked: the address of every request.
        trouble: errors and warnings in the console, and scripts that failed; a test may take out what it expects.
    """

    def __init__(self, browser, address, *, size=WIDE, scheme="light", script=None):
        self.address = address
        self.context = browser.new_context(
            viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="America/New_York"
        )
        self.context.set_default_timeout(LONG * 1000)
        if script:
            self.context.add_init_script(path=script)
        self.asked, self.trouble = [], []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("console", self._note)
        self.context.on("weberror", lambda error: self.trouble.append(f"script: {error.error}"))
        self.page = self.context.new_page()

    def open(self, path):
        """Go to a view and wait until it is complete."""
        self.page.goto(self.address + path, wait_until="load")
        return self.settled()

    def settled(self):
        """Wait until nothing is asked any more that a view needs."""
        self.page.wait_for_function(
            "() => document.querySelector('main > *') && !document.querySelector('main [aria-busy]')"
        )
        return self.page

    @property
    def url(self):
        """The page's address as it is at this moment."""
        return self.page.evaluate("() => location.href")

    def expect(self, words):
        """Take out of the trouble what a test expects; it has to be there."""
        expected = [one for one in self.trouble if words in one]
        assert expected, (words, self.trouble)
        self.trouble = [one for one in self.trouble if words not in one]

    @property
    def elsewhere(self):
        """Requests to anybody but the server."""
        own = urlsplit(self.address)
        return [
            url
            for url in self.asked
            if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url)[:2] != own[:2]
        ]

    def _note(self, message):
        if message.type in ("error", "warning"):
            self.trouble.append(f"{message.type}: {message.text}")

    def close(self):
        """End it; the page has asked nobody else, and nothing went wrong."""
        self.context.close()
        assert not self.elsewhere, self.elsewhere
        assert not self.trouble, self.trouble


def axe():
    """Where axe-core's script is, or None; `make` puts it into build/node."""
    found = Path(
        os.environ.get("NETUSAGE_AXE")
        or Path(__file__).parents[2] / "build/node/node_modules/axe-core/axe.min.js"
    )
    return found if found.exists() else None
