"""The daily CSV: appended to, never truncated, repaired after a crash, one file per local day."""

import contextlib
import csv
import os
import signal
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from netusage.errors import OutputError
from netusage.exporters.daily_csv import DailyCsv, UsageRow
from netusage.model import US
from netusage.units import Units

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
HEADER = "Timestamp,Sent (MB),Received (MB),Total (MB)\n"


def us(text, zone=UTC):
    """The instant of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * US


NOON = us("2026-03-01T12:00:00")
NAME = "network_usage_2026-03-01.csv"


def write(directory, *rows, units=Units.SI, zone=UTC):
    """One run of a tracker that logs these rows; what it repaired."""
    book = DailyCsv(str(directory), units, zone)
    try:
        for row in rows:
            book.append(UsageRow(*row))
        return book.repaired
    finally:
        book.close()


def test_a_row_has_the_local_time_with_its_offset_and_megabytes_of_a_million_bytes(tmp_path):
    write(tmp_path, (us("2026-07-01T12:00:00", BERLIN), 1_234_567, 20_000_000), zone=BERLIN)
    text = (tmp_path / "network_usage_2026-07-01.csv").read_text()
    assert text == HEADER + "2026-07-01T12:00:00+02:00,1.23,20.00,21.23\n"


def test_binary_units_are_named_in_the_header(tmp_path):
    write(tmp_path, (NOON, 1 << 20, 3 << 20), units=Units.IEC)
    assert (tmp_path / NAME).read_text() == (
        "Timestamp,Sent (MiB),Received (MiB),Total (MiB)\n2026-03-01T12:00:00+00:00,1.00,3.00,4.00\n"
    )


def test_the_total_is_that_of_the_bytes_and_not_of_the_rounded_amounts(tmp_path):
    write(tmp_path, (NOON, 14_000, 14_000))
    assert (tmp_path / NAME).read_text().endswith(",0.01,0.01,0.03\n")


def test_a_file_that_exists_is_appended_to(tmp_path):
    write(tmp_path, (NOON, 1_000_000, 0))
    first = (tmp_path / NAME).read_bytes()
    assert write(tmp_path, (NOON + US, 2_000_000, 0)) == ""
    assert (tmp_path / NAME).read_bytes() == first + b"2026-03-01T12:00:01+00:00,2.00,0.00,2.00\n"


def test_a_file_with_the_line_ends_of_windows_is_appended_to(tmp_path):
    (tmp_path / NAME).write_bytes(HEADER.replace("\n", "\r\n").encode())
    write(tmp_path, (NOON, 0, 0))
    assert len((tmp_path / NAME).read_text().splitlines()) == 2


_LAST = "2026-03-01T12:00:00+00:00,1234.56,7890.12,9124.68\n"


@pytest.mark.parametrize("cut", range(len(_LAST) + 1))
@pytest.mark.parametrize("tail", [b"", b"\0" * 100], ids=["", "NULs"])
def test_a_last_line_cut_anywhere_is_repaired_and_no_other_line_is_touched(tmp_path, cut, tail):
    before = HEADER + "2026-03-01T11:59:00+00:00,1.00,2.00,3.00\n"
    (tmp_path / NAME).write_bytes((before + _LAST[:cut]).encode() + tail)
    repaired = write(tmp_path, (NOON + US, 5_000_000, 5_000_000))
    added = "2026-03-01T12:00:01+00:00,5.00,5.00,10.00\n"
    is_whole = cut >= len(_LAST) - 1
    assert (tmp_path / NAME).read_text() == before + (_LAST if is_whole else "") + added
    assert bool(repaired) == (cut not in (0, len(_LAST)))


@pytest.mark.parametrize("cut", range(len(HEADER) + 1))
def test_a_header_cut_anywhere_is_completed(tmp_path, cut):
    (tmp_path / NAME).write_text(HEADER[:cut])
    write(tmp_path, (NOON, 0, 0))
    assert (tmp_path / NAME).read_text() == HEADER + "2026-03-01T12:00:00+00:00,0.00,0.00,0.00\n"


def test_a_file_of_nothing_but_nuls_begins_anew(tmp_path):
    (tmp_path / NAME).write_bytes(b"\0" * 4096)
    write(tmp_path, (NOON, 0, 0))
    assert (tmp_path / NAME).read_text().splitlines()[0] == HEADER.strip()
    assert b"\0" not in (tmp_path / NAME).read_bytes()


@pytest.mark.parametrize(
    "content", [HEADER.replace("MB", "MiB"), "my notes\n", "a,b\n1,2\n", "my notes", "\n", "\ufeff" + HEADER]
)
def test_a_file_with_other_columns_is_refused_and_untouched(tmp_path, content):
    (tmp_path / NAME).write_text(content, encoding="utf-8")
    with pytest.raises(OutputError, match="has other columns"):
        write(tmp_path, (NOON, 0, 0))
    assert (tmp_path / NAME).read_text(encoding="utf-8") == content


def test_a_new_local_day_opens_a_new_file(tmp_path):
    rows = [
        (us(text, BERLIN), 0, 0)
        for text in ("2026-03-01T23:59:59", "2026-03-02T00:00:00", "2026-03-02T00:01:00")
    ]
    write(tmp_path, *rows, zone=BERLIN)
    assert {path.name: len(path.read_text().splitlines()) - 1 for path in tmp_path.iterdir()} == {
        "network_usage_2026-03-01.csv": 1,
        "network_usage_2026-03-02.csv": 2,
    }


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/Sao_Paulo", "2018-11-04", 23),  # midnight itself is skipped
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Pacific/Apia", "2011-12-29", 24),  # the next day does not exist
        ("UTC", "2024-02-29", 24),
    ],
)
def test_a_day_has_as_many_rows_as_it_has_half_hours_in_its_zone(tmp_path, name, day, hours):
    zone = ZoneInfo(name)
    middle = us(f"{day}T12:00:00", zone)
    half_hour = 1800 * US
    write(tmp_path, *((middle + n * half_hour, 0, 0) for n in range(-60, 61)), zone=zone)
    with open(tmp_path / f"network_usage_{day}.csv", newline="") as file:
        stamps = [row["Timestamp"] for row in csv.DictReader(file)]
    assert len(stamps) == hours * 2
    assert len({datetime.fromisoformat(stamp).timestamp() for stamp in stamps}) == len(stamps)
    assert {stamp[:10] for stamp in stamps} == {day}


def test_the_repeated_hour_of_autumn_is_told_apart_by_its_offset(tmp_path):
    once = us("2026-10-25T00:30:00")
    write(tmp_path, (once, 0, 0), (once + 3600 * US, 0, 0), zone=BERLIN)
    lines = (tmp_path / "network_usage_2026-10-25.csv").read_text().splitlines()
    assert [line[:25] for line in lines[1:]] == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]


def test_a_clock_that_is_set_back_over_midnight_goes_on_in_the_earlier_file(tmp_path):
    write(tmp_path, (NOON, 0, 0), (NOON + 86400 * US, 0, 0), (NOON + US, 0, 0))
    assert len((tmp_path / NAME).read_text().splitlines()) == 3


def test_two_trackers_do_not_write_one_file(tmp_path):
    book = DailyCsv(str(tmp_path), Units.SI, UTC)
    book.open(NOON)
    with pytest.raises(OutputError, match="another tracker is writing"):
        write(tmp_path, (NOON, 0, 0))
    book.append(UsageRow(NOON, 0, 0))
    book.close()
    write(tmp_path, (NOON + US, 0, 0))
    assert len((tmp_path / NAME).read_text().splitlines()) == 3


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_file_that_is_taken_away_is_begun_anew_and_no_later_row_is_lost(tmp_path, way):
    book = DailyCsv(str(tmp_path), Units.SI, UTC)
    book.append(UsageRow(NOON, 0, 0))
    (tmp_path / NAME).rename(tmp_path / "kept.csv")
    if way == "replaced":
        (tmp_path / NAME).write_text(HEADER)
    book.append(UsageRow(NOON + US, 0, 0))
    book.close()
    assert [line[:19] for line in (tmp_path / NAME).read_text().splitlines()[1:]] == ["2026-03-01T12:00:01"]
    assert len((tmp_path / "kept.csv").read_text().splitlines()) == 2


def test_rows_wait_while_the_directory_is_missing_and_follow_in_their_order(tmp_path):
    place = tmp_path / "place"
    book = DailyCsv(str(place), Units.SI, UTC)
    for n in range(3):
        with pytest.raises(OutputError, match=f"cannot write {place}.*No such file"):
            book.append(UsageRow(NOON + n * US, n * 1_000_000, 0))
    place.mkdir()
    book.append(UsageRow(NOON + 3 * US, 3_000_000, 0))
    book.close()
    assert [line.split(",")[1] for line in (place / NAME).read_text().splitlines()[1:]] == [
        "0.00",
        "1.00",
        "2.00",
        "3.00",
    ]
    assert book.dropped == 0


@pytest.fixture
def largest_file():
    """Limits, inside a block, what any file of this process may grow to: a disk that is full at that very byte.

    Only inside a block, since what the tests print may go to a file as well.
    """
    resource = pytest.importorskip("resource", reason="needs limits as POSIX has them")

    @contextlib.contextmanager
    def limited(size):
        earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, earlier[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
            signal.signal(signal.SIGXFSZ, handler)

    return limited


@pytest.mark.parametrize("room", range(0, 41, 8))
def test_a_row_for_which_there_is_not_enough_room_leaves_nothing_of_itself(tmp_path, largest_file, room):
    book = DailyCsv(str(tmp_path), Units.SI, UTC)
    book.append(UsageRow(NOON, 0, 0))
    whole = (tmp_path / NAME).read_bytes()
    with largest_file(len(whole) + room), pytest.raises(OutputError, match="File too large"):
        book.append(UsageRow(NOON + US, 1_000_000, 0))
    assert (tmp_path / NAME).read_bytes() == whole
    book.append(UsageRow(NOON + 2 * US, 2_000_000, 0))
    book.close()
    lines = (tmp_path / NAME).read_text().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["0.00", "1.00", "2.00"]


@pytest.mark.parametrize("room", [0, 10, len(HEADER) - 1])
def test_a_header_for_which_there_is_not_enough_room_leaves_nothing_of_itself(tmp_path, largest_file, room):
    book = DailyCsv(str(tmp_path), Units.SI, UTC)
    with largest_file(room), pytest.raises(OutputError, match="File too large"):
        book.open(NOON)
    assert (tmp_path / NAME).read_bytes() == b""


def test_a_row_that_has_waited_is_written_to_the_file_of_its_own_day(tmp_path, largest_file):
    book = DailyCsv(str(tmp_path), Units.SI, UTC)
    book.append(UsageRow(us("2026-03-01T23:58:00"), 0, 0))
    with largest_file((tmp_path / NAME).stat().st_size):
        for text in ("2026-03-01T23:59:00", "2026-03-02T00:00:00"):
            with pytest.raises(OutputError):
                book.append(UsageRow(us(text), 0, 0))
    book.append(UsageRow(us("2026-03-02T00:01:00"), 0, 0))
    book.close()
    assert len((tmp_path / NAME).read_text().splitlines()) == 3
    assert len((tmp_path / "network_usage_2026-03-02.csv").read_text().splitlines()) == 3


def test_a_directory_that_is_a_file_is_an_error_with_a_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        write(tmp_path / "file", (NOON, 0, 0))
    assert "Not a directory" in str(caught.value)
    assert "--csv DIR" in caught.value.hint


def test_a_closed_book_lets_go_of_its_file_and_may_be_closed_again(tmp_path):
    book = DailyCsv(str(tmp_path), Units.SI, UTC)
    book.open(NOON)
    held = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    book.close()
    book.close()
    if held is not None:
        assert len(os.listdir("/proc/self/fd")) == held - 1
