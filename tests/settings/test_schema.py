"""The schema is complete, and its own defaults obey it."""

import subprocess
import sys

import pytest

from netusage.settings.convert import KINDS, parse
from netusage.settings.schema import (
    SECTIONS,
    TABLES,
    AlertSettings,
    AlertsSettings,
    PlanSettings,
    Settings,
    declared_keys,
    table_keys,
)
from netusage.units import Units

OF_TABLES = [key for table in TABLES for key in table_keys(table).values()]


def test_every_default_is_a_value_that_its_own_key_accepts():
    for key in [*declared_keys().values(), *OF_TABLES]:
        if not key.choices and not key.needed:
            assert parse(key, key.default) == key.default, key.dotted


def test_every_key_has_a_meaning_and_a_kind_that_is_known():
    for key in [*declared_keys().values(), *OF_TABLES]:
        assert key.doc.endswith(".")
        assert key.kind in ("", *KINDS)


def test_every_key_of_a_section_has_a_variable_of_its_own():
    keys = declared_keys().values()
    assert len({key.variable for key in keys}) == len(keys)
    assert declared_keys()["recorder.sample_interval"].variable == "NETUSAGE_RECORDER_SAMPLE_INTERVAL"


def test_every_section_is_a_field_of_the_settings():
    for name, holder in SECTIONS.items():
        assert type(getattr(Settings(), name)) is holder


def test_every_table_has_a_name_and_is_a_field_of_the_settings():
    for table in TABLES:
        assert getattr(Settings(), table) == ()
        assert table_keys(table)["name"].needed


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"cycle": "30d"}, "start"),
        ({"cycle": "30d", "start": "2026-11-20", "day": 2}, "day"),
        ({"cycle": "week", "day": 2}, "day"),
        ({"weekday": "sunday"}, "weekday"),
        ({"already_used": "5 GB"}, "already_used"),
        ({"already_used": "5 GB", "already_used_at": "2026-11-19", "start": "2026-11-20"}, "already_used_at"),
    ],
)
def test_a_plan_that_contradicts_itself_is_told_by_the_key(given, key):
    contradiction = PlanSettings("home", "1 GB", **given).contradiction()
    assert contradiction is not None
    assert contradiction[0] == key


def test_a_plan_that_makes_sense_has_no_contradiction():
    for given in ({}, {"cycle": "week", "weekday": "sunday"}, {"cycle": "30d", "start": "2026-11-20"}):
        assert PlanSettings("home", "1 GB", **given).contradiction() is None


def test_durations_are_handed_out_in_microseconds():
    settings = Settings()
    assert settings.recorder.sample_interval_us == 1_000_000
    assert settings.recorder.commit_interval_us == 10_000_000
    assert settings.track.interval_us == 60_000_000


def test_choices_are_the_texts_of_literals_and_enumerations():
    keys = declared_keys()
    assert keys["report.units"].choices == ("si", "iec")
    assert keys["source.kind"].choices == ("auto", "netlink", "psutil")
    assert keys["track.csv"].choices == ()
    assert Settings().report.units is Units.SI


def test_the_defaults_import_nothing_outside_the_standard_library():
    code = (
        "import sys\n"
        "from netusage.settings.load import load\n"
        "from netusage.settings.schema import Settings\n"
        "assert load(environment={'HOME': '/nonexistent'}).settings == Settings()\n"
        "bad = {'msgspec', 'platformdirs', 'click', 'psutil', 'rich', 'tomllib', 'difflib'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"kind": "rate", "above": "10 MB"}, "above"),
        ({"kind": "rate", "above": "0 B/s"}, "above"),
        ({"kind": "quota", "above": "10 MB/s"}, "above"),
        ({"kind": "rate", "above": "1 MB/s", "application": "curl"}, "application"),
        ({"kind": "quota", "above": "1 MB", "application": ""}, "application"),
    ],
)
def test_an_alert_that_contradicts_itself_is_told_by_the_key(given, key):
    contradiction = AlertSettings("busy", **given).contradiction()
    assert contradiction is not None
    assert contradiction[0] == key


def test_an_alert_knows_its_numbers():
    rate = AlertSettings("busy", "rate", "80 Mbit/s", lasting="90s")
    assert (rate.above_bytes, rate.lasting_minutes, rate.contradiction()) == (10_000_000, 2, None)
    quota = AlertSettings("much", "quota", "5 GB", application="rsync")
    assert (quota.above_bytes, quota.contradiction()) == (5_000_000_000, None)


def test_alerts_are_wanted_where_somebody_is_told_or_a_log_is_kept():
    assert not Settings().wants_alerts
    assert not Settings(plan=(PlanSettings("home", "1 GB"),)).wants_alerts
    for alerts in ({"to": ("ntfy://x",)}, {"to_file": "/x"}, {"command": ("x",)}, {"log": True}):
        assert Settings(alerts=AlertsSettings(**alerts)).wants_alerts
    assert Settings(alert=(AlertSettings("busy", "rate", "1 MB/s"),)).wants_alerts
