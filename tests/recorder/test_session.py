"""What a session tells the ledger about a fleet."""

from netusage.ledger.ship_journal import Progress, ShipJournal
from netusage.ledger.ship_queries import Line
from netusage.recorder.session import _shipped
from netusage.settings.schema import FleetSettings, Settings


def test_what_may_be_folded_is_asked_of_the_journal_only_where_a_fleet_is_configured(tmp_path):
    ledger = str(tmp_path / "ledger.db")
    settings = Settings(fleet=FleetSettings(url="http://fleet:8123"))
    assert _shipped(Settings(), ledger, "identity") is None
    assert _shipped(settings, None, "identity") is None
    assert _shipped(settings, ledger, "identity") == 0
    journal = ShipJournal(ledger, "http://fleet:8123", "netusage")
    _, turn = journal.begin(1)
    journal.note(Progress("", Line("identity", 1, 1, 1, 1), above=0, cursor=42), turn)
    assert _shipped(settings, ledger, "identity") == 42
    assert _shipped(settings, ledger, "of another ledger") == 0
    assert _shipped(Settings(), ledger, "identity") is None
