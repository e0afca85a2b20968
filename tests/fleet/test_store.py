"""The client, asked of real servers: what goes in comes out, the newest state counts, and every failure is one line."""

import base64
import contextlib
import dataclasses
import http.server
import random
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support import clickhouse
from support.clickhouse import PASSWORD, Certificates
from support.clickhouse import store as store_of

from netusage.errors import ConfigError, FleetError
from netusage.fleet import store as store_module
from netusage.fleet.schema import HOST, SPAN, TABLES, USAGE
from netusage.fleet.store import Store, address_of
from netusage.fleet.tables import missing
from netusage.settings.schema import FleetSettings

pytestmark = pytest.mark.system

HOSTILE = "a\tb\nc\\d'e\0f\rg\u0085h\u2028\\N ü\x1b[3m\b\f`\"<&>{x}"
LARGEST = (1 << 63) - 1
START_S = 1_764_000_000
EVERYTHING = "host, ledger, interface, kind, toUInt32(start), rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx, seq"


def usage(host="h", *, start_s=START_S, rx=1, seq=1, interface="eth0"):
    return (host, "l", interface, "", start_s, rx, 2, 3, 4, 5, 6, seq)


def read(client):
    # in order here: 18.16 cannot order what comes from FINAL of several shards by itself
    found = client.query(f"SELECT {EVERYTHING} FROM {client.table('usage')} FINAL")
    return sorted(found, key=lambda row: (row[0], row[4]))


def total(client):
    return client.query(f"SELECT sum(rx_bytes) FROM {client.table('usage')} FINAL")[0][0]


# ---- What goes in ------------------------------------------------------------------------------------------------


def test_hostile_names_and_the_largest_numbers_come_out_as_they_went_in(store):
    row = (HOSTILE, HOSTILE, HOSTILE, HOSTILE, START_S, *[LARGEST] * 7)
    assert store.insert(USAGE, [row]) == 1
    assert read(store) == [row]
    span = (HOSTILE, "l", HOSTILE, HOSTILE, LARGEST, -LARGEST - 1, LARGEST, *[LARGEST] * 4, HOSTILE, LARGEST)
    store.insert(SPAN, [span])
    assert store.query(f"SELECT * FROM {store.table('span')} FINAL") == [span]
    host = (
        HOSTILE,
        "l",
        HOSTILE,
        "m",
        "1",
        ("site=berlin", HOSTILE, "", "a','b"),
        -1,
        LARGEST,
        -5,
        0,
        HOSTILE,
        1,
        -1,
        LARGEST,
        9,
    )
    store.insert(HOST, [host])
    assert store.query(f"SELECT * FROM {store.table('host')} FINAL") == [host]


def test_the_newest_state_counts_in_whatever_order_and_however_often_rows_arrive(store):
    states = [
        usage(start_s=START_S + 900 * n, rx=10 * n + seq, seq=seq) for n in range(50) for seq in range(1, 8)
    ]
    dice = random.Random(7)
    for _ in range(6):
        dice.shuffle(states)
        for n in range(0, len(states), 40):
            store.insert(USAGE, states[n : n + 40])
    assert read(store) == [usage(start_s=START_S + 900 * n, rx=10 * n + 7, seq=7) for n in range(50)]


def test_the_same_state_again_changes_nothing_and_a_higher_number_replaces_it(store):
    for _ in range(3):
        store.insert(USAGE, [usage(rx=300)])
    assert read(store) == [usage(rx=300)]
    store.insert(USAGE, [usage(rx=200, seq=2)])
    store.insert(USAGE, [usage(rx=300)])
    assert read(store) == [usage(rx=200, seq=2)]
    store.execute(f"OPTIMIZE TABLE {store.table('usage')} FINAL")
    assert read(store) == [usage(rx=200, seq=2)]


