"""What a person calls a process."""

import pytest

from netusage.sources.applications.names import Application, Unit, application_of, script_of, unit_of

ID = "0123456789abcdef" * 4
UUID = "3e4c1a52-0b1c-4d2e-9f3a-5b6c7d8e9f00"
POD = "12345678-1234-1234-1234-123456789abc"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("/", Unit()),
        ("/user.slice", Unit()),
        ("/system.slice/ssh.service", Unit("ssh.service")),
        ("/system.slice/system-getty.slice/getty@tty1.service", Unit("getty@tty1.service")),
        (r"/system.slice/dev-disk-by\x2dlabel.swap", Unit("dev-disk-by-label.swap")),
        ("/user.slice/user-1000.slice/session-3.scope", Unit("session.scope")),
        ("/user.slice/user-1000.slice/session-c2.scope", Unit("session-c2.scope")),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4711.scope",
            Unit("app-gnome-firefox.scope"),
        ),
        (
            f"/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-{UUID}.scope",
            Unit("vte-spawn.scope"),
        ),
        ("/system.slice/run-u12.service", Unit("run.service")),
        ("/system.slice/backup-2.service", Unit("backup-2.service")),
        (f"/system.slice/docker-{ID}.scope", Unit(container="docker 0123456789ab")),
        (f"/docker/{ID}", Unit(container="docker 0123456789ab")),
        (f"/docker/{ID}/init.scope", Unit(container="docker 0123456789ab")),
        (f"/machine.slice/libpod-{ID}.scope/container", Unit(container="podman 0123456789ab")),
        (
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
            Unit(container="podman 0123456789ab"),
        ),
        ("/lxc.payload.web/system.slice/nginx.service", Unit(container="lxc web")),
        ("/lxc/web", Unit(container="lxc web")),
        (r"/machine.slice/machine-build\x2dhost.scope", Unit(container="machine build-host")),
        ("/machine.slice/systemd-nspawn@web.service/payload", Unit(container="machine web")),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
            Unit(container="pod 0123456789ab", pod=POD),
        ),
        (f"/kubepods/besteffort/pod{POD}/{ID}", Unit(container="pod 0123456789ab", pod=POD)),
        (f"/kubepods/pod{POD}", Unit(pod=POD)),
        (
            f"/system.slice/containerd.service/kubepods/burstable/pod{POD}/{ID}",
            Unit(container="pod 0123456789ab", pod=POD),
        ),
        ("/docker/short", Unit()),
        ("/nutest/unit", Unit()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_cgroup_tells_the_unit_the_container_or_the_pod(cgroup, expected):
    assert unit_of(cgroup) == expected


@pytest.mark.parametrize(
    ("path", "script", "unit", "expected"),
    [
        ("/usr/bin/curl", "", "", Application("curl", "/usr/bin/curl")),
        ("/usr/bin/curl (deleted)", "", "", Application("curl", "/usr/bin/curl")),
        ("/usr/bin/python3.11", "app.py", "", Application("app.py", "app.py")),
        ("/usr/bin/python3.11", "/srv/web/app.py", "", Application("app.py", "/srv/web/app.py")),
        ("/usr/bin/python3.11", "http.server", "", Application("http.server", "http.server")),
        ("/usr/bin/python3.11", "-c", "", Application("python3.11 -c", "/usr/bin/python3.11")),
        ("/usr/bin/python3.11", "", "", Application("python3.11", "/usr/bin/python3.11")),
        ("/usr/bin/node", "/srv/site/", "", Application("/srv/site/", "/srv/site/")),
        (
            "/app/bin/gedit",
            "",
            "app-flatpak-org.gnome.gedit-812.scope",
            Application("org.gnome.gedit", "/app/bin/gedit"),
        ),
        (r"/app/bin/x", "", r"app-flatpak-org.x\x2dy.Z-8.scope", Application("org.x-y.Z", "/app/bin/x")),
        (
            "/snap/firefox/1/usr/lib/firefox",
            "",
            f"snap.firefox.firefox-{UUID}.scope",
            Application("firefox", "/snap/firefox/1/usr/lib/firefox"),
        ),
        (
            "/snap/lxd/9/bin/lxd",
            "",
            "snap.lxd.daemon.service",
            Application("lxd.daemon", "/snap/lxd/9/bin/lxd"),
        ),
        ("/snap/spotify/9/bin/spotify", "", "", Application("spotify", "/snap/spotify/9/bin/spotify")),
        (
            "/tmp/.mount_NextclAb12Cd/usr/bin/nextcloud",
            "",
            "",
            Application("nextcloud", "/tmp/.mount_Nextcl/usr/bin/nextcloud"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_application_has_the_name_that_a_person_gives_it(path, script, unit, expected):
    assert application_of(path, script, f"/user.slice/{unit}" if unit else "/") == expected


@pytest.mark.parametrize(
    ("path", "arguments", "expected"),
    [
        ("/usr/bin/python3.11", ["python", "app.py", "-x"], "app.py"),
        ("/usr/bin/python3.11", ["python", "-u", "-X", "app.py"], "app.py"),
        ("/usr/bin/python3.11", ["python", "-m", "http.server", "80"], "http.server"),
        ("/usr/bin/python3.11", ["python", "-c", "import this"], "-c"),
        ("/usr/bin/perl", ["perl", "-e", "print"], "-e"),
        ("/usr/bin/bash", ["bash", "-e", "run.sh"], "run.sh"),
        ("/usr/bin/dash", ["sh", "-c", "echo"], "-c"),
        ("/usr/bin/python3.11", ["python"], ""),
        ("/usr/bin/python3.11", [], ""),
        ("/usr/bin/shred", ["shred", "file"], ""),
        ("/usr/bin/curl", ["curl", "http://example.org"], ""),
    ],
)
def test_what_an_interpreter_runs_is_its_first_argument_that_is_no_option(path, arguments, expected):
    assert script_of(path, arguments) == expected
