"""`netusage config`."""

import json
import tomllib

import pytest

from netusage.cli.failures import run
from netusage.settings.load import load
from netusage.settings.schema import declared_keys


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without configuration, and no variables of ours."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "NETUSAGE_DB", "NETUSAGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def file(tmp_path):
    """A sound configuration file."""
    file = tmp_path / "c.toml"
    file.write_text('[recorder]\nsample_interval = "2s"\n[interfaces]\nhidden = ["veth*", "we\\"ird\\\\"]\n')
    return file


def test_show_prints_every_key_as_toml_that_reads_back_the_same(file, tmp_path, capsys):
    assert run(["config", "show", "--config", str(file)]) == 0
    text = capsys.readouterr().out
    shown = {f"{section}.{key}" for section, keys in tomllib.loads(text).items() for key in keys}
    assert shown == set(declared_keys())
    again = tmp_path / "again.toml"
    again.write_text(text)
    assert load(config_file=again, environment={}).settings == load(config_file=file, environment={}).settings


def test_show_tells_where_each_value_was_set(file, capsys, monkeypatch):
    monkeypatch.setenv("NETUSAGE_REPORT_BILLING_DAY", "5")
    assert run(["config", "show", "--origin", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f'sample_interval = "2s"  # {file}:2' in lines
    assert "billing_day = 5  # environment NETUSAGE_REPORT_BILLING_DAY" in lines
    assert 'commit_interval = "10s"  # default' in lines


def test_show_as_json_holds_values_and_origins(file, capsys):
    assert run(["config", "show", "--format", "json", "--config", str(file)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == 1
    assert found["settings"]["interfaces.hidden"] == {"value": ["veth*", 'we"ird\\'], "origin": f"{file}:4"}


PLAN = '[[plan]]\nname = "ho\\u007fme"\ncap = "100 GB"\nfree_hours = ["01:00-06:00"]\n'


def test_tables_are_shown_as_toml_that_reads_back_the_same(tmp_path, capsys):
    file, again = tmp_path / "c.toml", tmp_path / "again.toml"
    file.write_text(PLAN.replace("\\u007f", "") + PLAN.replace("ho\\u007fme", "away"))
    assert run(["config", "show", "--origin", "--config", str(file)]) == 0
    text = capsys.readouterr().out
    assert f'free_hours = ["01:00-06:00"]  # {file}:4' in text.splitlines()
    assert "roll_over = 0  # default" in text.splitlines()
    again.write_text(text)
    assert load(config_file=again, environment={}).settings == load(config_file=file, environment={}).settings


def test_tables_are_shown_as_json(tmp_path, capsys):
    file = tmp_path / "c.toml"
    file.write_text(PLAN.replace("\\u007f", ""))
    assert run(["config", "show", "--format", "json", "--config", str(file)]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["settings"]["plan"]
    assert plan["name"] == {"value": "home", "origin": f"{file}:2"}
    assert plan["thresholds"] == {"value": [80, 90, 100], "origin": "default"}


def test_check_finds_a_wrong_table(tmp_path, capsys):
    file = tmp_path / "c.toml"
    file.write_text(PLAN)
    assert run(["config", "check", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"netusage: {file}:2: at 'plan.name': expected a name")


def test_show_writes_to_a_file(file, tmp_path, capsys):
    out = tmp_path / "out.toml"
    assert run(["config", "show", "--config", str(file), "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert tomllib.loads(out.read_text())["recorder"]["sample_interval"] == "2s"


def test_show_with_a_wrong_configuration_is_one_line_and_writes_nothing(tmp_path, capsys):
    bad, out = tmp_path / "bad.toml", tmp_path / "out.toml"
    bad.write_text('[recorder]\nsample_intervl = "1s"\n')
    out.write_text("old")
    assert run(["config", "show", "--config", str(bad), "-o", str(out)]) == 2
    assert capsys.readouterr() == (
        "",
        f"netusage: {bad}:2: at 'recorder.sample_intervl': unknown key; did you mean 'sample_interval'?\n",
    )
    assert out.read_text() == "old"


def test_check_says_ok_and_which_files_it_read(file, capsys):
    assert run(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"ok: {file}\n"


def test_check_without_any_file_says_that_the_defaults_hold(capsys, monkeypatch):
    monkeypatch.setenv("NETUSAGE_CONFIG", "/dev/null")
    monkeypatch.setenv("NETUSAGE_SOMETHING", "1")
    assert run(["config", "check"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ok: ")
    assert "ignored: environment NETUSAGE_SOMETHING is no setting\n" in out


def test_check_lists_every_problem_one_line_each(tmp_path, capsys):
    bad = tmp_path / "bad.toml"
    bad.write_text("[report]\nbits = 1\nbilling_day = 0\n[trak]\n")
    assert run(["config", "check", str(bad)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"netusage: {bad}:2: at 'report.bits': expected true or false, got 1",
        f"netusage: {bad}:3: at 'report.billing_day': 0 is outside 1 to 31",
        f"netusage: {bad}:4: at 'trak': unknown section; did you mean 'track'?",
    ]


def test_check_of_a_file_leaves_the_environment_out_of_it(file, monkeypatch, capsys):
    monkeypatch.setenv("NETUSAGE_TRACK_CSV", "maybe")
    assert run(["config", "check", str(file)]) == 0
    assert run(["config", "check"]) == 2
    assert "environment NETUSAGE_TRACK_CSV" in capsys.readouterr().err


def test_check_gives_json_for_programs(file, tmp_path, capsys):
    assert run(["config", "check", str(file), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "ok": True,
        "files": [str(file)],
        "ignored": [],
    }
    bad = tmp_path / "bad.toml"
    bad.write_text("[report]\nbits = 1\nbilling_day = 0\n")
    assert run(["config", "check", str(bad), "--format", "json"]) == 2
    errors = [json.loads(line)["error"] for line in capsys.readouterr().err.splitlines()]
    assert [error["kind"] for error in errors] == ["config", "config"]


def test_path_tells_the_files_and_the_ledger_even_when_a_file_is_wrong(home, capsys):
    folder = home / ".config" / "netusage"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[report]\n")
    assert run(["config", "path", "--format", "json"]) == 0
    paths = json.loads(capsys.readouterr().out)["paths"]
    assert [entry["what"] for entry in paths] == ["config", "config", "ledger"]
    (folder / "config.toml").write_text("nonsense")
    assert run(["config", "path"]) == 0
    assert capsys.readouterr().out.count("\n") == 2
