"""The server as a process: addresses, tokens, signals, event streams, and what a stalled reader costs."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest
from support.ledgers import START_S, writing
from support.patience import LONG, until
from support.process import Process

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "usage.db"
    with writing(path) as found:
        found.count(found.interface("eth0"), START_S, 100, 1, 1, 1)
        found.commit(START_S + 10)
    return path


@pytest.fixture(scope="module")
def server(serve, ledger):
    return serve(ledger)


class Stream:
    """One who listens to events.

    Args:
        port: of the server.
        buffer: of the socket, bytes; a small one stalls soon.
    """

    def __init__(self, port, buffer=None):
        self._sock = socket.socket()
        if buffer is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._sock.settimeout(LONG)
        self._sock.connect(("127.0.0.1", port))
        self._sock.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        self._file = self._sock.makefile("rb")

    def message(self):
        """The next message; None when the server has ended the stream."""
        for line in self._file:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        return None

    def close(self):
        self._file.close()
        self._sock.close()


@pytest.fixture
def listen(server):
    with contextlib.ExitStack() as stack:

        def start(port=server.port, buffer=None):
            stream = Stream(port, buffer)
            stack.callback(stream.close)
            return stream

        yield start


def resident(pid):
    """Bytes of memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_present_is_told_each_second(listen):
    stream = listen()
    first, second = stream.message(), stream.message()
    assert first["report"] == "now"
    assert second["at_s"] > first["at_s"]
    assert first["today"] is not None
    assert any(one["interface"] == "lo" for one in second["interfaces"])


def test_traffic_is_seen_in_the_next_message(listen):
    stream = listen()
    stream.message()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(50):
            sock.sendto(bytes(60_000), ("127.0.0.1", 9))

    def loopback():
        return next(one for one in stream.message()["interfaces"] if one["interface"] == "lo")

    until(lambda: loopback()["rx_bytes_per_second"] > 500_000, lambda: "the rate of 3 MB in a second")


def test_the_rates_of_the_last_minutes_are_there_for_who_comes_later(server, listen):
    stream = listen()
    stream.message()
    stream.message()
    found = server.json("recent")
    assert len(found["at_s"]) == len(found["rx_bytes_per_second"]) >= 2
    assert found["at_s"] == sorted(found["at_s"])


def test_two_hundred_listen_and_one_that_stalls_costs_nothing(server, listen):
    before = resident(server.process.pid)
    streams = [listen() for _ in range(200)]
    stalled = [listen(buffer=4096) for _ in range(5)]
    for stream in streams:
        assert stream.message()["report"] == "now"
    until(lambda: streams[0].message() and streams[-1].message(), lambda: "a message")
    assert len(stalled) == 5
    begun = time.monotonic()
    assert server.json("interfaces")["rows"]
    assert time.monotonic() - begun < LONG
    assert resident(server.process.pid) - before < 60_000_000


def test_more_than_it_can_bear_are_refused(serve, ledger):
    server = serve(ledger)
    with contextlib.ExitStack() as stack:
        for _ in range(400):
            stream = Stream(server.port)
            stack.callback(stream.close)
        until(
            lambda: (
                server.ask("/api/v1/events", accept="text/event-stream")[0] == 503
                if _is_full(server)
                else False
            ),
            lambda: "a refusal",
        )


