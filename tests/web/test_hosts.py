"""How far hosts have told of a stretch: who is late, and what is no more than usual."""

import pytest

from netusage.reports.chosen import Choice
from netusage.settings.schema import FleetSettings, Settings
from netusage.web.hosts import Heard, untold

NOW_S = 1_000_000
HOUR_S = 3600
HOSTS = [Heard(name, 0, NOW_S - hours * HOUR_S) for name, hours in (("a", 1), ("b", 3), ("c", 100))]


@pytest.mark.parametrize(
    ("ago_h", "interval", "known_h", "late"),
    [
        (0, "1h", 1, ["c", "b"]),
        (0, "2h", 3, ["c"]),
        (0, "50h", 100, []),
        (2, "1h", 2, ["c", "b"]),
        (3, "1h", 3, ["c"]),
        (100, "1h", 100, []),
    ],
)
def test_who_is_further_behind_than_deliveries_are_is_late(ago_h, interval, known_h, late):
    settings = Settings(fleet=FleetSettings(interval=interval))
    found = untold(HOSTS, Choice(), NOW_S - ago_h * HOUR_S, NOW_S, settings)
    assert (found["count"], found["behind"], found["names"]) == (3, len(late), late)
    assert found["known_until_s"] == NOW_S - known_h * HOUR_S
    assert found["behind_until_s"] == (NOW_S - 100 * HOUR_S if late else None)


def test_hosts_that_are_not_looked_at_are_of_no_concern():
    found = untold(HOSTS, Choice(hosts=frozenset({"a"})), NOW_S, NOW_S, Settings())
    assert (found["count"], found["behind"], found["known_until_s"]) == (1, 0, NOW_S - HOUR_S)
    found = untold(HOSTS, Choice(hosts=frozenset({"c"})), NOW_S, NOW_S, Settings())
    assert (found["behind"], found["known_until_s"]) == (1, None)


def test_of_many_that_are_late_some_are_named_the_latest_first():
    hosts = [Heard(f"h{n}", 0, n) for n in range(9)]
    found = untold(hosts, Choice(), NOW_S, NOW_S, Settings())
    assert (found["behind"], found["names"]) == (9, ["h0", "h1", "h2", "h3", "h4"])
