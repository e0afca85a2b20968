"""A real Prometheus scrapes a real server of a ledger into which real traffic is recorded, through kills of all of them."""

import json
import re
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from importlib.resources import files
from subprocess import PIPE, Popen

import pytest
from support import prometheus
from support.book import assert_it_adds_up, rows
from support.books import many
from support.ledgers import writing
from support.patience import until

from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, Counters, Who

pytestmark = pytest.mark.system

FRAME = 14 + 28 + 500
SENT = 'netusage_interface_transmit_bytes_total{interface="cable"}'
OF_LOAD = 'netusage_application_transmit_bytes_total{application="load.py",scope="LAN"}'
OF_ALL = 'netusage_attributed_transmit_bytes_total{scope="LAN"}'
# sends a bit, again and again, until its standard input ends, then says how often
LOAD = """
import socket, sys, threading
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = 0
while True:
    for _ in range(5):
        sock.sendto(bytes(500), ("10.9.0.2", 5000))
        sent += 1
    if over.wait(0.002):
        break
print(sent)
"""


@pytest.fixture
def observe(tmp_path):
    """Starts a Prometheus that scrapes a port of this machine; it is reaped at the end."""
    reason = prometheus.why_not()
    if reason:
        pytest.skip(reason)
    started = []

    def begin(port, **options):
        started.append(prometheus.Prometheus(tmp_path / "prometheus", f"127.0.0.1:{port}", **options))
        return started[-1].__enter__()

    yield begin
    for one in started:
        one.__exit__()


@pytest.fixture
def load(space, cable, tmp_path):
    """Starts load.py, which sends until `finish`; gives how many packets that were."""
    (tmp_path / "load.py").write_text(LOAD)
    started = []

    class Load:
        def __init__(self):
            command = space.command(sys.executable, str(tmp_path / "load.py"))
            self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
            started.append(self._process)

        def finish(self):
            said, _ = self._process.communicate(timeout=60)
            assert self._process.returncode == 0
            return int(said)

    yield Load
    for process in started:
        process.kill()
        process.communicate()


