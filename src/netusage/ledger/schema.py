"""The tables of the ledger, and the migrations that make them.

All tables are STRICT. Byte and packet columns are exact integers up to 2^63-1. `_us` columns are UTC microseconds,
`_s` columns UTC seconds, `_ns` columns CLOCK_BOOTTIME nanoseconds.

How a byte gets into the book: a commit adds it to its `minute` (or, when its time is not known to the minute, to a
`span`), to the `recorded` columns of its `epoch` and to the totals of its `interface`, all in one transaction. When a
quarter of an hour is over, its minutes are summed up and join a `chunk`, where quarters stand side by side with running
totals, so that the usage of any period is two look-ups; minutes go after some weeks, chunks stay. When a day is over,
the sums of its five minutes are noted in `five`, for as long as its minutes are kept. `verify` proves that all of
these agree.
"""

import sqlite3
from collections.abc import Callable
from operator import sub

from netusage.ledger import connect
from netusage.model import MINUTE_S, QUARTER_S, US

APPLICATION_ID = 0x6E757367  # "nusg"

_SCHEMA_1 = """
CREATE TABLE ledger (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  identity TEXT NOT NULL,              -- of this book; a restored copy gets a new one
  created_us INTEGER NOT NULL,
  change INTEGER NOT NULL,             -- the last change number that was given
  sealed_until_s INTEGER NOT NULL,     -- quarters before it are in `quarter`; from it on, `minute` is the record
  minutes_from_s INTEGER NOT NULL      -- minutes before it have been dropped
) STRICT;

CREATE TABLE migration (
  version INTEGER PRIMARY KEY,
  applied_us INTEGER NOT NULL
) STRICT;

CREATE TABLE place (                   -- where counters live
  id INTEGER PRIMARY KEY,
  boot_id TEXT NOT NULL,
  namespace INTEGER NOT NULL,
  machine TEXT NOT NULL,
  boot_us INTEGER NOT NULL,            -- when that boot began
  newest_life INTEGER NOT NULL DEFAULT 0, -- of all links that were ever seen there
  UNIQUE (boot_id, namespace, machine)
) STRICT;

CREATE TABLE run (                     -- one life of a recorder
  id INTEGER PRIMARY KEY,
  place_id INTEGER NOT NULL REFERENCES place (id),
  started_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,            -- the last committed reading
  last_boot_ns INTEGER NOT NULL,
  ended TEXT,                          -- why it stopped; NULL while it runs, and when it was killed
  source TEXT NOT NULL,
  samples INTEGER NOT NULL,
  failed_samples INTEGER NOT NULL,
  late_samples INTEGER NOT NULL,
  events INTEGER NOT NULL,
  commits INTEGER NOT NULL,
  failed_commits INTEGER NOT NULL,
  commit_total_us INTEGER NOT NULL,
  commit_max_us INTEGER NOT NULL
) STRICT;
CREATE INDEX run_of_place ON run (place_id);

CREATE TABLE watched (                 -- stretches without a break in the readings
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES run (id),
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  UNIQUE (run_id, start_us)
) STRICT;

CREATE TABLE gap (                     -- stretches that were not watched, or whose bytes cannot be known
  id INTEGER PRIMARY KEY,
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  lossy INTEGER NOT NULL CHECK (lossy IN (0, 1)),
  interface TEXT NOT NULL,
  note TEXT NOT NULL
) STRICT;

CREATE TABLE clock_step (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES run (id),
  boot_ns INTEGER NOT NULL,
  expected_us INTEGER NOT NULL,
  actual_us INTEGER NOT NULL
) STRICT;

CREATE TABLE interface (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,                  -- the kernel's kind, "loopback", or "" for hardware
  up INTEGER NOT NULL,
  counted INTEGER NOT NULL CHECK (counted IN (0, 1)),  -- part of the machine's total
  reason TEXT NOT NULL,
  first_seen_us INTEGER NOT NULL,
  last_seen_us INTEGER NOT NULL,
  rx_bytes INTEGER NOT NULL DEFAULT 0, -- stored totals of everything recorded for it
  tx_bytes INTEGER NOT NULL DEFAULT 0,
  rx_packets INTEGER NOT NULL DEFAULT 0,
  tx_packets INTEGER NOT NULL DEFAULT 0,
  UNIQUE (name, kind)
) STRICT;

CREATE TABLE epoch (                   -- one life of an interface's counters under one name
  id INTEGER PRIMARY KEY,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  place_id INTEGER NOT NULL REFERENCES place (id),
  link_index INTEGER NOT NULL,
  life INTEGER NOT NULL,
  opened_us INTEGER NOT NULL,
  opened_because TEXT NOT NULL,
  closed_us INTEGER,
  closed_because TEXT,
  first_rx_bytes INTEGER NOT NULL,     -- where counting began
  first_tx_bytes INTEGER NOT NULL,
  first_rx_packets INTEGER NOT NULL,
  first_tx_packets INTEGER NOT NULL,
  last_rx_bytes INTEGER NOT NULL,      -- the last committed reading
  last_tx_bytes INTEGER NOT NULL,
  last_rx_packets INTEGER NOT NULL,
  last_tx_packets INTEGER NOT NULL,
  recorded_rx_bytes INTEGER NOT NULL,  -- the sum of the entries and spans made for it
  recorded_tx_bytes INTEGER NOT NULL,
  recorded_rx_packets INTEGER NOT NULL,
  recorded_tx_packets INTEGER NOT NULL
) STRICT;
CREATE INDEX epoch_of_interface ON epoch (interface_id);
CREATE INDEX epoch_of_place ON epoch (place_id);
CREATE INDEX living_epoch ON epoch (id) WHERE closed_us IS NULL;

CREATE TABLE minute (
  start_s INTEGER NOT NULL,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  peak_rx INTEGER NOT NULL,            -- bytes per second, the highest between two readings
  peak_tx INTEGER NOT NULL,
  PRIMARY KEY (start_s, interface_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarter (
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  start_s INTEGER NOT NULL,
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  peak_rx INTEGER NOT NULL,
  peak_tx INTEGER NOT NULL,
  change INTEGER NOT NULL,             -- grows with every change of any row: what is above N is new since N
  PRIMARY KEY (interface_id, start_s)
) STRICT, WITHOUT ROWID;

CREATE TABLE odometer (                -- the sum of all quarters of the interface that start before at_s
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  at_s INTEGER NOT NULL,
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  PRIMARY KEY (interface_id, at_s)
) STRICT, WITHOUT ROWID;

CREATE TABLE span (                    -- bytes whose time within the stretch is not known
  id INTEGER PRIMARY KEY,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  kind TEXT NOT NULL,
  change INTEGER NOT NULL,
  CHECK (end_us > start_us)
) STRICT;
-- by end, since most questions are about the newest; with all that sums need
CREATE INDEX span_of_interface ON span (interface_id, end_us, start_us, rx_bytes, tx_bytes);
"""

