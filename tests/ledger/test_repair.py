import os
import random
import sqlite3

import pytest
from support import book
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import LedgerCorruptError, LedgerError, LedgerHeldError, LedgerNewerError, NoDataError
from netusage.ledger import repair as repairing
from netusage.ledger.reader import LedgerReader
from netusage.ledger.rebuild import Adjusted
from netusage.ledger.repair import repair
from netusage.ledger.verify import verify
from netusage.model import US, Counters, GapKind

END_S = START_S + 30 * DAY_S
PAGE = 4096


def fill(ledger):
    """Thirty days of three interfaces; minutes are kept for two days."""
    epochs = [
        ledger.interface("eth0", first=Counters(1000)),
        ledger.interface("wlan0"),
        ledger.interface("tun0", "tun", counted=False),
    ]
    rand = random.Random(7)
    for day in range(30):
        for hour in range(24):
            for n, epoch in enumerate(epochs * (1 if day < 28 else 6)):
                at = START_S + day * DAY_S + hour * 3600 + rand.randrange(60) * 60
                ledger.count(
                    epoch,
                    at,
                    rand.randrange(1 << 30),
                    rand.randrange(1 << 20),
                    100 + n,
                    50,
                    peak_rx=day * 100 + n,
                )
            ledger.commit(START_S + day * DAY_S + hour * 3600 + 3599)
        ledger.span(
            epochs[0], (START_S + day * DAY_S) * US, (START_S + day * DAY_S + 300) * US, 1000 + day, 10, 3, 2
        )
    ledger.gap(START_S + 100, START_S + 900)
    ledger.now_s = END_S
    ledger.end(epochs[2])
    ledger.count(epochs[0], END_S + 60, 7, 6, 5, 4)
    ledger.commit(END_S + 120)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "ledger.db"
    with writing(path, minutes_kept_s=2 * DAY_S) as ledger:
        fill(ledger)
    return path


@pytest.fixture
def path(sound, tmp_path):
    copy = tmp_path / "ledger.db"
    source, target = sqlite3.connect(sound), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    (tmp_path / "ledger.db.lock").touch()
    return copy