def test_months_are_those_of_utc_wherever_the_server_is(server, store):
    assert server.ask("SELECT timezone()") == [["Asia/Kathmandu"]]
    late_s = 1_764_540_000  # 2025-11-30T22:00Z, which is December there
    store.insert(USAGE, [usage(start_s=late_s)])
    columns = "toUInt32(toYYYYMM(start)), toString(start), toUInt32(start)"
    sql = f"SELECT {columns} FROM {store.table('usage')}"
    assert store.query(sql) == [(202511, "2025-11-30 22:00:00", late_s)]


def test_a_backlog_of_decades_goes_in_as_requests_that_every_server_takes(store, monkeypatch):
    monkeypatch.setattr(store_module, "MOST_ROWS", 100)
    rows = [usage(start_s=START_S - n * 28 * 86_400, rx=n) for n in range(150)]
    assert store.insert(USAGE, rows) == 150
    assert total(store) == sum(range(150))


def test_nothing_of_a_request_is_sent_when_one_of_its_numbers_does_not_fit(store):
    with pytest.raises(FleetError, match="cannot hold"):
        store.insert(USAGE, [usage(), usage(start_s=START_S + 900, rx=1 << 63)])
    assert read(store) == []


def test_a_cut_request_is_refused_and_leaves_no_row(store):
    """What a broken line leaves of a request: its beginning, announced as all of it."""
    import gzip

    from netusage.fleet import wire

    body = gzip.compress(wire.encode(USAGE, [usage(start_s=START_S + 900 * n) for n in range(2000)]))
    sql = f"INSERT INTO {store.table('usage')} FORMAT TabSeparated"
    answer = store._client.post(
        "/", params={"query": sql}, content=body[: len(body) // 2], headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code != 200
    assert read(store) == []


# ---- Shards ------------------------------------------------------------------------------------------------------


def test_rows_are_spread_by_host_and_each_shard_answers_for_all(sharded):
    one, two = sharded
    rows = [usage(f"host-{n:02}", rx=n) for n in range(40)]
    one.insert(USAGE, rows)
    assert read(one) == read(two) == rows
    parts = [each.query(f"SELECT DISTINCT host FROM {each.table('usage_local')}") for each in sharded]
    assert sorted(parts[0] + parts[1]) == [(row[0],) for row in rows]
    assert all(parts)


def test_states_meet_on_a_shard_whichever_server_took_them(sharded):
    one, two = sharded
    for seq in range(1, 5):
        (one if seq % 2 else two).insert(USAGE, [usage(f"host-{n:02}", rx=seq, seq=seq) for n in range(10)])
    assert total(one) == total(two) == 40


def test_with_a_shard_down_nothing_is_answered_and_nothing_is_lost(shards, sharded):
    one, _ = sharded
    rows = [usage(f"host-{n:02}", rx=n) for n in range(40)]
    one.insert(USAGE, rows)
    shards[1].kill()
    try:
        for ask in (lambda: total(one), lambda: one.insert(USAGE, rows)):
            with pytest.raises(FleetError, match="a part of a total is no total") as caught:
                ask()
            assert "\n" not in str(caught.value)
    finally:
        shards[1].start()
    one.insert(USAGE, rows)
    assert read(one) == rows


# ---- What goes wrong ---------------------------------------------------------------------------------------------


def failure(url, ask=lambda client: client.query("SELECT 1"), **different):
    """What is said, which has to be one line with something to do."""
    with pytest.raises(FleetError) as caught, store_of(url, **different) as client:
        ask(client)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 1
    return str(caught.value)


@pytest.mark.parametrize("different", [{"user": "nobody"}, {"password": "wrong"}, {"password": ""}])
def test_a_wrong_name_or_password_is_told_without_the_password(server, different):
    said = failure(server.url, **different)
    assert "does not let" in said
    assert "fleet.password_file" in said
    assert "wrong user" not in said


def test_a_database_that_is_not_there_is_told_with_what_makes_it(server):
    for ask in (
        lambda client: client.query(f"SELECT 1 FROM {client.table('host')}"),
        lambda client: client.insert(USAGE, [usage()]),
    ):
        said = failure(server.url, ask, database="nowhere")
        assert f"run: netusage fleet init {server.url}" in said


def test_a_user_who_may_only_read_reads_and_is_told_so_when_writing(server, database, store):
    store.insert(USAGE, [usage()])
    with store_of(server.url, database, user="reader") as reader:
        assert read(reader) == [usage()]
    said = failure(
        server.url, lambda client: client.insert(USAGE, [usage()]), database=database, user="reader"
    )
    assert "'reader' may only read" in said


def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert "cannot reach" in failure(f"http://127.0.0.1:{port}")


def test_a_server_that_hangs_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as sock:  # accepts, as the kernel does, and never answers
        said = failure(f"http://127.0.0.1:{sock.getsockname()[1]}", timeout_s=0.2)
    assert "did not answer within 0.2 s" in said


def test_a_large_request_has_the_time_that_a_slow_line_takes():
    class Slow(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            over.wait(0.5)
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.end_headers()

        def log_message(self, *_):
            pass

    dice, over = random.Random(8), threading.Event()
    rows = [usage(start_s=START_S + 900 * n, rx=dice.randrange(1 << 60)) for n in range(2000)]
    with HTTPServer(("127.0.0.1", 0), Slow) as slow:
        thread = threading.Thread(target=slow.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{slow.server_port}"
            with store_of(url, timeout_s=0.2) as client:
                assert client.insert(USAGE, rows) == 2000
            assert "did not answer within 0.2 s" in failure(url, timeout_s=0.2)
        finally:
            over.set()
            slow.shutdown()
            thread.join()


def test_another_server_than_clickhouse_is_told():
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def answer():
            peer, _ = sock.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhey\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            assert "no whole answer" in failure(f"http://127.0.0.1:{sock.getsockname()[1]}")
        finally:
            thread.join()


def test_an_error_in_the_middle_of_an_answer_is_an_error_and_no_part_of_it(server):
    def ask(client):
        client.query("SELECT throwIf(number = 5000000) FROM numbers(5000001)")

    with pytest.raises(FleetError, match="refused"), store_of(server.url) as client:
        ask(client)


# ---- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture(scope="module")
def secure(tmp_path_factory, certificates):
    """A server that speaks TLS with those who have a certificate of its authority."""
    yield from clickhouse.secure(tmp_path_factory, certificates)


def files(certificates, name="host", ca="ca"):
    return {
        "ca": str(certificates / f"{ca}.crt"),
        "certificate": str(certificates / f"{name}.crt"),
        "key": str(certificates / f"{name}.key"),
    }


def test_with_the_right_certificates_it_answers(secure, certificates):
    with store_of(secure.url, **files(certificates)) as client:
        assert client.query("SELECT 1") == [(1,)]
    assert "does not let" in failure(secure.url, **files(certificates), user="nobody")


def test_a_certificate_of_another_authority_is_refused(secure, certificates):
    assert "does not accept the certificate" in failure(secure.url, **files(certificates, "stranger"))


def test_without_a_certificate_that_is_what_is_asked_for(secure, certificates):
    said = failure(secure.url, ca=str(certificates / "ca.crt"))
    assert "wants a certificate of this host" in said


@pytest.mark.parametrize("ca", ["other", None])
def test_a_server_of_an_unknown_authority_is_not_told_the_password(secure, certificates, ca):
    different = files(certificates, ca=ca or "ca") | ({} if ca else {"ca": ""})
    said = failure(secure.url, **different)
    assert "is not to be trusted" in said
    assert "fleet.ca" in said


def test_tls_with_a_port_that_has_none_is_told(server):
    """What a greeting of TLS has at random may be the beginning of a request, of which the server awaits the rest."""
    said = ""
    for _ in range(5):
        said = failure(server.url.replace("http:", "https:"), timeout_s=3)
        if "did not answer" not in said:
            break
    assert "does not speak TLS" in said


def test_a_certificate_that_cannot_be_used_is_told_by_its_key(secure, certificates):
    for different, key in (
        ({"ca": "/nowhere"}, "fleet.ca"),
        ({"ca": str(certificates / "names")}, "fleet.ca"),
        ({"certificate": "/nowhere"}, "fleet.certificate"),
        ({"key": str(certificates / "stranger.key")}, "fleet.certificate"),
    ):
        with pytest.raises(ConfigError, match=key), store_of(secure.url, **files(certificates) | different):
            pass


# ---- The configuration -------------------------------------------------------------------------------------------


def test_the_password_is_the_first_line_of_its_file(tmp_path):
    (tmp_path / "password").write_text("se cret \r\nmore\n", encoding="utf-8")
    settings = FleetSettings(url="http://fleet:8123", password_file=str(tmp_path / "password"))
    assert address_of(settings).password == "se cret "
    assert address_of(settings, "http://other:1").url == "http://other:1"


class Gate:
    """A proxy before a server that lets nobody in without a token; a context manager."""

    def __init__(self, target, token):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Authorization"] != f"Bearer {token}":
                    self.answer(401, b"who are you?")
                    return
                headers = {"Authorization": f"Basic {base64.b64encode(f'host:{PASSWORD}'.encode()).decode()}"}
                headers |= {
                    name: self.headers[name] for name in ("Content-Encoding",) if name in self.headers
                }
                request = urllib.request.Request(target + self.path, body, headers)
                with urllib.request.urlopen(request, timeout=20) as answer:
                    self.answer(200, answer.read())

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_token_is_sent_instead_of_a_password_and_a_wrong_one_is_told(server, database, tmp_path):
    (tmp_path / "token").write_text("abc.DEF-1\n", encoding="utf-8")
    with Gate(server.url, "abc.DEF-1") as gate:
        settings = FleetSettings(url=gate.url, database=database, token_file=str(tmp_path / "token"))
        with Store(address_of(settings)) as client:
            for statement in missing(client):
                client.execute(statement.sql)
            client.insert(USAGE, [usage()])
            assert read(client) == [usage()]
        (tmp_path / "token").write_text("another\n", encoding="utf-8")
        with Store(address_of(settings)) as client, pytest.raises(FleetError, match="HTTP 401") as caught:
            client.query("SELECT 1")
        assert "fleet.token_file" in caught.value.hint
        assert "another" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "more", "said"),
    [
        ("a b", {}, "its first line is no token"),
        ("", {}, "its first line is no token"),
        ("abc", {"password_file": "/nowhere"}, "are both given"),
    ],
)
def test_a_token_that_is_none_or_not_alone_is_refused(tmp_path, line, more, said):
    (tmp_path / "token").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        address_of(FleetSettings(url="http://fleet:8123", token_file=str(tmp_path / "token"), **more))


def test_a_password_that_cannot_be_read_or_a_fleet_that_is_not_named_is_told(tmp_path):
    settings = FleetSettings(url="http://fleet:8123", password_file=str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"fleet\.password_file"):
        address_of(settings)
    with pytest.raises(ConfigError, match="names no fleet"):
        address_of(dataclasses.replace(settings, url=""))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"url": "https://fleet:8443", "key": "/etc/key"}, "the key of no certificate"),
        ({"url": "http://fleet:8123", "ca": "/etc/ca"}, "is asked without TLS"),
        ({"url": "http://fleet:8123", "certificate": "/etc/host"}, "is asked without TLS"),
    ],
)
def test_what_would_be_left_out_of_tls_is_told_before_anything_is_sent(settings, told):
    with pytest.raises(ConfigError, match=told):
        address_of(FleetSettings(**settings))


def test_all_tables_can_be_read_at_once(store):
    for table in TABLES:
        assert store.query(f"SELECT * FROM {store.table(table.name)} FINAL") == []
