from support.ledgers import START_S, writing

from netusage.ledger.reader import LedgerReader
from netusage.model import US, Counters
from netusage.reports.interfaces import interfaces
from netusage.settings.schema import InterfaceSettings


def test_each_interface_tells_its_state_its_part_and_why(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        tun0 = ledger.interface(
            "tun0", "tun", counted=False, reason="a tunnel is carried by another interface"
        )
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1, 2, 3, 4)
        ledger.commit(START_S + 60)
        ledger.now_s = START_S + 90
        ledger.end(tun0)
        ledger.commit(START_S + 100)
    with LedgerReader(str(path)) as reader:
        first, second = interfaces(reader, InterfaceSettings())
        overridden = interfaces(reader, InterfaceSettings(counted=("t*",), not_counted=("eth*",)))
    assert (first.name, first.state, first.counted, first.reason) == ("eth0", "up", True, "hardware")
    assert (first.first_seen_us, first.last_seen_us) == ((START_S + 60) * US, (START_S + 100) * US)
    assert first.totals == Counters(1, 2, 3, 4)
    assert (second.name, second.kind, second.state, second.counted) == ("tun0", "tun", "gone", False)
    assert [(one.counted, one.reason) for one in overridden] == [
        (False, "left out by the configuration"),
        (True, "put in by the configuration"),
    ]
