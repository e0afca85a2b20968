"""What only those ask who watch for news: what came after something that is known already."""

from netusage.ledger.answers import GapRecord
from netusage.ledger.reader import LedgerReader

_MOST_GAPS = 1000  # a look


def newest_gap(reader: LedgerReader) -> int:
    """The number of the last gap, 0 when there is none."""
    with reader.reading() as connection:
        return int(connection.execute("SELECT coalesce(max(id), 0) FROM gap").fetchone()[0])


def gaps_after(reader: LedgerReader, number: int) -> list[tuple[int, GapRecord]]:
    """The gaps with a higher number, by number; at most a thousand of them."""
    sql = (
        "SELECT id, start_us, end_us, kind, lossy, interface, note FROM gap WHERE id > ? ORDER BY id LIMIT ?"
    )
    with reader.reading() as connection:
        rows = connection.execute(sql, (number, _MOST_GAPS)).fetchall()
    return [(row[0], GapRecord(row[1], row[2], row[3], bool(row[4]), row[5], row[6])) for row in rows]


def applications_mark(reader: LedgerReader) -> tuple[int, ...]:
    """Another one whenever an application or an executable was added; mostly also when one was taken away."""
    sql = """SELECT coalesce(max(id), 0), count(*), (SELECT count(*) FROM application_version),
             (SELECT sealed_until_s FROM ledger) FROM application"""  # those that go do so when a quarter is over
    with reader.reading() as connection:
        return tuple(connection.execute(sql).fetchone())


def executables(reader: LedgerReader) -> dict[int, tuple[int, ...]]:
    """The inodes of every application's executables, by its number, the oldest first."""
    found: dict[int, tuple[int, ...]] = {}
    sql = "SELECT application_id, inode FROM application_version ORDER BY first_seen_us, inode"
    with reader.reading() as connection:
        for number, inode in connection.execute(sql):
            found[number] = (*found.get(number, ()), inode)
    return found
