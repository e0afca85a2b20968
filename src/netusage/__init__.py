"""netusage: a network usage tracker whose records add up to what the kernel counted."""

__version__ = "0.1.0"
