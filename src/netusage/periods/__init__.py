"""The calendar: time zones, local periods, and moments that a person names.

Times are UTC seconds since 1970 (`_s`). The ledger keeps UTC minutes and quarter-hours; local hours, days, weeks and
months are computed here, when they are asked for, so that another zone needs no other record. A local day lasts 21
to 27 hours and may be missing altogether (Pacific/Apia, 2011-12-30): nothing here takes it for 86,400 seconds.
"""

from netusage.periods.grid import Period, PeriodKind, clock_changes, periods
from netusage.periods.instants import isoformat, parse_instant, refuse_reversed
from netusage.periods.zones import zone

__all__ = [
    "Period",
    "PeriodKind",
    "clock_changes",
    "isoformat",
    "parse_instant",
    "periods",
    "refuse_reversed",
    "zone",
]