def tamper(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        assert connection.execute(statement).rowcount
    connection.close()


def mend(path, **options):
    arguments = {"now_us": (END_S + 500) * US, "boot_id": "boot-1", "agree": lambda _found: True} | options
    return repair(str(path), **arguments)


def totals(path):
    with LedgerReader(str(path)) as reader:
        return {one.name: one.totals for one in reader.interfaces()}


def quarters(path):
    names = ("interface_id", "start_s", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "peak_rx")
    return [tuple(one[name] for name in names) for one in book.quarters(path)]


def recorded(path):
    """The recorded sums of the epochs by interface, as far as they can be read."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT i.name, sum(recorded_rx_bytes), sum(recorded_tx_bytes), sum(recorded_rx_packets), sum(recorded_tx_packets) "
        "FROM epoch e JOIN interface i ON i.id = e.interface_id GROUP BY i.name"
    ).fetchall()
    connection.close()
    return {name: Counters(*values) for name, *values in rows}


def assert_sound(path):
    with LedgerReader(str(path)) as reader:
        assert verify(reader).findings == []


def leaves(path, table, kind="leaf"):
    """Page numbers of a table's leaves (or other pages), in the order of its keys."""
    connection = sqlite3.connect(path)
    try:
        sql = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path"
        return [row[0] for row in connection.execute(sql, (table, kind))]
    finally:
        connection.close()


def spoil(path, *pages, filler=b"\xa5"):
    with path.open("rb+") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(filler * PAGE)


# ---- Nothing to do ----------------------------------------------------------------------------------------------


def test_a_sound_ledger_is_left_as_it_is(path):
    before = path.read_bytes()
    found = mend(path, agree=lambda _found: pytest.fail("there is nothing to agree to"))
    assert found.sound
    assert found.aside is None
    assert path.read_bytes() == before


def test_a_ledger_that_is_recorded_into_is_refused(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.commit(START_S + 60)
        with pytest.raises(LedgerHeldError):
            mend(path)


def test_a_ledger_that_is_not_there_is_no_data(tmp_path):
    with pytest.raises(NoDataError):
        mend(tmp_path / "none.db")
    assert os.listdir(tmp_path) == []


def test_a_newer_ledger_is_refused(path):
    tamper_version = sqlite3.connect(path)
    tamper_version.execute("PRAGMA user_version = 99")
    tamper_version.close()
    before = path.read_bytes()
    with pytest.raises(LedgerNewerError):
        mend(path)
    assert path.read_bytes() == before


def test_a_file_that_never_was_a_ledger_is_refused(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 500)
    with pytest.raises(LedgerCorruptError, match="is not a ledger"):
        mend(path)
    assert path.read_text().startswith("Dear")
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_without_agreement_nothing_is_changed_and_nothing_is_left_behind(path):
    tamper(path, "UPDATE chunk SET rx_bytes = rx_bytes + 1 WHERE interface_id = 1")
    before = path.read_bytes()
    with LedgerReader(str(path)):
        names = sorted(os.listdir(path.parent))
    found = mend(path, agree=lambda _found: False)
    assert not found.sound
    assert found.aside is None
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == names


# ---- What follows from other rows -------------------------------------------------------------------------------


DERIVED = [
    "UPDATE chunk SET rx_bytes = rx_bytes + 12345",
    "UPDATE chunk SET tx_packets = tx_packets - 1 WHERE interface_id = 1 AND tx_packets > 0",
    "UPDATE five SET bytes = zeroblob(length(bytes))",
    f"DELETE FROM five WHERE start_s >= {END_S - DAY_S}",
    "UPDATE interface SET rx_bytes = 0, tx_packets = 5",
    f"DELETE FROM chunk WHERE start_s >= {END_S - DAY_S}",
    "UPDATE chunk SET change = 3",
    "UPDATE ledger SET change = 0",
]


@pytest.mark.parametrize("statement", DERIVED)
def test_what_follows_from_other_rows_is_computed_anew_and_nothing_is_lost(sound, path, statement):
    tamper(path, statement)
    found = mend(path)
    assert_sound(path)
    assert found.adjusted == []
    assert found.lost == []
    assert totals(path) == totals(sound)
    assert sorted(quarters(path)) == sorted(quarters(sound))
    with LedgerReader(str(path)) as reader, LedgerReader(str(sound)) as other:
        assert reader.gaps(0, 1 << 62) == other.gaps(0, 1 << 62)
        assert reader.state.identity == other.state.identity
        assert [one.living for one in reader.interfaces()] == [one.living for one in other.interfaces()]


def test_quarters_that_are_not_the_sum_of_their_minutes_are_made_anew(sound, path):
    for at_s in {one[1] for one in quarters(path) if one[0] == 1 and one[1] >= END_S - 7200}:
        book.change_quarter(path, 1, at_s, rx_bytes=99, peak_rx=5)
    found = mend(path)
    assert_sound(path)
    assert found.adjusted == []
    assert quarters(path) == quarters(sound)


def test_running_totals_that_are_not_those_of_their_quarters_are_computed_anew(sound, path):
    book.change_quarter(path, 1, quarters(path)[0][1], off=1)
    found = mend(path)
    assert_sound(path)
    assert "computed the running totals of 1 chunks anew" in found.notes
    assert found.adjusted == found.lost == []
    assert quarters(path) == quarters(sound)


def test_the_old_file_is_kept_under_another_name(path):
    tamper(path, "UPDATE chunk SET rx_bytes = rx_bytes + 1 WHERE interface_id = 1")
    before = path.read_bytes()
    found = mend(path)
    assert found.aside is not None
    assert ".set-aside-" in found.aside
    with open(found.aside, "rb") as file:
        assert file.read() == before


def test_a_ledger_that_was_set_aside_is_repaired_where_it_is(path):
    aside = path.with_name("ledger.db.set-aside-20260101T000000Z")
    path.rename(aside)
    spoil(aside, 1)
    found = mend(aside)
    assert found.aside is not None
    assert_sound(aside)


def test_a_recorder_goes_on_after_a_repair_of_what_is_computed(path):
    tamper(path, "UPDATE chunk SET rx_bytes = rx_bytes + 1")
    mend(path)
    with writing(path, END_S + 600, boot_s=START_S - 100) as ledger:
        remembered = ledger.writer.remember()
        assert remembered.here is not None
        assert {epoch.link.name for epoch in remembered.epochs} == {"eth0", "wlan0"}
        ledger.count(ledger.interface("new0"), END_S + 700, 5)
        ledger.commit(END_S + DAY_S)
    assert_sound(path)


# ---- Entries that were lost -------------------------------------------------------------------------------------


def lost_of(found):
    return {one.name: one.lost for one in found.adjusted if not one.lost.is_zero}


def assert_recorded_plus_lost_is_what_was_recorded(before, found, path):
    after, adjusted = recorded(path), {one.name: one for one in found.adjusted}
    for name, counters in before.items():
        one = adjusted.get(name, Adjusted(name, Counters(), Counters()))
        assert after.get(name, Counters()).plus(one.lost) == counters.plus(one.surplus), name


def test_a_lost_chunk_becomes_an_estimated_stretch_of_the_same_bytes(sound, path):
    row, low, high = book.rows(
        path, "SELECT id, start_s, start_s + 900 * quarters FROM chunk WHERE interface_id = 1"
    )[0]
    tamper(path, f"UPDATE chunk SET bytes = zeroblob(length(bytes)) WHERE id = {row}")
    found = mend(path)
    assert_sound(path)
    assert found.adjusted == []
    assert totals(path) == totals(sound)
    assert found.left_out == {"chunk": 1}
    with LedgerReader(str(path)) as reader:
        (span,) = [one for one in reader.spans(0, 1 << 62) if one.kind == "repair"]
    in_quarters = [
        sum(column)
        for column in zip(
            *(one[2:6] for one in quarters(sound) if one[0] == 1 and low <= one[1] < high), strict=True
        )
    ]
    assert (span.interface_id, span.start_us, span.end_us) == (1, low * US, high * US)
    assert [span.rx_bytes, span.tx_bytes, span.rx_packets, span.tx_packets] == in_quarters


def test_lost_quarters_of_which_nothing_is_known_are_declared_as_a_gap_with_their_bytes(path):
    before = recorded(path)
    gone = Counters(
        *(sum(column) for column in zip(*(one[2:6] for one in quarters(path) if one[0] == 1), strict=True))
    )
    tamper(path, "DELETE FROM chunk WHERE interface_id = 1", "DELETE FROM minute WHERE interface_id = 1")
    found = mend(path)
    assert_sound(path)
    assert lost_of(found) == {"eth0": gone.plus(Counters(7, 6, 5, 4))}
    assert_recorded_plus_lost_is_what_was_recorded(before, found, path)
    with LedgerReader(str(path)) as reader:
        gaps = [gap for gap in reader.gaps(0, 1 << 62) if gap.kind == GapKind.LEDGER]
    assert [(gap.interface, gap.lossy) for gap in gaps] == [("eth0", True)]
    assert str(lost_of(found)["eth0"].rx_bytes) in gaps[0].note


@pytest.mark.thorough
def test_damaged_pages_of_chunks_lose_the_times_of_their_bytes_and_no_byte(sound, path):
    rows = set(quarters(path))
    for page in leaves(path, "chunk", "overflow")[2:9:3]:
        spoil(path, page)
    found = mend(path)
    assert_sound(path)
    assert found.adjusted == []
    assert totals(path) == totals(sound)
    saved = set(quarters(path))
    assert saved < rows
    with LedgerReader(str(path)) as reader:
        stretches = [one for one in reader.spans(0, 1 << 62) if one.kind == "repair"]
    assert all(
        any(one.interface_id == row[0] and one.start_us <= row[1] * US < one.end_us for one in stretches)
        for row in rows - saved
    )


def test_damaged_leaves_of_chunks_lose_no_byte_that_is_not_declared(path):
    before = recorded(path)
    spoil(path, leaves(path, "chunk")[0])
    found = mend(path)
    assert_sound(path)
    assert any(lost.table == "chunk" for lost in found.lost)
    assert_recorded_plus_lost_is_what_was_recorded(before, found, path)


def test_lost_minutes_of_sealed_quarters_lose_no_byte(sound, path):
    pages = leaves(path, "minute")
    spoil(path, pages[len(pages) // 2])
    found = mend(path)
    assert_sound(path)
    assert found.adjusted == []
    assert totals(path) == totals(sound)
    assert any(lost.table == "minute" for lost in found.lost)
    with LedgerReader(str(path)) as reader, LedgerReader(str(sound)) as other:
        assert reader.state.minutes_from_s > other.state.minutes_from_s


def test_lost_minutes_that_were_not_sealed_yet_are_declared(path):
    before = recorded(path)
    tamper(path, f"DELETE FROM minute WHERE start_s >= {END_S}")
    found = mend(path)
    assert_sound(path)
    assert lost_of(found) == {"eth0": Counters(7, 6, 5, 4)}
    assert_recorded_plus_lost_is_what_was_recorded(before, found, path)


def test_lost_spans_are_declared(path):
    before = recorded(path)
    tamper(path, "DELETE FROM span WHERE id <= 3")
    found = mend(path)
    assert lost_of(found) == {"eth0": Counters(3003, 30, 9, 6)}
    assert_sound(path)
    assert_recorded_plus_lost_is_what_was_recorded(before, found, path)


def test_a_damaged_index_loses_nothing(sound, path):
    spoil(path, *leaves(path, "span_of_interface"), *leaves(path, "epoch_of_interface"))
    found = mend(path)
    assert_sound(path)
    assert totals(path) == totals(sound)
    assert found.lost == []


@pytest.mark.thorough
def test_a_truncated_file_gives_back_what_is_left_of_it(path):
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // PAGE * 2 // 3 * PAGE)
    found = mend(path)
    assert_sound(path)
    assert found.saved["minute"] + found.saved["chunk"] > 100
    assert found.lost


def test_a_file_whose_first_page_is_gone_is_read_with_the_first_page_of_a_new_one(sound, path):
    spoil(path, 1, filler=b"\0")
    found = mend(path)
    assert_sound(path)
    assert totals(path) == totals(sound)
    assert found.adjusted == []


def test_a_file_of_which_nothing_can_be_read_is_kept(path):
    path.write_bytes(os.urandom(8 * PAGE))
    before = path.read_bytes()
    with pytest.raises(LedgerCorruptError, match="nothing can be read"):
        mend(path)
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["ledger.db", "ledger.db.lock"]


# ---- Rows that others need --------------------------------------------------------------------------------------


def test_entries_of_a_lost_interface_are_kept_under_a_stand_in_name(sound, path):
    tamper(path, "DELETE FROM interface WHERE id = 2")
    mend(path)
    assert_sound(path)
    assert totals(path)["unknown-2"] == totals(sound)["wlan0"]


def test_entries_of_lost_epochs_are_kept(sound, path):
    tamper(path, "DELETE FROM epoch WHERE id = 3")
    found = mend(path)
    assert_sound(path)
    assert totals(path) == totals(sound)
    assert {one.name: one.surplus for one in found.adjusted} == {"tun0": totals(sound)["tun0"]}


def test_after_the_loss_of_baselines_the_next_recorder_counts_neither_from_them_nor_from_zero(path):
    spoil(path, *leaves(path, "epoch"))
    found = mend(path)
    assert_sound(path)
    assert any(lost.table == "epoch" for lost in found.lost)
    with LedgerReader(str(path)) as reader:
        assert not any(one.living for one in reader.interfaces())
        assert any(gap.lossy and gap.end_us == (END_S + 500) * US for gap in reader.gaps(0, 1 << 62))
    for boot, first_sight in (("boot-1", True), ("boot-2", False)):
        with writing(path, END_S + 600, boot_id=boot, boot_s=START_S - 100) as ledger:
            remembered = ledger.writer.remember()
            assert remembered.here is None
            assert (remembered.before is None) is first_sight


def test_after_the_loss_of_a_place_the_running_boot_is_known_and_begins_anew(path):
    tamper(path, "UPDATE place SET boot_us = -1 WHERE id = 1")  # readable, and then gone
    spoil(path, *leaves(path, "place"))
    found = mend(path)
    assert_sound(path)
    assert any(lost.table == "place" for lost in found.lost)
    with writing(path, END_S + 600, boot_s=START_S - 100) as ledger:
        remembered = ledger.writer.remember()
    assert remembered.here is None
    assert remembered.before is None


def test_an_epoch_that_disagrees_with_itself_is_closed_and_its_entries_stand(sound, path):
    tamper(path, "UPDATE epoch SET last_rx_bytes = last_rx_bytes + 1000 WHERE id = 1")
    found = mend(path)
    assert_sound(path)
    assert totals(path) == totals(sound)
    assert lost_of(found) == {"eth0": Counters(1000)}
    with LedgerReader(str(path)) as reader:
        assert {one.name: one.living for one in reader.interfaces()} == {
            "eth0": False,
            "wlan0": True,
            "tun0": False,
        }


def test_the_lost_row_of_the_ledger_itself_is_made_anew(sound, path):
    tamper(path, "DELETE FROM ledger")
    found = mend(path)
    assert_sound(path)
    assert any("identity" in note for note in found.notes)
    assert totals(path) == totals(sound)


def test_rows_that_make_no_sense_are_left_out_and_counted(path):
    before = recorded(path)
    tamper(
        path,
        "UPDATE chunk SET rx_bytes = -1 WHERE interface_id = 1",
        "UPDATE minute SET tx_bytes = -7 WHERE start_s % 7 = 0",
    )
    found = mend(path)
    assert_sound(path)
    assert found.left_out["chunk"] == 3
    assert found.left_out["minute"] > 10
    assert_recorded_plus_lost_is_what_was_recorded(before, found, path)


# ---- Trouble while it is done -----------------------------------------------------------------------------------


def test_a_repair_that_does_not_add_up_replaces_nothing(path, monkeypatch):
    tamper(path, "UPDATE interface SET rx_bytes = rx_bytes + 1")
    before = path.read_bytes()
    monkeypatch.setattr(repairing.Rebuild, "run", lambda _self: None)
    with pytest.raises(LedgerError, match="does not add up"):
        mend(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("seed", range(12))
def test_whatever_pages_are_damaged_recorded_plus_lost_holds_or_nothing_is_changed(path, seed):
    rand = random.Random(seed)
    before = recorded(path)
    content = bytearray(path.read_bytes())
    for _ in range(rand.randrange(1, 6)):
        page = rand.randrange(1, len(content) // PAGE)
        if rand.random() < 0.3:
            for _ in range(20):
                content[page * PAGE + rand.randrange(PAGE)] ^= 1 << rand.randrange(8)
        else:
            content[page * PAGE : (page + 1) * PAGE] = rand.choice([bytes(PAGE), rand.randbytes(PAGE)])
    path.write_bytes(content)
    try:
        found = mend(path)
    except LedgerCorruptError:
        assert path.read_bytes() == content
        return
    assert_sound(path)
    touched = {lost.table for lost in found.lost} | found.left_out.keys()
    if not found.sound and not touched & {"epoch", "interface"}:
        assert_recorded_plus_lost_is_what_was_recorded(before, found, path)