def recorded(ledger):
    """What the ledger has of the bytes sent over the cable: of the interface, and to the LAN of load.py and of all."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        of_shares = """SELECT coalesce(sum(s.tx_bytes), 0) FROM share s JOIN application a ON a.id = application_id
                       JOIN interface i ON i.id = interface_id WHERE i.name = 'cable' AND scope = 1"""
        return (
            db.execute("SELECT tx_bytes FROM interface WHERE name = 'cable'").fetchone()[0],
            db.execute(f"{of_shares} AND a.name = 'load.py'").fetchone()[0],
            db.execute(of_shares).fetchone()[0],
        )


def told(observer):
    """The same as Prometheus has it, each None where it does not."""
    return tuple(observer.last(series) for series in (SENT, OF_LOAD, OF_ALL))


@pytest.mark.root
@pytest.mark.usefixtures("loadable")
def test_what_prometheus_has_grows_by_what_the_ledger_has_through_kills_of_recorder_and_server(
    space, cable, record, load, kept, start, ledger, observe
):
    def begin_recorder():
        environment = {"NETUSAGE_RECORDER_PINS": kept}
        return record(space, "--applications", "kernel", commit="500ms", environment=environment)

    def begin_server():
        server = start("web", "--port", port, "--db", ledger)
        return server.wait_for_words("the page is at")

    port = prometheus.free_port()
    recorder = begin_recorder()
    first = load()
    server = begin_server()
    observer = observe(port)
    until(lambda: observer.last(OF_LOAD), "the series of the application")
    first.finish()
    counted = space.counters()["cable"].tx_bytes
    begun = until(
        lambda: told(observer) == (now := recorded(ledger)) and now[0] == counted and now,
        lambda: f"the scrape of {recorded(ledger)}, it has {told(observer)}",
    )
    until(lambda: len(observer.samples(SENT)) > 3, "some more scrapes")

    second = load()
    until(lambda: observer.last(SENT) > begun[0], "traffic to be seen")
    recorder.kill()
    until(lambda: observer.last("netusage_recorder_up") == 0, "the recorder to be missed")
    server.kill()
    until(lambda: observer.last("up") == 0, "the server to be missed")
    server = begin_server()
    until(lambda: observer.last("up") == 1, "the server to be back")
    recorder = begin_recorder()
    until(lambda: observer.last("netusage_recorder_up") == 1, "the recorder to be back")
    server.kill()
    server = begin_server()
    until(lambda: observer.last("up") == 1 and observer.last(SENT) > begun[0], "traffic to be seen again")
    sent = second.finish()
    assert recorder.stop() == 143
    ended = recorded(ledger)
    until(lambda: told(observer) == ended, lambda: f"the scrape of {ended}, it has {told(observer)}")
    until(lambda: observer.samples(SENT)[-2][1] == ended[0], "one more scrape")

    assert ended[0] - begun[0] == space.counters()["cable"].tx_bytes - counted
    assert ended[1] - begun[1] == sent * FRAME
    for series, before, after in zip((SENT, OF_LOAD, OF_ALL), begun, ended, strict=True):
        values = [value for _, value in observer.samples(series)]
        assert values == sorted(values), "it never goes down"
        assert before in values
        assert values[-1] - before == after - before > 0
    assert_increase_is_what_is_left_of_extrapolation(observer)
    assert_nothing_was_reset(observer)
    assert observer.target()["lastError"] == ""
    # one that is back within five seconds declares none
    killed = rows(ledger, "SELECT count(*) FROM gap WHERE kind = 'killed'")[0][0]
    assert observer.last('netusage_gaps_total{kind="killed"}') == killed
    assert_it_adds_up(ledger)
    assert_every_question_of_the_dashboard_has_an_answer(observer)


def assert_nothing_was_reset(observer):
    names = {one["metric"]["__name__"] for one in observer.query('{__name__=~"netusage_.+_total"}')}
    assert len(names) == 20
    for name in names:
        assert {one["value"][1] for one in observer.query(f"resets({name}[10m])")} == {"0"}, name


def assert_increase_is_what_is_left_of_extrapolation(observer):
    """`increase` goes on at both ends by up to 1.1 times the mean time between samples: what is more than that is wrong."""
    samples = observer.samples(SENT)
    (first_s, first), (last_s, last) = samples[0], samples[-1]
    mean_s = (last_s - first_s) / (len(samples) - 1)
    (found,) = observer.query(f"increase({SENT}[10m])", last_s)
    most = (last - first) * (1 + 2.2 * mean_s / (last_s - first_s))
    assert (last - first) * 0.999999 <= float(found["value"][1]) <= most * 1.000001


def assert_every_question_of_the_dashboard_has_an_answer(observer):
    dashboard = json.loads(files("netusage.exporters").joinpath("grafana.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(expressions) > 25
    for expression in expressions:
        for variable, value in (("instance", ".+"), ("__rate_interval", "5m"), ("__range", "10m")):
            expression = expression.replace(f"${variable}", value)  # noqa: PLW2901  # step by step
        assert "$" not in expression
        assert observer.query(expression), expression
    (machines,) = re.findall(r"label_values\((\w+), instance\)", json.dumps(dashboard["templating"]))
    assert observer.query(machines)[0]["metric"]["instance"]


def test_prometheus_reads_the_token_from_its_file_and_names_that_mean_harm(start, ledger, observe, tmp_path):
    many(ledger, 1_790_000_000)
    token = tmp_path / "token"
    token.write_text("correct horse battery staple\n")
    token.chmod(0o600)
    port = prometheus.free_port()
    start("web", "--port", port, "--db", ledger, "--token-file", token).wait_for_words("the page is at")
    observer = observe(port, more=f"  authorization: {{credentials_file: '{token}'}}\n")
    until(lambda: observer.last("up") is not None, "the first scrape")
    assert (observer.last("up"), observer.target()["lastError"]) == (1, "")
    assert len(observer.query("netusage_interface_receive_bytes_total")) == 500
    assert len(observer.query("netusage_application_receive_bytes_total")) == 50
    names = {
        one["metric"]["application"] for one in observer.query("netusage_application_receive_bytes_total")
    }
    assert {"<img src=x onerror=alert(1)>", r"\x1b[31mred\x1b[0m", r"\u202egpj.exe", "下载管理器"} <= names


def test_node_exporter_takes_up_the_file_and_what_is_new_in_it(start, ledger, observe, tmp_path):
    if shutil.which("prometheus-node-exporter") is None:
        pytest.skip("needs node_exporter (the package prometheus-node-exporter)")
    of_eth0 = 'netusage_interface_receive_bytes_total{interface="eth0"}'

    def count(number):
        with writing(ledger, now_s) as book:
            eth0 = book.interface("eth0")
            book.count(eth0, now_s, number, 0, 1, 0)
            part = Part(now_s // QUARTER_S * QUARTER_S, eth0, Who("application", 'a"\\\n'), 3, 6, 4)
            book.share(part, Counters(1, 2, 3, 4))
            book.commit(now_s)

    now_s = int(time.time())
    place, port = tmp_path / "textfile", prometheus.free_port()
    place.mkdir()
    count(100)
    start("metrics", "--db", ledger, "-o", place / "netusage.prom", "--every", "1s")
    until(lambda: list(place.glob("*.prom")), "the file")
    exporter = [
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={place}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with open(tmp_path / "exporter", "wb") as said, Popen(exporter, stdout=said, stderr=said) as process:
        try:
            observer = observe(port)
            until(lambda: observer.last(of_eth0) == 100, "the first file")
            count(23)
            until(lambda: observer.last(of_eth0) == 123, "the next file")
            assert observer.last("node_textfile_scrape_error") == 0
            assert observer.last("up") == 1
            (series,) = observer.query("netusage_application_receive_bytes_total")
            assert series["metric"]["application"] == 'a"\\\\n'
        finally:
            process.kill()
