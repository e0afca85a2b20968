"""Values against their keys."""

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from netusage.settings.convert import Invalid, nearest, parse, parse_text
from netusage.settings.schema import TABLES, declared_keys, table_keys
from netusage.units import Units

KEYS = declared_keys() | {key.dotted: key for table in TABLES for key in table_keys(table).values()}


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("recorder.sample_interval", "500ms", "500ms"),
        ("recorder.commit_on_link_event", False, False),
        ("recorder.minutes_kept_days", 3660, 3660),
        ("interfaces.hidden", ["veth*", "docker0"], ("veth*", "docker0")),
        ("source.kind", "psutil", "psutil"),
        ("report.units", "iec", Units.IEC),
        ("report.tz", "Europe/Berlin", "Europe/Berlin"),
        ("report.tz", "", ""),
        ("ledger.path", "/var/lib/x.db", "/var/lib/x.db"),
        ("plan.cap", "1.5 TiB", "1.5 TiB"),
        ("plan.start", "2026-11-20", "2026-11-20"),
        ("plan.start", date(2026, 11, 20), "2026-11-20"),
        ("plan.start", "", ""),
        ("fleet.url", "https://fleet.example.org:8443", "https://fleet.example.org:8443"),
        ("fleet.url", "http://[::1]:8123/", "http://[::1]:8123/"),
        ("fleet.url", "", ""),
        ("fleet.database", "net_usage2", "net_usage2"),
        ("fleet.share", ["units"], ("units",)),
        ("fleet.share", [], ()),
        ("fleet.labels", ["site=berlin", "a=b=c", "empty="], ("site=berlin", "a=b=c", "empty=")),
        ("plan.cycle", "week", "week"),
        ("plan.cycle", "30d", "30d"),
        (
            "plan.free_hours",
            ["1:00-06:00", "22:30-24:00", "23:00-01:00"],
            ("1:00-06:00", "22:30-24:00", "23:00-01:00"),
        ),
        ("plan.thresholds", [50, 100], (50, 100)),
        ("plan.thresholds", [], ()),
    ],
)
def test_a_sound_value_becomes_the_keys_own_type(dotted, value, expected):
    found = parse(KEYS[dotted], value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("dotted", "value", "reason"),
    [
        ("recorder.sample_interval", 5, "expected text, got 5"),
        ("recorder.sample_interval", "5 parsecs", "not a duration"),
        ("recorder.sample_interval", "99ms", "'99ms' is outside 100ms to 60s"),
        ("recorder.sample_interval", "61s", "is outside 100ms to 60s"),
        ("recorder.commit_interval", "11min", "is outside 100ms to 10min"),
        ("recorder.commit_on_link_event", "yes", "expected true or false, got 'yes'"),
        ("recorder.commit_on_link_event", 1, "expected true or false, got 1"),
        ("recorder.minutes_kept_days", 0, "0 is outside 1 to 3660"),
        ("recorder.minutes_kept_days", True, "expected a whole number, got True"),
        ("recorder.minutes_kept_days", 1.5, "expected a whole number"),
        ("report.billing_day", 32, "32 is outside 1 to 31"),
        ("interfaces.hidden", "veth*", "expected a list of names, got 'veth*'"),
        ("interfaces.hidden", ["veth*", 5], "expected a list of names"),
        ("interfaces.hidden", [""], "an empty name matches nothing"),
        ("interfaces.hidden", ["a\0"], "NUL"),
        ("plan.cap", 100, "expected text, got 100"),
        ("plan.cap", "", "not an amount of bytes"),
        ("plan.cap", "0 GB", "'0 GB' is less than 1 B"),
        ("plan.cap", "100 Gb", "could mean bits or bytes"),
        ("plan.name", "", "expected a name of 1 to 60 characters"),
        ("plan.name", "a\nb", "on one line"),
        ("plan.name", " a", "expected a name"),
        ("plan.start", "2026-11-31", "expected a day as in"),
        ("plan.start", "20261120", "expected a day as in"),
        ("plan.start", "1969-12-31", "from 1970 on"),
        ("plan.start", datetime(2026, 11, 20, tzinfo=UTC), "expected text"),
        ("plan.cycle", "monthly", "expected month, week or 1 to 3660 days"),
        ("plan.cycle", "0d", "expected month, week or 1 to 3660 days"),
        ("plan.cycle", "3661d", "expected month, week or 1 to 3660 days"),
        ("plan.free_hours", ["1-6"], "expected hours as in"),
        ("plan.free_hours", ["01:00-01:00"], "expected hours as in"),
        ("plan.free_hours", ["24:00-01:00"], "expected hours as in"),
        ("plan.free_hours", ["01:00-24:01"], "expected hours as in"),
        ("plan.free_hours", ["01:60-02:00"], "expected hours as in"),
        ("plan.free_hours", ["01:00"], "expected hours as in"),
        ("plan.thresholds", [0], "0 is outside 1 to 1000"),
        ("plan.thresholds", [True], "expected a list of whole numbers"),
        ("plan.thresholds", 80, "expected a list of whole numbers, got 80"),
        ("plan.direction", "up", "expected one of both, rx, tx, got 'up'"),
        (
            "source.kind",
            "netlnk",
            "expected one of auto, netlink, psutil, got 'netlnk'; did you mean 'netlink'?",
        ),
        ("source.kind", 5, "expected one of auto, netlink, psutil, got 5"),
        ("report.tz", "Europe/Berln", "unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        ("report.tz", "../etc/passwd", "unknown time zone"),
        ("report.tz", "Europe", "unknown time zone"),
        ("ledger.path", "usage.db", "'usage.db' is not an absolute path"),
        ("ledger.path", "/a\0b", "NUL"),
        ("ledger.path", "~nosuchuser-here/x.db", "no such home"),
    ],
)
def test_an_unsound_value_is_refused_with_the_reason(dotted, value, reason):
    with pytest.raises(Invalid) as caught:
        parse(KEYS[dotted], value)
    assert reason in str(caught.value)


def test_a_huge_wrong_value_is_shown_in_part():
    with pytest.raises(Invalid) as caught:
        parse(KEYS["recorder.minutes_kept_days"], "x" * 10_000)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("dotted", "text", "expected"),
    [
        ("recorder.minutes_kept_days", "7", 7),
        ("recorder.commit_on_link_event", "false", False),
        ("track.csv", "TRUE", True),
        ("interfaces.hidden", "veth*, docker0,", ("veth*", "docker0")),
        ("interfaces.hidden", "", ()),
        ("report.units", "iec", Units.IEC),
        ("ledger.path", "here.db", "here.db"),
    ],
)
def test_text_from_flags_and_variables_is_read_as_the_key_means_it(dotted, text, expected):
    assert parse_text(KEYS[dotted], text) == expected


