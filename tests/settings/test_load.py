"""Precedence, origins and errors of the configuration."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from netusage.errors import ConfigError, UsageError
from netusage.settings import load as loading
from netusage.settings.load import Flag, find_problems, flag_value, load
from netusage.settings.schema import PlanSettings, Settings
from netusage.units import Units


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """An empty machine: both configuration files lie below a temporary directory; neither exists."""
    user, system = tmp_path / "user.toml", tmp_path / "system.toml"
    monkeypatch.setattr(loading, "config_paths", lambda _environment: (user, system))
    return user, system


def refused(text: str, tmp_path: Path) -> str:
    """The one error that a configuration file with this text gives."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(config_file=file, environment={})
    return str(caught.value).replace(str(file), "FILE")


def test_without_any_source_the_defaults_hold_and_say_so():
    loaded = load(environment={})
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.files == ()


def test_flags_win_over_environment_over_user_file_over_system_file(machine):
    user, system = machine
    system.write_text(
        "[report]\nunits='iec'\nbilling_day=2\ntz='UTC'\n[track]\ncsv_directory='/system'\ninterval='5s'\n"
    )
    user.write_text("[report]\nbilling_day=3\ntz='Asia/Tokyo'\n[track]\ninterval='6s'\n")
    environment = {"NETUSAGE_REPORT_TZ": "Europe/Berlin", "NETUSAGE_TRACK_INTERVAL": "7s"}
    loaded = load(flags={"track.interval": Flag("8s", "--interval")}, environment=environment)
    assert loaded.settings.report.units is Units.IEC
    assert loaded.settings.report.billing_day == 3
    assert loaded.settings.report.tz == "Europe/Berlin"
    assert loaded.settings.track.interval == "8s"
    assert loaded.settings.track.csv_directory == "/system"
    assert loaded.origins["report.units"] == f"{system}:2"
    assert loaded.origins["report.billing_day"] == f"{user}:2"
    assert loaded.origins["report.tz"] == "environment NETUSAGE_REPORT_TZ"
    assert loaded.origins["track.interval"] == "flag --interval"
    assert loaded.origins["track.csv"] == "default"
    assert loaded.files == (system, user)


def test_a_named_file_is_read_alone(machine, tmp_path):
    user, _ = machine
    user.write_text("[report]\nbits = true\n")
    named = tmp_path / "named.toml"
    named.write_text("[report]\nbilling_day = 9\n")
    for loaded in (
        load(config_file=named, environment={}),
        load(environment={"NETUSAGE_CONFIG": str(named)}),
    ):
        assert loaded.settings.report.billing_day == 9
        assert not loaded.settings.report.bits
        assert loaded.files == (named,)


def test_a_named_file_that_is_not_there_is_an_error_and_an_unnamed_one_is_not(tmp_path):
    load(environment={})
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(config_file=tmp_path / "none.toml", environment={})


def test_the_ledger_variable_wins_over_its_long_name():
    environment = {"NETUSAGE_DB": "/a.db", "NETUSAGE_LEDGER_PATH": "/b.db", "HOME": "/nonexistent"}
    loaded = load(config_file=Path(os.devnull), environment=environment)
    assert loaded.settings.ledger.path == "/a.db"
    assert loaded.origins["ledger.path"] == "environment NETUSAGE_DB"


def test_an_empty_variable_is_unset():
    assert (
        load(environment={"NETUSAGE_DB": "", "NETUSAGE_CONFIG": "", "NETUSAGE_REPORT_UNITS": ""}).settings
        == Settings()
    )


def test_an_unknown_key_is_told_with_file_line_key_and_nearest_match(tmp_path):
    assert refused('[recorder]\n\nsample_intervl = "1s"\n', tmp_path) == (
        "FILE:3: at 'recorder.sample_intervl': unknown key; did you mean 'sample_interval'?"
    )


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(tmp_path):
    assert refused("[report]\ncsv_directory = '.'\n", tmp_path) == (
        "FILE:2: at 'report.csv_directory': unknown key; did you mean 'track.csv_directory'?"
    )


def test_a_key_without_a_section_is_told_its_section(tmp_path):
    assert refused("billing_day = 3\n", tmp_path) == (
        "FILE:1: at 'billing_day': unknown section; did you mean 'report.billing_day'?"
    )


def test_an_unknown_section_is_told_the_nearest(tmp_path):
    assert (
        refused("[recordr]\n", tmp_path) == "FILE:1: at 'recordr': unknown section; did you mean 'recorder'?"
    )


