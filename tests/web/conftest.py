"""A real server in a process of its own, and what asks it."""

import contextlib
import http.client
import json
import re

import pytest
from support.patience import LONG
from support.process import Process


class Server:
    """`netusage web` on a free port of the loopback interface.

    Attributes:
        port: where it listens.
        process: the process.
    """

    def __init__(self, process):
        self.process = process
        process.wait_for_words("the page is at")
        self.port = int(re.search(r":(\d+)/ \(Ctrl-C", process.err)[1])

    @property
    def address(self):
        """The page's address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, *, method="GET", body=None, host=None, **headers):
        """Status, headers and body of one request; words of headers are joined by underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def json(self, question, status=200):
        """The answer to a question of the API."""
        found, headers, body = self.ask(f"/api/v1/{question}")
        assert found == status, body
        assert headers["content-type"] == "application/json"
        return json.loads(body)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Starts servers, which end with the module."""
    with contextlib.ExitStack() as stack:

        def start(ledger, *arguments, **environment):
            process = Process(
                ["web", "--port", "0", *(["--db", ledger] if ledger else []), *arguments],
                tmp_path_factory.mktemp("web"),
                environment=environment,
            )
            stack.callback(process.reap)
            return Server(process)

        yield start
