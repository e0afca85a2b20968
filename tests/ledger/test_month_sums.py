"""What was counted in each month, against what went in."""

from support.ledgers import DAY_S, START_S, writing

from netusage.ledger.month_sums import Part, Sums, month_sums
from netusage.ledger.reader import LedgerReader
from netusage.model import US


def month_of(at_s):
    """Months of thirty days."""
    return (at_s - START_S) // (30 * DAY_S)


def test_quarters_and_estimated_stretches_are_added_up_by_interface_and_month(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        eth0, veth0 = ledger.interface("eth0"), ledger.interface("veth0", "veth")
        for day in (0, 0, 1, 30):
            ledger.count(eth0, START_S + day * DAY_S, 100 + day, 10, 3, 1)
            ledger.commit(START_S + day * DAY_S + 60)
        ledger.count(veth0, START_S + 31 * DAY_S, (1 << 62), 1 << 61, 1, 1)
        ledger.span(eth0, (START_S + 5) * US, (START_S + 31 * DAY_S) * US, 7, 8, 9, 10)
        ledger.commit(START_S + 32 * DAY_S)
    with LedgerReader(str(tmp_path / "ledger.db")) as reader:
        found = month_sums(reader, month_of)
        assert max(sums.change for sums in found.values()) == reader.state.change
    assert {part: sums._replace(change=0) for part, sums in found.items()} == {
        Part("usage", "eth0", "", 0): Sums(2, 301, 30, 9, 3),
        Part("usage", "eth0", "", 1): Sums(1, 130, 10, 3, 1),
        Part("usage", "veth0", "veth", 1): Sums(1, 1 << 62, 1 << 61, 1, 1),
        Part("span", "eth0", "", 0): Sums(1, 7, 8, 9, 10),
    }


def test_minutes_that_are_no_quarter_yet_are_in_no_sum(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 100, 10, 3, 1)
        ledger.commit(START_S + 60)
    with LedgerReader(str(tmp_path / "ledger.db")) as reader:
        assert month_sums(reader, month_of) == {}
