"""A real Prometheus on the loopback interface, with a configuration and data of its own, always reaped."""

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from support.patience import LONG, until

_CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: netusage
{more}  static_configs: [{{targets: ['{target}']}}]
"""


def why_not():
    """Why it cannot be started; "" when it can."""
    return "" if shutil.which("prometheus") else "needs prometheus (the package of that name)"


def free_port():
    """A port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class Prometheus:
    """Scrapes one target, each second. A context manager.

    Args:
        home: a directory of its own.
        target: address and port.
        more: further lines of the scrape's configuration.
    """

    def __init__(self, home, target, *, more=""):
        home.mkdir()
        (home / "prometheus.yml").write_text(_CONFIGURATION.format(target=target, more=more))
        self._said = home / "said"
        self._address = f"127.0.0.1:{free_port()}"
        with open(self._said, "wb") as said:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={home}/prometheus.yml",
                    f"--storage.tsdb.path={home}/data",
                    f"--web.listen-address={self._address}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def __enter__(self):
        try:
            until(self._is_ready, lambda: f"Prometheus to be ready; it said {self._said.read_text()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def query(self, question, at_s=None):
        """The result of an instant query; it has to be one that Prometheus understands."""
        values = {"query": question} | ({} if at_s is None else {"time": f"{at_s:.3f}"})
        return self._get(f"query?{urllib.parse.urlencode(values)}")["result"]

    def samples(self, series, over="10m"):
        """Time and value of every sample of the one series that matches."""
        (found,) = self.query(f"{series}[{over}]")
        return [(at_s, float(value)) for at_s, value in found["values"]]

    def last(self, series):
        """The last value of the one series that matches, None when there is none."""
        found = self.query(series)
        return float(found[0]["value"][1]) if found else None

    def target(self):
        """What it says of its target."""
        (found,) = self._get("targets")["activeTargets"]
        return found

    def _is_ready(self):
        assert self._process.poll() is None, self._said.read_text()
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=LONG) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1/{path}", timeout=LONG) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.read().decode()}") from None
