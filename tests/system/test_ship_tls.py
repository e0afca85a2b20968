"""Who is let in, and who is trusted: certificates, passwords and rights, through the processes that deliver."""

import json
import random
import shutil
import signal
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from support import clickhouse
from support.book import assert_it_adds_up
from support.clickhouse import PASSWORD, Certificates, ClickHouse, why_not
from support.deliveries import (
    asking,
    has_arrived,
    live,
    make_tables,
    settings_for,
    shipper_pid,
    state_of,
)
from support.fleet import assert_the_same
from support.ledgers import START_S, writing
from support.patience import LONG, until

pytest.importorskip("httpx")
pytestmark = [pytest.mark.system]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture(scope="module")
def secure(tmp_path_factory, certificates):
    """A server that speaks TLS with those who have a certificate of its authority."""
    yield from clickhouse.secure(tmp_path_factory, certificates)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


def files(certificates, name="host", ca="ca"):
    found = {"ca": str(certificates / f"{ca}.crt")}
    if name:
        found |= {
            "certificate": str(certificates / f"{name}.crt"),
            "key": str(certificates / f"{name}.key"),
        }
    return found


def same(settings, *paths):
    with asking(settings) as store:
        assert_the_same(store, *paths)


def write_ledger(path, hours=6):
    with writing(path) as book:
        live(book, [book.interface("eth0")], START_S + hours * 3600, random.Random(51))


class Impostor:
    """Waits for hosts with a certificate that nobody trusts, and keeps what it is told; a context manager.

    Attributes:
        url: where it is.
        heard: what each said once the line was secure; "" where that never was.
    """

    def __init__(self, certificates, name="stranger"):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._socket.getsockname()[1]}"
        self.heard = []
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self):
        with suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                peer.settimeout(LONG)
                said = b""
                with peer, suppress(OSError), self._context.wrap_socket(peer, server_side=True) as line:
                    said = line.recv(1 << 16)
                self.heard.append(said)


# ---- TLS ---------------------------------------------------------------------------------------------------------


def test_only_the_right_certificate_delivers_and_every_other_is_told_why_not(
    secure, certificates, start, ledger, configure
):
    fleet = settings_for(secure.url, **files(certificates))
    make_tables(fleet)
    write_ledger(ledger)
    for name, ca, words in (
        ("", "ca", "wants a certificate of this host"),
        ("stranger", "ca", "does not accept the certificate"),
        ("expired", "ca", "does not accept the certificate"),
        ("host", "other", "is not to be trusted"),
    ):
        file = configure(fleet, PASSWORD, **files(certificates, name, ca))
        done = start("ship", "--once", "--db", ledger, "--config", file)
        assert done.wait() == 1, done.err
        assert words in done.err
        assert len(done.err.splitlines()) == 1
        assert PASSWORD not in done.err
        with asking(fleet) as store:
            assert store.query(f"SELECT count() FROM {store.table('usage')}") == [(0,)]
        assert words in state_of(ledger).error
    file = configure(fleet, PASSWORD, **files(certificates))
    assert start("ship", "--once", "--db", ledger, "--config", file).wait() == 0
    same(fleet, ledger)


@pytest.mark.parametrize("name", ["stranger", "elsewhere"])
def test_a_server_that_is_not_trusted_hears_nothing(certificates, start, ledger, configure, name):
    """Neither one of another authority, nor one with a certificate for another name."""
    write_ledger(ledger, hours=1)
    with Impostor(certificates, name) as impostor:
        file = configure(settings_for(impostor.url), PASSWORD, **files(certificates))
        done = start("ship", "--once", "--db", ledger, "--config", file)
        assert done.wait() == 1
    assert "is not to be trusted" in done.err
    assert len(done.err.splitlines()) == 1
    assert impostor.heard
    assert not any(impostor.heard)


def put(certificates, name, place):
    """Put a certificate in the place of one that is in use."""
    for end in ("crt", "key"):
        shutil.copyfile(certificates / f"{name}.{end}", place / f"used.{end}.new")
        (place / f"used.{end}.new").replace(place / f"used.{end}")


