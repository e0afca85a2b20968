"""The program under the name of vnStat: its command line, and what it says to a wrong one."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from support import real_vnstat
from support.ledgers import DAY_S, START_S, writing
from support.real_vnstat import Watched, needs_vnstat

from netusage import __version__
from netusage.cli.as_vnstat import answer
from netusage.cli.failures import run

NOW_S = START_S + 3 * DAY_S + 600
SEEN = [
    Watched("eth0", [(START_S, NOW_S)], {START_S + n * 7200: (1000 + n, 10 * n) for n in range(30)}),
    Watched("wlan0", [(START_S, NOW_S)], {START_S + DAY_S: (5, 7)}),
]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: float(NOW_S))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "ledger.db"))
    with writing(tmp_path / "ledger.db") as ledger:
        epochs = {one.name: ledger.interface(one.name) for one in SEEN}
        lo = ledger.interface("lo", "loopback", counted=False)
        ledger.commit(START_S)
        for one in SEEN:
            for at_s, numbers in one.counted.items():
                ledger.count(epochs[one.name], at_s, *numbers, 1, 1)
        ledger.count(lo, START_S, 10**9, 10**9, 1, 1)
        ledger.commit(NOW_S)
    return tmp_path / "ledger.db"


def said(capsys, *words):
    code = run(words, called="vnstat")
    out, err = capsys.readouterr()
    assert err == ""
    return code, out


SAME = [
    "--json x",
    "--json D",
    "--json 1",
    "--json hd",
    "--json -",
    "--json --foo",
    "--json=d",
    "-iface eth0 --json",
    "--json d -1",
    "--json d 1 2",
    "--json s t",
    "--json h -i eth0 2",
    "--oneline x",
    "--dbiflist 2",
    "--dbiflist x",
    "--iflist 2",
    "-i",
    "--iface",
    "-b",
    "--begin",
    "-e",
    "--end",
    "--json -b x",
    "--json --begin yesterday",
    "--json -e x",
    "--json -b 2026-1-1",
    "--json -b 2026-11-26T10:00",
    "--json -e 2026-11-26_10",
    "--limit",
    "--limit x --json",
    "--limit -1 --json",
    "--dbdir",
    "--config",
    "--locale",
    "--foo",
    "foo --json",
    "f",
    "-i nope --json",
    "-i eth --oneline",
    "-i ETH0 --oneline",
    "-i -x --json d",
    "-i nope --foo",
    "--json x --foo",
    "-b x --foo",
    "--json d -b today -i nope",
    "-i eth0+nope --json",
    "-i eth0+eth0 --json",
    "-i eth0+ --json",
    "-i +eth0 --json",
    "-i eth0++wlan0 --json",
    "eth0 nope --json",
]
ANSWERED = [
    "--json",
    "--json a 1",
    "--json d 5x",
    "--json d 1.5",
    "--json f 10 eth0",
    "--json eth0",
    "eth0 --json h",
    "wlan0 eth0 --json d",
    "-i wlan0 -i eth0 --json d",
    "--json --oneline",
    "--oneline --json d",
    "-d --json",
    "-5 12 --json d",
    "-d --limit 0 --json d",
    "--json -q",
    "-s --json m",
    "--json d 2 --limit 3x",
    "--limit 1 --json h 5",
    "--json d -b 2026-03-11",
    "--json d --end 2026-03-11",
    "--json h -b today",
    "--rateunit 1 --oneline",
    "--json d -ru",
    "--style 3 --oneline",
    "--locale C --json d",
    "--config /nonexistent --json d",
    "--dbiflist",
    "--dbiflist 0",
    "--dbiflist 1",
    "--json --dbiflist",
    "--dbiflist --json d",
    "--dbiflist --foo",
]


@pytest.mark.system
@needs_vnstat
@pytest.mark.parametrize("words", [*SAME, *ANSWERED])
def test_it_says_what_vnstat_says(words, path, tmp_path, capsys):
    real_vnstat.mirror(tmp_path / "db", SEEN, "UTC", since={"fiveminute": "2026-03-11 00:10"})
    theirs, ours = real_vnstat.ask(tmp_path / "db", *words.split()), said(capsys, *words.split())
    if words == "--json h -b today":  # which is another day there
        assert json.loads(ours[1])["interfaces"][0]["traffic"]["hour"]
        return
    assert (ours[0], without_ids(ours[1])) == (theirs[0], without_ids(theirs[1]))
    assert ours[0] == (words in SAME)


@pytest.mark.system
@needs_vnstat
def test_the_interfaces_of_this_machine_are_listed_as_vnstat_lists_them(capsys, tmp_path):
    with_speeds = real_vnstat.ask(tmp_path, "--iflist", "1")[1].splitlines()
    assert sorted(said(capsys, "--iflist", "1")[1].splitlines()) == sorted(
        line.split(" ")[0] for line in with_speeds
    )


def test_the_interfaces_of_this_machine_are_in_one_line_or_in_many(monkeypatch, capsys):
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (7, "wg0")])
    assert said(capsys, "--iflist") == (0, "Available interfaces: eth0 wg0 \n")
    assert said(capsys, "--iflist", "1") == (0, "eth0\nwg0\n")


def test_the_document_has_all_interfaces_but_loopback_and_the_hidden_ones(path, monkeypatch, capsys):
    def names():
        code, out = said(capsys, "--json", "y")
        assert code == 0
        return [one["name"] for one in json.loads(out)["interfaces"]]

    assert names() == ["eth0", "wlan0"]
    monkeypatch.setenv("NETUSAGE_INTERFACES_HIDDEN", "wl*")
    assert names() == ["eth0"]
    assert said(capsys, "--dbiflist") == (0, "Interfaces in database: eth0\n")
    assert json.loads(said(capsys, "-i", "wlan0", "--json", "y")[1])["interfaces"][0]["name"] == "wlan0"
    lo = json.loads(said(capsys, "lo", "--json", "y")[1])["interfaces"][0]
    assert lo["traffic"]["total"] == {"rx": 10**9, "tx": 10**9}


def test_one_line_is_of_the_interface_with_the_most_bytes(path, capsys):
    assert said(capsys, "--oneline")[1].split(";")[1] == "eth0"
    assert said(capsys, "-i", "wlan0", "--oneline", "b")[1].split(";")[12:] == ["5", "7", "12\n"]


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        ((), "netusage"),
        (("-q",), "netusage"),
        (("-i", "eth0"), "netusage"),
        (("-5",), "netusage report 5min"),
        (("-h", "12"), "netusage report hour"),
        (("--days",), "netusage report day"),
        (("-m", "--limit", "3"), "netusage report month"),
        (("--json", "-y"), "netusage report year"),
        (("-t",), "netusage report top"),
        (("-hg",), "netusage report hour"),
        (("--xml",), "vnstat --json"),
        (("-tr", "5"), "netusage live"),
        (("-i", "eth0", "-tr", "--json"), "netusage live"),
        (("--live",), "netusage live"),
        (("--json", "-l"), "netusage live"),
        (("--alert", "0", "3", "m", "total", "500", "GiB"), "netusage plan check"),
        (("-i", "eth0", "--setalias", "x"), "netusage interfaces"),
        (("--showconfig",), "netusage config show"),
        (("-i", "eth0", "--remove"), "netusage interfaces"),
    ],
)
def test_what_is_not_made_here_is_refused_in_one_line_that_says_what_to_use(words, instead, path, capsys):
    code, out = said(capsys, *words)
    assert code == 1
    assert out.startswith("Error: what vnstat")
    assert f"; use {instead}; or see vnstat --help" in out
    assert out.count("\n") == 1


def test_help_and_version_say_whose_output_it_is(capsys):
    code, out = said(capsys, "--version")
    assert (code, out) == (0, f"vnStat 2.10 as written by netusage {__version__}\n")
    code, out = said(capsys, "--json", "--help")
    assert code == 0
    assert "--json [mode] [limit]" in out
    assert out == said(capsys, "-?")[1] == said(capsys, "--longhelp")[1]


def test_without_a_ledger_the_error_is_where_vnstat_has_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "none.db"))
    for words in (("--json",), ("--oneline",), ("--dbiflist",)):
        code, out = said(capsys, *words)
        assert code == 1
        assert out.startswith("Error: ")
        assert "none.db" in out
        assert "netusage daemon" in out


def test_a_ledger_without_interfaces_is_what_vnstat_says_of_an_empty_database(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "ledger.db"))
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.commit()
    for words in (("--json",), ("--oneline",)):
        assert said(capsys, *words) == (1, "Error: Unable to discover suitable interface from database.\n")
    assert said(capsys, "--dbiflist") == (0, "Database is empty.")
    assert said(capsys, "--dbiflist", "1") == (0, "")


def test_a_date_that_no_calendar_has_is_refused_as_one_that_is_misspelt(path, capsys):
    for words in (("-b", "2026-02-30"), ("-e", "2026-13-01"), ("-b", "2026-03-10 24:00"), ("-e", "today")):
        code, out = said(capsys, "--json", "d", *words)
        assert code == 1
        assert out.startswith("Error: Invalid date format, expected YYYY-MM-DD HH:MM")


def test_a_stream_that_is_not_utf_8_gets_the_same_names_in_ascii(path, tmp_path, monkeypatch):
    import io

    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "other.db"))
    with writing(tmp_path / "other.db") as ledger:
        ledger.count(ledger.interface("büro"), START_S, 1, 2, 3, 4)
        ledger.commit(NOW_S)
    names = []
    for encoding in ("utf-8", "latin-1", "ascii"):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        assert answer(["--json", "y"], out) == 0
        out.flush()
        text = out.buffer.getvalue()
        assert text.isascii() == (encoding != "utf-8")
        names.append(json.loads(text)["interfaces"][0]["name"])
    assert names == ["büro"] * 3


@pytest.mark.system
@pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")
def test_a_link_by_the_name_of_vnstat_answers_as_vnstat_does(path, tmp_path):
    script = shutil.which("netusage", path=os.path.dirname(sys.executable))
    assert script is not None
    link = tmp_path / "bin" / "vnstat"
    link.parent.mkdir()
    link.symlink_to(script)
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "TZ", "NETUSAGE_DB") if name in os.environ
    }
    environment["PATH"] = f"{link.parent}:{environment['PATH']}"

    def shell(line):
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    code, out = shell("vnstat -i eth0 --json t 1")
    assert code == 0
    assert json.loads(out)["vnstatversion"] == "2.10"
    assert shell("vnstat --oneline | cut -d ';' -f 2") == (0, "eth0\n")
    assert shell("vnstat -i nope --json") == (1, 'Error: No interface matching "nope" found in database.\n')
    assert shell("vnstat --json | head -c 15") == (0, '{"vnstatversion')


def test_it_loads_neither_click_nor_what_draws(path):
    code = (
        "import sys\n"
        "from netusage.cli.failures import run\n"
        "assert run(['--json', 'd', '1'], called='vnstat') == 0\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stderr.split()
    assert not {"click", "psutil", "matplotlib", "textual", "starlette", "asyncio"} & set(loaded)


def without_ids(text):
    with contextlib.suppress(ValueError):
        document = json.loads(text)
        for interface in document["interfaces"]:
            for rows in interface["traffic"].values():
                for row in rows if isinstance(rows, list) else ():
                    del row["id"]
        return json.dumps(document)
    return text
