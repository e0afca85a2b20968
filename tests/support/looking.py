"""How widely Hypothesis looks: NETUSAGE_HYPOTHESIS is empty for `make check`, "thorough" for `make test`, or "search"."""

import os

from hypothesis import settings

LOOK = os.environ.get("NETUSAGE_HYPOTHESIS", "")
_QUICK = 20  # per cent


def examples(thorough=100):
    """How many examples a test looks at that looks at so many when it is thorough."""
    return thorough if LOOK else max(thorough * _QUICK // 100, 5)


def load():
    """Let this hold for every test that says nothing else; a busy machine breaks no deadline."""
    settings.register_profile("netusage", max_examples=examples(), deadline=None)
    settings.load_profile("netusage")
