"""What was counted in each month, against what went in."""

from support.ledgers import DAY_S, START_S, writing

from netusage.ledger import batch
from netusage.ledger.month_sums import Part, ShareSums, Sums, folded_days, month_sums, share_month_sums
from netusage.ledger.reader import LedgerReader
from netusage.model import LARGEST, US, Counters, Who


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


def test_what_applications_had_is_added_up_by_what_may_be_told_of_them(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        eth0 = ledger.interface("eth0")
        for day, name, user in (
            (0, "web", "eva"),
            (0, "web", "adam"),
            (0, "mail", "eva"),
            (30, "web", "eva"),
        ):
            who = Who("application", name, f"/bin/{name}", user)
            ledger.share(batch.Part(START_S + day * DAY_S, eth0, who, 3, 6, 4), Counters(100, 10, 3, 1))
        ledger.commit(START_S + 60)
        with LedgerReader(ledger.path) as reader:
            assert share_month_sums(reader, month_of, ("kind",)) == {}  # it is not sealed
        ledger.commit(START_S + 31 * DAY_S)
    with LedgerReader(str(tmp_path / "ledger.db")) as reader:
        for fields, rows in ((("kind",), 1), (("kind", "name"), 2), (("kind", "name", "user"), 3)):
            found = share_month_sums(reader, month_of, fields)
            sums, folded = found[Part("share", "eth0", "", 0)]
            assert (sums._replace(change=0), folded) == (Sums(rows, 300, 30, 9, 3), False)
            assert found[Part("share", "eth0", "", 1)].sums.rows == 1
            assert max(one.sums.change for one in found.values()) == reader.state.change


def test_a_quarter_that_is_to_become_part_of_a_day_is_to_be_given_another_number(tmp_path):
    who = Who("application", "web")
    with writing(tmp_path / "ledger.db", quarters_kept_s=2 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for at_s, now_s in (
            (START_S, START_S + 900),
            (0, START_S + 3 * DAY_S),
            (START_S + 9000, START_S + 3 * DAY_S + 9),
        ):
            if at_s:
                ledger.share(batch.Part(at_s, eth0, who, 3, 6, 4), Counters(100, 10, 3, 1))
            ledger.commit(now_s)
    with LedgerReader(str(tmp_path / "ledger.db")) as reader:
        assert folded_days(reader) == [(START_S, START_S + DAY_S)]
        assert share_month_sums(reader, month_of, ("kind",)) == {
            Part("share", "eth0", "", 0): ShareSums(Sums(2, 200, 20, 6, 2, LARGEST), folded=True)
        }
