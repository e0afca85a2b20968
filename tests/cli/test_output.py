"""Where data goes."""

import io
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from netusage.cli.output import new_file, note, one_line, open_binary_output, open_output
from netusage.errors import OutputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_without_a_file_the_data_goes_to_standard_output(capsys):
    for file in (None, "-"):
        with open_output(file) as out:
            out.write("x")
    assert capsys.readouterr().out == "xx"


def test_a_file_appears_whole_with_its_line_ends_as_written(tmp_path):
    file = tmp_path / "out.csv"
    with open_output(file) as out:
        out.write("a\r\nü\n")
        out.flush()
        assert not file.exists()
    assert file.read_bytes() == b"a\r\n\xc3\xbc\n"
    assert names(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_command_that_fails_halfway_leaves_the_old_file_and_no_rest(tmp_path, error):
    file = tmp_path / "out.csv"
    file.write_text("old")

    def half():
        with open_output(file) as out:
            out.write("new")
            raise error

    with pytest.raises(type(error)):
        half()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["out.csv"]


def test_an_error_of_something_else_is_not_blamed_on_the_output(tmp_path):
    def read_another_file():
        with open_output(tmp_path / "out"):
            (tmp_path / "elsewhere" / "input").read_text()

    with pytest.raises(FileNotFoundError, match="input"):
        read_another_file()
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="modes of Unix")
def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        for file in (old, new):
            with open_output(file) as out:
                out.write("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    with open_output(tmp_path / "third") as out:
        out.write("x")
    assert stat.S_IMODE((tmp_path / "third").stat().st_mode) == 0o666 & ~before


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with open_output(tmp_path / "link") as out:
        out.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize("place", ["none/out", "folder"])
def test_a_place_that_cannot_be_written_is_told_with_what_to_do(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot write .*; name another file with -o FILE"),
        open_output(tmp_path / place),
    ):
        pass
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_device_is_written_directly_and_its_errors_are_told():
    def write():
        with open_output("/dev/full") as out:
            out.write("x")

    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        write()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_is_written_directly(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    with open_output(pipe) as out:
        out.write("x")
    reader.join()
    assert got == ["x"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_another_encoding_is_written_with_its_mark(tmp_path):
    with open_output(tmp_path / "x", encoding="utf-16") as out:
        out.write("ü")
    assert (tmp_path / "x").read_bytes() == "ü".encode("utf-16")


def test_a_note_is_one_line_and_needs_no_stream(capsys, monkeypatch):
    note("a\nb")
    assert capsys.readouterr().err == "netusage: a b\n"
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        note("x")


def test_one_line_keeps_letters_of_every_script():
    assert one_line("größe 網路\t\x1b[0m\x85") == "größe 網路 [0m"


def test_data_that_is_not_text_goes_to_standard_output_or_into_a_whole_file(tmp_path, capsysbinary):
    for file in (None, Path("-")):
        with open_binary_output(file) as out:
            out.write(b"\xff\n")
        assert capsysbinary.readouterr().out == b"\xff\n"
    (tmp_path / "out").write_bytes(b"old")
    with open_binary_output(tmp_path / "out") as out:
        out.write(b"\xff")
        assert (tmp_path / "out").read_bytes() == b"old"
    assert (tmp_path / "out").read_bytes() == b"\xff"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there is no /dev/null here")
def test_a_device_takes_bytes_and_no_file_by_name():
    with open_binary_output(Path("/dev/null")) as out:
        out.write(b"\xff")
    with pytest.raises(OutputError, match="it is not a plain file"), new_file(Path("/dev/null")):
        pass


def test_who_wants_a_name_gets_one_of_an_empty_file_that_takes_its_place_at_the_end(tmp_path):
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o640)
    with new_file(tmp_path / "out") as place:
        assert place.read_bytes() == b""
        place.write_text("new")
        assert (tmp_path / "out").read_text() == "old"
    assert (tmp_path / "out").read_text() == "new"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640
    with pytest.raises(RuntimeError), new_file(tmp_path / "out"):
        raise RuntimeError
    assert (tmp_path / "out").read_text() == "new"
    assert names(tmp_path) == ["out"]
