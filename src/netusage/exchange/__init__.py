"""Files for other programs, and those files read again: CSV, JSON Lines, Parquet and SQLite with the same columns."""
