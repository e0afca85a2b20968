"""Pictures, read back: what is drawn is what was recorded."""

import io
import re
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import matplotlib as mpl
import matplotlib.image
import pytest
from support.ledgers import START_S, writing

from netusage.errors import UsageError
from netusage.plot.contents import Panel
from netusage.plot.panels import calendar
from netusage.plot.picture import FORMATS, draw
from netusage.plot.style import THEMES, Style, blend
from netusage.settings.schema import PlanSettings
from netusage.units import Units, format_bytes

pytestmark = pytest.mark.system  # drawing takes a while

BERLIN = ZoneInfo("Europe/Berlin")
ALL = tuple(Panel)


def style(theme="light", wide=1200, high=800, **parts):
    return Style(THEMES[theme], wide, high, **parts)


def heights(boxes):
    return [bottom - top for _, top, _, bottom in boxes]


@pytest.mark.parametrize(
    ("wide", "high", "theme", "ground"),
    [(640, 480, "light", "#ffffff"), (1200, 800, "dark", "#14181f"), (1001, 777, "light", "#ffffff")],
)
def test_a_png_has_its_size_and_its_ground(ask, wide, high, theme, ground):
    data = draw(ask("day"), ALL, style(theme, wide, high), "png")
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    pixels = matplotlib.image.imread(io.BytesIO(data))
    assert pixels.shape == (high, wide, 4)
    for x, y in ((0, 0), (-1, 0), (0, -1), (-1, -1)):
        assert "#" + "".join(f"{round(float(part) * 255):02x}" for part in pixels[y, x, :3]) == ground
    colours = {
        tuple(pixel) for pixel in (pixels[::3, ::3, :3].reshape(-1, 3) * 255).round().astype(int).tolist()
    }
    for part in (THEMES[theme].received, THEMES[theme].sent):
        assert tuple(int(part[n : n + 2], 16) for n in (1, 3, 5)) in colours


def test_a_pdf_is_one_page_with_its_fonts_in_it(ask):
    data = draw(ask("day"), ALL, style(), "pdf")
    assert data.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", data)) == 1
    assert re.findall(rb"/MediaBox \[ ([^]]*) \]", data) == [b"0 0 900 600"]
    fonts = re.findall(rb"/BaseFont /\S+?\+(\S+)", data)
    assert set(fonts) == {b"DejaVuSans", b"DejaVuSans-Bold"}
    assert data.count(b"/FontFile2") >= 2


def test_an_svg_keeps_its_text_and_names_every_part_once(ask, drawing):
    found = drawing(ask("hour", *ALL), *ALL)
    assert (found.root.get("width"), found.root.get("height")) == ("900pt", "600pt")
    for said in (
        "Network usage per hour",
        "Bytes per hour",
        "Bytes per day",
        "Bytes of each hour",
        "Applications",
    ):
        assert said in found.texts
    assert len(found.names) == len(set(found.names))


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_same_contents_are_the_same_file_whatever_a_matplotlibrc_says(ask, file_format):
    contents = ask("day")
    keeps_text = file_format == "svg"
    data = draw(contents, ALL, style(keeps_text=keeps_text), file_format)
    with mpl.rc_context({"font.size": 40, "text.usetex": True, "figure.autolayout": True, "savefig.dpi": 7}):
        again = draw(contents, ALL, style(keeps_text=keeps_text), file_format)
    assert again == data
    assert b"CreationDate" not in data
    assert b"dc:date" not in data


def test_bars_are_as_high_as_the_bytes_that_they_stand_for(ask, drawing):
    contents = ask("day", patterns=("wlan0",))
    found = drawing(contents, Panel.TIMELINE)
    received, sent = (found.boxes(f"timeline-{name}") for name in ("received", "sent"))
    usages = contents.bars.usages
    assert len(received) == len(sent) == len(usages) == 9
    scale = heights(received)[0] / usages[0].rx_bytes
    assert heights(received) == pytest.approx([one.rx_bytes * scale for one in usages], abs=1e-4)
    assert heights(sent) == pytest.approx([one.tx_bytes * scale for one in usages], abs=1e-4)
    zero = received[0][3]
    assert all(bottom == zero for _, _, _, bottom in received)
    assert all(top == zero for _, top, _, _ in sent)