def test_a_value_where_a_section_belongs_is_told_how_to_write_it(tmp_path):
    assert (
        refused("report = 5\n", tmp_path)
        == "FILE:1: at 'report': this is a section: write [report] and its keys below"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[report]\nbilling_day = '3'\n",
            "FILE:2: at 'report.billing_day': expected a whole number, got '3'",
        ),
        ("[report]\nbilling_day = 32\n", "FILE:2: at 'report.billing_day': 32 is outside 1 to 31"),
        ("\n\nreport.bits = 1\n", "FILE:3: at 'report.bits': expected true or false, got 1"),
        ("report = { bits = 1 }\n", "FILE:1: at 'report.bits': expected true or false, got 1"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_and_key(text, expected, tmp_path):
    assert refused(text, tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[report]\nbits = \n", 2),
        ("[report]\nbits = true\nbits = false\n", 3),
        ("[report\n", 1),
        ("x = 'a", 1),
        ('[report]\ntz = """\n\n', 2),
    ],
)
def test_a_syntax_error_is_told_with_its_line_and_without_a_second_place(text, line, tmp_path):
    said = refused(text, tmp_path)
    assert said.startswith(f"FILE:{line}: not TOML: ")
    assert "(at" not in said
    assert "\n" not in said


def test_text_that_is_not_utf8_is_told_with_its_line(tmp_path):
    file = tmp_path / "config.toml"
    file.write_bytes(b"[report]\n\ntz = '\xff'\n")
    with pytest.raises(ConfigError, match=r":3: not UTF-8 text"):
        load(config_file=file, environment={})


def test_a_byte_order_mark_does_no_harm(tmp_path):
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[report]\r\nbits = true\r\n")
    loaded = load(config_file=file, environment={})
    assert loaded.settings.report.bits
    assert loaded.origins["report.bits"].endswith(":2")


def test_a_directory_in_place_of_the_file_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(config_file=tmp_path, environment={})


def test_commits_cannot_be_more_frequent_than_samples(tmp_path):
    assert refused("[recorder]\nsample_interval = '20s'\n", tmp_path) == (
        "FILE:2: at 'recorder.sample_interval': commit_interval (10s) is below sample_interval (20s)"
    )
    assert refused("[recorder]\nsample_interval = '20s'\ncommit_interval = '15s'\n", tmp_path) == (
        "FILE:3: at 'recorder.commit_interval': commit_interval (15s) is below sample_interval (20s)"
    )
    assert load(
        config_file=None, environment={"NETUSAGE_RECORDER_COMMIT_INTERVAL": "1s", "HOME": "/nonexistent"}
    )


def test_a_flag_that_contradicts_another_value_is_a_usage_error():
    with pytest.raises(UsageError, match="flag --commit-interval"):
        load(flags={"recorder.commit_interval": Flag("500ms", "--commit-interval")}, environment={})


def test_a_wrong_variable_is_named():
    with pytest.raises(
        ConfigError, match="environment NETUSAGE_REPORT_BILLING_DAY: expected a whole number, got 'x'"
    ):
        load(environment={"NETUSAGE_REPORT_BILLING_DAY": "x"})


def test_a_misspelt_variable_of_a_section_is_an_error():
    with pytest.raises(ConfigError, match="unknown variable; did you mean 'NETUSAGE_REPORT_UNITS'"):
        load(environment={"NETUSAGE_REPORT_UNIT": "si"})


def test_a_variable_that_is_none_of_ours_is_ignored_and_listed():
    loaded = load(environment={"NETUSAGE_HOME": "/x", "NETUSAGE_DEBUG": "1", "PATH": "/bin"})
    assert loaded.ignored == ("NETUSAGE_HOME",)


def test_the_first_of_several_problems_is_told_with_the_number_of_the_others(tmp_path):
    said = refused("[report]\nbits = 1\nbilling_day = 0\n[x]\n", tmp_path)
    assert (
        said == "FILE:2: at 'report.bits': expected true or false, got 1; and 2 more: netusage config check"
    )


def test_find_problems_lists_every_problem_of_every_source(machine):
    user, system = machine
    user.write_text("[report\n")
    system.write_text("[report]\nbits = 1\n")
    problems, loaded = find_problems(environment={"NETUSAGE_TRACK_CSV": "maybe"})
    assert loaded is None
    assert [str(problem).partition(": ")[0] for problem in problems] == [
        f"{system}:2",
        f"{user}:1",
        "environment NETUSAGE_TRACK_CSV",
    ]


def test_find_problems_gives_the_settings_when_there_is_none():
    assert find_problems(environment={}) == ([], load(environment={}))


def test_a_flag_is_checked_as_its_key_is():
    assert flag_value("report.billing_day", "31", "--billing-day") == Flag(31, "--billing-day")
    with pytest.raises(UsageError, match="--billing-day: 32 is outside 1 to 31"):
        flag_value("report.billing_day", "32", "--billing-day")


# ---- Tables that repeat -----------------------------------------------------------------------------------------

PLAN = "[[plan]]\nname = 'home'\ncap = '100 GB'\n"


