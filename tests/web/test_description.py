"""The API against its own description: questions made from it, sensible and not, and answers that have to fit it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from support import machines
from support.ledgers import START_S, writing

from netusage.ledger.batch import Part
from netusage.model import Counters, Who

# one time in two, moments and zones that there are
sensible = st.none() | st.fixed_dictionaries(
    {
        "since": st.sampled_from(["2026-03-10", "2026-03-10T07:00Z", f"@{START_S}", "1y", "1970-01-02"]),
        "until": st.sampled_from(["2026-03-11", "now", f"@{START_S + 7200}", "2026-03-10T08:00Z", "2030"]),
        "tz": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia"]),
        "interface": st.sampled_from(["eth0", "*", "e*", "wlan0"]),
        "host": st.sampled_from(["web1", "web2", "web9", "<i>db</i>"]),
        "plan": st.just("eth0"),
        "cycle": st.integers(-12, 0).map(str),
    }
)
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def api(serve, tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "usage.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(48):
            at_s = START_S + hour * 3600
            ledger.count(eth0, at_s, 1000, 100, 10, 1, peak_rx=10, peak_tx=5)
            ledger.share(
                Part(at_s, eth0, Who("application", "web", "/w", "eva"), 3, 6, 4), Counters(900, 90, 9, 1)
            )
        ledger.commit(START_S + 48 * 3600)
    config = path.with_name("config.toml")
    config.write_text("[[plan]]\nname = 'eth0'\ncap = '1 GB'\nexclude_lan = true\nroll_over = 1\n")
    server = serve(path, NETUSAGE_CONFIG=str(config))
    return schemathesis.openapi.from_url(f"{server.address}/api/v1/openapi.json").exclude(path="/events")


@pytest.fixture(scope="module")
def api_of_hosts(serve, tmp_path_factory):
    home = tmp_path_factory.mktemp("hosts")
    merged = machines.merged(
        home / "all.db", machines.ledgers(home, START_S + 72 * 3600), START_S + 73 * 3600
    )
    server = serve(merged, "--of-host", "*")
    return schemathesis.openapi.from_url(f"{server.address}/api/v1/openapi.json")


@pytest.mark.parametrize(
    "path",
    [
        "/now",
        "/recent",
        "/timeline",
        "/breakdown",
        "/applications",
        "/known",
        "/versions",
        "/report/{period}",
        "/interfaces",
        "/reconcile",
        "/summary",
        "/plans",
        "/away",
    ],
)
def test_every_answer_fits_the_description(api, path):
    ask_in_many_ways(api, path, 60)


@pytest.mark.parametrize(
    "path",
    [
        "/now",
        "/hosts",
        "/timeline",
        "/breakdown",
        "/applications",
        "/known",
        "/report/{period}",
        "/interfaces",
        "/reconcile",
    ],
)
def test_every_answer_about_hosts_fits_the_description(api_of_hosts, path):
    ask_in_many_ways(api_of_hosts, path, 30)


def ask_in_many_ways(api, path, number):
    """Questions made of the description, which has to say what is answered."""

    @given(api[path]["GET"].as_strategy(), sensible)
    @settings(
        max_examples=number,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def ask(case, words):
        case.query = {**(case.query or {})}
        for name, word in (words or {}).items():
            if name in case.query or (name, path) == ("since", "/away"):
                case.query[name] = word
        # that a text is no moment or no zone is not to be told by a schema
        case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance])

    ask()
