"""The book: interfaces, epochs, entries and gaps in SQLite, and the only package that opens SQLite.

`writer` holds the ledger for one recorder, `reader` answers questions, `batch` is what crosses between the
recorder and the book.
"""
