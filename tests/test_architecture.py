"""The house: which layer may import which, and what the long-running recorder never imports.

The contracts in pyproject.toml are kept by import-linter, in `make lint`.
"""

import ast
import functools
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

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


class Module(NamedTuple):
    """What is asked of a module.

    imports: every module that is imported anywhere in it, also inside functions, and the line.
    attributes: whatever is asked of anything.
    acts: lines at the top level that are neither imports nor definitions nor constants.
    """

    name: str
    imports: list[tuple[str, int]]
    attributes: set[str]
    acts: list[int]


@functools.cache
def modules():
    """Every module of the package."""
    found = []
    for file in sorted(_PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        nodes = list(ast.walk(tree))
        found.append(
            Module(
                ".".join(file.relative_to(_PACKAGE).with_suffix("").parts),
                list(imported(nodes)),
                {node.attr for node in nodes if isinstance(node, ast.Attribute)},
                [node.lineno for node in tree.body if acts(node)],
            )
        )
    return found


def acts(node):
    """Whether a statement at the top level does something; a call there may only build a value."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    return isinstance(node, (ast.For, ast.While, ast.With))


def imported(nodes):
    """Every module that is imported, and the line."""
    for node in nodes:
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
    tops = {module.name.split(".")[0] for module in modules()} - _ANYWHERE
    assert tops == {name for layer in _LAYERS for name in layer}


def test_no_module_imports_from_a_layer_above_its_own():
    wrong = [
        f"{module.name}:{line} imports {target}"
        for module in modules()
        if module.name not in _ANYWHERE
        for target, line in module.imports
        if target.startswith("netusage.")
        and (height := layer_of(target.removeprefix("netusage."))) is not None
        and height > layer_of(module.name)
    ]
    assert wrong == []


def test_parts_that_stand_side_by_side_do_not_import_each_other():
    independent = [set(layer) for layer in _LAYERS]
    wrong = []
    for module in modules():
        own = module.name.split(".")[0]
        for target, line in module.imports:
            other = target.removeprefix("netusage.").split(".")[0]
            if (
                target.startswith("netusage.")
                and other != own
                and any({own, other} <= names for names in independent)
            ):
                wrong.append(f"{module.name}:{line} imports {target}")
    assert wrong == [], "sources and ledger meet in the recorder only"


def test_only_the_ledger_opens_sqlite():
    found = {
        module.name.split(".")[0]
        for module in modules()
        for target, _ in module.imports
        if target == "sqlite3"
    }
    assert found == {"ledger"}


def test_no_arithmetic_on_time_zones_in_the_layers_that_count():
    """The ledger's time is UTC; what a day is, is asked when it is read."""
    wrong = [
        f"{module.name} imports {target}"
        for module in modules()
        for target, _ in module.imports
        if module.name.split(".")[0] in {"sources", "recorder", "ledger", "model"}
        and target in {"datetime", "zoneinfo"}
    ]
    assert wrong == []


def test_nothing_sleeps_but_who_opens_a_ledger():
    """Waiting belongs to the waiter, so that every wait ends with a signal; files of others take a moment only."""
    found = {module.name for module in modules() if "sleep" in module.attributes}
    assert found <= {"ledger.lock", "ledger.connect"}


_HEAVY = {
    *("rich", "textual", "matplotlib", "PIL", "apprise", "starlette", "uvicorn", "prometheus_client"),
    *("asyncio", "ssl", "http", "multiprocessing", "subprocess", "concurrent", "logging", "unittest", "xml"),
    *("psutil", "msgspec", "platformdirs", "tomllib", "json", "csv", "zoneinfo", "decimal", "httpx"),
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


def test_no_module_does_anything_when_it_is_imported():
    """At the top level stand imports, definitions and constants."""
    wrong = [f"{module.name}:{line}" for module in modules() for line in module.acts]
    assert [one for one in wrong if not one.startswith("__main__:")] == []