_CHUNK = """
CREATE TABLE chunk (                   -- quarters of one interface that follow one another, side by side
  id INTEGER PRIMARY KEY,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  start_s INTEGER NOT NULL,
  quarters INTEGER NOT NULL CHECK (quarters > 0),
  rx_bytes INTEGER NOT NULL,           -- the running totals of the interface at the start
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  peak_rx INTEGER NOT NULL,            -- the highest of its peaks
  peak_tx INTEGER NOT NULL,
  change INTEGER NOT NULL,             -- grows with every change of any row: what is above N is new since N
  -- pairs of columns, see `chunks`; those come first that more questions need
  byte_totals BLOB NOT NULL,           -- running totals from the start, before every fourth quarter
  bytes BLOB NOT NULL,                 -- what was counted in each quarter
  packet_totals BLOB NOT NULL,
  packets BLOB NOT NULL,
  peaks BLOB NOT NULL,                 -- the highest rate in each quarter
  crc INTEGER NOT NULL,                -- CRC-32 of the five: bytes, their totals, packets, theirs, peaks
  UNIQUE (interface_id, start_s)
) STRICT;
"""

_FIVE = """
CREATE TABLE five (                    -- bytes of five minutes of one UTC day, from the first to the last with any
  id INTEGER PRIMARY KEY,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  start_s INTEGER NOT NULL,
  fives INTEGER NOT NULL CHECK (fives > 0),
  bytes BLOB NOT NULL,
  UNIQUE (interface_id, start_s)
) STRICT;
"""

