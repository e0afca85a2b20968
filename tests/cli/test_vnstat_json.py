import json

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.cli.failures import run

NOW_S = START_S + 3 * DAY_S + 600


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: float(NOW_S))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "ledger.db"))
    with writing(tmp_path / "ledger.db") as ledger:
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        ledger.interface("lo", "loopback", counted=False)
        ledger.commit(START_S)
        for n in range(70):
            ledger.count(eth0, START_S + n * 3600, 1000 + n, n, 1, 1)
        ledger.count(wlan0, START_S, 5, 7, 1, 1)
        ledger.commit(NOW_S)
    return tmp_path / "ledger.db"


def said(capsys, *words, called="netusage"):
    code = run(words if called == "vnstat" else ["vnstat-json", *words], called=called)
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "of_vnstat"),
    [
        ("", "--json"),
        ("s", "--json s"),
        ("h 5", "--json h 5"),
        ("f 0 --interface eth0", "-i eth0 --json f 0"),
        ("d --begin 2026-03-11 --end 2026-03-12", "--json d -b 2026-03-11 -e 2026-03-12"),
        ("t --begin today", "--json t -b today"),
        ("m --interface eth0+wlan0", "-i eth0+wlan0 --json m"),
        ("--interface lo y", "lo --json y"),
        ("--oneline", "--oneline"),
        ("--oneline b", "--oneline b"),
        ("--oneline --interface wlan0", "wlan0 --oneline"),
    ],
)
def test_it_writes_what_the_command_line_of_vnstat_gives(words, of_vnstat, path, capsys):
    code, out, err = said(capsys, *words.split())
    assert (code, err) == (0, "")
    assert said(capsys, *of_vnstat.split(), called="vnstat") == (0, out, "")


def test_the_clock_and_the_billing_day_are_those_that_are_asked_for(path, capsys):
    _, out, _ = said(capsys, "d", "--tz", "Asia/Tokyo", "--interface", "eth0")
    days = json.loads(out)["interfaces"][0]["traffic"]["day"]
    assert [day["date"]["day"] for day in days] == [10, 11, 12, 13]
    assert days[0]["rx"] == sum(1000 + n for n in range(15))
    _, out, _ = said(capsys, "m", "--billing-day", "12", "--interface", "eth0")
    months = json.loads(out)["interfaces"][0]["traffic"]["month"]
    assert [(month["date"]["month"], month["rx"]) for month in months] == [
        (2, sum(1000 + n for n in range(48))),
        (3, sum(1000 + n for n in range(48, 70))),
    ]


def test_the_document_goes_to_a_file_whole(path, tmp_path, capsys):
    file = tmp_path / "vnstat.json"
    assert said(capsys, "d", "-o", str(file)) == (0, "", "")
    assert file.read_text("utf-8") == said(capsys, "d")[1]


def test_an_interface_that_is_not_known_is_no_data(path, capsys):
    for name in ("nope", "eth0+nope", "eth0+eth0", "eth*"):
        code, out, err = said(capsys, "--interface", name)
        assert (code, out) == (3, "")
        assert err == (
            f"netusage: no interface {name!r} has been recorded; see those that were with: netusage interfaces\n"
        )


def test_a_ledger_without_interfaces_is_no_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "ledger.db"))
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.commit()
    code, out, err = said(capsys)
    assert (code, out) == (3, "")
    assert "no interface has been recorded" in err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("x",), "'x'"),
        (("d", "-1"), "-1"),
        (("d", "many"), "many"),
        (("--begin", "yesterday"), "--begin 'yesterday' is not a date"),
        (("--end", "today"), "--end 'today' is not a date"),
        (("--oneline", "x"), "'x'"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_in_one_line(words, what, path, capsys):
    code, out, err = said(capsys, *words)
    assert (code, out) == (2, "")
    assert what in err
    assert err.count("\n") == 1
