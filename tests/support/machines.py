"""Three machines, two of which know the same applications: their ledgers, merged into one, and delivered to a fleet."""

from dataclasses import replace

from netusage.fleet.store import Store, address_of
from netusage.fleet.tables import missing
from netusage.ledger import hosts
from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from support import deliveries
from support.ledgers import writing

HOUR_S = 3600
DAYS = 3
HOSTILE = "<i>db</i>"
NGINX = Who("application", "nginx", "/usr/sbin/nginx", "www", "nginx.service")
CURL = Who("application", "curl", "/usr/bin/curl", "eva")
DB = Who("application", "postgres", "/usr/bin/postgres", "pg", "", "docker 0123456789ab")
# what each has, how much, and for how many hours less than the others it is known
MACHINES = {"web1": ((NGINX, CURL), 7_000, 0), "web2": ((NGINX,), 3_000, 5), HOSTILE: ((DB,), 900_000, 0)}
INTERNET, LAN = 3, 1


def ledgers(home, until_s):
    """Their ledgers by name: three days that end with a whole hour, UTC seconds, and five hours earlier."""
    found = {}
    for number, (name, (applications, size, missing_h)) in enumerate(MACHINES.items()):
        start_s, end_s = until_s - DAYS * 24 * HOUR_S, until_s - missing_h * HOUR_S
        path = home / f"machine{number}.db"
        with writing(path, start_s, machine=name, boot_id=f"boot-{number}") as ledger:
            ledger.tier = "kernel"
            eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
            ledger.commit(start_s + 1)
            for at_s in range(start_s, end_s, HOUR_S):
                more = size * (1 + at_s // HOUR_S % 5)
                ledger.count(eth0, at_s + 60, more, more // 3, 30, 10, peak_rx=more // 20, peak_tx=more // 60)
                ledger.count(lo, at_s, 11, 11, 1, 1)
                for n, who in enumerate(applications):
                    part = Part(at_s // QUARTER_S * QUARTER_S, eth0, who, LAN if n else INTERNET, 6, 4)
                    ledger.share(part, Counters(more // 4, more // 9, 9, 3))
                if at_s // HOUR_S % 8 == 0:
                    ledger.commit(at_s + HOUR_S)
            ledger.span(eth0, (start_s + 7200) * US, (start_s + 9000) * US, 5_000, 700, 3, 2)
            ledger.gap(start_s + 7200, start_s + 9000, GapKind.STOPPED, lossy=not number)
            ledger.commit(end_s)
        found[name] = str(path)
    return found


def merged(path, ledgers, now_s):
    """Take the ledgers into one."""
    for name, ledger in ledgers.items():
        hosts.merge(str(path), ledger, name, now_us=now_s * US)
    return path


def delivered(url, ledgers, now_s, *, others=(), cluster=""):
    """Deliver the ledgers to a new fleet on a server, or on several that are a cluster; the settings of it."""
    settings = deliveries.settings_for(url)
    for each in (url, *others):
        with Store(address_of(settings, each)) as store:
            for statement in missing(store, cluster):
                store.execute(statement.sql)
    for name, ledger in ledgers.items():
        own = replace(settings, name=name, labels=("site=berlin",) if name == "web1" else ())
        deliveries.deliver(ledger, own, now_us=now_s * US)
    return settings
