"""The ledger's own proof, for tests that have just written one."""

from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify


def assert_verify_agrees(path):
    """`netusage verify` finds nothing."""
    with LedgerReader(str(path)) as reader:
        verdict = verify(reader)
    assert not verdict.findings, verdict.findings[:5]
