"""The ClickHouse that a fleet may be in: Debian's, as a server of its own, and today's, which chDB has within a process."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import lab

# What docs/capacity.md says: the server compresses by itself as codecs do, which it has none of. In _USERS: small blocks.
ZSTD = """<compression><case>
    <min_part_size>0</min_part_size><min_part_size_ratio>0</min_part_size_ratio><method>zstd</method>
  </case></compression>"""
_CONFIGURATION = """<yandex>
  <logger><level>warning</level><log>{home}/log</log><errorlog>{home}/errors</errorlog><size>10M</size></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http}</http_port>
  <tcp_port>{tcp}</tcp_port>
  <path>{home}/data/</path>
  <tmp_path>{home}/tmp/</tmp_path>
  <format_schema_path>{home}/format/</format_schema_path>
  <users_config>{home}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <mark_cache_size>1000000000</mark_cache_size>
  {more}
</yandex>
"""
_USERS = """<yandex>
  <profiles><default><max_block_size>2048</max_block_size></default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
</yandex>
"""
_PATIENCE_S = 1800


def make_tables(store) -> None:
    """What `netusage fleet init` does."""
    from netusage.fleet.tables import missing

    for statement in missing(store):
        store.execute(statement.sql)


@contextlib.contextmanager
def debian(home: Path, more: str = "") -> Iterator["Server"]:
    """Debian's server, on the loopback interface, with what is in its directory; `more` of its configuration."""
    lab.need("clickhouse-server", lab.DIES_WITH_ITS_PARENT[0])
    ports = _free_ports(2)
    for part in ("data", "tmp", "format"):
        (home / part).mkdir(parents=True, exist_ok=True)
    (home / "users.xml").write_text(_USERS)
    configuration = home / "config.xml"
    configuration.write_text(_CONFIGURATION.format(home=home, http=ports[0], tcp=ports[1], more=more))
    with (home / "said").open("wb") as said:
        process = subprocess.Popen(
            [*lab.DIES_WITH_ITS_PARENT, "clickhouse-server", f"--config-file={configuration}"],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        _wait_for(ports[0], process, home)
        yield Server(ports[0], process.pid)
    finally:
        process.kill()
        process.wait()


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


def _wait_for(port: int, process: subprocess.Popen, home: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise lab.BenchError(f"clickhouse-server does not start: {(home / 'said').read_text()[-500:]}")


class Server:
    """A server, and what it costs.

    Attributes:
        port: of HTTP.
        url: where it is asked.
        pid: of its process.
    """

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.url = f"http://127.0.0.1:{port}"

    def store(self, database: str):
        """The client of one of its databases."""
        from netusage.fleet.store import Store

        return Store(_address(self.url, database))

    def cpu_s(self) -> float:
        """CPU time so far, user and system."""
        return lab.cost(self.pid).cpu_ns / 1e9

    def memory_mib(self) -> float:
        """The most memory that it has had."""
        return lab.memory(self.pid)["VmHWM"] / 1024


@contextlib.contextmanager
def today(home: Path) -> Iterator["Within"]:
    """Today's version, in this process; there can be one in a process."""
    try:
        from chdb import session
    except ImportError:
        raise lab.BenchError("not installed: chdb-core") from None
    opened = session.Session(str(home))
    try:
        yield Within(opened)
    finally:
        opened.close()


class Within:
    """What `Server` is, in this process: no HTTP, nothing compressed on the way."""

    def __init__(self, session) -> None:
        self._session = session

    def store(self, database: str):
        from netusage.fleet.store import Store

        session = self._session

        class InProcess(Store):
            """All that a Store does, without the network."""

            def _post(self, body, parameters, *, compressed=False):
                del compressed
                head = f"{parameters['query']}\n".encode() if "query" in parameters else b""
                return session.query((head + body).decode(), "TabSeparated").bytes().decode()

        return InProcess(_address("http://within.invalid", database))

    @staticmethod
    def memory_mib() -> float:
        """The most memory that this process has had."""
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


def _address(url: str, database: str):
    from netusage.fleet.store import Address

    return Address(url, database, "default", "", "", "", "", _PATIENCE_S)
