"""The systemd unit of the recorder.

Why it is ordered as it is: systemd stops services in the reverse order of their start. What is started before
network-pre.target is stopped after every service that brings interfaces up, so that the last reading sees all
that was sent, and the removal of each tunnel as well. `DefaultDependencies=no`, because cloud-init and others
bring the network up before basic.target, and a unit that waited for basic.target and came before the network
would close a circle.

Why it runs as root and not as a user of its own: the ledger must be readable for everybody who runs `netusage`,
which DynamicUser prevents (its directory lies in /var/lib/private), and a user that an installer makes is a user
that somebody has to remove. Of root's capabilities two are left: CAP_NET_ADMIN lets the receive buffer for link
events exceed the system's limit (SO_RCVBUFFORCE), CAP_NET_BROADCAST lets the source hear of the far ends of veth
pairs in other namespaces (NETLINK_LISTEN_ALL_NSID). Root needs no AmbientCapabilities= for them. Where applications are
recorded, CAP_BPF and CAP_PERFMON load the programs that count them.

It has no traffic of its own, and may have none, unless alerts, or the record itself to a fleet, are delivered: the
processes that do so belong to the unit, and are held by everything else in it as well.
"""

from pathlib import Path

from netusage.service.job import DESCRIPTION, Job, Scope

UNIT = "netusage.service"

_SYSTEM_ORDER = """\
# stopped in reverse: after the network, so that the last reading misses nothing
DefaultDependencies=no
After=local-fs.target time-set.target
Wants=network-pre.target
Before=network-pre.target
Conflicts=shutdown.target
Before=shutdown.target
"""

_SERVICE = """\
[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
# wrong configuration or arguments: trying again does not help
RestartPreventExitStatus=2
SuccessExitStatus=130 143
TimeoutStartSec=30
TimeoutStopSec=15
# three times the longest sample_interval: the recorder answers between samples
WatchdogSec=180
UMask=0022
"""

# all of this works without privileges
_RESTRICTIONS = """\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# AF_INET: psutil, where netlink fails, asks an AF_INET socket for the state of interfaces
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET{families}
"""

_SYSTEM_SANDBOX = """\
Nice=5
StateDirectory=netusage
StateDirectoryMode=0755
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BROADCAST{capabilities}
# PrivateNetwork= must not be set: it would hide the interfaces
{traffic}ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
KeyringMode=private
"""

_NO_TRAFFIC = """\
# no traffic of its own
IPAddressDeny=any
"""

# to count by application in the kernel; who they are is then known from the kernel's notes, other processes are hidden
_APPLICATIONS = """\
SystemCallFilter=bpf
"""

# what the programs have counted stays there while the recorder is started anew; ProtectKernelTunables= makes the rest of
# /sys/fs/bpf read-only, so the directory has to be there before the sandbox is
_PINS = """\
ExecStartPre=-+mkdir -p {directory}
ReadWritePaths=-{directory}
"""


def unit(job: Job) -> str:
    """The text of the unit."""
    system = job.scope is Scope.SYSTEM
    parts = ["[Unit]", f"Description={DESCRIPTION}"]
    if system:
        parts.append(_SYSTEM_ORDER.rstrip())
    parts += ["# a recorder that cannot start is tried again for ever", "StartLimitIntervalSec=0"]
    parts += ["", _SERVICE.format(command=" ".join(quote(part) for part in job.argv)).rstrip()]
    if system:
        sandbox = _SYSTEM_SANDBOX.format(
            protect_home="read-only" if job.needs_home else "yes",
            capabilities=" CAP_BPF CAP_PERFMON" if job.applications else "",
            traffic="" if job.sends else _NO_TRAFFIC,
        )
        parts.append(sandbox.rstrip())
        if job.ledger is not None:
            parts.append(f"ReadWritePaths={quote(str(job.ledger.parent))}")
        if job.journal is not None:
            parts.append(f"ReadWritePaths={quote(str(job.journal.parent))}")
    parts.append(_RESTRICTIONS.format(families=" AF_INET6" if job.sends else "").rstrip())
    if system and job.applications:
        parts.append(_APPLICATIONS.rstrip())
        if job.pins:
            parts.append(_PINS.format(directory=quote(job.pins)).rstrip())
    parts += ["", "[Install]", f"WantedBy={'multi-user.target' if system else 'default.target'}"]
    return "\n".join(parts) + "\n"


def quote(word: str) -> str:
    r"""A word of a command line as systemd reads it: %% for %, $$ for $, quotes where needed (systemd.service(5)).

    Examples:
        >>> quote("/opt/my tools/netusage")
        '"/opt/my tools/netusage"'
    """
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    text = text.replace("\n", "\\n").replace("\t", "\\t")
    plain = text and all(char.isalnum() or char in "/._-+=:,@~%$" for char in text)
    return text if plain else f'"{text}"'


def unit_path(scope: Scope, *, config_home: Path) -> Path:
    """Where an administrator's, or a user's, unit belongs; `config_home` is XDG_CONFIG_HOME or ~/.config."""
    if scope is Scope.SYSTEM:
        return Path("/etc/systemd/system") / UNIT
    return config_home / "systemd" / "user" / UNIT
