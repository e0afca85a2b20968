"""What a service manager is to run."""

import os
import sys
from pathlib import Path

import pytest

from netusage.errors import NetusageError
from netusage.service.job import (
    Job,
    Scope,
    check_ledger,
    check_program,
    this_program,
    writable_by_others,
)


def test_the_command_line_names_what_the_service_could_not_know():
    job = Job(
        ("/usr/bin/netusage",), Scope.SYSTEM, Path("/x.db"), name_ledger=True, config_file=Path("/c.toml")
    )
    assert job.argv == ("/usr/bin/netusage", "daemon", "--db", "/x.db", "--config", "/c.toml")
    assert Job(("/p", "-m", "netusage"), Scope.USER, Path("/x.db")).argv == ("/p", "-m", "netusage", "daemon")


def test_this_program_is_an_absolute_path_that_can_be_started():
    first = Path(this_program()[0])
    assert first.is_absolute()
    assert os.access(first, os.X_OK)


@pytest.mark.system
@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_a_program_that_does_not_start_is_told_with_its_own_words(request):
    folder = Path.home() / f".netusage-test-{os.getpid()}"  # not below /tmp: a service does not see that
    folder.mkdir()
    script = folder / "netusage"
    request.addfinalizer(lambda: (script.unlink(missing_ok=True), folder.rmdir()))
    script.write_text("#!/bin/sh\necho first >&2; echo No module named netusage >&2; exit 1\n")
    script.chmod(0o755)
    with pytest.raises(NetusageError, match=r"could not start .*: No module named netusage"):
        check_program((str(script),))
    script.write_text('#!/bin/sh\n[ -z "$PYTHONPATH" ] && [ "$PWD" = / ]\n')
    check_program((str(script),))
    with pytest.raises(NetusageError, match="No such file"):
        check_program((str(folder / "none"),))


def test_a_program_below_a_temporary_directory_is_refused():
    with pytest.raises(NetusageError, match="directory for temporary files"):
        check_program(("/tmp/venv/bin/netusage",))


@pytest.mark.skipif(sys.platform == "win32", reason="owners of Unix")
def test_a_program_that_others_can_change_is_told(tmp_path):
    program = tmp_path / "netusage"
    program.write_text("")
    program.chmod(0o777)
    said = writable_by_others(Job((str(program),), Scope.SYSTEM))
    assert str(tmp_path) in said
    assert "could thereby run commands as root" in said


def test_a_ledger_whose_directory_is_missing_is_told_with_the_command_that_makes_it(tmp_path):
    check_ledger(Job(("/usr/bin/netusage",), Scope.SYSTEM))
    check_ledger(Job(("/usr/bin/netusage",), Scope.SYSTEM, tmp_path / "x.db"))
    with pytest.raises(NetusageError, match=f"does not exist; mkdir -p {tmp_path}/none"):
        check_ledger(Job(("/usr/bin/netusage",), Scope.SYSTEM, tmp_path / "none" / "x.db"))
