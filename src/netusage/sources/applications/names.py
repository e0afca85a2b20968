"""What a person calls a process: pure functions over paths, arguments and cgroups."""

import os.path
import re
from collections.abc import Sequence
from typing import NamedTuple

_HEX = r"[0-9a-f]{64}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# How container managers name the cgroups of containers, with or without systemd.
_CONTAINERS = (
    (re.compile(rf"docker-({_HEX})\.scope|docker/({_HEX})"), "docker"),
    (re.compile(rf"libpod-({_HEX})(?:\.scope)?(?:/container)?"), "podman"),
    (re.compile(rf"(?:cri-containerd-|crio-)({_HEX})\.scope"), "container"),
    (re.compile(r"lxc\.payload\.([^/]+)|lxc/([^/]+)"), "lxc"),
    (re.compile(r"machine-([^/]+)\.scope|systemd-nspawn@([^/]+)\.service"), "machine"),
)
_POD = re.compile(
    rf"kubepods[^/]*(?:/[^/]+)*?/(?:kubepods-[^/]*)?pod([0-9a-f]{{8}}[-_0-9a-f]{{28}})(?:\.slice)?(?:/[^/]*?({_HEX}))?"
)
_SHOWN = 12  # digits of a container's number, as `docker ps` shows
_UNIT = re.compile(r"[^/]+\.(?:service|scope|socket|mount|swap)")
# Scopes are numbered by what started them, so that each is new: what is without the number is what people know.
_NUMBER = re.compile(
    rf"-(?:{_UUID}|[ru]?[0-9a-f]{{32}}|u?[0-9]+)(?=\.scope$)|(?<=^run)-(?:r[0-9a-f]{{32}}|u[0-9]+)(?=\.service$)"
)
_FLATPAK = re.compile(r"app-flatpak-(.+)-[0-9]+\.scope")
_SNAP = re.compile(rf"snap\.([^.]+)\.([^.]+?)(?:-{_UUID})?\.(?:service|scope)")
_SNAP_PATH = re.compile(r"/snap/([^/]+)/[^/]+/")
_APPIMAGE_MOUNT = re.compile(r"(/\.mount_[^/]+?)[A-Za-z0-9]{6}/")  # made anew whenever it starts
_DELETED = " (deleted)"
_INTERPRETERS = ("python", "perl", "ruby", "node", "php", "lua")  # as in python3.11
_SHELLS = ("bash", "dash", "sh")
_WHOLE_INTERPRETERS = (*_SHELLS, "deno", "bun", "java")


class Unit(NamedTuple):
    """What runs a process.

    unit: the systemd unit, "" where there is none.
    container: its manager and short number or name, as in "docker 0123456789ab"; "" outside of containers.
    pod: the number of a Kubernetes pod, "" outside of pods.
    """

    unit: str = ""
    container: str = ""
    pod: str = ""


def unit_of(cgroup: str) -> Unit:
    """What a cgroup of the unified tree is of; its path, "/" for the root.

    Scopes that differ in their number are one unit: "session.scope" is all sessions of all users.
    """
    path = cgroup.strip("/")
    pod = _POD.search(path)
    if pod:
        number = pod[1].replace("_", "-")
        return Unit(container=f"pod {pod[2][:_SHOWN]}" if pod[2] else "", pod=number)
    for pattern, manager in _CONTAINERS:
        found = re.search(rf"(?:^|/)(?:{pattern.pattern})(?:/|$)", path)
        if found:
            name = _unescaped(next(group for group in found.groups() if group))
            return Unit(container=f"{manager} {name[:_SHOWN] if re.fullmatch(_HEX, name) else name}")
    units = [part for part in path.split("/") if _UNIT.fullmatch(part)]
    if not units:
        return Unit()
    return Unit(unit=_unescaped(_NUMBER.sub("", units[-1])))


def _unescaped(name: str) -> str:
    r"""A name of systemd as a person writes it: \x2d is a dash."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), name)


class Application(NamedTuple):
    """Whose bytes, as a person would say.

    name: short: a program, a script, an application's name.
    path: of the executable, or of the script where an interpreter runs one.
    """

    name: str
    path: str


def application_of(path: str, script: str, cgroup: str) -> Application:
    """An application.

    Args:
        path: of its executable.
        script: what an interpreter was given to run: a path, a module, -c or -e for code; "" for other programs.
        cgroup: its cgroup in the unified tree.
    """
    path = _APPIMAGE_MOUNT.sub(r"\1/", path.removesuffix(_DELETED))
    program = os.path.basename(path)
    packaged = _packaged(path, cgroup.rpartition("/")[2])
    if packaged:
        return Application(packaged, path)
    if script.startswith("-"):
        return Application(f"{program} {script}", path)
    if script:
        return Application(os.path.basename(script) or script, script)
    return Application(program, path)


def _packaged(path: str, unit: str) -> str:
    """The name under which Flatpak or Snap know it; "" for anything else."""
    flatpak, snap = _FLATPAK.fullmatch(unit), _SNAP.fullmatch(unit)
    if flatpak:
        return _unescaped(flatpak[1])
    if snap:
        return snap[1] if snap[1] == snap[2] else f"{snap[1]}.{snap[2]}"
    found = _SNAP_PATH.match(path)
    return found[1] if found else ""


def script_of(path: str, arguments: Sequence[str]) -> str:
    """What an interpreter was given to run, as bpf/applications.bpf.c finds it; "" for other programs.

    Args:
        path: of the executable.
        arguments: those of the process, its own name first.
    """
    program = os.path.basename(path)
    if not program.startswith(_INTERPRETERS) and program not in _WHOLE_INTERPRETERS:
        return ""
    code = ("-c",) if program in _SHELLS else ("-c", "-e")
    return next((one for one in arguments[1:] if not one.startswith("-") or one in code), "")
