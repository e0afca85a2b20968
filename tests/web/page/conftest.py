"""One browser and a few servers for all tests of the page."""

import time

import pytest
from support import browser as chromium
from support.process import Process

# of a machine that has about 9 GB a day: one that will do, and one that is used up
PLANS = """
[[plan]]
name = "home"
cap = "1 TB"
day = 15
free_hours = ["01:00-06:00"]
roll_over = 1

[[plan]]
name = "<i>small</i>"
cap = "1 GB"
cycle = "week"
exclude_lan = true

[[plan]]
name = "lte"
cap = "5 GB"
interfaces = ["wwan*"]
"""


@pytest.fixture(scope="module")
def browser():
    """Chromium; while playwright runs, nobody else in this process can run an event loop."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if chromium.executable() is None:
        pytest.skip("needs the system's chromium, or NETUSAGE_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        started = chromium.launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="session")
def books(tmp_path_factory):
    """Ledgers by name, each made when it is asked for first."""
    from support import books as made

    home = tmp_path_factory.mktemp("books")

    def path(name):
        found = home / f"{name}.db"
        if name != "none" and not found.exists():
            getattr(made, name)(found, int(time.time()))
        return found

    return path


@pytest.fixture(scope="session")
def servers(tmp_path_factory, books):
    """The address of a server of each ledger; all are ended at the end."""
    started, addresses = [], {}

    def address(name):
        if name not in addresses:
            home = tmp_path_factory.mktemp(f"web-{name}")
            config = home / "config.toml"
            config.write_text(PLANS)
            process, addresses[name] = chromium.server(
                Process, home, books(name), NETUSAGE_CONFIG=str(config)
            )
            started.append(process)
        return addresses[name]

    yield address
    for process in started:
        process.reap()


@pytest.fixture
def visit(browser, servers):
    """Opens pages; each has to end without trouble and without a request to anybody else."""
    opened = []

    def go(book, path="/", **options):
        address = book if book.startswith("http") else servers(book)
        opened.append(chromium.Visit(browser, address, **options))
        opened[-1].open(path)
        return opened[-1]

    yield go
    for one in opened:
        one.close()
