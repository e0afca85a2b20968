"""What commands share: words with commas between them."""

import json

import pytest
from support.ledgers import START_S, writing

from netusage.cli import shares
from netusage.cli.failures import run
from netusage.ledger.batch import Part
from netusage.model import Counters, Who

SINCE = ["--since", "2026-03-10", "--until", "2026-03-10", "--tz", "UTC"]


@pytest.fixture(autouse=True)
def recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "ledger.db"))
    with writing(tmp_path / "ledger.db") as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 100, 10, 2, 1)
        ledger.share(
            Part(START_S, eth0, Who("application", "curl", "", "eva"), 3, 6, 4), Counters(60, 5, 1, 1)
        )
        ledger.commit(START_S + 900)


def by(capsys, command, *words):
    options = [option for word in words for option in ("--by", word)]
    assert run([*command, *options, *SINCE, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)["by"]


@pytest.mark.parametrize("command", [["apps"], ["report", "day"]])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["application,user"], ["application", "user"]),
        (["user", "application"], ["user", "application"]),
        (["user,application", "scope"], ["user", "application", "scope"]),
        (["user, application,user", "user"], ["user", "application"]),
    ],
)
def test_words_come_with_commas_or_one_by_one_and_each_counts_once(capsys, command, words, told):
    assert by(capsys, command, *words) == told


@pytest.mark.parametrize("command", [["apps"], ["report", "day"]])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hots", "--by 'hots' is not one of "),
        ("host,aplication", "--by 'aplication' is not one of "),
        ("user,", "--by '' is not one of "),
        ("Host", "--by 'Host' is not one of "),
        ("user;unit", "--by 'user;unit' is not one of "),
    ],
)
def test_a_wrong_word_is_named_with_those_that_there_are(capsys, command, words, said):
    assert run([*command, "--by", words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert ", ".join(map(repr, shares.DIMENSIONS)) in err


@pytest.mark.parametrize(
    ("words", "nearest"), [("hots", "host"), ("user,aplication", "application"), ("contaner", "container")]
)
def test_the_nearest_word_is_offered(capsys, words, nearest):
    assert run(["report", "day", "--by", words]) == 2
    assert capsys.readouterr().err.endswith(f"; did you mean {nearest!r}?\n")


@pytest.mark.parametrize("command", ["apps", "report"])
def test_the_help_names_the_words(capsys, command):
    assert run([command, "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--by" in out
    assert "with commas" in out
    assert all(word in out for word in shares.DIMENSIONS)
