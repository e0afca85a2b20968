"""`netusage completion` and the answers to its scripts."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from netusage.cli.failures import run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_gets_a_script_that_names_the_program_and_the_variable(shell, capsys):
    assert run(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "netusage" in out
    assert "_NETUSAGE_COMPLETE" in out
    assert f"{shell}_complete" in out
    assert "%(" not in out


def test_an_unknown_shell_is_refused_in_one_line(capsys):
    assert run(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def answers(monkeypatch, capsys, words, incomplete):
    """What PowerShell would be told."""
    monkeypatch.setenv("_NETUSAGE_COMPLETE", "powershell_complete")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["netusage", *words]))
    monkeypatch.setenv("COMP_INCOMPLETE", incomplete)
    assert run([]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_command_names_are_completed_with_their_help(monkeypatch, capsys):
    found = answers(monkeypatch, capsys, [], "ver")
    assert found == [
        {
            "type": "plain",
            "value": "verify",
            "help": "Prove that the record adds up to what the kernel counted.",
        }
    ]


def test_options_choices_and_files_are_completed(monkeypatch, capsys):
    assert [item["value"] for item in answers(monkeypatch, capsys, ["config", "show"], "--or")] == [
        "--origin"
    ]
    assert [item["value"] for item in answers(monkeypatch, capsys, ["config", "show", "--format"], "")] == [
        "toml",
        "json",
    ]
    assert [item["type"] for item in answers(monkeypatch, capsys, ["config", "check"], "c")] == ["file"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ap", ["application"]),
        ("host,ap", ["host,application"]),
        (
            "host,application,p",
            ["host,application,path", "host,application,pod", "host,application,protocol"],
        ),
    ],
)
def test_words_with_commas_between_are_completed_one_after_the_other(monkeypatch, capsys, typed, offered):
    assert [
        item["value"] for item in answers(monkeypatch, capsys, ["report", "day", "--by"], typed)
    ] == offered


def test_after_a_wrong_word_the_rest_of_the_line_is_completed_all_the_same(monkeypatch, capsys):
    found = answers(monkeypatch, capsys, ["report", "day", "--by", "hots,nobody"], "--fle")
    assert [item["value"] for item in found] == ["--fleet"]


def test_a_windows_path_with_spaces_among_the_words_is_one_word(monkeypatch, capsys):
    found = answers(monkeypatch, capsys, ["--db", '"C:\\My Data\\x.db"', "config"], "pa")
    assert [item["value"] for item in found] == ["path"]


def test_a_wrong_command_line_completes_to_nothing_and_says_nothing(monkeypatch, capsys):
    assert answers(monkeypatch, capsys, ["nonsense", "--nope"], "x") == []
    assert capsys.readouterr().err == ""


@pytest.mark.system
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [("config sh", ["show"]), ("apps --by host,u", ["host,user", "host,unit"])],
)
def test_bash_loads_the_script_and_completes_with_it(tmp_path, words, offered):
    shim = tmp_path / "netusage"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m netusage "$@"\n')
    shim.chmod(0o755)
    script = (
        'eval "$(netusage completion bash)"\n'
        f"COMP_WORDS=(netusage {words}); COMP_CWORD={len(words.split())}\n"
        "compopt() { :; }\n"
        '_netusage_completion netusage\necho "${COMPREPLY[@]}"\n'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == offered


@pytest.mark.parametrize(
    ("shell", "offered"), [("zsh", ["plain", "host,application", "_"]), ("fish", ["plain,host,application"])]
)
def test_zsh_and_fish_are_offered_words_after_a_comma(monkeypatch, capsys, shell, offered):
    monkeypatch.setenv("_NETUSAGE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "netusage report day --by host,ap")
    monkeypatch.setenv("COMP_CWORD", "4" if shell == "zsh" else "host,ap")
    assert run([]) == 0
    assert capsys.readouterr().out.splitlines() == offered
