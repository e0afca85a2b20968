"""netusage alerts: the log, the test, and what is refused."""

import json
import sys
import time
from contextlib import closing

import pytest

from netusage.cli.failures import run
from netusage.ledger.alert_journal import Alert, AlertJournal
from netusage.model import US

DAY_US = 86_400 * US


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("NETUSAGE_CONFIG", "/dev/null")
    return tmp_path / "ledger.db"


@pytest.fixture
def filled(ledger):
    """A journal with an alert that was delivered, one that waits, one that was only logged, and an old one."""
    now_us = time.time_ns() // 1000
    with closing(AlertJournal(f"{ledger}.alerts", now_us)) as journal:

        def add(key, kind, ago_us=0, *, to=(), only_logged=False):
            alert = Alert(
                key,
                kind,
                now_us - ago_us,
                f"about {key}\x1b[2J",
                f"text {key}",
                {"bytes": 2**60},
                only_logged,
            )
            journal.add([alert], to, now_us)

        add("old", "gap", 30 * DAY_US)
        add("sent", "threshold", 3 * US, to=["push"])
        journal.delivered("push", [2], "threshold", now_us)
        add("stuck", "rate", 2 * US, to=["push", "mail"])
        journal.delivered("push", [3], "rate", now_us)
        journal.failed("mail", [3], now_us + 60 * US, "connection refused")
        add("quiet", "gap", US, only_logged=True)
    return ledger


def test_the_list_says_what_became_of_each(filled, capsys):
    assert run(["alerts", "--db", str(filled), "--tz", "UTC"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[2] for line in out.splitlines()[1:]] == ["threshold", "rate", "gap"]
    assert "about sent" in out.splitlines()[1]
    assert out.splitlines()[1].endswith("delivered")
    assert out.splitlines()[2].endswith("waiting for mail: connection refused")
    assert out.splitlines()[3].endswith("only logged")
    assert "about old" not in out
    assert "\x1b" not in out


def test_for_programs_each_has_its_details_and_deliveries(filled, capsys):
    assert run(["alerts", "--db", str(filled), "--format", "json", "--kind", "rate"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["version"], answer["report"]) == (1, "alerts")
    (row,) = answer["rows"]
    assert row["details"] == {"bytes": 2**60}
    mail, push = row["deliveries"]
    assert (mail["transport"], mail["delivered"], mail["failed_attempts"]) == ("mail", None, 1)
    assert mail["error"] == "connection refused"
    assert push["delivered"] is not None
    assert push["next_attempt"] is None


@pytest.mark.parametrize("format_name", ["jsonl", "csv", "tsv", "markdown"])
def test_the_list_can_be_had_in_every_format(filled, capsys, format_name):
    assert run(["alerts", "--db", str(filled), "--format", format_name]) == 0
    assert "about stuck" in capsys.readouterr().out


def test_older_ones_and_those_that_wait_can_be_asked_for(filled, capsys):
    assert run(["alerts", "--db", str(filled), "--since", "60d", "--kind", "gap", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(["alerts", "--db", str(filled), "--waiting", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_without_a_journal_there_is_no_data(ledger, capsys):
    assert run(["alerts", "--db", str(ledger)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("netusage: no alerts have been looked for here; ")


@pytest.mark.parametrize("arguments", [["test"], ["watch"]])
def test_where_nobody_is_to_be_told_that_is_said(ledger, capsys, arguments, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("")
    assert run(["alerts", *arguments, "--config", str(file)]) == 2
    assert "in [alerts]" in capsys.readouterr().err


def _configured(tmp_path, *command):
    file = tmp_path / "config.toml"
    file.write_text(f"[alerts]\ncommand = {json.dumps([sys.executable, '-c', *command])}\n")
    return ["--config", str(file)]


@pytest.mark.system
def test_a_test_is_delivered_and_that_is_said(tmp_path, capsys):
    out = tmp_path / "out"
    code = f"import os; open({str(out)!r}, 'w').write(os.environ['NETUSAGE_ALERT_SUBJECT'])"
    words = _configured(tmp_path, code)
    with open(words[-1], "a") as file:
        file.write('[[plan]]\nname = "office"\ncap = "1 TB"\nlabels = ["site=berlin"]\n')
    assert run(["alerts", "test", *words]) == 0
    assert out.read_text() == "test"
    said, noted = capsys.readouterr()
    assert said == f"command {sys.executable.rpartition('/')[2]}: delivered\n"
    assert "not watched for: the plans about hosts of the fleet, office" in noted


@pytest.mark.system
def test_a_test_that_fails_is_exit_code_1_with_the_reason(tmp_path, capsys):
    code = "import sys; print('no such user', file=sys.stderr); sys.exit(3)"
    assert run(["alerts", "test", *_configured(tmp_path, code)]) == 1
    assert "not delivered: it ended with exit code 3: no such user" in capsys.readouterr().out


def test_nothing_secret_is_shown_by_config_show_or_told_by_errors(tmp_path, capsys):
    file = tmp_path / "config.toml"
    file.write_text('[alerts]\nto = ["json://eva:sesame@example.org/sesame", "discord://sesame/x"]\n')
    for more in ([], ["--origin"], ["--format", "json"]):
        assert run(["config", "show", "--config", str(file), *more]) == 0
    file.write_text('[alerts]\nto = "json://eva:sesame@example.org"\n')
    assert run(["config", "check", str(file)]) == 2
    file.write_text('[alerts]\nto = ["eva:sesame@example.org"]\n')
    assert run(["config", "check", str(file)]) == 2
    out, err = capsys.readouterr()
    assert "example.org/…" in out
    assert "sesame" not in out + err
    assert len(err.splitlines()) == 2