_MACHINE = """
CREATE TABLE machine_chunk (           -- sums of chunks, see `machine_chunks`: they follow from those
  start_s INTEGER PRIMARY KEY,
  quarters INTEGER NOT NULL CHECK (quarters > 0),
  members TEXT NOT NULL,               -- of which chunks: interface and change number of each
  rx_bytes INTEGER NOT NULL,           -- what was counted in all the quarters
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  byte_totals BLOB NOT NULL,           -- pairs of columns, as those of a chunk
  bytes BLOB NOT NULL,
  packet_totals BLOB NOT NULL,
  packets BLOB NOT NULL,
  crc INTEGER NOT NULL                 -- CRC-32 of the four: bytes, their totals, packets, theirs
) STRICT;

CREATE INDEX chunk_heads ON chunk      -- the rows themselves are pages apart
  (interface_id, start_s, quarters, change, rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx);
"""

_APPLICATIONS = """
CREATE TABLE application (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,                  -- application; nobody: kernel, forwarded, unnamed; or other: many of them
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  user TEXT NOT NULL,
  unit TEXT NOT NULL,
  container TEXT NOT NULL,
  pod TEXT NOT NULL,
  first_seen_us INTEGER NOT NULL,
  last_seen_us INTEGER NOT NULL,
  UNIQUE (kind, name, path, user, unit, container, pod)
) STRICT;

CREATE TABLE share (                   -- what an application had of an interface's bytes in a quarter of an hour
  start_s INTEGER NOT NULL,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  application_id INTEGER NOT NULL REFERENCES application (id),
  scope INTEGER NOT NULL,              -- 0 loopback, 1 LAN, 2 link-local or multicast, 3 internet
  protocol INTEGER NOT NULL,           -- of IP; 0 for none
  family INTEGER NOT NULL,             -- 4, 6, or 0 for none
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  PRIMARY KEY (start_s, interface_id, application_id, scope, protocol, family)
) STRICT, WITHOUT ROWID;
"""

_LASTING = """
ALTER TABLE share ADD COLUMN           -- how long it is from start_s on: a quarter of an hour, or a day
  seconds INTEGER NOT NULL DEFAULT 900;
ALTER TABLE run ADD COLUMN             -- how applications were told from one another, '' where they were not
  tier TEXT NOT NULL DEFAULT '';

CREATE TABLE application_counter (     -- how far the lasting counters of the kernel are in the book, see `Counted`
  born INTEGER NOT NULL,
  owner INTEGER NOT NULL,              -- as a signed number
  netns INTEGER NOT NULL,
  ifindex INTEGER NOT NULL,
  scope INTEGER NOT NULL,
  protocol INTEGER NOT NULL,
  family INTEGER NOT NULL,
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  rx_header_bytes INTEGER NOT NULL,
  tx_header_bytes INTEGER NOT NULL,
  rx_segments INTEGER NOT NULL,
  tx_segments INTEGER NOT NULL,
  PRIMARY KEY (born, owner, netns, ifindex, scope, protocol, family)
) STRICT, WITHOUT ROWID;

CREATE TABLE application_owner (       -- who the owners of those counters are
  owner INTEGER PRIMARY KEY,
  application_id INTEGER NOT NULL REFERENCES application (id)
) STRICT;

CREATE TABLE application_version (     -- executables that were seen of an application
  application_id INTEGER NOT NULL REFERENCES application (id),
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  first_seen_us INTEGER NOT NULL,
  last_seen_us INTEGER NOT NULL,
  PRIMARY KEY (application_id, device, inode)
) STRICT, WITHOUT ROWID;
"""

