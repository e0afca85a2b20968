"""The documents are a contract: what they show is run, and what is generated cannot drift."""

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest
from support import clickhouse
from support.ledgers import START_S, writing

from netusage.cli.main import COMMANDS, LazyGroup
from netusage.cli.main import cli as root_command
from netusage.cli.manpages import reference_markdown
from netusage.ledger import hosts
from netusage.model import US

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NETUSAGE = [sys.executable, "-m", "netusage"]
# and what they say first
RUNS_UNTIL_STOPPED = {
    "daemon": "recording into",
    "web": "the page is at",
    "alerts watch": "watching",
    "ship": "delivering",
}


def shown_commands():
    """Every `netusage ...` line of the shell blocks in the documents."""
    for document in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                command = line.split("  #")[0].strip().removeprefix("sudo ")
                if command.split(" ")[0] == "netusage":
                    yield command


def help_examples():
    """Every example of every command's help."""
    with click.Context(root_command) as ctx:
        assert isinstance(root_command, LazyGroup)
        for name in COMMANDS:
            command = root_command.get_command(ctx, name)
            yield from _examples_of(command)
        yield from _examples_of(root_command)


def _examples_of(command):
    for line, _ in command.examples:
        if line.startswith("netusage"):
            yield line
    if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
        for child in command.commands.values():
            yield from _examples_of(child)


