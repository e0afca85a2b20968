"""Databases as vnStat 2.10 writes them: every byte in each list, local times, and what is old forgotten."""

import sqlite3
from bisect import bisect_left
from contextlib import closing
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from support import real_vnstat

LABELS = {
    name: lambda at, length=length, rest=rest: (
        f"{at.replace(minute=at.minute // 5 * 5):%Y-%m-%d %H:%M}"[:length] + rest
    )
    for name, (length, rest) in real_vnstat.FORMS.items()
}
_STEPS = {"fiveminute": 300, "hour": 1800, "day": 40_000, "month": 80_000, "year": 80_000}
KEPT = {"fiveminute": 2, "hour": 4, "day": 62, "month": 760, "year": 100_000}  # days


def write(path, zone, counted, updated_s, *, created_s=None, kept=None, tops=20, alias=None):
    """Write a database.

    counted: by interface, what was counted when: UTC seconds, received, sent.
    kept: days for which each list is kept; tops: how many of the best days are.
    """
    where, kept = ZoneInfo(zone), KEPT | (kept or {})
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        real_vnstat.make_tables(db)
        now = datetime.fromtimestamp(updated_s, where)
        for number, (name, events) in enumerate(sorted(counted.items()), start=1):
            begun_s = min((at for at, _, _ in events), default=updated_s) if created_s is None else created_s
            stamps = [f"{datetime.fromtimestamp(at, where):%Y-%m-%d %H:%M:%S}" for at in (begun_s, updated_s)]
            sums = (sum(rx for _, rx, _ in events), sum(tx for _, _, tx in events))
            row = (number, name, alias, 1, *stamps, 0, 0, *sums)
            db.execute("INSERT INTO interface VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            lists = {kind: labelled(events, where, label) for kind, label in LABELS.items()}
            for (
                kind,
                label,
            ) in LABELS.items():  # periods without traffic have rows as well, as long as it runs
                since_s = max(begun_s, updated_s - min(kept[kind], 90) * 86_400)
                for at_s in (*range(since_s, updated_s, _STEPS[kind]), updated_s):
                    lists[kind].setdefault(label(datetime.fromtimestamp(at_s, where)), (0, 0))
            best = sorted(lists["day"].items(), key=lambda item: -sum(item[1]))[:tops]
            for kind, rows in lists.items():
                oldest = LABELS[kind](now - timedelta(days=kept[kind]))
                _insert(db, kind, number, {date: both for date, both in rows.items() if date >= oldest})
            _insert(db, "top", number, dict(best))
        db.execute("COMMIT")
    return path


def labelled(events, where, label):
    """Sums by label."""
    found = {}
    for at_s, rx, tx in events:
        key = label(datetime.fromtimestamp(at_s, where))
        before = found.get(key, (0, 0))
        found[key] = (before[0] + rx, before[1] + tx)
    return found


def _insert(db, kind, interface, rows):
    values = ((interface, date, *both) for date, both in rows.items())
    db.executemany(f"INSERT INTO {kind} (interface, date, rx, tx) VALUES (?, ?, ?, ?)", values)


def naive(events, edges):
    """What was counted between edges, UTC seconds."""
    events = sorted(events)
    times = [event[0] for event in events]
    sums = [list(accumulate((event[way] for event in events), initial=0)) for way in (1, 2)]
    places = [bisect_left(times, at) for at in edges]
    return [tuple(total[high] - total[low] for total in sums) for low, high in pairwise(places)]
