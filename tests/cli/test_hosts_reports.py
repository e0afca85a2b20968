"""Reports over several hosts of a ledger: --host with patterns, and --by host."""

import csv
import io
import json

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.cli.failures import run
from netusage.ledger.batch import Part
from netusage.model import Counters, Who

ON_THE_DAYS = ["--since", "2026-03-10", "--until", "2026-03-11", "--tz", "UTC"]
RECEIVED = {"db1": 90, "web1": 7000, "web2": 500}  # a day


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """A ledger with db1, web1 and web2 in it."""
    directory = tmp_path_factory.mktemp("merged")
    own = directory / "own.db"
    for name, rx in {"own": 1_000_000, **RECEIVED}.items():
        with writing(directory / f"{name}.db", machine=name, boot_id=name) as ledger:
            ledger.tier = "sampled" if name == "db1" else "kernel"
            eth0 = ledger.interface("eth0")
            tun0 = ledger.interface("tun0", "tun", counted=False, reason="a tunnel")
            nginx = Who("application", "nginx", "/usr/sbin/nginx", "www")
            for day in range(2):
                at_s = START_S + day * DAY_S
                ledger.count(eth0, at_s, rx, 2 * rx, 1, 1, peak_rx=rx, peak_tx=2 * rx)
                ledger.count(tun0, at_s, rx // 2, rx, 1, 1)
                ledger.share(Part(at_s, eth0, nginx, 3, 6, 4), Counters(rx // 2, rx, 1, 0))
                ledger.version(nginx, 1, rx)
                ledger.commit(at_s + 1800)
            ledger.commit(START_S + 2 * DAY_S, ended="SIGTERM")
        if name != "own":
            assert run(["merge", str(directory / f"{name}.db"), "--db", str(own)]) == 0
    return own


@pytest.fixture(autouse=True)
def here(merged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETUSAGE_DB", str(merged))


def asked(capsys, *arguments):
    assert run([*arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def table(capsys, *arguments):
    assert run([*arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return [line.split() for line in out.splitlines()]


def separated(capsys, *arguments):
    assert run([*arguments, "--format", "csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


# ---- Which hosts ------------------------------------------------------------------------------------------------


def test_a_pattern_adds_hosts_up_and_the_envelope_says_which_were_asked_for(capsys):
    answer = asked(capsys, "report", "day", "--host", "web*", "--host", "db1", *ON_THE_DAYS)
    assert [row["rx_bytes"] for row in answer["rows"]] == [sum(RECEIVED.values())] * 2
    assert answer["host_filter"] == ["web*", "db1"]
    assert "host" not in answer
    assert "label_filter" not in answer
    assert all("host" not in row for row in answer["rows"])


def test_one_name_is_that_host_as_ever_and_hosts_are_named_when_they_are_told_apart(capsys):
    answer = asked(capsys, "report", "day", "--host", "web1", "--peak", *ON_THE_DAYS)
    assert answer["host"] == "web1"
    assert "host_filter" not in answer
    assert not [key for row in answer["rows"] for key in row if "host" in key]
    answer = asked(capsys, "report", "day", "--host", "web1", "--by", "host", *ON_THE_DAYS)
    assert answer["host"] == "web1"
    assert [(row["host"], row["rx_bytes"]) for row in answer["rows"]] == [("web1", 7000)] * 2
    (row, *_) = asked(capsys, "apps", "--host", "web1", "--by", "host,application", *ON_THE_DAYS)["rows"]
    assert (row["host"], row["application"], row["rx_bytes"]) == ("web1", "nginx", 7000)


# ---- Reports ----------------------------------------------------------------------------------------------------


def test_hosts_are_told_apart_in_each_period(capsys):
    answer = asked(capsys, "report", "day", "--by", "host", "--host", "*", *ON_THE_DAYS)
    assert [(row["start"][:10], row["host"], row["rx_bytes"]) for row in answer["rows"]] == [
        (day, *one) for day in ("2026-03-10", "2026-03-11") for one in RECEIVED.items()
    ]
    assert all(row["interface"] is None for row in answer["rows"])
    head, first, *rest = table(capsys, "report", "day", "--by", "host", "--host", "*", *ON_THE_DAYS)
    assert head == ["Day", "Host", "Received", "Sent", "Total", "Average"]
    assert first[:4] == ["2026-03-10", "db1", "90", "B"]
    assert [line[:4] for line in rest if line[:1] == ["total"]] == [
        ["total", "db1", "180", "B"],
        ["total", "web1", "14.00", "kB"],
        ["total", "web2", "1.00", "kB"],
    ]
    rows = separated(capsys, "report", "month", "--by", "host", "--host", "web*", *ON_THE_DAYS)
    assert [(row["host"], row["rx_bytes"]) for row in rows] == [("web1", "14000"), ("web2", "1000")]


def test_interfaces_of_each_host_are_told_apart(capsys):
    answer = asked(capsys, "report", "total", "--by", "host,interface", "--host", "web*", *ON_THE_DAYS)
    assert [(row["host"], row["interface"], row["rx_bytes"]) for row in answer["rows"]] == [
        ("web1", "eth0", 14_000),
        ("web1", "tun0", 7000),
        ("web2", "eth0", 1000),
        ("web2", "tun0", 500),
    ]
    (head, *_) = table(capsys, "report", "day", "--by", "host,interface", "--host", "*", *ON_THE_DAYS)
    assert head[:3] == ["Day", "Host", "Interface"]
    together = asked(capsys, "report", "total", "--interface", "eth0", "--host", "*", *ON_THE_DAYS)
    assert [row["rx_bytes"] for row in together["rows"]] == [2 * sum(RECEIVED.values())]


def test_peaks_of_several_hosts_say_whose_they_were(capsys):
    arguments = ["report", "day", "--host", "*", "--peak", "--percentile", "95", *ON_THE_DAYS]
    first = asked(capsys, *arguments)["rows"][0]
    assert (first["peak_rx_bytes_per_second"], first["peak_rx_host"]) == (7000, "web1")
    assert (first["peak_tx_bytes_per_second"], first["peak_tx_host"]) == (14_000, "web1")
    assert first["percentile_bucket_seconds"] == 300
    assert separated(capsys, *arguments)[0]["peak_tx_host"] == "web1"
    of_each = asked(capsys, *arguments, "--by", "host")["rows"][:3]
    assert [(row["host"], row["peak_rx_host"], row["peak_rx_bytes_per_second"]) for row in of_each] == [
        (host, host, rx) for host, rx in RECEIVED.items()
    ]


def test_a_day_without_a_peak_has_the_same_columns(capsys):
    rows = separated(capsys, "report", "hour", "--host", "*", "--peak", "--since", "2026-03-10T05:00", "--until", "2026-03-10T06:00", "--tz", "UTC")  # fmt: skip
    assert {row["peak_rx_host"] for row in rows} == {""}


def test_the_busiest_days_are_those_of_each_host(capsys):
    answer = asked(capsys, "report", "top", "--by", "host", "--host", "web*", "--limit", "1", "--tz", "UTC")
    assert [(row["host"], row["rx_bytes"]) for row in answer["rows"]] == [("web1", 7000), ("web2", 500)]


def test_applications_are_told_apart_with_their_hosts_in_each_period(capsys):
    arguments = ["report", "day", "--by", "host,application", "--host", "web*", *ON_THE_DAYS]
    answer = asked(capsys, *arguments)
    assert answer["by"] == ["host", "application"]
    assert [(row["host"], row["application"], row["rx_bytes"], row["share"]) for row in answer["rows"]] == [
        ("web1", "nginx", 3500, 0.5),
        ("web1", "unattributed", 3500, 0.5),
        ("web2", "nginx", 250, 0.5),
        ("web2", "unattributed", 250, 0.5),
    ] * 2
    assert table(capsys, *arguments)[0][:3] == ["Day", "Host", "Application"]


# ---- Applications -----------------------------------------------------------------------------------------------


def test_applications_of_hosts_are_added_up_or_told_apart(capsys):
    rows = asked(capsys, "apps", "--by", "application", "--host", "*", *ON_THE_DAYS)["rows"]
    assert {row["application"]: row["rx_bytes"] for row in rows} == {"nginx": 7590, "unattributed": 7590}
    rows = separated(capsys, "apps", "--by", "application,host", "--host", "*", *ON_THE_DAYS)
    assert [(row["application"], row["host"], row["rx_bytes"]) for row in rows][::2] == [
        ("nginx", "web1", "7000"),
        ("nginx", "web2", "500"),
        ("nginx", "db1", "90"),
    ]
    arguments = ["apps", "--by", "host,interface", "--host", "*", *ON_THE_DAYS]
    head, first, *_ = table(capsys, *arguments)
    assert head == ["Host", "Interface", "Received", "Sent", "Total", "Share"]
    assert first[:3] == ["web1", "eth0", "14.00"]


def test_ways_of_telling_applications_apart_on_several_hosts_are_no_sequence(capsys):
    *_, last = table(capsys, "apps", "--host", "*", *ON_THE_DAYS)
    assert " ".join(last) == "Applications are told apart by: sampled, kernel"


def test_a_limit_shows_the_busiest_and_says_what_the_others_had(capsys):
    arguments = ["apps", "--by", "host", "--host", "*", "--limit", "1", *ON_THE_DAYS]
    answer = asked(capsys, *arguments)
    assert [row["host"] for row in answer["rows"]] == ["web1"]
    assert answer["others"] == {
        "count": 2,
        "rx_bytes": 1180,
        "tx_bytes": 2360,
        "rx_packets": 4,
        "tx_packets": 4,
        "both": 3540,
    }
    head, first, _, below, *_ = table(capsys, *arguments)
    assert (head[0], first[0]) == ("Host", "web1")
    assert " ".join(below) == "2 more rows are left out by --limit, with 3.54 kB together"
    assert run([*arguments[:-7], "2", *ON_THE_DAYS, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert err == "netusage: 1 more row is left out by --limit, with 540 B together\n"


def test_a_limit_that_leaves_nothing_out_says_so_to_programs_alone(capsys):
    arguments = ["apps", "--by", "host", "--host", "*", "--limit", "3", *ON_THE_DAYS]
    assert asked(capsys, *arguments)["others"]["count"] == 0
    assert "left out" not in str(table(capsys, *arguments))
    assert "others" not in asked(capsys, *arguments[:5], *ON_THE_DAYS)


def test_executables_say_on_which_host_they_were(capsys):
    rows = asked(capsys, "apps", "--versions", "--host", "*")["rows"]
    assert [(row["host"], row["inode"]) for row in rows] == list(RECEIVED.items())
    assert "host" not in asked(capsys, "apps", "--versions", "--host", "web1")["rows"][0]


# ---- Interfaces and their accounts ------------------------------------------------------------------------------


def test_interfaces_and_accounts_of_several_hosts_say_whose_they_are(capsys):
    rows = asked(capsys, "interfaces", "--host", "*")["rows"]
    assert [(row["host"], row["interface"]) for row in rows] == [
        (host, name) for host in RECEIVED for name in ("eth0", "tun0")
    ]
    assert table(capsys, "interfaces", "--host", "*")[0][:3] == ["Host", "Interface", "Kind"]
    rows = asked(capsys, "reconcile", "--host", "web*", "--interface", "eth0", *ON_THE_DAYS)["rows"]
    assert [(row["host"], row["line"], row["rx_bytes"]) for row in rows if row["line"] == "interface"] == [
        ("web1", "interface", 14_000),
        ("web2", "interface", 1000),
    ]
    assert table(capsys, "reconcile", "--host", "*", *ON_THE_DAYS)[0][:3] == ["Host", "Interface", "Line"]
    for command in (["interfaces"], ["reconcile", *ON_THE_DAYS]):
        assert all("host" not in row for row in asked(capsys, *command, "--host", "web1")["rows"])
        assert all("host" not in row for row in asked(capsys, *command)["rows"])


# ---- Pictures ---------------------------------------------------------------------------------------------------


def test_a_picture_of_several_hosts_says_how_many_and_nothing_of_what_was_watched(tmp_path):
    arguments = ["plot", "day", "--panel", "timeline", "--since", "2026-03-10", "--until", "2026-03-12"]
    assert run([*arguments, "--host", "web*", "-o", "both.svg"]) == 0
    assert run([*arguments, "--host", "web1", "-o", "one.svg"]) == 0
    both, one = ((tmp_path / name).read_text() for name in ("both.svg", "one.svg"))
    assert "2 hosts together" in both
    assert "hosts" not in one
    assert "timeline-unwatched" in one
    assert "timeline-unwatched" not in both


# ---- What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["report", "day", "--by", "host"], "--by host: this ledger's own record is of one host; ask the"),
        (2, ["apps", "--by", "application,host"], "--by host: this ledger's own record is of one host; ask"),
        (2, ["report", "day", "--label", "site=berlin"], "a ledger has no labels; use --label with --fleet"),
        (2, ["apps", "--host", "*", "--label", "a=b"], "a ledger has no labels; use --label with --fleet"),
        (2, ["report", "day", "--fleet", "--db", "x.db"], "--fleet and --db are two records; leave out one"),
        (2, ["apps", "--versions", "--fleet"], "executables of applications stay on their hosts; ask there"),
        (2, ["apps", "--versions", "--limit", "3"], "--versions lists all there are; leave out --limit"),
        (
            2,
            ["report", "minute", "--fleet"],
            "there is no minute of a fleet: hosts deliver quarters of an hour;",
        ),
        (2, ["report", "5min", "--by", "host", "--fleet"], "there is no 5min of a fleet: hosts deliver"),
        (2, ["plot", "5min", "--fleet", "-o", "x.svg"], "there is no 5min of a fleet: hosts deliver"),
        (2, ["apps", "--limit", "0"], "'--limit': 0 is not in the range"),
        (2, ["report", "day", "--by", "machine,host", "--host", "*"], "--by machine is the total"),
        (3, ["report", "day", "--host", "web*", "--host", "mail*"], "no host 'mail*' in the ledger"),
        (3, ["interfaces", "--host", "mail"], "; there are: db1, web1, web2"),
        (3, ["reconcile", "--host", "[x]"], "no host '[x]' in the ledger"),
        (3, ["plot", "day", "--host", "mail", "-o", "x.svg"], "no host 'mail' in the ledger"),
    ],
)
def test_bad_input_is_one_line(capsys, merged, code, arguments, said):
    before = merged.read_bytes()
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert merged.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [["report", "day"], ["apps"], ["reconcile"], ["interfaces"], ["plot", "day", "-o", "x.svg"], []],
)
def test_a_fleet_that_is_not_configured_is_said_in_one_line(capsys, tmp_path, arguments):
    (tmp_path / "empty.toml").write_text("")
    assert run([*arguments, "--fleet", "--config", "empty.toml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "netusage: the configuration names no fleet; "
        'in [fleet], write url = "https://..."; see docs/fleet.md\n'
    )
