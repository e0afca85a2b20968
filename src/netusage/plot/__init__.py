"""Pictures on disk, without a browser: what `netusage plot` draws; the only importer of matplotlib."""
