"""Real ClickHouse servers on the loopback interface, with configurations and data of their own, always reaped."""

import contextlib
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from support.patience import LONG, until

CLUSTER = "fleet"
PASSWORD = "right & <proper> ü"  # XML and HTTP have to bear it
_CONFIGURATION = """<yandex>
  <logger>
    <level>warning</level>
    <log>{home}/log</log>
    <errorlog>{home}/errors</errorlog>
    <size>10M</size>
    <count>1</count>
  </logger>
  <listen_host>127.0.0.1</listen_host>
  {elsewhere}
  {ports}
  <tcp_port>{tcp}</tcp_port>
  <path>{home}/data/</path>
  <tmp_path>{home}/tmp/</tmp_path>
  <format_schema_path>{home}/format/</format_schema_path>
  <users_config>{home}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>Asia/Kathmandu</timezone>
  <mark_cache_size>50000000</mark_cache_size>
  <keep_alive_timeout>3</keep_alive_timeout>
  {tls}
  {cluster}
  {replica}
</yandex>
"""
_REPLICA = """<zookeeper>
    <node><host>127.0.0.1</host><port>{zookeeper}</port></node>
    <session_timeout_ms>2000</session_timeout_ms>
  </zookeeper>
  <macros><shard>1</shard><replica>{tcp}</replica></macros>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <interserver_http_port>{interserver}</interserver_http_port>"""
_ZOOKEEPER = """tickTime=500
dataDir={home}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
"""
_ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar"
_TLS = """<openSSL><server>
    <certificateFile>{directory}/server.crt</certificateFile>
    <privateKeyFile>{directory}/server.key</privateKeyFile>
    <caConfig>{directory}/ca.crt</caConfig>
    <verificationMode>strict</verificationMode>
    <loadDefaultCAFile>false</loadDefaultCAFile>
    <disableProtocols>sslv2,sslv3</disableProtocols>
  </server></openSSL>"""
_USERS = """<yandex>
  <profiles>
    <default><max_memory_usage>2000000000</max_memory_usage></default>
    <readonly><readonly>1</readonly></readonly>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>{nobody}</default>
    <host><password>{password}</password>{anywhere}<profile>default</profile></host>
    <narrow><password>{password}</password>{anywhere}<profile>default</profile>
      <allow_databases><database>narrow</database></allow_databases></narrow>
    <reader><password>{password}</password>{anywhere}<profile>readonly</profile></reader>
  </users>
</yandex>
"""
_ANYWHERE = "<networks><ip>127.0.0.1</ip><ip>10.9.0.0/255.255.0.0</ip></networks><quota>default</quota>"


def why_not():
    """Why it cannot be started; "" when it can."""
    return "" if shutil.which("clickhouse-server") else "needs clickhouse-server (the package of that name)"


def why_no_replicas():
    """Why replicas cannot be started; "" when they can."""
    if not (os.path.exists(_ZOOKEEPER_JAR) and shutil.which("java")):
        return "needs zookeeper (the package of that name)"
    return why_not()


def store(url, database="netusage", **different):
    """The client of one of these servers, as the user who may write; `different` fields of its address."""
    from netusage.fleet.store import Address, Store

    files = {"ca": "", "certificate": "", "key": ""}
    address = {"user": "host", "password": PASSWORD, **files, "timeout_s": LONG, **different}
    return Store(Address(url=url, database=database, **address))


