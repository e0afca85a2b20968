"""Make the pictures of the page that the documentation shows: python tests/web/page/pictures.py DIRECTORY.

A ledger of two years is made, a recorder goes on with it, `netusage web` shows it, and Chromium takes the pictures.
"""

import contextlib
import io
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import books
from support import browser as chromium
from support.process import Process

PICTURES = {
    "timeline-light": ("/?last=7d", "light", 900),
    "timeline-dark": ("/?last=24h&application=firefox", "dark", 900),
    "applications": ("/applications?last=30d", "light", 800),
    "days": ("/days", "light", 610),
}
_COLOURS = 256
_WATCHED_S = 40  # so that the line of the last minutes has something to show
_SETTINGS = {
    "NETUSAGE_INTERFACES_COUNTED": "lo",
    "NETUSAGE_RECORDER_APPLICATIONS": "auto",
    "NETUSAGE_RECORDER_PINS": "off",
}


def traffic(stop):
    """Some datagrams over loopback, more at times and less at others."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as giver,
    ):
        taker.bind(("127.0.0.1", 0))
        n = 0
        while not stop.wait(0.2):
            n += 1
            for _ in range(1 + n * n // 7 % 23):
                giver.sendto(b"x" * 1400, taker.getsockname())


def make(directory):
    """Take them all."""
    directory.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def start(*arguments, **options):
            process = Process(*arguments, **options)
            stack.callback(process.reap)
            return process

        path = home / "ledger.db"
        books.years(path, int(time.time()) - 60, count=2)
        recorder = start(("daemon", "--db", path), home, environment=_SETTINGS)
        recorder.wait_until_recording()
        stack.callback(recorder.stop)
        sender = threading.Thread(target=traffic, args=(stop,))
        sender.start()
        stack.callback(sender.join)
        stack.callback(stop.set)
        _, address = chromium.server(start, home, path, **_SETTINGS)
        browser = chromium.launch(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)
        stop.wait(_WATCHED_S)
        for name, (view, scheme, height) in PICTURES.items():
            seen = chromium.Visit(browser, address, size={"width": 1200, "height": height}, scheme=scheme)
            page = seen.open(view)
            page.wait_for_function("() => document.getElementById('now-state').textContent !== 'asking …'")
            with Image.open(io.BytesIO(page.screenshot())) as picture:
                picture.convert("RGB").quantize(
                    _COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
                ).save(directory / f"{name}.png", optimize=True)
            seen.close()
    for name in PICTURES:
        print(f"{directory / name}.png: {(directory / name).with_suffix('.png').stat().st_size // 1000} kB")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