def test_tables_are_read_in_the_order_of_the_file_with_defaults_for_the_rest(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        f"{PLAN}day = 15\nfree_hours = ['23:00-06:00']\n\n[[plan]]\ncap = '5 GiB'\nname = 'away'\n"
    )
    loaded = load(config_file=file, environment={})
    home, away = loaded.settings.plan
    assert (home.name, home.cap_bytes, home.day, home.free_minutes) == (
        "home",
        100 * 10**9,
        15,
        ((1380, 360),),
    )
    assert away == PlanSettings("away", "5 GiB")
    assert loaded.origins["plan.home"] == f"{file}:1"
    assert loaded.origins["plan.home.day"] == f"{file}:4"
    assert loaded.origins["plan.home.roll_over"] == "default"
    assert loaded.origins["plan.away"] == f"{file}:7"
    assert loaded.origins["plan.away.cap"] == f"{file}:8"


def test_tables_may_be_written_in_one_line_each(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("\nplan = [\n  { name = 'home', cap = '1 GB' },\n  { name = 'away', cap = '2 GB' },\n]\n")
    loaded = load(config_file=file, environment={})
    assert [one.name for one in loaded.settings.plan] == ["home", "away"]
    assert loaded.origins["plan.away.cap"] == f"{file}:2"


def test_the_tables_of_the_file_that_wins_are_taken_whole(machine):
    user, system = machine
    system.write_text(PLAN + "[[plan]]\nname = 'office'\ncap = '1 TB'\n")
    assert [one.name for one in load(environment={}).settings.plan] == ["home", "office"]
    user.write_text("[[plan]]\nname = 'away'\ncap = '1 GB'\n")
    loaded = load(environment={})
    assert [one.name for one in loaded.settings.plan] == ["away"]
    assert "plan.office" not in loaded.origins
    user.write_text("plan = []\n")
    assert load(environment={}).settings.plan == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAN + "\ncapp = 5\n", "FILE:5: at 'plan.capp': unknown key; did you mean 'cap'?"),
        (PLAN + PLAN, "FILE:5: at 'plan.name': there is a plan 'home' already: FILE:1"),
        ("[report]\n[[plan]]\ncap = '1 GB'\n", "FILE:2: at 'plan': 'name' is missing"),
        (PLAN + "day = 32\n", "FILE:4: at 'plan.day': 32 is outside 1 to 31"),
        (PLAN + "thresholds = [80, 1001]\n", "FILE:4: at 'plan.thresholds': 1001 is outside 1 to 1000"),
        (
            PLAN + "cycle = '30d'\n",
            "FILE:1: at 'plan.start': cycles of 30d need the first day, as in start = \"2026-11-20\"",
        ),
        (
            "[plan]\nname = 'x'\n",
            "FILE:1: at 'plan': this may be there several times: write [[plan]] and its keys below",
        ),
        (
            "plan = 5\n",
            "FILE:1: at 'plan': this may be there several times: write [[plan]] and its keys below",
        ),
        ("[[plans]]\nname = 'x'\n", "FILE:1: at 'plans': unknown section; did you mean 'plan'?"),
        ("[[report]]\n", "FILE:1: at 'report': this is a section: write [report] and its keys below"),
    ],
)
def test_a_wrong_table_is_told_with_file_line_and_key(text, expected, tmp_path):
    assert refused(text, tmp_path).replace(str(tmp_path / "config.toml"), "FILE") == expected


def test_every_wrong_key_of_every_table_is_found(machine):
    user, _ = machine
    user.write_text("[[plan]]\nname = 5\n[[plan]]\nname = 'x'\ncap = '5 Mb'\nday = 0\n")
    problems, _ = find_problems(environment={})
    assert [str(problem).partition(": ")[0].rpartition(":")[2] for problem in problems] == [
        "2",
        "1",
        "5",
        "6",
    ]


def test_the_environment_sets_no_tables():
    with pytest.raises(ConfigError, match="environment NETUSAGE_PLAN_CAP: a plan can only be set in a file"):
        load(environment={"NETUSAGE_PLAN_CAP": "5 GB"})


def as_nobody(act) -> bool:
    """Whether the function is true in a process that may do nothing special."""
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(0 if act() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def open_folder():
    """A directory that everybody may enter; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.system
@pytest.mark.root
def test_a_file_that_may_not_be_read_is_told_with_what_to_do(open_folder):
    file = open_folder / "config.toml"
    file.write_text("")
    file.chmod(0o000)

    def refused_with_a_hint():
        try:
            load(config_file=file, environment={})
        except ConfigError as error:
            return "cannot be read: Permission denied" in error.message and error.hint

    assert as_nobody(refused_with_a_hint)


@pytest.mark.system
@pytest.mark.root
def test_a_home_that_may_not_be_entered_holds_no_configuration(open_folder, monkeypatch):
    home = open_folder / "home"
    home.mkdir()
    (home / "config.toml").write_text("nonsense")
    home.chmod(0o700)
    monkeypatch.setattr(loading, "config_paths", lambda _: (home / "config.toml", open_folder / "none"))
    assert as_nobody(lambda: load(environment={}).files == ())
