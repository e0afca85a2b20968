"""What the configuration and the source decide about counting."""

from dataclasses import dataclass

from netusage.model import NS


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration and the source decide.

    sample_ns: the time between two readings; peaks are rates over no less than that.
    longest_ns: an interval between readings that is longer than this is an estimated stretch.
    counter_bits: width of the source's byte counters, 64 or 32.
    has_events: the source tells when links come and go.
    count_since_boot: at first sight, count what the interface had since boot.
    counted, not_counted: shell patterns of interface names, put into the machine's total or left out of it.
    """

    sample_ns: int = NS
    longest_ns: int = 5 * NS
    counter_bits: int = 64
    has_events: bool = True
    count_since_boot: bool = False
    counted: tuple[str, ...] = ()
    not_counted: tuple[str, ...] = ()
