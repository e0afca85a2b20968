"""netusage plot."""

import io
import os
import struct
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from support.ledgers import START_S, writing

from netusage.cli import plot
from netusage.cli.failures import run
from netusage.errors import UsageError
from netusage.model import Counters, Who

NOW_S = START_S + 3 * 86_400
_SLOW_S = 60  # without a cache matplotlib looks at every font first
_WITHOUT_MATPLOTLIB = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from netusage.cli.failures import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    from netusage.ledger.batch import Part

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: NOW_S + 0.5)
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.tier = "kernel"
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        for day in range(3):
            ledger.count(eth0, START_S + day * 86_400, 2_500_000, 1_000_000)
            ledger.count(wlan0, START_S + day * 86_400, 1000, 1000)
        who = Who("application", "firefox", "/usr/bin/firefox", "eva")
        ledger.share(Part(START_S, eth0, who, 3, 6, 4), Counters(2_000_000, 900_000, 1500, 900))
        ledger.commit(NOW_S)
    return path


def said_of(err):
    """What was said on standard error, but for the progress that a slow machine shows."""
    return [line for line in err.splitlines() if not line.startswith("Reading the ledger")]


@pytest.fixture
def plotted(path, capsys):
    """Runs `netusage plot` on a ledger: the exit code, the output, and the lines that it said."""

    def begin(*arguments):
        code = run(["plot", *arguments, "--db", str(path), "--tz", "UTC"])
        out, err = capsys.readouterr()
        return code, out, said_of(err)

    return begin


def texts(file):
    return ["".join(one.itertext()) for one in ET.parse(file).iter("{http://www.w3.org/2000/svg}text")]


def names(folder):
    return sorted(one.name for one in folder.iterdir() if not one.name.startswith("ledger."))


@pytest.mark.system  # drawing takes a while
@pytest.mark.parametrize(
    ("name", "begin"), [("usage.png", b"\x89PNG"), ("usage.svg", b"<?xml"), ("usage.PDF", b"%PDF-")]
)
def test_the_end_of_the_name_says_what_the_file_is_and_nothing_is_printed(plotted, tmp_path, name, begin):
    assert plotted("day", "-o", name) == (0, "", [])
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert names(tmp_path) == [name]


def test_the_picture_is_of_the_size_and_theme_that_were_asked_for(plotted, tmp_path):
    assert plotted("day", "-o", "usage.png", "--size", "900x700", "--theme", "dark")[0] == 0
    data = (tmp_path / "usage.png").read_bytes()
    assert struct.unpack(">II", data[16:24]) == (900, 700)
    import matplotlib.image

    pixel = matplotlib.image.imread(io.BytesIO(data))[0, 0]
    assert [round(float(part) * 255) for part in pixel] == [0x14, 0x18, 0x1F, 255]


def test_a_picture_shows_what_a_report_of_the_same_words_says(plotted, tmp_path):
    assert plotted("day", "--limit", "2", "--interface", "eth0", "-o", "usage.svg")[0] == 0
    said = texts(tmp_path / "usage.svg")
    assert "Network usage per day of eth0" in said
    assert "2026-03-12 to 2026-03-13, UTC" in said
    assert any(one.startswith("2.50 MB received · 1.00 MB sent · ") for one in said)
    assert (
        plotted(
            "month", "--since", "2026-03-10", "--until", "2026-03-10", "--units", "iec", "-o", "usage.svg"
        )[0]
        == 0
    )
    said = texts(tmp_path / "usage.svg")
    assert "Network usage per month" in said
    assert any("MiB received" in one for one in said)


