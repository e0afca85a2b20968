"""Waiting for something to become true, without sleeping longer than needed."""

import time

LONG = 20.0  # seconds; only a broken test waits that long


def until(truth, what, seconds=LONG, every=0.005):
    """Poll until `truth()` is true and return what it gave; fail with `what` when it never is."""
    end = time.monotonic() + seconds
    while True:
        found = truth()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds} s in vain for: {what() if callable(what) else what}"
        time.sleep(every)