def free_ports(number):
    """Ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


class ClickHouse:
    """One server. A context manager.

    Args:
        home: a directory of its own.
        ports: of HTTP or HTTPS, and of the native protocol.
        shards: ports of the native protocol of all the servers of the cluster, a list for each shard.
        zookeeper: the port of the one that its replicas meet at, or None.
        certificates: a directory of `Certificates`: speaks HTTPS, and only with who has one.
        listen: another address to listen on, of 10.9.0.0/16, which is that of the URL then.

    Attributes:
        url: where it is asked.
    """

    def __init__(self, home, ports=None, *, shards=(), zookeeper=None, certificates=None, listen=""):
        http, tcp = ports or free_ports(2)
        self.home = home
        self.url = f"https://localhost:{http}" if certificates else f"http://{listen or '127.0.0.1'}:{http}"
        self._certificates = certificates
        home.mkdir()
        for part in ("data", "tmp", "format"):
            (home / part).mkdir()
        port = f"<https_port>{http}</https_port>" if certificates else f"<http_port>{http}</http_port>"
        (home / "config.xml").write_text(
            _CONFIGURATION.format(
                home=home,
                elsewhere=f"<listen_host>{listen}</listen_host>" if listen else "",
                ports=port,
                tcp=tcp,
                tls=_TLS.format(directory=certificates) if certificates else "",
                cluster=_cluster(shards),
                replica=_REPLICA.format(zookeeper=zookeeper, tcp=tcp, interserver=free_ports(1)[0])
                if zookeeper
                else "",
            )
        )
        password = PASSWORD.replace("&", "&amp;").replace("<", "&lt;")
        users = _USERS.format(
            nobody=f"<password></password>{_ANYWHERE}<profile>default</profile>",
            password=password,
            anywhere=_ANYWHERE,
        )
        (home / "users.xml").write_text(users, encoding="utf-8")
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Start it, again with the same data when it was killed."""
        with open(self.home / "said", "ab") as said:
            self._process = subprocess.Popen(
                ["clickhouse-server", f"--config-file={self.home}/config.xml"],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        try:
            until(self._is_ready, lambda: f"ClickHouse to be ready; it said {self.said()}")
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """End it at once, as `kill -9` does; harmless twice."""
        self._process.kill()
        self._process.wait()

    def said(self):
        """What it has written."""
        files = (self.home / "said", self.home / "errors")
        return "".join(file.read_text("utf-8", "replace")[-3000:] for file in files if file.exists())

    def ask(self, query):
        """Rows of text, as the server wrote them; not for one that wants certificates."""
        request = urllib.request.Request(f"{self.url}/?query={urllib.parse.quote(query)}", data=b"")
        try:
            with urllib.request.urlopen(request, timeout=LONG) as answer:
                return [line.split("\t") for line in answer.read().decode().split("\n")[:-1]]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{query}: {error.read().decode()}") from None

    def _is_ready(self):
        assert self._process.poll() is None, self.said()
        return _listens(urllib.parse.urlsplit(self.url).port)


def _cluster(shards):
    if not shards:
        return ""
    replica = "<replica><host>127.0.0.1</host><port>{}</port></replica>"
    nodes = "".join(
        f"<shard><internal_replication>true</internal_replication>{''.join(map(replica.format, ports))}</shard>"
        for ports in shards
    )
    return f"<remote_servers><{CLUSTER}>{nodes}</{CLUSTER}></remote_servers>"


@contextlib.contextmanager
def two_shards(home):
    """Two servers that are one cluster, `CLUSTER`: each has a part of the rows."""
    ports = free_ports(4)
    with _servers(home, [ports[:2], ports[2:]], shards=[[ports[1]], [ports[3]]]) as servers:
        yield servers


@contextlib.contextmanager
def two_replicas(home):
    """Two servers that are one cluster, `CLUSTER`: each has all rows."""
    ports = free_ports(5)
    with (
        _zookeeper(home / "zookeeper", ports[4]),
        _servers(home, [ports[:2], ports[2:4]], shards=[[ports[1], ports[3]]], zookeeper=ports[4]) as servers,
    ):
        yield servers


@contextlib.contextmanager
def _servers(home, pairs, **options):
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(ClickHouse(home / f"server{number}", pair, **options))
            for number, pair in enumerate(pairs)
        ]


@contextlib.contextmanager
def _zookeeper(home, port):
    home.mkdir()
    (home / "zoo.cfg").write_text(_ZOOKEEPER.format(home=home, port=port))
    with open(home / "said", "wb") as said:
        process = subprocess.Popen(
            [
                *("java", "-Xmx128m", "-cp", _ZOOKEEPER_JAR),
                *("org.apache.zookeeper.server.ZooKeeperServerMain", str(home / "zoo.cfg")),
            ],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        until(lambda: _is_serving(port), lambda: f"ZooKeeper; it said {(home / 'said').read_text()[-2000:]}")
        yield
    finally:
        process.kill()
        process.wait()


def _is_serving(port):
    """Whether a ZooKeeper answers; it listens before it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), LONG) as sock:
            sock.sendall(b"srvr")
            return b"Mode: " in sock.recv(65536)
    except OSError:
        return False


def _listens(port):
    try:
        with socket.create_connection(("127.0.0.1", port), LONG):
            return True
    except OSError:
        return False


class Certificates:
    """An authority and certificates by it, and one of a stranger, made by openssl.

    Args:
        directory: is made. In it are those of the authorities ca.crt and other.crt; by the first, those of a server
            (server.crt, and elsewhere.crt for another name) and a host (host.crt, renewed.crt, and expired.crt); by the
            other, stranger.crt; and their keys.
    """

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        for authority in ("ca", "other"):
            self._run(
                *(
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-days",
                    "2",
                ),
                *("-subj", f"/CN={authority}", "-keyout", f"{authority}.key", "-out", f"{authority}.crt"),
            )
        (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        (directory / "other-names").write_text("subjectAltName=DNS:elsewhere.example\n")
        for name in ("server", "host", "renewed"):
            self._signed(name, "ca")
        self._signed("elsewhere", "ca", names="other-names")
        self._signed("expired", "ca", days=-1)
        self._signed("stranger", "other")

    def __str__(self):
        return str(self.directory)

    def __truediv__(self, name):
        return self.directory / name

    def _signed(self, name, authority, *, days=2, names="names"):
        self._run(
            *(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                f"/CN={name}",
            ),
            *("-keyout", f"{name}.key", "-out", f"{name}.request"),
        )
        self._run(
            *(
                "x509",
                "-req",
                "-in",
                f"{name}.request",
                "-CA",
                f"{authority}.crt",
                "-CAkey",
                f"{authority}.key",
            ),
            *("-CAcreateserial", "-days", str(days), "-extfile", names, "-out", f"{name}.crt"),
        )

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)


def alone(tmp_path_factory):
    """One server for the tests of a file, for `yield from` in a fixture; skips them where there is none to start."""
    if why_not():
        pytest.skip(why_not())
    with ClickHouse(tmp_path_factory.mktemp("alone") / "server") as running:
        yield running


def secure(tmp_path_factory, certificates):
    """One that speaks TLS with those who have a certificate of its authority; otherwise as `alone`."""
    if why_not():
        pytest.skip(why_not())
    with ClickHouse(tmp_path_factory.mktemp("tls") / "server", certificates=certificates) as running:
        yield running


def sharded(tmp_path_factory):
    """Two servers that are a cluster; otherwise as `alone`."""
    if why_not():
        pytest.skip(why_not())
    with two_shards(tmp_path_factory.mktemp("cluster")) as running:
        yield running