_RUNNING = """
CREATE TABLE application_total (       -- what applications ever had of the machine's total; folding takes nothing from it
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,                  -- as in `application`; '' for all of them together
  name TEXT NOT NULL,
  scope INTEGER NOT NULL,              -- as in `share`
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  UNIQUE (kind, name, scope)
) STRICT;
"""

_HOSTS = """
CREATE TABLE host (                    -- a book of another machine or disk, in tables that begin with host_ID_
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                  -- ledger, or the program whose record it was
  identity TEXT NOT NULL,              -- of that book
  merged_us INTEGER NOT NULL,
  complete INTEGER NOT NULL CHECK (complete IN (0, 1)) -- all of it is copied
) STRICT;

CREATE TABLE imported (                -- rows of another program's record as they were, behind what a host tells
  host_id INTEGER NOT NULL REFERENCES host (id),
  interface TEXT NOT NULL,
  created_s INTEGER NOT NULL,          -- since when that program has counted it
  resolution TEXT NOT NULL,
  start_s INTEGER NOT NULL,
  end_s INTEGER NOT NULL,
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  PRIMARY KEY (host_id, interface, created_s, resolution, start_s)
) STRICT, WITHOUT ROWID;
"""

_SHARE_CHANGE = """
CREATE TABLE share_change (            -- of quarters in `share` that are sealed, and of days made of them
  start_s INTEGER PRIMARY KEY,
  change INTEGER NOT NULL              -- as those of chunks: grows with every change of a row of that quarter
) STRICT;
"""
# What the quarters that are there already are given, in one book: all tables have its prefix.
_NUMBER_SHARES = """
INSERT INTO {book}share_change
SELECT start_s, (SELECT change FROM {book}ledger) + row_number() OVER (ORDER BY start_s)
FROM (SELECT DISTINCT start_s FROM {book}share WHERE start_s < (SELECT sealed_until_s FROM {book}ledger));
UPDATE {book}ledger SET change = max(change, coalesce((SELECT max(change) FROM {book}share_change), 0));
"""


def _create(connection: sqlite3.Connection) -> None:
    connect.run(connection, _SCHEMA_1)


def _chunks(connection: sqlite3.Connection) -> None:
    """Rows of `quarter` become columns, whose running totals do what `odometer` did."""
    from netusage.ledger import chunks, fives  # noqa: PLC0415  # readers migrate nothing

    connect.run(connection, _CHUNK)
    connect.run(connection, _FIVE)
    change = 0
    for (interface_id,) in connection.execute("SELECT id FROM interface").fetchall():
        quarters = connection.execute(
            "SELECT start_s, rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx FROM quarter "
            "WHERE interface_id = ? ORDER BY start_s",
            (interface_id,),
        )
        change = chunks.append(connection, interface_id, quarters, change)
    for (span,) in connection.execute("SELECT id FROM span").fetchall():
        change += 1
        connection.execute("UPDATE span SET change = ? WHERE id = ?", (change, span))
    connection.execute("UPDATE ledger SET change = ?", (change,))
    fives.note_all(connection)
    connection.execute("DROP TABLE quarter")
    connection.execute("DROP TABLE odometer")