def _is_full(server):
    """Whether one more would be refused; asked by a short connection."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), LONG)) as sock:
        sock.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        return b" 503 " in sock.recv(100)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_its_streams_at_once(serve, ledger, number, code):
    server = serve(ledger)
    stream = Stream(server.port)
    with contextlib.closing(stream):
        stream.message()
        begun = time.monotonic()
        assert server.process.stop(number) == code
        assert time.monotonic() - begun < 10
        while stream.message() is not None:
            pass
    assert ("stopped" in server.process.err) is (number == signal.SIGINT)


def test_it_reads_the_ledger_and_never_writes_it(serve, ledger):
    os.chmod(ledger, 0o444)
    before = ledger.read_bytes(), os.stat(ledger).st_mtime_ns
    server = serve(ledger)
    for question in (
        "timeline?since=2026-03-01",
        "breakdown",
        "known",
        "report/day?since=2026-03-01",
        "interfaces",
    ):
        server.json(question)
    assert (ledger.read_bytes(), os.stat(ledger).st_mtime_ns) == before


def test_the_recorder_runs_on_in_a_process_of_its_own(serve, tmp_path):
    path = tmp_path / "usage.db"
    daemon = Process(["daemon", "--db", path], tmp_path).wait_until_recording()
    try:
        server = serve(path)
        now = server.json("now")
        assert now["recorder"]["pid"] == daemon.pid != server.process.pid
        assert now["recorder"]["running"] is True
        server.process.kill()
        assert daemon.popen.poll() is None
    finally:
        daemon.stop()


def ended(*arguments, home, **environment):
    """What a server says that cannot start."""
    process = Process(["web", *arguments], home, environment=environment)
    try:
        return process.wait(), process.err
    finally:
        process.reap()


def test_an_address_that_is_taken_is_told(server, ledger, tmp_path):
    code, said = ended("--port", str(server.port), "--db", ledger, home=tmp_path)
    assert code == 1
    assert said == (
        f"netusage: cannot listen on 127.0.0.1 port {server.port}: Address already in use; "
        "choose another with --host and --port\n"
    )


def test_an_address_of_another_machine_is_told(ledger, tmp_path):
    code, said = ended("--host", "192.0.2.77", "--db", ledger, home=tmp_path)
    assert code == 1
    assert "cannot listen on 192.0.2.77 port 8765" in said
    code, said = ended("--port", "70000", "--db", ledger, home=tmp_path)
    assert code == 2


def test_any_other_address_makes_a_token_and_tells_it_once(serve, ledger):
    server = serve(ledger, "--host", "0.0.0.0")
    server.process.wait_for_words("log in once with this link")
    token = server.process.err.rpartition("/login#")[2].strip()
    assert len(token) >= 40
    assert server.ask("/api/v1/now")[0] == 401
    assert server.ask("/api/v1/now", authorization=f"Bearer {token}")[0] == 200


def test_a_file_for_the_token_is_made_and_used_again(serve, ledger, tmp_path):
    file = tmp_path / "token"
    first = serve(ledger, "--token-file", file)
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token in first.process.err
    first.process.stop()
    second = serve(ledger, "--token-file", file)
    assert token not in second.process.err
    assert second.ask("/api/v1/now")[0] == 401
    status, headers, _ = second.ask(
        "/login",
        method="POST",
        body=f"token={token}".encode(),
        content_type="application/x-www-form-urlencoded",
    )
    assert status == 303
    cookie = headers["set-cookie"].partition(";")[0]
    assert second.ask("/api/v1/now", cookie=cookie)[0] == 200
    assert second.ask("/", cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("short\n", 0o600, "is too short or is no text"),
        ("", 0o600, "is too short or is no text"),
        ("a token of two\nlines of text\n", 0o600, "is too short or is no text"),
        ("a token that all may read\n", 0o644, "others may read the token"),
    ],
)
def test_a_token_that_is_none_is_refused(ledger, tmp_path, content, mode, said):
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(mode)
    code, found = ended("--token-file", file, "--db", ledger, home=tmp_path)
    assert code == 2
    assert said in found
    assert "Traceback" not in found


def test_a_token_that_cannot_be_made_is_told(ledger, tmp_path):
    code, said = ended("--token-file", tmp_path / "nowhere" / "token", "--db", ledger, home=tmp_path)
    assert code == 1
    assert "cannot make the token in" in said


def test_without_its_packages_it_says_how_to_have_them(ledger):
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'uvicorn':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from netusage.__main__ import main\n"
        f"sys.argv = ['netusage', 'web', '--db', {str(ledger)!r}]\n"
        "sys.exit(main())\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr == "netusage: netusage web needs the package uvicorn; pip install 'netusage[web]'\n"


def test_a_request_that_never_ends_is_cut_off(server):
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), LONG)) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for n in range(3000):
                sock.sendall(f"X-{n}: {'y' * 100}\r\n".encode())
            assert b" 400 " in sock.recv(100)
    assert server.json("interfaces")


def test_an_internal_error_tells_nothing_of_where_it_was(tmp_path):
    from starlette.testclient import TestClient

    from netusage.settings.schema import Settings
    from netusage.web.app import make_app

    app = make_app(Settings(), str(tmp_path / "none.db"))

    async def broken():
        raise RuntimeError("secret place")

    app.app.state.now.latest = broken
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    answer = client.get("/api/v1/now")
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {
            "kind": "internal",
            "message": "internal error",
            "hint": "the server's own output says more",
        }
    }
