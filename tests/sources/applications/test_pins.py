"""Programs that outlive who loaded them: what was counted meanwhile is there for the next one."""

import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
from sources.applications.conftest import Lab
from support.namespace import loaded_programs
from support.patience import until

from netusage.errors import SourceError
from netusage.sources.applications import pins, skeleton
from netusage.sources.applications.kernel import KernelApplications

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root, pytest.mark.usefixtures("loadable")]

SEND = """
    import socket
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(100):
        sock.sendto(bytes(1000), ("10.9.0.2", 5000))
"""
SENT = 100 * 1042


def start_and_kill(kept, when):
    """Load the programs in a process that is killed at a moment: "loaded", or in the middle of pinning."""
    code = f"""
        import os, time
        from netusage.sources.applications import bpf
        from netusage.sources.applications.kernel import KernelApplications
        pin, pinned = bpf.pin, []
        def counting(fd, path):
            pin(fd, path)
            pinned.append(path)
            if {when!r} == "pinning" and len(pinned) == 4:
                print("ready", flush=True)
                time.sleep(60)
        bpf.pin = counting
        programs = KernelApplications(pins={kept!r})
        print("ready", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)


def test_after_kill_9_the_next_one_goes_on_where_the_kernel_is(spaces, tmp_path, kept):
    start_and_kill(kept, "loaded")
    lab = Lab(spaces, tmp_path)
    receiver = lab.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.9.0.2", 5000))
    try:
        with KernelApplications(pins=kept) as programs:
            born = programs.state().born
        lab.run(lab.left, "alone.py", SEND)  # nobody is there but the kernel
        with KernelApplications(pins=kept) as programs:
            assert programs.state().born == born
            lab.run(lab.left, "watched.py", SEND)
            assert lab.account(programs, lab.left) == {"alone.py": (0, SENT), "watched.py": (0, SENT)}
    finally:
        lab.close()


def test_what_was_killed_in_the_middle_of_pinning_is_not_taken_up(kept):
    before = loaded_programs()
    start_and_kill(kept, "pinning")
    with KernelApplications(pins=kept) as programs:
        assert programs.state().born
        assert os.listdir(kept) == [skeleton.build("applications.skeleton")]
    assert pins.remove(kept) == 9
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")


def test_programs_of_another_build_are_taken_off(kept):
    before = loaded_programs()
    with KernelApplications(pins=kept) as programs:
        born = programs.state().born
    path = os.path.join(kept, skeleton.build("applications.skeleton"))
    os.rename(path, os.path.join(kept, "00000000"))
    with KernelApplications(pins=kept) as programs:
        assert programs.state().born != born
        assert os.listdir(kept) == [os.path.basename(path)]
        until(lambda: len(loaded_programs() - before) <= 6, "the kernel to free the other programs")


def test_nothing_is_left_when_pins_are_removed_and_removing_nothing_is_no_error(kept):
    before = loaded_programs()
    KernelApplications(pins=kept).close()
    assert loaded_programs() - before
    assert pins.remove(kept) == 9
    assert not os.path.exists(kept)
    assert pins.remove(kept) == 0
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")


def test_what_others_keep_and_other_file_systems_are_not_touched(kept, tmp_path):
    os.makedirs(os.path.join(kept, "somebody"))
    KernelApplications(pins=kept).close()
    assert pins.remove(kept) == 9
    assert os.listdir(kept) == ["somebody"]
    os.rmdir(os.path.join(kept, "somebody"))
    ordinary = tmp_path / "ordinary" / "0123abcd"
    ordinary.mkdir(parents=True)
    (ordinary / "file").write_text("mine")
    assert pins.remove(str(ordinary.parent)) == 0
    assert (ordinary / "file").read_text() == "mine"


def test_a_directory_that_is_in_no_bpf_file_system_is_refused_and_left_clean(tmp_path):
    before = loaded_programs()
    with pytest.raises(SourceError, match="not permitted") as raised:
        KernelApplications(pins=str(tmp_path / "pins"))
    assert raised.value.hint == "pins need a BPF file system: mount -t bpf none /sys/fs/bpf"
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")
