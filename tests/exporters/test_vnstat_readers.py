"""The ways in which people read vnStat: each gives the same out of vnStat and out of netusage, about the same traffic.

Filters run in jq, as in scripts and panels; one-line fields in cut and awk, as in status bars. Home Assistant's templates
(`value_json.interfaces[0]...`) are written as paths of jq: they follow the same keys, and no template engine is needed
here. What a Prometheus exporter does with the document is a filter as well, which writes its lines.
"""

import json
import subprocess

import pytest
from support import real_vnstat
from support.ledgers import writing
from support.real_vnstat import Watched, needs_jq, needs_vnstat

from netusage.cli.as_vnstat import answer

pytestmark = [pytest.mark.system, needs_vnstat, needs_jq]

DAY_S = 86_400
# 2026-11-26 10:07:00 UTC
NOW_S = 1_795_687_620
ZONE = "Europe/Berlin"

# what is asked, and the filter that reads it
FILTERS = {
    "today, as status bars have it": (
        "--json d 1",
        '.interfaces[] | select(.name == "eth0") | .traffic.day[0] | .rx + .tx',
    ),
    "today by its date, out of everything": (
        "--json",
        """.interfaces[] | select(.name == "eth0") | .traffic.day[]
        | select(.date.year == 2026 and .date.month == 11 and .date.day == 26) | [.rx, .tx]""",
    ),
    "the last day after sorting": (
        "-i eth0 --json d",
        ".interfaces[0].traffic.day | sort_by(.date.year, .date.month, .date.day) | last | [.date, .rx, .tx]",
    ),
    "this month in GiB": (
        "-i eth0 --json m 1",
        '.interfaces[0].traffic.month[-1] | (.rx + .tx) / 1073741824 | . * 100 | floor / 100 | "\\(.) GiB"',
    ),
    "a sensor of this month, Home Assistant": (
        "--json m",
        ".interfaces[0].traffic.month[-1].rx / 1000000000",
    ),
    "a sensor of all time, Home Assistant": ("--json", ".interfaces[0].traffic.total.tx"),
    "attributes of a sensor, Home Assistant": (
        "-i wlan0 --json",
        ".interfaces[0] | {name, alias, created: .created.timestamp, updated, days: (.traffic.day | length)}",
    ),
    "five minutes as rates, for a graph": (
        "-i eth0 --json f 12",
        ".interfaces[0].traffic.fiveminute | map([.timestamp, .rx * 8 / 300, .tx * 8 / 300])",
    ),
    "hours as a table": (
        "-i eth0 --json h --limit 24",
        ".interfaces[0].traffic.hour[] | [(.timestamp | todate), .time.hour, .rx, .tx] | @csv",
    ),
    "a billing period that begins on the tenth": (
        "-i eth0 --json d --begin 2026-11-10 --end 2026-12-09",
        "[.interfaces[0].traffic.day[] | .rx + .tx] | add",
    ),
    "the last four months": (
        "--json m 4",
        "[.interfaces[].traffic.month[] | [.date.year, .date.month, .rx]]",
    ),
    "the best days": (
        "--json t 5",
        '.interfaces[] | "\\(.name): " + ([.traffic.top[] | "\\(.date.day).\\(.date.month)."] | join(", "))',
    ),
    "whether the version of the document is known": ("--json s", ".jsonversion | tonumber == 2"),
    "names of interfaces": ("--json y", "[.interfaces[].name] | sort"),
    "interfaces by all they had": (
        "--json",
        ".interfaces | sort_by(-(.traffic.total | .rx + .tx)) | map(.name)",
    ),
    "how old the newest number is": (
        "--json s",
        "1795687680 - (.interfaces | map(.updated.timestamp) | max)",
    ),
    "all interfaces together": ("--json s", "[.interfaces[].traffic.total.rx] | add"),
    "two interfaces as one": ("-i eth0+wlan0 --json m 1", ".interfaces[0] | [.name, .traffic.month[0].rx]"),
    "metrics for Prometheus, as vnStat's own CGI makes them": (
        "--json s 1",
        r"""if .interfaces[0].created.timestamp then . else error("too old a vnStat") end | .interfaces[]
        | (.updated.timestamp * 1000) as $at
        | "{interface=\"\(.name)\",alias=\"\(if .alias == "" then .name else .alias end)\"}" as $labels
        | (.traffic.total | "vnstat_interface_total_received_bytes\($labels) \(.rx) \($at)",
          "vnstat_interface_total_transmitted_bytes\($labels) \(.tx) \($at)"),
        (.traffic | to_entries[] | select(.key != "total")
          | "vnstat_interface_\(.key)_received_bytes\($labels) \(.value[0].rx) \($at)",
          "vnstat_interface_\(.key)_transmitted_bytes\($labels) \(.value[0].tx) \($at)")""",
    ),
    "types, so that typed readers take it": (
        "--json a 1",
        "[.. | type] | group_by(.) | map({(.[0]): length}) | add",
    ),
    "every key in its order": ("--json a 1", '[paths | map(tostring) | join(".")]'),
}
LINES = {
    "today": ("--oneline", "cut -d ';' -f 6"),
    "this month without its unit": ("--oneline", "awk -F';' '{ split($11, a, \" \"); print a[1] }'"),
    "received and sent today in bytes": (
        "-i eth0 --oneline b",
        "awk -F';' '{ printf \"%d %d\\n\", $4, $5 }'",
    ),
    "whether a limit of this month is reached": (
        "--oneline b",
        "awk -F';' '{ print ($11 > 1000000000) ? \"over\" : \"under\" }'",
    ),
    "a quarter of what there was": ("--oneline b", "cut -d ';' -f 15 | awk '{ print int($1 / 4) }'"),
    "the number of fields": ("-i wlan0 --oneline", "awk -F';' '{ print NF, $1, $2 }'"),
    "the rate of today": ("--oneline", "cut -d ';' -f 7"),
    "interfaces, a loop over them": ("--dbiflist 1", 'while read -r name; do echo "[$name]"; done'),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A ledger and a database of vnStat about the same ninety days of two interfaces."""
    home = tmp_path_factory.mktemp("readers")
    begun_s = NOW_S // DAY_S * DAY_S - 90 * DAY_S
    seen = [Watched(name, [(begun_s, NOW_S)], {}) for name in ("eth0", "wlan0")]
    with writing(home / "ledger.db", begun_s) as ledger:
        epochs = [ledger.interface(one.name) for one in seen]
        ledger.commit(begun_s)
        for n, at_s in enumerate(range(begun_s, NOW_S - 300, 4500)):
            for epoch, one, scale in zip(epochs, seen, (1_000_003, 70_001), strict=True):
                one.counted[at_s] = ((n % 97 + 1) * scale, n % 11 * scale // 7)
                ledger.count(epoch, at_s + 60, *one.counted[at_s], 1, 1)
            if n % 100 == 0:
                ledger.commit(at_s + 120)
        ledger.commit(NOW_S)
    kept = {"fiveminute": "2026-11-24 11:07", "hour": "2026-11-22 11:07", "day": "2026-09-25"}
    real_vnstat.mirror(home / "db", seen, ZONE, since=kept, tops=20)
    return home


@pytest.fixture
def answers(both, monkeypatch, capsys):
    """What vnStat and netusage say to a command line."""

    def ask(words):
        monkeypatch.setattr("time.time", lambda: float(NOW_S))
        monkeypatch.setenv("NETUSAGE_DB", str(both / "ledger.db"))
        monkeypatch.setenv("NETUSAGE_REPORT_TZ", ZONE)
        import sys

        code, theirs = real_vnstat.ask(both / "db", *words.split(), zone=ZONE)
        assert (code, answer(words.split(), sys.stdout)) == (0, 0)
        return theirs, capsys.readouterr().out

    return ask


@pytest.mark.parametrize("what", FILTERS)
def test_a_filter_of_jq_gives_the_same(what, answers):
    words, code = FILTERS[what]
    theirs, ours = (piped(text, "jq", "-r", code) for text in answers(words))
    assert ours == theirs
    assert theirs.strip() not in {"", "null", "0", "[]"}


@pytest.mark.parametrize("what", LINES)
def test_a_field_of_a_line_is_the_same(what, answers):
    words, code = LINES[what]
    theirs, ours = (piped(text, "sh", "-c", code) for text in answers(words))
    assert ours == theirs
    assert theirs.strip()


def test_programs_that_read_the_document_as_a_whole_find_it_the_same_but_for_row_numbers(answers):
    theirs, ours = (json.loads(text) for text in answers("--json"))
    for document in (theirs, ours):
        for interface in document["interfaces"]:
            for rows in interface["traffic"].values():
                for row in rows if isinstance(rows, list) else ():
                    assert isinstance(row.pop("id"), int)
    assert ours == theirs


def piped(text, *command):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout
