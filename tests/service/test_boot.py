"""The unit under a real systemd: a whole boot and shutdown, in namespaces of its own, on an overlay of this machine.

Nothing outside the namespaces changes. A service stands for the network: it makes a link at start, and at stop sends
through it, notes the kernel's counters and removes it.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import netusage
from netusage.service.job import Job, Scope
from netusage.service.systemd import unit

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]

SYSTEMD = next(
    (path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(path).exists()), ""
)
NEEDED = [tool for tool in ("unshare", "pivot_root", "ip", "systemctl") if shutil.which(tool) is None]

BOOT = """\
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 t /mnt
mkdir -p /mnt/u /mnt/w /mnt/m
mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m || exit 77
root=/mnt/m
mkdir -p $root/sys/fs/cgroup $root/oldroot $root/shared $root/var/lib/netusage
mount --bind {shared} $root/shared
mkdir -p $root/shared/state
mount --bind {shared}/state $root/var/lib/netusage
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t cgroup2 cgroup $root/sys/fs/cgroup || exit 77
mount -t bpf -o mode=700 bpf $root/sys/fs/bpf  # as systemd does itself where it runs on a machine
mount -t tmpfs -o mode=755 run $root/run
mount -t tmpfs -o mode=755 dev $root/dev
for node in null zero full random urandom tty; do touch $root/dev/$node; mount --bind /dev/$node $root/dev/$node; done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=666 pts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
# only what is under test is started, whatever else this machine starts
rm -rf $root/etc/systemd/system $root/etc/fstab
ln -sf /dev/null $root/etc/tmpfiles.d/tmp.conf
mkdir -p $root/etc/systemd/system/multi-user.target.wants $root/etc/systemd/system/netusage.service.d
cp {shared}/*.service $root/etc/systemd/system/
cp {shared}/test.conf $root/etc/systemd/system/netusage.service.d/
for service in netusage network-for-test end-of-test; do
    ln -s ../$service.service $root/etc/systemd/system/multi-user.target.wants/
done
ln -s {units}/multi-user.target $root/etc/systemd/system/default.target
cd $root
pivot_root . oldroot
cd /
umount -l /oldroot
exec env container=lxc {systemd} --system --log-target=journal
"""

# the interpreter of a test may lie in a home or below /tmp, which the unit hides (and a boot empties)
DROP_IN = """\
[Service]
Environment=PYTHONPATH={source} NETUSAGE_CONFIG=/dev/null NETUSAGE_RECORDER_APPLICATIONS={applications}
PrivateTmp=no
ProtectHome=read-only
"""

# before sysinit.target, as cloud-init has it: a recorder that waited for that would close a circle
NETWORK = """\
[Unit]
DefaultDependencies=no
After=network-pre.target
Before=network.target sysinit.target shutdown.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /shared/up
ExecStop=/bin/sh /shared/down
"""

UP = """\
systemctl is-active netusage > /shared/active-before-network
ip link add vt0 type veth peer name vt1
ip addr add 10.9.0.1/24 dev vt0
ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev vt0
ip link set vt1 up
ip link set vt0 up
for _ in $(seq 100); do
    ip link show vt0 | grep -q 'qdisc noop ' || break
    sleep 0.05
done
"""

DOWN = """\
systemctl is-active netusage > /shared/active-after-network
{python} -c '
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(50):
    sender.sendto(b"x" * 1000, ("10.9.0.2", 9))
'
ip link set vt0 down
cat /sys/class/net/vt0/statistics/rx_bytes /sys/class/net/vt0/statistics/tx_bytes > /shared/truth
ip link del vt0
"""

END = """\
[Unit]
After=multi-user.target netusage.service network-for-test.service
[Service]
Type=oneshot
ExecStart=/bin/sh /shared/end
"""

KILL_AND_POWER_OFF = """\
kill -9 $(systemctl show -P MainPID netusage)
for _ in $(seq 200); do
    [ "$(systemctl show -P NRestarts netusage)" = 1 ] && systemctl -q is-active netusage && break
    sleep 0.1
done
journalctl -b > /shared/journal
systemctl poweroff
"""


PINS = "/sys/fs/bpf/netusage"


@pytest.fixture(params=[False, True], ids=["interfaces", "applications"])
def applications(request):
    """Whether applications are recorded as well."""
    if request.param:
        request.getfixturevalue("loadable")
    return request.param


@pytest.fixture
def shared(tmp_path, applications):
    """A directory that the machine under test shares with this one, with all that it needs."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root, to boot systemd in namespaces")
    if not SYSTEMD or NEEDED:
        pytest.skip(f"needs {', '.join(NEEDED) or 'systemd'}")
    source = Path(netusage.__file__).parent.parent
    if any(
        path.stat().st_dev != Path("/").stat().st_dev
        for path in (source, Path(sys.prefix), Path(sys.base_prefix))
    ):
        pytest.skip("needs Python and netusage on the root file system")
    files = {
        "netusage.service": unit(
            Job((sys.executable, "-m", "netusage"), Scope.SYSTEM, applications=applications, pins=PINS)
        ),
        "test.conf": DROP_IN.format(source=source, applications="kernel" if applications else "off"),
        "network-for-test.service": NETWORK,
        "end-of-test.service": END,
        "up": UP,
        "down": DOWN.format(python=sys.executable),
        "end": KILL_AND_POWER_OFF,
        "boot": BOOT.format(shared=tmp_path, systemd=SYSTEMD, units=Path(SYSTEMD).parent / "system"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_last_reading_comes_after_the_network_has_stopped_and_misses_nothing(shared, applications):
    done = subprocess.run(
        ["unshare", "-m", "-p", "-f", "-n", "-u", "-i", "-C", "--kill-child", "sh", str(shared / "boot")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=90,
    )
    if done.returncode == 77:
        pytest.skip(f"needs overlay and cgroup2 file systems: {done.stderr.decode(errors='replace').strip()}")
    journal = (shared / "journal").read_text()
    assert "cycle" not in journal
    assert "restart counter is at 1" in journal, journal[-2000:]
    assert "restart counter is at 2" not in journal
    assert "BPF file system" not in journal  # the programs stay where the unit may write
    assert (shared / "active-before-network").read_text() == "active\n"
    assert (shared / "active-after-network").read_text() == "active\n"
    rx, tx = (int(word) for word in (shared / "truth").read_text().split())
    assert tx > 50_000
    with contextlib.closing(sqlite3.connect(shared / "state" / "netusage.db")) as ledger, ledger:
        recorded = ledger.execute("SELECT rx_bytes, tx_bytes FROM interface WHERE name = 'vt0'").fetchall()
        # of a veth the kernel's last message cannot tell what was received: its peer is gone already
        lost = ledger.execute("SELECT kind, note FROM gap WHERE lossy AND kind <> 'vanished'").fetchall()
        had = ledger.execute("""
            SELECT sum(s.tx_bytes) FROM share s JOIN application a ON a.id = s.application_id
            JOIN interface i ON i.id = s.interface_id WHERE i.name = 'vt0' AND a.kind = 'application'
        """).fetchone()[0]
    ledger.close()
    assert recorded == [(rx, tx)]
    assert had == (50 * 1042 if applications else None)
    assert lost == []
