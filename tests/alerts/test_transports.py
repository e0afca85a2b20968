"""Bringing messages to people: to a real web server, a real mail server, and a command."""

import json
import os
import sys
from datetime import UTC
from pathlib import Path

import pytest
from support.patience import until

from netusage.alerts.messages import one_message
from netusage.alerts.transports import (
    AppriseTransport,
    CommandTransport,
    DeliveryError,
    open_transports,
    readable_by_others,
)
from netusage.alerts.words import Kind, Words
from netusage.errors import ConfigError, NetusageError
from netusage.ledger.alert_journal import Alert
from netusage.settings.schema import AlertsSettings

sys.path.insert(0, str(Path(__file__).parent))
from receivers import MailReceiver, WebReceiver, free_port, mute_server

pytest.importorskip("apprise")

NOW_US = 1_793_000_000_000_000
WORDS = Words(UTC)
SECRET = "sesame-4711"


def message(subject="plan home: 80 % reached", text="8 of 10 GB are used.", kind=Kind.THRESHOLD):
    return one_message(Alert("key", kind, NOW_US, subject, text, {"used_bytes": 2**60}))


def send(transport, one=None):
    transport.send(one or message(), "tower", WORDS)


# ---- Apprise ----------------------------------------------------------------------------------------------------


@pytest.mark.system
def test_a_message_reaches_a_web_server(recwarn):
    with WebReceiver() as server:
        (transport,) = open_transports(AlertsSettings(to=(server.url("hook/x"),)))
        send(transport)
        send(transport, message("test", kind=Kind.TEST))
    (path, first), (_, second) = server.posted
    assert path == "/hook/x"
    assert first["title"] == "netusage on tower: plan home: 80 % reached"
    assert first["message"] == "8 of 10 GB are used.\n\n2026-10-26 07:33:20"
    assert (first["type"], second["type"]) == ("warning", "info")


@pytest.mark.system
def test_a_message_reaches_a_mail_server():
    with MailReceiver() as server:
        (transport,) = open_transports(AlertsSettings(to=(server.url,)))
        send(transport, message(text="<b>8</b> of 10 GB & more\nsecond line"))
    ((to, mail),) = server.mails
    assert to == ["eva@example.org"]
    assert mail["Subject"] == "netusage on tower: plan home: 80 % reached"
    plain = mail.get_body(("plain", "html"))
    assert "second line" in plain.get_content()
    html = mail.get_body(("html",))
    assert html is None or "&lt;b&gt;8&lt;/b&gt;" in html.get_content()


@pytest.mark.system
@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_server_that_refuses_is_a_failure_with_its_reason(status):
    with WebReceiver() as server:
        server.status = status
        with pytest.raises(DeliveryError, match=str(status)):
            send(AppriseTransport("web", server.url()))


@pytest.mark.system
def test_a_closed_port_is_a_failure():
    with pytest.raises(DeliveryError, match="onnection"):
        send(AppriseTransport("web", f"json://127.0.0.1:{free_port()}/"))


@pytest.mark.system
def test_a_server_that_never_answers_is_a_failure():
    with mute_server() as port, pytest.raises(DeliveryError):
        send(AppriseTransport("web", f"json://127.0.0.1:{port}/?rto=0.3&cto=0.3"))


@pytest.mark.system
@pytest.mark.parametrize(
    "url",
    [
        f"json://eva:{SECRET}@127.0.0.1:1/{SECRET}/hook?+X-Token={SECRET}",
        f"discord://{SECRET}/{SECRET}",
        f"novelty://{SECRET}@{SECRET}.example/",
        f"mailto://eva:{SECRET}@127.0.0.1:1/?from=nu@example.org&to=eva@example.org&mode=insecure",
    ],
)
def test_nothing_secret_is_said_of_a_url_that_fails(url, capfd):
    (transport,) = open_transports(AlertsSettings(to=(url,)))
    with pytest.raises(DeliveryError) as failure:
        send(transport)
    said = "".join(capfd.readouterr())
    assert SECRET not in str(failure.value) + transport.name + said
    assert said == ""


@pytest.mark.system
def test_a_url_that_apprise_does_not_know_is_told_as_such():
    with pytest.raises(DeliveryError, match=r"(?i)unsupported|not understand|could not load|unparseable"):
        send(AppriseTransport("x", "novelty://somewhere"))


def test_without_apprise_the_command_is_named_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NetusageError) as failure:
        send(AppriseTransport("x", "json://127.0.0.1"))
    assert failure.value.hint == "pip install 'netusage[alerts]'"


