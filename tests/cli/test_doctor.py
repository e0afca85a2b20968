import json

import pytest

from netusage.cli.failures import run


@pytest.mark.system
def test_every_finding_that_is_not_fine_says_what_to_do_in_a_line_of_its_own(tmp_path, capsys):
    assert run(["doctor", "--db", str(tmp_path / "none.db")]) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("note      ledger:") for line in lines)
    assert any(line.strip() == "-> netusage daemon, or netusage service install" for line in lines)


@pytest.mark.system
def test_a_program_gets_the_same_as_json(tmp_path, capsys):
    run(["doctor", "--db", str(tmp_path / "none.db"), "--format", "json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["version"], answer["report"]) == (1, "doctor")
    assert {"about", "verdict", "found", "todo"} == set(answer["rows"][0])


@pytest.mark.system
def test_a_broken_configuration_is_a_finding_and_not_the_end(tmp_path, capsys):
    file = tmp_path / "config.toml"
    file.write_text("[recorder]\nsample_intervl = 1\n")
    assert run(["doctor", "--config", str(file)]) == 1
    out = capsys.readouterr().out
    assert "problem   configuration:" in out
    assert "sample_intervl" in out
    assert "source:" in out
