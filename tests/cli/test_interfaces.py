import json

import pytest
from support.ledgers import START_S, writing

from netusage.cli.failures import run


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 2**62, 1, 1, 1)
        ledger.interface(
            "wg\x1b[31m0", "wireguard", counted=False, reason="a tunnel is carried by another interface"
        )
        ledger.commit(START_S + 60)
    return path


def test_the_table_says_what_counts_and_why(capsys, path):
    assert run(["interfaces", "--db", str(path), "--tz", "UTC"]) == 0
    out = capsys.readouterr().out
    head, first, second = out.splitlines()
    assert head.split()[:3] == ["Interface", "Kind", "State"]
    assert "4.61 EB" in first
    assert "hardware" in first
    assert "a tunnel is carried by another interface" in second
    assert "\x1b" not in out


def test_json_is_exact(capsys, path):
    assert run(["interfaces", "--db", str(path), "--format", "json", "--tz", "Asia/Tokyo"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["version"], answer["report"]) == (1, "interfaces")
    assert answer["rows"][0] == {
        "interface": "eth0",
        "kind": "",
        "state": "up",
        "counted": True,
        "reason": "hardware",
        "first_seen": "2026-03-10T09:01:00+09:00",
        "last_seen": "2026-03-10T09:01:00+09:00",
        "rx_bytes": 2**62,
        "tx_bytes": 1,
        "rx_packets": 1,
        "tx_packets": 1,
    }


@pytest.mark.parametrize(
    ("code", "arguments"),
    [(2, ["--tz", "x/y"]), (2, ["eth0"]), (2, ["--format", "toml"]), (3, ["--db", "none.db"])],
)
def test_bad_input_is_one_line(capsys, path, code, arguments):
    before = path.read_bytes()
    assert run(["interfaces", "--db", str(path), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert path.read_bytes() == before
