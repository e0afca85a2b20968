"""The house: which layer may import which, and what the long-running recorder never imports."""

import ast
import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import netusage

_PACKAGE = Path(netusage.__file__).parent
_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_CONTRACTS = tomllib.loads(_PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
_LAYERS = [
    [name.strip().removeprefix("netusage.") for name in layer.replace("|", ":").split(":")]
    for layer in _CONTRACTS[0]["layers"]
]
_ANYWHERE = {"__main__", "__init__"}


def modules():
    """Every module's name within the package, and its syntax."""
    for file in sorted(_PACKAGE.rglob("*.py")):
        name = ".".join(file.relative_to(_PACKAGE).with_suffix("").parts)
        yield name, ast.parse(file.read_text("utf-8"))


def imported(tree):
    """Every module that is imported anywhere in it, also inside functions, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            if node.module == "netusage":
                yield from ((f"netusage.{alias.name}", node.lineno) for alias in node.names)


def layer_of(module):
    """How high a module of the package stands; None for what belongs to no layer."""
    top = module.split(".")[0]
    for height, names in enumerate(reversed(_LAYERS)):
        if top in names:
            return height
    return None


def test_every_part_of_the_package_has_its_layer():
    tops = {name.split(".")[0] for name, _ in modules()} - _ANYWHERE
    assert tops == {name for layer in _LAYERS for name in layer}


def test_no_module_imports_from_a_layer_above_its_own():
    wrong = [
        f"{name}:{line} imports {target}"
        for name, tree in modules()
        if name not in _ANYWHERE
        for target, line in imported(tree)
        if target.startswith("netusage.")
        and (height := layer_of(target.removeprefix("netusage."))) is not None
        and height > layer_of(name)
    ]
    assert wrong == []


def test_parts_that_stand_side_by_side_do_not_import_each_other():
    independent = [set(layer) for layer in _LAYERS]
    wrong = []
    for name, tree in modules():
        own = name.split(".")[0]
        for target, line in imported(tree):
            other = target.removeprefix("netusage.").split(".")[0]
            if (
                target.startswith("netusage.")
                and other != own
                and any({own, other} <= names for names in independent)
            ):
                wrong.append(f"{name}:{line} imports {target}")
    assert wrong == [], "sources and ledger meet in the recorder only"


def test_only_the_ledger_opens_sqlite():
    found = {
        name.split(".")[0] for name, tree in modules() for target, _ in imported(tree) if target == "sqlite3"
    }
    assert found == {"ledger"}


def test_no_arithmetic_on_time_zones_in_the_layers_that_count():
    """The ledger's time is UTC; what a day is, is asked when it is read."""
    wrong = [
        f"{name} imports {target}"
        for name, tree in modules()
        for target, _ in imported(tree)
        if name.split(".")[0] in {"sources", "recorder", "ledger", "model"}
        and target in {"datetime", "zoneinfo"}
    ]
    assert wrong == []


def test_nothing_sleeps_but_the_lock():
    """Waiting belongs to the waiter, so that every wait ends with a signal."""
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "sleep"
    }
    assert found <= {"ledger.lock"}


if (
    importlib.util.find_spec("importlinter") is not None
):  # with the linters; `make check` and `make test` run it as well

    def test_the_import_contracts_are_kept():
        command = [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
        ]
        environment = {**os.environ, "PYTHONPATH": str(_PACKAGE.parent)}
        done = subprocess.run(
            [*command, "--config", str(_PROJECT), "--no-cache"],
            capture_output=True,
            text=True,
            cwd=_PROJECT.parent,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


_HEAVY = {
    *("rich", "textual", "matplotlib", "PIL", "apprise", "starlette", "uvicorn", "prometheus_client"),
    *("asyncio", "ssl", "http", "multiprocessing", "subprocess", "concurrent", "logging", "unittest", "xml"),
    *("psutil", "msgspec", "platformdirs", "tomllib", "json", "csv", "zoneinfo", "decimal"),
}
_RUN_AND_TELL = """
import sys
from netusage.cli.failures import run
code = run(sys.argv[1:])
print(*sorted(sys.modules))
sys.exit(code)
"""


def _netlink_works():
    from netusage.errors import SourceError
    from netusage.sources.interfaces_linux import NetlinkSource

    try:
        NetlinkSource().close()
    except (SourceError, AttributeError):
        return False
    return True


@pytest.fixture
def imported_by_a_recorder(start, tmp_path):
    """Runs a whole recorder from its start to its stop: the modules that it has imported by then."""

    def run(*arguments, **environment):
        state = tmp_path / "state"
        state.mkdir()
        environment = {"STATE_DIRECTORY": str(state), **environment}
        process = start("daemon", *arguments, program=("-c", _RUN_AND_TELL), environment=environment)
        process.wait_until_recording()
        assert process.stop() == 143
        return {module.split(".")[0] for module in process.out.split()} | set(process.out.split())

    return run


@pytest.mark.system
@pytest.mark.skipif(not sys.platform.startswith("linux") or not _netlink_works(), reason="needs netlink")
def test_a_recorder_without_a_configuration_file_imports_nothing_heavy_in_its_whole_life(
    imported_by_a_recorder,
):
    found = imported_by_a_recorder()
    assert "netusage.recorder.loop" in found
    assert "sqlite3" in found
    assert found & _HEAVY == set()


@pytest.mark.system
def test_a_recorder_imports_no_face_but_its_command(imported_by_a_recorder, tmp_path):
    found = imported_by_a_recorder("--db", str(tmp_path / "ledger.db"))
    parts = {name.split(".")[1] for name in found if name.startswith("netusage.")}
    assert not parts & {"render", "reports", "exporters", "tracker", "service", "doctor", "periods"}
    commands = {name for name in found if name.startswith("netusage.cli.")}
    assert not commands & {"netusage.cli.report", "netusage.cli.summary", "netusage.cli.track"}


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import netusage; print(*sorted(set(sys.modules) - before))"
    )
    environment = {**os.environ, "PYTHONPATH": str(_PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["netusage"]


@pytest.mark.parametrize("name", sorted(name for name, _ in modules() if name != "__main__"))
def test_no_module_does_anything_when_it_is_imported(name):
    """At the top level stand imports, definitions and constants; a call there only builds a value."""
    tree = ast.parse((_PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8"))
    wrong = [
        node.lineno
        for node in tree.body
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    ]
    wrong += [node.lineno for node in tree.body if isinstance(node, (ast.For, ast.While, ast.With))]
    assert wrong == []
