"""Who receives alerts in tests: a web server, a mail server, and servers that refuse or never answer."""

import contextlib
import json
import socket
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.patience import until


class WebReceiver:
    """A real web server that remembers what was posted. A context manager.

    status: what it answers with; may be changed.
    port: a port to listen on, 0 for any that is free.
    """

    def __init__(self, port=0):
        self.status = 200
        self.posted = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def titles(self):
        """What it accepted, by title."""
        return [body["title"].partition(": ")[2] for _, body in self.posted]

    def url(self, rest="hook"):
        """As apprise writes it."""
        return f"json://127.0.0.1:{self.port}/{rest}"

    def wait_for(self, count):
        """Wait until so many messages were accepted."""
        until(lambda: len(self.posted) >= count, lambda: f"{count} messages; there are {self.titles}")
        return self.posted

    def _handler(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.status == 200:
                    receiver.posted.append((self.path, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler


class MailReceiver:
    """A real mail server that remembers what it was given. A context manager."""

    def __init__(self):
        from aiosmtpd.controller import Controller

        self.mails = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())

    def __enter__(self):
        self._controller.start()
        return self

    def __exit__(self, *_):
        self._controller.stop()

    @property
    def url(self):
        """As apprise writes it."""
        return f"mailto://127.0.0.1:{self._controller.port}/?from=nu@example.org&to=eva@example.org&mode=insecure"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  # aiosmtpd's name
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


@contextlib.contextmanager
def mute_server():
    """A server that takes connections and never says a word; its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def free_port():
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
