"""The recorder with its eye on applications: what they had is in the ledger, and each interface reconciles to the byte."""

import contextlib
import json
import socket
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.namespace import loaded_programs
from support.patience import until

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root, pytest.mark.usefixtures("loadable")]

SEND = """
    import socket, sys
    size, times = int(sys.argv[1]), int(sys.argv[2])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(times):
        sock.sendto(bytes(size), ("10.9.0.2", 5000))
"""


def script(tmp_path, space, name, *arguments, code=SEND):
    path = tmp_path / name
    path.write_text(textwrap.dedent(code))
    subprocess.run(space.command(sys.executable, str(path), *map(str, arguments)), check=True)


def rows(start, ledger, *command):
    """What a command prints as JSON."""
    process = start(*command, "--db", ledger, "--format", "json")
    assert process.wait() == 0, process.err
    return json.loads(process.out)["rows"]


def test_every_byte_of_each_interface_is_accounted_for(space, cable, record, start, ledger, tmp_path):
    process = record(space, "--applications", "kernel")
    script(tmp_path, space, "one.py", 1000, 300)
    script(tmp_path, space, "two.py", 500, 200)
    process.stop()
    found = {
        row["application"]: row
        for row in rows(start, ledger, "apps", "--by", "application", "--interface", "cable")
    }
    assert found["one.py"]["tx_bytes"] == 300 * 1042
    assert found["two.py"]["tx_bytes"] == 200 * 542
    lines = [row for row in rows(start, ledger, "reconcile") if row["interface"] == "cable"]
    *parts, total = lines
    counted = space.counters()["cable"]
    for key in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"):
        assert sum(row[key] for row in parts) == total[key] == getattr(counted, key)
    assert parts[-1]["line"] == "unattributed"
    assert parts[-1]["tx_bytes"] == 0


TALK = """
    import socket
    sock = socket.create_connection(("10.9.0.2", 5001))
    sock.sendall(bytes(200_000))
    got = 0
    while got < 300_000:
        got += len(sock.recv(1 << 16))
    sock.close()
"""


@pytest.fixture
def server(cable):
    """A process behind the cable that answers 200,000 bytes with 300,000."""
    listener = cable.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.9.0.2", 5001))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        with connection:
            got = 0
            while got < 200_000:
                got += len(connection.recv(1 << 16))
            connection.sendall(bytes(300_000))
            connection.recv(1)

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(serve)


def test_each_layer_of_stacked_interfaces_reconciles_and_the_machine_counts_each_byte_once(
    space, cable, server, record, start, ledger, tmp_path
):
    """A bridge over a cable: packets reach sockets above it, and the cable, which is in the total, has them as well."""
    space.ip("addr", "flush", "dev", "cable")
    space.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    space.ip("link", "set", "cable", "master", "br0")
    space.up("br0")
    space.ip("addr", "add", "10.9.0.1/24", "dev", "br0")
    for one, device, other, address in (
        (space, "br0", cable, "10.9.0.2"),
        (cable, "cable", space, "10.9.0.1"),
    ):
        mac = other.links()["br0" if other is space else "cable"]["address"]
        one.ip("neigh", "replace", address, "lladdr", mac, "nud", "permanent", "dev", device)
    process = record(space, "--applications", "kernel")
    script(tmp_path, space, "talk.py", code=TALK)
    server.result(20)
    process.stop()
    accounts = {}
    for row in rows(start, ledger, "reconcile"):
        accounts.setdefault(row["interface"], []).append(row)
    for name in ("br0", "cable"):
        *parts, total = accounts[name]
        for key in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"):
            assert sum(row[key] for row in parts) == total[key]
        assert parts[-1]["line"] == "unattributed"
        assert (parts[-1]["rx_bytes"], parts[-1]["tx_bytes"]) == (0, 0)
        own = next(row for row in parts if row["line"] == "applications")
        assert own["rx_bytes"] > 300_000
        assert own["tx_bytes"] > 200_000
    (talk,) = [
        row for row in rows(start, ledger, "apps", "--by", "application") if row["application"] == "talk.py"
    ]
    cable_had = next(row for row in accounts["cable"] if row["line"] == "applications")
    assert (talk["rx_bytes"], talk["tx_bytes"]) == (cable_had["rx_bytes"], cable_had["tx_bytes"])


def test_applications_of_an_interface_that_goes_away_keep_their_bytes(
    space, cable, record, start, ledger, tmp_path
):
    process = record(space, "--applications", "kernel")
    script(tmp_path, space, "last.py", 1000, 100)
    counted = space.counters()["cable"]
    space.ip("link", "del", "cable")
    until(lambda: _is_closed(ledger), "the interface to be recorded as gone")
    process.stop()
    found = {
        row["application"]: row
        for row in rows(start, ledger, "apps", "--by", "application", "--interface", "cable")
    }
    assert found["last.py"]["tx_bytes"] == 100 * 1042
    assert sum(row["tx_bytes"] for row in found.values()) == counted.tx_bytes


def _is_closed(ledger):
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection, connection:
        return connection.execute("SELECT count(*) FROM epoch WHERE closed_us IS NOT NULL").fetchone()[0]


def test_the_programs_are_gone_when_the_recorder_has_stopped(space, record):
    before = loaded_programs()
    process = record(space, "--applications", "kernel")
    assert loaded_programs() - before
    process.stop()
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")


def test_a_recorder_that_may_not_count_by_application_says_so_and_records_interfaces(space, ledger, tmp_path):
    """As root without privileges: files can be read, and the kernel takes no programs."""
    command = ("-m", "netusage", "daemon", "--applications", "kernel", "--db", str(ledger))
    confined = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, *command)
    with open(tmp_path / "said", "w+") as said:
        process = subprocess.Popen(space.command(*confined), stderr=said, cwd=tmp_path)
        try:
            until(lambda: "recording into" in (tmp_path / "said").read_text(), "the recorder to begin")
        finally:
            process.terminate()
            assert process.wait(20) == 143
    lines = (tmp_path / "said").read_text().splitlines()
    assert "the kernel does not count by application here" in lines[0]
    assert lines[0].endswith("interfaces are recorded without applications")
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM interface").fetchone()[0]
