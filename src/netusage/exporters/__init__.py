"""Data that leaves the ledger or the recorder as files in other formats."""
