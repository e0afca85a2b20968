"""The page that is left open, and the API that it stands on; reads the ledger and never changes it."""
