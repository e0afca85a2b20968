"""The page that Prometheus scrapes, of a real server."""

import contextlib
import sqlite3

import pytest
from support.ledgers import START_S, writing

from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, Counters, Who

pytestmark = pytest.mark.system
TOKEN = "correct horse battery staple"
OF_ETH0 = 'netusage_interface_receive_bytes_total{interface="eth0",kind=""}'


def fill(path, number=100):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, number, 1, 1, 1)
        for n in range(60):
            part = Part(START_S // QUARTER_S * QUARTER_S, eth0, Who("application", f"app-{n}"), 3, 6, 4)
            ledger.share(part, Counters(60 - n, 0, 1, 0))
        ledger.commit(START_S + 10)
    return path


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("ledger") / "usage.db")


@pytest.fixture(scope="module")
def server(serve, ledger):
    return serve(ledger)


def test_it_is_prometheus_text_and_openmetrics_for_who_asks_for_that(server):
    status, headers, body = server.ask("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert headers["cache-control"] == "no-store"
    assert b"# EOF" not in body
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    status, headers, body = server.ask("/metrics", Accept=accept)
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert body.endswith(b"\n# EOF\n")


def test_interfaces_whose_last_hour_is_over_are_left_out_and_applications_are_not(server):
    _, _, body = server.ask("/metrics")
    assert b'interface="eth0"' in body, "it has not been seen to go away"
    assert body.count(b"netusage_application_receive_bytes_total{") == 50


def test_how_many_applications_are_told_apart_is_a_setting(serve, ledger):
    _, _, body = serve(ledger, NETUSAGE_METRICS_APPLICATIONS="7").ask("/metrics")
    assert body.count(b"netusage_application_receive_bytes_total{") == 7
    assert b'application="app-6"' in body
    assert b'netusage_attributed_receive_bytes_total{scope="internet"} 1830' in body


def test_what_was_committed_is_in_the_next_answer(serve, tmp_path):
    path = fill(tmp_path / "usage.db", 100)
    server = serve(path)
    assert f"{OF_ETH0} 100\n".encode() in server.ask("/metrics")[2]
    with writing(path, START_S + 20) as ledger:
        ledger.count(ledger.interface("eth0"), START_S + 20, 23, 0, 0, 0)
        ledger.commit(START_S + 30)
    assert f"{OF_ETH0} 123\n".encode() in server.ask("/metrics")[2]


def test_who_does_not_know_the_token_gets_no_page_to_log_in_but_an_error(serve, ledger, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    server = serve(ledger, "--token-file", file)
    assert server.ask("/metrics")[0] == 401
    assert server.ask("/metrics", Authorization="Bearer another one that is wrong")[0] == 401
    status, _, body = server.ask("/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert OF_ETH0.encode() in body


def test_it_is_guarded_as_everything_else(server):
    assert server.ask("/metrics", host="evil.example")[0] == 403
    assert server.ask("/metrics", method="POST", body=b"")[0] == 405
    assert server.ask("/metrics", Origin="http://evil.example")[0] == 403


def test_where_there_is_no_ledger_or_none_that_can_be_read_the_scrape_fails_and_says_why(serve, tmp_path):
    status, _, body = serve(tmp_path / "none.db").ask("/metrics")
    assert (status, b"netusage daemon" in body) == (404, True)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as db, db:
        db.execute("CREATE TABLE something (x)")
    status, _, body = serve(tmp_path / "other.db").ask("/metrics")
    assert (status, b"another program" in body) == (500, True)