def test_what_is_estimated_is_hatched_at_the_end_of_its_bar(ask, drawing):
    contents = ask("day", patterns=("eth0",))
    found = drawing(contents, Panel.TIMELINE)
    (vague,) = found.boxes("timeline-estimated-received")
    (below,) = found.boxes("timeline-estimated-sent")
    whole, part = contents.bars.usages[2], found.boxes("timeline-received")[2]
    assert vague[3] == part[1]
    assert (vague[0], vague[2]) == (part[0], part[2])
    known = whole.rx_bytes - whole.estimated_rx_bytes
    assert (vague[3] - vague[1]) / (part[3] - part[1]) == pytest.approx(24_000_000 / known, rel=1e-4)
    assert below[1] == found.boxes("timeline-sent")[2][3]
    assert "time estimated" in found.texts
    assert "36.00 MB at an estimated time" in " ".join(found.texts)
    assert "time estimated" not in drawing(ask("day", patterns=("wlan0",)), Panel.TIMELINE).texts


def test_a_day_of_23_hours_is_as_much_narrower_as_it_is_shorter(ask, drawing):
    boxes = drawing(ask("day"), Panel.TIMELINE).boxes("timeline-received")
    widths = [right - left for left, _, right, _ in boxes]
    assert widths[3] / widths[0] == pytest.approx(23 / 24, rel=1e-4)
    assert widths[4] == pytest.approx(widths[0], rel=1e-4)
    assert all(one[2] < other[0] for one, other in pairwise(boxes))


def test_time_without_a_watch_is_grey_from_edge_to_edge_where_it_was(ask, drawing):
    contents = ask("hour", since_s=int(datetime(2026, 3, 28, tzinfo=BERLIN).timestamp()))
    found = drawing(contents, Panel.TIMELINE)
    (grey,) = found.boxes("timeline-unwatched")
    bars = found.boxes("timeline-received")
    hour = bars[1][0] - bars[0][0]
    assert grey[2] - grey[0] == pytest.approx(12 * hour, rel=1e-3)
    assert found.colours("timeline-unwatched") == [THEMES["light"].unwatched]
    (lossy,) = found.boxes("timeline-lossy")
    assert (lossy[0], lossy[1], lossy[2]) == (grey[0], grey[1], grey[2])
    assert lossy[3] < grey[3] / 2
    assert {"not watched", "may have lost bytes"} <= set(found.texts)