# ---- The configuration ------------------------------------------------------------------------------------------


def test_urls_of_a_file_are_added_and_its_comments_are_not(tmp_path):
    file = tmp_path / "urls"
    file.write_text("# mine\n\n  ntfy://my-topic \njson://example.org/a\njson://example.org/b\n")
    names = [one.name for one in open_transports(AlertsSettings(to=("dbus://",), to_file=str(file)))]
    assert names == ["dbus://", "ntfy://…", "json://example.org/…", "json://example.org/… #2"]


def test_a_line_of_the_file_that_is_no_url_is_told_by_its_number_alone(tmp_path):
    file = tmp_path / "urls"
    file.write_text(f"json://example.org\n{SECRET}\n")
    with pytest.raises(ConfigError) as failure:
        open_transports(AlertsSettings(to_file=str(file)))
    assert str(failure.value).startswith(f"{file}:2: this is no URL")
    assert SECRET not in str(failure.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        open_transports(AlertsSettings(to_file=str(tmp_path / "none")))


def test_a_file_that_others_can_read_is_noticed(tmp_path):
    file = tmp_path / "urls"
    file.write_text("")
    file.chmod(0o600)
    assert not readable_by_others(str(file))
    file.chmod(0o640)
    assert readable_by_others(str(file))


# ---- A command --------------------------------------------------------------------------------------------------


def python(code, *arguments):
    return (sys.executable, "-c", code, *arguments)


_TELL = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("NETUSAGE_ALERT_")}
open(sys.argv[1], "w").write(json.dumps({"in": json.load(sys.stdin), "told": told, "argv": sys.argv[2:]}))
"""


@pytest.mark.system
def test_a_command_is_given_json_and_variables_and_no_shell_sees_any_of_it(tmp_path):
    out, touched = tmp_path / "out.json", tmp_path / "touched"
    nasty = f"$(touch {touched}) `touch {touched}`; touch {touched} 'a' \"b\""
    one = message(f"new application: {nasty}", f"{nasty}\nsecond line")
    send(CommandTransport(python(_TELL, str(out), "$HOME; true")), one)
    found = json.loads(out.read_text())
    assert found["argv"] == ["$HOME; true"]
    assert found["in"]["host"] == "tower"
    assert found["in"]["alerts"][0]["details"] == {"used_bytes": 2**60}
    assert found["told"] == {
        "NETUSAGE_ALERT_KIND": "threshold",
        "NETUSAGE_ALERT_SUBJECT": f"new application: {nasty}",
        "NETUSAGE_ALERT_TEXT": f"{nasty}\nsecond line",
        "NETUSAGE_ALERT_TIME": "2026-10-26T07:33:20+00:00",
        "NETUSAGE_ALERT_COUNT": "1",
    }
    assert not touched.exists()


@pytest.mark.system
def test_a_command_may_run_netusage_itself(tmp_path):
    code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', 'netusage', 'config', 'check']))"
    send(CommandTransport(python(code)))


@pytest.mark.system
def test_a_command_that_fails_is_told_with_its_last_words():
    code = "import sys; print('first', file=sys.stderr); print('no such user', file=sys.stderr); sys.exit(3)"
    with pytest.raises(DeliveryError, match=r"exit code 3: no such user$"):
        send(CommandTransport(python(code)))


def test_a_command_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DeliveryError, match="No such file"):
        send(CommandTransport((str(tmp_path / "none"),)))


@pytest.mark.system
def test_a_command_that_does_not_end_is_killed_with_what_it_started(tmp_path):
    pids = tmp_path / "pids"
    command = ("/bin/sh", "-c", 'sleep 600 & echo $$ $! > "$1"; wait', "sh", str(pids))
    with pytest.raises(DeliveryError, match="did not end within 2 s"):
        send(CommandTransport(command, timeout_s=2))
    for pid in pids.read_text().split():
        until(lambda pid=pid: _is_gone(int(pid)), f"the end of process {pid}")


def _is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"  # its new parent has not looked yet
    except OSError:
        return True


@pytest.mark.system
def test_what_a_command_leaves_running_is_left_alone_and_not_waited_for(tmp_path):
    pids = tmp_path / "pid"
    send(CommandTransport(("/bin/sh", "-c", 'sleep 600 & echo $! > "$1"', "sh", str(pids))))
    pid = int(pids.read_text())
    try:
        assert not _is_gone(pid)
    finally:
        os.kill(pid, 9)


@pytest.mark.system
def test_a_command_that_does_not_read_is_no_failure():
    many = message(text="x" * 2_000_000)
    send(CommandTransport(python("pass")), many)
