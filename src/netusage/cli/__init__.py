"""The command line: one module per command, each with its click object `command`, imported when it is used."""