@pytest.mark.parametrize(
    ("dotted", "text"),
    [("recorder.minutes_kept_days", "seven"), ("track.csv", "maybe"), ("report.bits", "2")],
)
def test_text_of_the_wrong_kind_is_refused(dotted, text):
    with pytest.raises(Invalid, match="expected"):
        parse_text(KEYS[dotted], text)


def test_a_path_with_a_tilde_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse(KEYS["ledger.path"], "~/usage.db") == "/home/someone/usage.db"


def test_nearest_says_nothing_about_words_that_are_far_away():
    assert nearest("sample_intervl", ["sample_interval"]) == "; did you mean 'sample_interval'?"
    assert nearest("zebra", ["sample_interval"]) == ""


def test_a_missing_msgspec_is_named_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['msgspec'] = None\n"
        "from netusage.settings.load import load, Flag\n"
        "from netusage.errors import NetusageError\n"
        "home = {'HOME': '/nonexistent'}\n"
        "assert load(flags={'track.interval': Flag('5s', '--interval')}, environment=home)\n"
        "try:\n"
        "    load(environment=home | {'NETUSAGE_REPORT_BILLING_DAY': '3'})\n"
        "except NetusageError as error:\n"
        "    assert 'msgspec is missing' in error.message and error.hint == 'pip install msgspec', error\n"
        "else:\n"
        "    raise AssertionError('not refused')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("dotted", "value", "reason"),
    [
        ("fleet.url", "fleet.example.org", "expected a URL as in"),
        ("fleet.url", "ftp://fleet", "expected a URL as in"),
        ("fleet.url", "http://fleet:99999", "expected a URL as in"),
        ("fleet.url", "http://", "expected a URL as in"),
        ("fleet.url", "http://fleet/database", "of a server alone"),
        ("fleet.url", "http://fleet?user=eva", "of a server alone"),
        ("fleet.database", "a-b", "letters, digits and underscores"),
        ("fleet.database", "a`; DROP", "letters, digits and underscores"),
        ("fleet.share", ["aplications"], "did you mean 'applications'"),
        ("fleet.labels", ["berlin"], "expected labels as in"),
        ("fleet.labels", ["=berlin"], "expected labels as in"),
        ("fleet.labels", ["a=b\nc"], "expected labels as in"),
    ],
)
def test_what_a_fleet_cannot_be_is_told(dotted, value, reason):
    with pytest.raises(Invalid, match=reason):
        parse(KEYS[dotted], value)


def test_a_password_in_the_url_of_a_fleet_is_refused_and_not_repeated():
    for url in ("https://eva:s3cret@fleet", "https://eva:s3cret@fleet:99999", "eva:s3cret@fleet"):
        with pytest.raises(Invalid) as caught:
            parse(KEYS["fleet.url"], url)
        assert "s3cret" not in str(caught.value)