def test_a_gap_that_may_have_lost_bytes_is_seen_however_short_it_is(ask, drawing, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for day in (0, 399):
            ledger.count(eth0, START_S + day * 86_400, 1000, 1000)
        ledger.gap(START_S + 86_400, START_S + 86_401, lossy=True)
        ledger.gap(START_S + 99 * 86_400, START_S + 99 * 86_400 + 1)
        ledger.commit(START_S + 400 * 86_400)
    found = drawing(ask("month", path=path, now_s=START_S + 400 * 86_400, limit=99), Panel.TIMELINE)
    (mark,) = found.boxes("timeline-lossy")
    assert mark[2] - mark[0] == pytest.approx(2 * 0.75, rel=0.01)  # pixels in points
    assert "timeline-unwatched" not in found.names


def test_marks_say_what_the_bars_reach(ask, drawing):
    contents = ask("day", patterns=("wlan0",))
    assert (contents.bars.usages[0].rx_bytes, contents.bars.usages[0].tx_bytes) == (2_400_000, 1_200_000)
    texts = drawing(contents, Panel.TIMELINE).texts
    assert [text for text in texts if re.fullmatch(r"[0-9.]+ k?M?B", text)] == [
        "1 MB",
        "500 kB",
        "0 B",
        "500 kB",
        "1 MB",
        "1.5 MB",
        "2 MB",
    ]
    dates = [text for text in texts if re.fullmatch("[0-9]+ (Mar|Apr)", text)]
    assert dates == ["26 Mar", *(f"{day} Mar" for day in range(27, 32)), *(f"{day} Apr" for day in (1, 2, 3))]
    iec = drawing(contents, Panel.TIMELINE, units=Units.IEC).texts
    assert "2 MiB" in iec
    assert "2 MB" not in iec


def test_the_head_tells_time_zone_totals_and_rate(ask, drawing):
    contents = ask("day", patterns=("eth0", "wlan0"))
    texts = drawing(contents, Panel.TIMELINE, bits=True).texts
    total, seconds = contents.bars.total, sum(contents.bars.seconds)
    assert texts.count("Network usage per day of eth0, wlan0") == 1
    said = " ".join(texts)
    assert "2026-03-26 to 2026-04-03, Europe/Berlin" in said
    assert f"{format_bytes(total.rx_bytes, Units.SI)} received" in said
    assert f"{total.total_bytes // seconds * 8 / 1000:.2f} kbit/s on average" in said


def test_hours_are_told_with_their_offsets_where_those_differ(ask, drawing):
    said = " ".join(drawing(ask("hour", limit=240), Panel.TIMELINE).texts)
    assert "2026-03-26 00:00+0100 to 2026-04-03 00:00+0200" in said


# ---- Heat map ---------------------------------------------------------------------------------------------------


def test_a_calendar_has_a_cell_for_each_day_of_the_record_darker_where_there_is_more(ask, drawing):
    contents = ask("day")
    found = drawing(contents, Panel.HEATMAP)
    cells = found.boxes("heatmap-cells")
    assert len(cells) == 8  # of the ninth day nothing is over
    cells_of, strips = calendar(contents.heat, contents)
    assert [(one.column, one.row) for one in cells_of][:6] == [(0, 3), (0, 4), (0, 5), (0, 6), (1, 0), (1, 1)]
    assert strips == 1
    assert cells[1][1] > cells[0][1]
    assert cells[4][0] > cells[3][0]
    by_bytes = sorted(range(8), key=lambda n: contents.heat.usages[n].total_bytes)

    def light(colour):
        return sum(int(colour[n : n + 2], 16) for n in (1, 3, 5))

    lights = [light(found.colours("heatmap-cells")[n]) for n in by_bytes]
    assert lights == sorted(lights, reverse=True)
    most = max(one.total_bytes for one in contents.heat.usages)
    assert found.texts.count(format_bytes(most, Units.SI)) == 2  # in its cell and in the key
    assert {"Mon", "Wed", "Fri", "23 Mar"} <= set(found.texts)


def test_a_week_begins_on_the_day_that_was_asked_for(ask):
    contents = ask("day", week_start=6)
    cells, _ = calendar(contents.heat, contents)
    assert [(one.column, one.row) for one in cells][:5] == [(0, 4), (0, 5), (0, 6), (1, 0), (1, 1)]


def test_hours_of_days_follow_the_clock_also_when_it_is_set(ask, drawing):
    found = drawing(ask("hour", Panel.HEATMAP, limit=240), Panel.HEATMAP)
    assert len(found.boxes("heatmap-cells")) == 8 * 24 - 1  # 02:00 of 29 March never was


def test_an_hour_that_comes_twice_is_one_cell(ask, drawing, tmp_path):
    path = str(tmp_path / "ledger.db")
    begin = int(datetime(2026, 10, 25, tzinfo=BERLIN).timestamp())
    with writing(path, begin) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(25):
            ledger.count(eth0, begin + hour * 3600, 1000, 0)
        ledger.commit(begin + 25 * 3600)
    contents = ask("hour", Panel.HEATMAP, path=path, now_s=begin + 25 * 3600 - 1, limit=25)
    found = drawing(contents, Panel.HEATMAP)
    assert len(found.boxes("heatmap-cells")) == 24
    assert "2.00 kB" in found.texts


def test_a_time_without_a_watch_and_without_bytes_is_grey_in_the_heat_map(ask, drawing):
    contents = ask("hour", Panel.HEATMAP, limit=240, patterns=("wlan0",))
    colours = drawing(contents, Panel.HEATMAP).colours("heatmap-cells")
    grey = [n for n, colour in enumerate(colours) if colour == THEMES["light"].unwatched]
    assert grey == list(range(48, 60))


def test_years_of_days_have_a_strip_each(ask, drawing, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(0, 1000, 100):
            ledger.count(eth0, START_S + day * 86_400, 1000 + day, 0)
        ledger.commit(START_S + 1000 * 86_400)
    contents = ask("month", path=path, now_s=START_S + 1000 * 86_400 - 1, limit=99, zone=ZoneInfo("UTC"))
    found = drawing(contents, Panel.HEATMAP)
    assert len(found.boxes("heatmap-cells")) == 1000
    assert {"2026", "2027", "2028", "Jan", "Dec"} <= set(found.texts)


# ---- Applications -----------------------------------------------------------------------------------------------


def test_the_busiest_applications_have_their_names_amounts_and_parts(ask, drawing):
    contents = ask("day")
    found = drawing(contents, Panel.APPLICATIONS)
    rows = contents.applications
    assert len(found.boxes("applications-received")) == len(rows) == 7
    for row in rows:
        assert any(
            text.startswith(f"{format_bytes(row.counters.rx_bytes + row.counters.tx_bytes, Units.SI)} · ")
            for text in found.texts
        )
    for said in (
        "unattributed",
        "firefox",
        "$x^2$ \\frac",
        "evil\\x1b[31m\\nname",
        "微信",
        "<b>&amp;\\ufffe",
    ):
        assert said in found.texts
    assert any(re.fullmatch(r"long-.*….*long-", text) for text in found.texts)
    received, sent = found.boxes("applications-received"), found.boxes("applications-sent")
    scale = (received[0][2] - received[0][0]) / rows[0].counters.rx_bytes
    for row, one, other in zip(rows, received, sent, strict=True):
        assert one[2] - one[0] == pytest.approx(row.counters.rx_bytes * scale, abs=1e-3)
        assert other[2] - other[0] == pytest.approx(row.counters.tx_bytes * scale, abs=1e-3)
        assert one[2] == other[0]
    assert "Applications are told apart by: kernel" in found.texts


def test_applications_for_which_there_is_no_room_are_one_line_that_adds_up(ask, drawing):
    contents = ask("day")
    found = drawing(contents, wide=700, high=480)
    shown = len(found.boxes("applications-received"))
    assert shown < len(contents.applications)
    rest = contents.applications[shown - 1 :]
    assert f"{len(rest)} others" in found.texts
    both = sum(row.counters.rx_bytes + row.counters.tx_bytes for row in rest)
    part = sum(row.share for row in rest)
    assert f"{format_bytes(both, Units.SI)} · {part * 100:.1f} %" in found.texts


def test_a_narrow_calendar_has_the_applications_beside_it(ask, drawing):
    wide, narrow = (drawing(ask("day"), wide=wide) for wide in (1200, 700))
    assert wide.boxes("heatmap-cells")[0][1] < wide.boxes("applications-received")[-1][3]
    assert narrow.boxes("applications-received")[0][1] > narrow.boxes("heatmap-cells")[0][3]
    assert wide.boxes("applications-received")[0][0] > wide.boxes("heatmap-cells")[-1][2]


def test_without_applications_a_note_stands_in_their_place(ask, drawing, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1000, 1)
        ledger.commit(START_S + 60)
    contents = ask("day", path=path, now_s=START_S + 60)
    found = drawing(contents)
    assert "No applications: nothing is recorded of them in this time." in found.texts
    assert "applications" not in found.names
    assert "Applications" not in found.texts
    assert not any("pplication" in text for text in drawing(contents, Panel.TIMELINE).texts)


def test_of_what_was_delivered_twice_the_amount_is_told_and_no_bar_is_drawn(ask, drawing):
    contents = ask("day")
    less = contents.applications[-1]._replace(
        counters=contents.applications[-1].counters._replace(rx_bytes=-5000, tx_bytes=0), share=-0.001
    )
    contents.applications[-1:] = [less]
    found = drawing(contents, Panel.APPLICATIONS)
    left, _, right, _ = found.boxes("applications-received")[-1]
    assert left == right
    assert any(text.startswith("-5.00 kB") for text in found.texts)


# ---- Limits -----------------------------------------------------------------------------------------------------


def test_only_the_panels_that_were_chosen_are_drawn(ask, drawing):
    contents = ask("hour", *ALL, plan=PlanSettings("home", "1 GB"))
    for panel in Panel:
        found = drawing(contents, panel)
        assert [name for name in found.names if name in set(Panel)] == [panel]
        assert ("Network usage per hour" in found.texts) is (panel is Panel.TIMELINE)
        assert ("Network usage" in found.texts) is (panel is not Panel.TIMELINE)


def test_days_are_not_drawn_twice_where_they_are_the_timeline(ask, drawing):
    names = drawing(ask("day", *ALL), *ALL).names
    assert "timeline" in names
    assert "days" not in names


def test_a_record_without_bytes_is_drawn_all_the_same(ask, drawing, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 0, 0)
        ledger.interface("wlan0")
        ledger.count(ledger.interface("eth1"), START_S, 1, 0)
        ledger.commit(START_S + 60)
    found = drawing(ask("day", path=path, now_s=START_S + 60, patterns=("wlan0",)))
    assert "0 B" in found.texts
    assert heights(found.boxes("timeline-received")) == [0]
    assert len(found.boxes("heatmap-cells")) == 1


def test_more_bars_than_pixels_and_more_panels_than_room_are_refused(ask):
    contents = ask("minute", since_s=0)
    with pytest.raises(UsageError, match=r"11,4[0-9]{2} bars do not fit in 1,0[0-9]{2} pixels") as caught:
        draw(contents, (Panel.TIMELINE,), style(), "png")
    assert "--size" in caught.value.hint
    with pytest.raises(UsageError, match="4 panels do not fit in 640x360 pixels"):
        draw(ask("hour", *ALL), ALL, style(wide=640, high=360), "png")


@pytest.mark.parametrize("file_format", FORMATS)
def test_names_from_everywhere_are_drawn_without_a_warning(ask, file_format):
    contents = ask("day", Panel.APPLICATIONS)
    names = (
        "\u0000\u001b",
        "$\\undefined{$",
        "微" * 300,
        "\u202e\u0301" * 90,
        "مرحبا",
        "",
        " ",
        "🦊",
        "<&\"'>",
    )
    row = contents.applications[0]
    contents.applications[:] = [row._replace(values=(name,)) for name in names]
    assert draw(contents, (Panel.APPLICATIONS,), style(keeps_text=file_format == "svg"), file_format)


def test_hatching_is_paler_than_what_is_known(ask, drawing):
    found = drawing(ask("day"), Panel.TIMELINE, theme="dark")
    theme = THEMES["dark"]
    assert set(found.colours("timeline-received")) == {theme.received}
    assert set(found.colours("timeline-sent")) == {theme.sent}
    pairs = {(blend(colour, theme.ground, 0.7), colour) for colour in (theme.received, theme.sent)}
    assert found.hatches == pairs


@pytest.mark.parametrize("file_format", FORMATS)
def test_names_of_interfaces_may_hold_anything_too(ask, drawing, file_format):
    contents = ask("day", patterns=("eth0",))
    contents.interfaces[:] = ["<b>&Ж$x$\n\x1b", "微" * 90]
    assert draw(contents, (Panel.TIMELINE,), style(keeps_text=file_format == "svg"), file_format)
    (title,) = (text for text in drawing(contents, Panel.TIMELINE).texts if text.startswith("Network"))
    assert title.startswith("Network usage per day of <b>&Ж$x$\\n\\x1b, 微微")
    assert "…" in title


def test_a_plan_is_drawn_as_far_as_it_is_used_and_then_as_it_is_expected(ask, drawing, recorded):
    contents = ask("day", Panel.PLAN, plan=PlanSettings("home", "2 MB", day=26), now_s=recorded.end_s - 1)
    stands, outlook = contents.plan
    found = drawing(contents, Panel.PLAN)
    (used,), (band,), (middle,), (limit,) = (
        found.boxes(f"plan-{name}") for name in ("used", "possible", "expected", "limit")
    )
    assert used[2] == pytest.approx(middle[0], abs=0.01) == pytest.approx(band[0], abs=0.01)
    scale = (used[3] - used[1]) / stands.used_bytes
    assert used[3] - middle[1] == pytest.approx(outlook.used_bytes * scale, rel=1e-3)
    assert used[3] - band[1] == pytest.approx(outlook.high_bytes * scale, rel=1e-3)
    assert used[3] - limit[1] == pytest.approx(stands.limit_bytes * scale, rel=1e-3)
    wide = (used[2] - used[0]) / (limit[2] - limit[0])
    assert wide == pytest.approx(stands.elapsed_share, abs=1e-3)
    expected = format_bytes(outlook.used_bytes, Units.SI)
    assert (
        f"Plan home: {format_bytes(stands.used_bytes, Units.SI)} of 2.00 MB, {expected} expected"
        in found.texts
    )
    assert {"used", "in four of five cases", "2.00 MB"} <= set(found.texts)


def test_a_plan_of_a_name_that_is_long_or_odd_is_drawn(ask):
    for name in ("$x^2$ \\frac", "n" * 60):
        contents = ask("day", Panel.PLAN, plan=PlanSettings(name, "1 GB"))
        assert draw(contents, (Panel.PLAN,), style(wide=640, high=360), "png").startswith(b"\x89PNG")