EXAMPLES = sorted({*shown_commands(), *help_examples()})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a ledger that was recorded from this machine."""
    place = tmp_path_factory.mktemp("home")
    environment = {
        **os.environ,
        "HOME": str(place),
        "NETUSAGE_DB": str(place / "netusage.db"),
        "NETUSAGE_RECORDER_PINS": "off",  # nothing stays in the kernel
    }
    environment.pop("STATE_DIRECTORY", None)
    subprocess.run([*NETUSAGE, "track", "--for", "1s", "--no-csv"], env=environment, cwd=place, check=True)
    return environment


def made_safe(words):
    """The example, so that it ends by itself and touches nothing but the test's own directory."""
    if words[:1] == ["track"]:
        return [*words, "--for", "200ms"]
    if words[:2] in (["service", "install"], ["service", "uninstall"]):
        return [*words, "--dry-run"]
    if words[:1] in (["repair"], ["backup"]) or words[:2] == ["plan", "remove"]:
        return [*words, "--yes"]
    if words[:1] == ["web"]:
        return [*words, "--port", "0"]
    return words


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two stores of a fleet that are a cluster."""
    yield from clickhouse.sharded(tmp_path_factory)


@pytest.mark.system
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_in_the_documents_and_in_the_help_does_what_it_says(example, home, tmp_path, request):
    (tmp_path / "config.toml").write_text('[recorder]\nsample_interval = "2s"\n', encoding="utf-8")
    words = shlex.split(example.partition(" | ")[0].partition(" > ")[0])[1:]
    words = [
        str(tmp_path / Path(word).name) if word.startswith(("/srv/", "/mnt/", "/path/")) else word
        for word in words
    ]
    home = _with_somebody_to_tell(words, home, tmp_path)
    if words[:1] in (["fleet"], ["ship"]) or "--fleet" in words:
        words, home = _with_a_fleet(words, home, tmp_path, request.getfixturevalue("servers"))
    if "--of-host" in words and "--fleet" not in words:
        _merge_somebody(tmp_path)
    runs = (
        next((one for one in (words[0], " ".join(words[:2])) if one in RUNS_UNTIL_STOPPED), None)
        if words and "--once" not in words
        else None
    )
    if runs is not None:
        process = subprocess.Popen(
            [*NETUSAGE, *made_safe(words)],
            env={**home, "NETUSAGE_DB": str(tmp_path / "own.db")},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert RUNS_UNTIL_STOPPED[runs] in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 143
        finally:
            process.kill()
            process.communicate()
        return
    if words[:1] == ["live"]:
        assert _watched_in_a_terminal(words, home, tmp_path) == 143
        return
    if words[:1] == ["import"]:
        _export_what_is_imported(words, home, tmp_path)
    done = subprocess.run(
        [*NETUSAGE, *made_safe(words)],
        env=_with_a_plan(words, home, tmp_path) if "plan" in words else home,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # 1: doctor found something to say of this machine; 3: this machine has no such interface
    allowed = {0, 3, 1} if words[:1] == ["doctor"] or words[:2] == ["service", "status"] else {0, 3}
    assert done.returncode in allowed, done.stderr
    assert "Traceback" not in done.stderr


def _with_somebody_to_tell(words, home, directory):
    """The environment of what is about alerts: they go to a command that does nothing."""
    if words[:1] != ["alerts"]:
        return home
    config = directory / "alerts.toml"
    config.write_text('[alerts]\ncommand = ["true"]\n', encoding="utf-8")
    return {**home, "NETUSAGE_CONFIG": str(config)}


def _with_a_fleet(words, home, directory, servers):
    """The example with real servers in it, one after the other, and the environment that names the first of them.

    Its tables are there; each example that is about a cluster has a database of its own.
    """
    urls = iter(server.url for server in servers)
    is_url = re.compile("URL|https?://.*")
    words = [next(urls) if is_url.fullmatch(word) else word for word in words]
    database = "netusage"
    if "--cluster" in words:
        words[words.index("--cluster") + 1] = clickhouse.CLUSTER
        database = f"netusage_{directory.name}"
    (directory / "password").write_text(clickhouse.PASSWORD, encoding="utf-8")
    config = directory / "fleet.toml"
    config.write_text(
        f'[fleet]\nurl = "{servers[0].url}"\nuser = "host"\npassword_file = "{directory}/password"\n'
        f'database = "{re.sub("[^a-zA-Z0-9]", "_", database)}"\n',
        encoding="utf-8",
    )
    home = {**home, "NETUSAGE_CONFIG": str(config)}
    if words[:2] != ["fleet", "init"]:
        subprocess.run([*NETUSAGE, "fleet", "init"], env=home, cwd=directory, check=True)
    return words, home


def _merge_somebody(directory):
    """Take the ledger of another machine into the one that is asked."""
    source = directory / "machine.db"
    with writing(source) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 6, 7, 8)
        ledger.commit(START_S + 60)
    hosts.merge(str(directory / "own.db"), str(source), "laptop", now_us=START_S * US)


def _with_a_plan(words, home, directory):
    """The environment of what is about data plans: there is one, unless the example adds it."""
    config = directory / "plans.toml"
    plan = "" if words[:2] == ["plan", "add"] else '[[plan]]\nname = "home"\ncap = "100 TB"\n'
    before = Path(home["NETUSAGE_CONFIG"]).read_text(encoding="utf-8") if "--fleet" in words else ""
    config.write_text(before + plan, encoding="utf-8")
    return {**home, "NETUSAGE_CONFIG": str(config)}


def _export_what_is_imported(words, home, directory):
    """Write the files that an example takes in, which are named for what is in them."""
    with writing(directory / "source.db") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 6, 7, 8)
        ledger.commit(START_S + 60)
    for word in words:
        name, _, format_name = word.rpartition(".")
        if format_name in ("csv", "jsonl", "parquet", "sqlite"):
            what = ["--what", name] if name in ("usage", "applications", "gaps", "watched") else []
            command = [*NETUSAGE, "export", format_name, *what, "-o", word, "--db", "source.db"]
            subprocess.run(command, env=home, cwd=directory, check=True)


def _watched_in_a_terminal(words, home, directory):
    """The exit code of what draws in a terminal until it is told to stop."""
    ours, theirs = pty.openpty()
    try:
        environment = {**home, "TERM": "xterm", "NETUSAGE_RECORDER_APPLICATIONS": "off"}
        process = subprocess.Popen(
            [*NETUSAGE, *words], env=environment, cwd=directory, stdin=theirs, stdout=theirs, stderr=theirs
        )
        try:
            drawn = b""
            while b"quit" not in drawn:
                assert select.select([ours], [], [], 30)[0], f"it draws nothing more: {drawn!r}"
                drawn += os.read(ours, 65536)
            threading.Thread(target=_read_to_its_end, args=(ours,), daemon=True).start()
            process.send_signal(signal.SIGTERM)
            return process.wait(30)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(theirs)


def _read_to_its_end(descriptor):
    with contextlib.suppress(OSError):
        while os.read(descriptor, 65536):
            pass
    os.close(descriptor)


def test_the_command_reference_is_what_the_help_says():
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == reference_markdown(), "run: make docs"


def test_every_link_between_the_documents_leads_somewhere():
    for document in [*DOCUMENTS, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_documents_name_every_exit_code():
    text = reference_markdown()
    for code in ("0", "1", "2", "3", "4", "130", "143"):
        assert f"| {code} |" in text