@pytest.mark.root
def test_beside_a_recorder_certificates_are_changed_while_it_runs(
    tmp_path, certificates, space, record, ledger, configure
):
    if why_not():
        pytest.skip(why_not())
    own = Certificates(tmp_path / "own")
    server = space.inside(lambda: ClickHouse(tmp_path / "server", certificates=own))
    used = {"certificate": str(tmp_path / "used.crt"), "key": str(tmp_path / "used.key")}
    fleet = settings_for(server.url, **files(own))
    file = configure(fleet, PASSWORD, ca=own / "ca.crt", **used)
    put(own, "stranger", tmp_path)
    space.pair("va", "vb")
    try:
        space.inside(lambda: make_tables(fleet))
        recorder = record(space, "--config", file, sample="200ms", commit="200ms")
        recorder.wait_for_words("does not accept the certificate")
        space.send("va", 10)
        put(own, "host", tmp_path)  # nobody has to say so
        until(lambda: has_arrived(ledger), lambda: f"a delivery; {state_of(ledger)} {recorder.err}")
        put(own, "expired", tmp_path)
        recorder.send(signal.SIGHUP)
        until(lambda: state_of(ledger).error, "a refusal")
        assert "does not accept the certificate" in state_of(ledger).error
        put(own, "renewed", tmp_path)
        server.kill()  # and the server gets one of another authority
        shutil.copyfile(own / "stranger.crt", own / "server.crt")
        shutil.copyfile(own / "stranger.key", own / "server.key")
        space.inside(server.start)
        recorder.send(signal.SIGHUP)
        recorder.wait_for_words("is not to be trusted")
        with open(own / "ca.crt", "ab") as both, open(own / "other.crt", "rb") as other:
            both.write(other.read())
        recorder.send(signal.SIGHUP)
        until(lambda: has_arrived(ledger), lambda: f"a delivery; {state_of(ledger)} {recorder.err}")
        assert recorder.stop() == 143
        until(lambda: not shipper_pid(ledger), "the end of the shipper")
        assert PASSWORD not in recorder.err
        with open(file, encoding="utf-8") as written:
            assert PASSWORD not in written.read()
    finally:
        server.kill()
    assert_it_adds_up(ledger)


# ---- Rights ------------------------------------------------------------------------------------------------------


def test_a_user_with_one_database_makes_its_tables_and_delivers_and_has_no_other(
    plain, start, ledger, configure
):
    write_ledger(ledger)
    fleet = replace(settings_for(plain.url), database="narrow")
    file = configure(fleet, PASSWORD, user="narrow")
    for words in (("fleet", "init"), ("ship", "--once", "--db", ledger), ("fleet", "status")):
        done = start(*words, "--config", file)
        assert done.wait() == 0, done.err
    same(fleet, ledger)
    other = settings_for(plain.url)
    make_tables(other)
    for words in (("fleet", "init"), ("ship", "--once", "--db", ledger)):
        done = start(*words, "--config", configure(other, PASSWORD, user="narrow"))
        assert done.wait() == 1
        assert f"'narrow' has no access to the database '{other.database}'" in done.err
        assert len(done.err.splitlines()) == 1


def test_who_may_only_read_sees_the_hosts_and_delivers_nothing(plain, start, ledger, configure):
    write_ledger(ledger)
    fleet = settings_for(plain.url)
    make_tables(fleet)
    may, may_not = (configure(fleet, PASSWORD, user=user, to=f"{user}.toml") for user in ("host", "reader"))

    def refused(*words):
        done = start(*words, "--config", may_not)
        assert done.wait() == 1
        assert "'reader' may only read" in done.err
        assert len(done.err.splitlines()) == 1

    refused("ship", "--once", "--db", ledger)
    with asking(fleet) as store:
        assert store.query(f"SELECT count() FROM {store.table('host')}") == [(0,)]
    assert start("ship", "--once", "--db", ledger, "--config", may).wait() == 0
    refused("fleet", "retire", "--yes", only_host(fleet))
    for words in (("fleet", "status"), ("fleet", "verify", "--db", ledger)):
        done = start(*words, "--config", may_not)
        assert done.wait() == 0, done.err
    days = ("report", "day", "--since", "2026-03-10", "--until", "2026-03-10", "--format", "json")
    reports = [
        start(*days, *of, "--tz", "UTC") for of in (("--db", ledger), ("--fleet", "--config", may_not))
    ]
    assert [one.wait() for one in reports] == [0, 0]
    mine, theirs = (json.loads(one.out)["rows"] for one in reports)
    assert mine == theirs
    assert mine[0]["rx_bytes"]
    same(fleet, ledger)


def only_host(settings):
    with asking(settings) as store:
        ((key,),) = store.query(f"SELECT host FROM {store.table('host')} FINAL")
    return key
