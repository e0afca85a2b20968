"""The only place that joins sources to the ledger: what a reading means (`meter`), and the loop that takes them."""
