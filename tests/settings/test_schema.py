"""The schema is complete, and its own defaults obey it."""

import subprocess
import sys

from netusage.settings.convert import parse
from netusage.settings.schema import SECTIONS, Settings, declared_keys
from netusage.units import Units


def test_every_default_is_a_value_that_its_own_key_accepts():
    for key in declared_keys().values():
        if not key.choices:
            assert parse(key, key.default) == key.default, key.dotted


def test_every_key_has_a_meaning_and_a_variable_of_its_own():
    keys = declared_keys().values()
    assert all(key.doc.endswith(".") for key in keys)
    assert len({key.variable for key in keys}) == len(keys)
    assert declared_keys()["recorder.sample_interval"].variable == "NETUSAGE_RECORDER_SAMPLE_INTERVAL"


def test_every_section_is_a_field_of_the_settings():
    for name, holder in SECTIONS.items():
        assert type(getattr(Settings(), name)) is holder


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