def _counts(connection: sqlite3.Connection) -> None:
    """Columns of running totals become columns of counts, where schema 2 was made with such; days lose idle ends."""
    from netusage.ledger import chunks, fives  # noqa: PLC0415  # as above

    if any(row[1] == "byte_totals" for row in connection.execute("PRAGMA table_info(chunk)")):
        return
    connection.execute("ALTER TABLE chunk RENAME TO chunk_of_totals")
    connect.run(connection, _CHUNK)
    for (number,) in connection.execute("SELECT id FROM chunk_of_totals ORDER BY id").fetchall():
        sql = f"SELECT {chunks.FIELDS}, crc FROM chunk_of_totals WHERE id = ?"  # noqa: S608  # fixed text
        row = connection.execute(sql, (number,)).fetchone()
        chunk = chunks.Chunk.of_row(row)
        if chunks.checksum(*row[-4:-1]) != row[-1]:
            raise chunks.damage(f"the checksum of chunk {number} does not fit")
        chunk.counters = [list(map(sub, column, [0, *column])) for column in chunk.counters]
        chunk.save(connection)
    connection.execute("DROP TABLE chunk_of_totals")
    connection.execute("DROP TABLE five")
    connect.run(connection, _FIVE)
    fives.note_all(connection)


def _machine(connection: sqlite3.Connection) -> None:
    """The machine's total is added up beforehand, and what stands before the columns of chunks is found in an index."""
    from netusage.ledger import machine_chunks  # noqa: PLC0415  # as above

    connect.run(connection, _MACHINE)
    machine_chunks.refresh_all(connection)


def _applications(connection: sqlite3.Connection) -> None:
    connect.run(connection, _APPLICATIONS)


def _lasting(connection: sqlite3.Connection) -> None:
    """Counters of applications outlive recorders, days of shares outlive quarters of an hour."""
    connect.run(connection, _LASTING)


def _running(connection: sqlite3.Connection) -> None:
    """Applications have totals that never go down; they begin at zero, for what was folded has no name any more."""
    connect.run(connection, _RUNNING)


def _hosts(connection: sqlite3.Connection) -> None:
    """Ledgers of other machines have a place in the file, apart from its own."""
    connect.run(connection, _HOSTS)


def _share_changes(connection: sqlite3.Connection) -> None:
    """What applications had is known by change numbers, in the ledger's own book and in those of its hosts."""
    hosts = connection.execute("SELECT id FROM host ORDER BY id").fetchall()
    for book in ("", *(f"host_{number}_" for (number,) in hosts)):
        connect.run(connection, _SHARE_CHANGE.replace("share_change", f"{book}share_change"))
        connect.run(connection, _NUMBER_SHARES.format(book=book))


# Position n makes schema version n + 1 out of version n.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _create,
    _chunks,
    _counts,
    _machine,
    _applications,
    _lasting,
    _running,
    _hosts,
    _share_changes,
)
VERSION = len(MIGRATIONS)


_KIND = connect.Kind(
    APPLICATION_ID,
    VERSION,
    f"the ledger {{path}} has schema {{version}}, and this netusage knows schemas up to {VERSION}",
    "upgrade netusage; the file was left as it is",
    "choose another file with --db; this one was left as it is",
)


def check_version(connection: sqlite3.Connection, path: str) -> int:
    """The schema version of the open file, 0 for a file without tables.

    Raises:
        LedgerNewerError: the file is newer than this program, or another program's database.
    """
    return _KIND.version_of(connection, path)


def migrate(connection: sqlite3.Connection, version: int, now_us: int) -> None:
    """Bring the file from `version` to the present schema, each step and the record of it in one transaction."""
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        with connect.transaction(connection):
            step(connection)
            connection.execute("INSERT INTO migration VALUES (?, ?)", (number, now_us))
            _KIND.mark(connection, number)


def give_row(connection: sqlite3.Connection, now_us: int) -> None:
    """Give the ledger its own row, where it has none."""
    import uuid  # noqa: PLC0415  # readers give nothing

    now_s = now_us // US
    connection.execute(
        "INSERT INTO ledger VALUES (1, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING",
        (str(uuid.uuid4()), now_us, now_s // QUARTER_S * QUARTER_S, now_s // MINUTE_S * MINUTE_S),
    )
