"""A test that cannot run here says why; where everything must be tested, it has failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

_CONFTEST = Path(__file__).parents[1] / "conftest.py"
_SKIPPED_TESTS = {
    "in a test": "import pytest\ndef test_a(): pytest.skip('no moon')\n",
    "by a mark": "import pytest\n@pytest.mark.skipif(True, reason='no moon')\ndef test_a(): pass\n",
    "in a fixture": "import pytest\n@pytest.fixture\ndef moon(): pytest.skip('no moon')\ndef test_a(moon): pass\n",
    "a whole file": "import pytest\npytest.skip('no moon', allow_module_level=True)\n",
}


@pytest.mark.parametrize("way", _SKIPPED_TESTS)
@pytest.mark.parametrize("strict", [False, True], ids=["anywhere", "CI=true"])
def test_a_skip_says_why_and_is_a_failure_where_everything_must_be_tested(tmp_path, way, strict):
    (tmp_path / "conftest.py").symlink_to(_CONFTEST)
    (tmp_path / "test_moon.py").write_text(_SKIPPED_TESTS[way])
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-ra",
        "-c",
        os.devnull,
        "--rootdir",
        ".",
        "-p",
        "no:cacheprovider",
        ".",
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | (
        {"CI": "true"} if strict else {}
    )
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # most of the time would be theirs
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "no moon" in done.stdout
    if strict:
        assert done.returncode in (1, 2)
        assert "CI=true allows no skip" in done.stdout
    else:
        assert done.returncode in (0, 5)