def test_panels_are_drawn_as_they_are_chosen(plotted, tmp_path):
    assert (
        plotted("hour", "--limit", "72", "--panel", "days", "--panel", "heatmap", "-o", "usage.svg")[0] == 0
    )
    said = texts(tmp_path / "usage.svg")
    assert {"Bytes per day", "Bytes of each hour"} <= set(said)
    assert not {"Bytes per hour", "Applications"} & set(said)
    assert plotted("day", "-o", "usage.svg")[0] == 0
    assert {"Bytes per day", "Bytes of each day", "Applications", "firefox"} <= set(
        texts(tmp_path / "usage.svg")
    )


def test_months_begin_on_the_billing_day(plotted, tmp_path):
    assert plotted("month", "--billing-day", "12", "--limit", "1", "-o", "usage.svg")[0] == 0
    assert "2026-03-12 to 2026-03-13, UTC" in texts(tmp_path / "usage.svg")


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["day"], "as in -o usage.png"),
        (2, ["day", "-o", "usage.jpg"], "it has to end in .png, .svg or .pdf"),
        (2, ["day", "-o", "usage"], "'usage' is no name of a picture"),
        (2, ["day", "-o", "-"], "it has to end in .png, .svg or .pdf"),
        (2, ["day", "-o", "a.png", "--size", "10x10"], "use 640x360 to 8000x8000"),
        (2, ["day", "-o", "a.png", "--size", "big"], "--size 'big'"),
        (2, ["minute", "-o", "a.png", "--since", "3d"], "4,321 bars do not fit"),
        (2, ["day", "-o", "a.png", "--panel", "clouds"], "'clouds'"),
        (2, ["total", "-o", "a.png"], "'total'"),
        (2, ["day", "-o", "a.png", "--since", "someday"], "someday"),
        (
            2,
            ["day", "-o", "a.png", "--since", "2026-03-12", "--until", "2026-03-10"],
            "ends before it begins",
        ),
        (3, ["day", "-o", "a.png", "--until", "2026-03-01"], "nothing was recorded in the time asked for"),
        (3, ["day", "-o", "a.png", "--interface", "tun9"], "no interface 'tun9'"),
        (
            3,
            ["hour", "-o", "a.png", "--limit", "2", "--panel", "applications"],
            "nothing is recorded of applications",
        ),
        (1, ["day", "-o", "nowhere/a.png"], "nowhere"),
        (1, ["day", "-o", "ledger.db/a.png"], "cannot write"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_file(plotted, tmp_path, code, arguments, said):
    found, out, err = plotted(*arguments)
    assert (found, out) == (code, "")
    assert len(err) == 1
    assert said in err[0]
    assert names(tmp_path) == []


def test_a_ledger_that_is_not_there_is_no_data(capsys, tmp_path):
    assert run(["plot", "day", "-o", str(tmp_path / "a.png"), "--db", str(tmp_path / "none.db")]) == 3
    assert "none.db" in capsys.readouterr().err
    assert names(tmp_path) == []


def test_an_old_picture_stays_until_the_new_one_is_whole(plotted, tmp_path, monkeypatch):
    (tmp_path / "usage.png").write_bytes(b"old")
    assert plotted("minute", "--since", "3d", "-o", "usage.png")[0] == 2
    assert (tmp_path / "usage.png").read_bytes() == b"old"
    assert plotted("day", "-o", "usage.png")[0] == 0
    assert (tmp_path / "usage.png").read_bytes().startswith(b"\x89PNG")
    assert names(tmp_path) == ["usage.png"]


@pytest.mark.parametrize("text", ["640x360", "1200X800", " 8000x8000 ", "1200\N{MULTIPLICATION SIGN}800"])
def test_a_size_is_two_numbers(text):
    assert plot.parse_size(text) == tuple(
        int(n) for n in text.strip().lower().replace("\xd7", "x").split("x")
    )


@pytest.mark.parametrize(
    "text",
    ["", "x", "1200", "639x800", "1200x8001", "-1200x800", "1200x800x1", "\u0663\u0664\u0665\u0666x800"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="size"):
        plot.parse_size(text)


@pytest.mark.system  # matplotlib is not what unit tests wait for
def test_the_command_offers_what_can_be_drawn():
    from netusage.plot.contents import Panel
    from netusage.plot.picture import FORMATS

    assert tuple(Panel) == tuple(map(Panel, plot.PANELS))
    assert plot.FORMATS == FORMATS


# ---- As a process -----------------------------------------------------------------------------------------------


@pytest.mark.system
def test_without_matplotlib_it_says_what_to_install(start, path, tmp_path):
    done = start("plot", "day", "-o", "a.png", "--db", path, program=("-c", _WITHOUT_MATPLOTLIB))
    assert done.wait(_SLOW_S) == 1
    assert done.err == "netusage: netusage plot needs the package matplotlib; pip install 'netusage[plot]'\n"
    assert not (tmp_path / "a.png").exists()


@pytest.mark.system
def test_its_help_and_a_wrong_word_do_not_load_matplotlib():
    program = (
        "import sys\nfrom netusage.cli.failures import run\n"
        "print(run(['plot', '--help']), run(['plot', 'day']), 'matplotlib' in sys.modules, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 2 False False"


@pytest.mark.system
def test_matplotlib_is_not_heard_whatever_its_surroundings_and_leaves_nothing(start, path, tmp_path):
    (tmp_path / "matplotlibrc").write_text("nonsense: 1\nbackend: none-such\ntext.usetex: True\n", "utf-8")
    (tmp_path / "place").mkdir()
    surroundings = {
        "HOME": "/dev/null",
        "XDG_CACHE_HOME": "/dev/null/cache",
        "XDG_CONFIG_HOME": "/dev/null/config",
        "MPLBACKEND": "none-such",
        "TMPDIR": str(tmp_path / "place"),
        "PYTHONWARNINGS": "default",
    }
    done = start(
        "plot", "day", "-o", "a.png", "--db", path, "--since", "2026-03-10", environment=surroundings
    )
    assert (done.wait(_SLOW_S), done.out, said_of(done.err)) == (0, "", [])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.system
@pytest.mark.root
def test_on_a_full_disk_the_old_picture_stays_and_no_rest(start, path, disks):
    disk = disks(256)
    file = disk.path / "usage.png"
    file.write_bytes(b"old")
    disk.fill()
    done = start("plot", "day", "-o", file, "--db", path, "--since", "2026-03-10")
    assert done.wait(_SLOW_S) == 1
    assert len(said_of(done.err)) == 1
    assert "No space left" in done.err or "full" in done.err
    assert file.read_bytes() == b"old"
    assert sorted(os.listdir(disk.path)) == ["filler", "usage.png"]
    disk.free()
    again = start("plot", "day", "-o", file, "--db", path, "--since", "2026-03-10")
    assert (again.wait(_SLOW_S), said_of(again.err)) == (0, [])
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.system
def test_the_panel_of_a_plan_is_of_the_one_that_is_named_or_of_the_first(plotted, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("".join(f"[[plan]]\nname = '{name}'\ncap = '1 GB'\n" for name in ("home", "away")))
    given = ["--config", str(config), "-o", str(tmp_path / "plan.svg")]
    for options, name in ((["--panel", "plan"], "home"), (["--panel", "timeline", "--plan", "away"], "away")):
        assert plotted("day", *options, *given)[0] == 0
        assert any(text.startswith(f"Plan {name}: ") for text in texts(tmp_path / "plan.svg"))
    code, _, said = plotted("day", "--plan", "awa", *given)
    assert (code, said) == (2, ["netusage: there is no plan 'awa'; did you mean 'away'?"])


def test_a_picture_of_a_plan_without_one_says_how_to_add_one(plotted, tmp_path):
    code, _, said = plotted(
        "day", "--panel", "plan", "--config", os.devnull, "-o", str(tmp_path / "plan.svg")
    )
    assert code == 3
    assert said == ['netusage: no plan is configured; add one: netusage plan add NAME --cap "100 GB"']
