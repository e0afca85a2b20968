"""Where numbers come from: one file per kernel facility and platform, reading apart from parsing.

`base` says what a source is, `choose` opens the best one that works here.
"""
