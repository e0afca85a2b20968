"""What programs and tables read of a fleet, as `netusage.render.documents` has it of everything else."""

from collections.abc import Iterable, Mapping
from datetime import tzinfo

from netusage.fleet.check import Compared
from netusage.fleet.hosts import HostRow
from netusage.model import US
from netusage.periods import isoformat
from netusage.render.columns import Column
from netusage.render.documents import Document

_SUMS = ("rows", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets")


def status(rows: Iterable[HostRow], now_us: int, zone: tzinfo, fleet: str) -> Document:
    """The hosts, each ledger by itself; `now_us` is what they lag behind, UTC microseconds, told in whole seconds.

    lag: since the host was heard of; record_lag: since what is the end of its record in the fleet.
    """
    columns = [
        Column("host", "Host"),
        Column("key", "Key"),
        Column("ledger", "Ledger", spare=True),
        Column("last_seen", "Last seen", "time"),
        Column("lag_us", "Lag", "duration"),
        Column("record_lag_us", "Record lag", "duration"),
        Column("gaps", "Gaps", "int"),
        Column("lossy", "Lossy", "int"),
        Column("version", "Version"),
        Column("labels", "Labels"),
        Column("sealed_until", "Sealed until", "time", table=False),
        Column("created", "Created", "time", table=False),
        Column("cursor", "Cursor", "int", table=False),
        Column("tier", "Tier", table=False),
        Column("machine", "Machine", table=False),
    ]
    found = (
        {
            "host": row.name,
            "key": row.key,
            "ledger": row.ledger,
            "last_seen": isoformat(row.seen_us // US, zone),
            "lag_us": (now_us - row.seen_us) // US * US,
            "record_lag_us": (now_us // US - row.sealed_until_s) * US,
            "gaps": row.gaps,
            "lossy": row.lossy,
            "version": row.version,
            "labels": list(row.labels),
            "sealed_until": isoformat(row.sealed_until_s, zone),
            "created": isoformat(row.created_us // US, zone),
            "cursor": row.cursor,
            "tier": row.tier or "interfaces",
            "machine": row.machine,
        }
        for row in rows
    )
    return Document({"report": "fleet", "timezone": str(zone), "fleet": fleet}, columns, found)


def verified(rows: Iterable[Compared], counts: Mapping[str, int], fleet: str, ledger: str) -> Document:
    """What a ledger says of each month and what the fleet does; `counts` of all months, by outcome."""
    columns = [
        Column("interface", "Interface"),
        Column("kind", "Kind", table=False),
        Column("month", "Month"),
        Column("what", "Of"),
        Column("outcome", "Outcome"),
    ]
    columns += [
        Column(
            f"{side}_{key}", f"{side} {key}".replace("_", " ").capitalize(), "int", table="pack" not in key
        )
        for key in _SUMS
        for side in ("ledger", "fleet")
    ]
    found = (
        {
            "interface": row.part.interface,
            "kind": row.part.kind,
            "month": f"{row.part.month // 100}-{row.part.month % 100:02}",
            "what": row.part.what,
            "outcome": row.outcome.value,
            **{f"ledger_{key}": getattr(row.ledger, key) for key in _SUMS},
            **{f"fleet_{key}": getattr(row.fleet, key) for key in _SUMS},
        }
        for row in rows
    )
    envelope = {
        "report": "fleet-verify",
        "ok": not counts["differs"],
        **counts,
        "fleet": fleet,
        "ledger": ledger,
    }
    return Document(envelope, columns, found)
