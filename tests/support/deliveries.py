"""Deliveries of ledgers to real servers, in this process and in others, and the ledgers that are delivered."""

from contextlib import contextmanager
from itertools import count

from netusage.errors import FleetError
from netusage.fleet.deliver import Delivery
from netusage.fleet.store import Store, address_of
from netusage.fleet.tables import missing
from netusage.ledger import ship_journal
from netusage.ledger.batch import Part
from netusage.ledger.ship_journal import ShipJournal
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from netusage.settings.schema import FleetSettings
from support.ledgers import START_S

NAMES = ("web", "mail", "backup", "tiny")
_DATABASES = count(1)


def new_database():
    """The name of a database that no other test of this process uses."""
    return f"fleet_{next(_DATABASES)}"


def settings_for(url, **more):
    """Settings of a fleet with a database of its own."""
    return FleetSettings(url=url, database=new_database(), timeout="5s", **more)


def make_tables(settings):
    """What `netusage fleet init` does."""
    with asking(settings) as store:
        for statement in missing(store):
            store.execute(statement.sql)


def fleet_of(server):
    """Settings of a fleet with a database of its own, whose tables are there."""
    made = settings_for(server.url)
    make_tables(made)
    return made


@contextmanager
def asking(settings):
    """The store of a fleet."""
    with Store(address_of(settings)) as store:
        yield store


def deliver(ledger, settings, url="", now_us=START_S * US, make=Store):
    """One delivery; `url`: by another way, whose journal is that of the settings' own."""
    journal = ShipJournal(str(ledger), settings.url, settings.database)
    with make(address_of(settings, url)) as store:
        return Delivery(str(ledger), settings, store, journal, version="1").run(now_us)


def deliver_until_it_works(ledger, settings, url="", make=Store, mend=lambda: None):
    """As many deliveries as it takes; `mend` is called after each that failed."""
    for _ in range(300):
        try:
            return deliver(ledger, settings, url, make=make)
        except FleetError:
            mend()
    raise AssertionError("it never worked")


def share(ledger, at_s, epoch, name, rx, user="eva", kind="application"):
    """Give an application bytes of the quarter of an hour in which `at_s` lies."""
    who = Who(
        kind, name, f"/home/{user}/{name}" if name else "", user if name else "", "a.service" if name else ""
    )
    part = Part(at_s // QUARTER_S * QUARTER_S, epoch, who, 3, 6, 4)
    ledger.share(part, Counters(rx, rx // 3, rx // 9 + 1, 2))


def live(ledger, epochs, until_s, dice, step_s=QUARTER_S):
    """Count at interfaces, with applications, until then."""
    for now_s in range(ledger.now_s + step_s, until_s + 1, step_s):
        for epoch in epochs:
            at_s = now_s - step_s
            ledger.count(epoch, at_s, dice.randrange(1 << 33), 5, 3, 2, peak_rx=dice.randrange(99))
            share(ledger, at_s, epoch, dice.choice(NAMES), dice.randrange(1 << 30))
            share(ledger, at_s, epoch, "", 7, kind="kernel")
        if dice.random() < 0.05:
            start_us = (now_s - 50) * US
            ledger.span(epochs[0], start_us, start_us + 20 * US, dice.randrange(1000), 2, 3, 4)
            ledger.gap(now_s - 50, now_s - 30, GapKind.STOPPED, interface="eth0", note="a\tb\n'c'\\")
        ledger.commit(now_s)


# The process


def configuration(directory, settings, password=None, to="config.toml", **more):
    """Write the configuration of a host with a fleet, and the file with its password; `more` keys of it."""
    keys = {"url": settings.url, "database": settings.database, "interval": "10s", "timeout": "5s"}
    if password is not None:
        (directory / "password").write_text(password)
        (directory / "password").chmod(0o600)
        keys |= {"user": "host", "password_file": directory / "password"}
    file = directory / to
    file.write_text("[fleet]\n" + "".join(f'{key} = "{value}"\n' for key, value in (keys | more).items()))
    return file


def shipper_pid(ledger):
    """The number of the process that delivers, 0 when there is none."""
    holder = ship_journal.deliverer(str(ledger))
    return holder.pid if holder else 0


def state_of(ledger):
    """How the deliveries of a ledger do, None before the first."""
    return next(iter(ship_journal.states(str(ledger))), None)


def has_arrived(ledger, after_us=0):
    """Whether a delivery went well after that, and none has failed since."""
    state = state_of(ledger)
    return state is not None and state.arrived_us > after_us and not state.error
