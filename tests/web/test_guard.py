"""Who may ask: names, origins, tokens; and what every answer forbids a browser."""

import socket

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from netusage.web.guard import Guard, is_loopback

TOKEN = "correct horse battery staple"


def client(token="", *, names=(), now=lambda: 0.0, address="192.0.2.7"):
    """A browser in front of the guard of an app that says yes to everything."""
    guard = Guard(PlainTextResponse("yes"), token=token, names=names, now=now)
    return TestClient(guard, base_url="http://localhost:8765", client=(address, 1234), follow_redirects=False)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8765",
        "LOCALHOST:1",
        "usage.localhost",
        "127.0.0.1:8765",
        "[::1]:8765",
        "192.168.1.5",
        "[fe80::1%25eth0]:80",
        socket.gethostname(),
        f"{socket.gethostname().upper()}:8765",
    ],
)
def test_this_machine_is_asked_by_its_names_and_addresses(host):
    assert client().get("/", headers={"host": host}).text == "yes"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example:8765",
        "127.0.0.1.evil.example",
        "[::1",
        "127.1",
        "a@b",
        "%00",
    ],
)
def test_another_name_is_refused_whoever_it_leads_to(host):
    answer = client().get("/", headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "host"
    assert "--allow-host" in answer.json()["error"]["hint"]


def test_a_name_can_be_allowed():
    browser = client(names=["usage.example", "*.home.arpa"])
    assert browser.get("/", headers={"host": "usage.example:80"}).status_code == 200
    assert browser.get("/", headers={"host": "nas.home.arpa"}).status_code == 200
    assert browser.get("/", headers={"host": "other.example"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_a_page_of_another_site_is_refused(headers):
    answer = client().get("/api/v1/now", headers=headers)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "origin")


def test_its_own_page_and_a_link_from_elsewhere_are_not_refused():
    assert client().get("/", headers={"origin": "http://localhost:8765"}).text == "yes"
    assert (
        client().get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).text
        == "yes"
    )


def test_every_answer_forbids_what_the_page_does_not_need():
    for answer in (
        client().get("/"),
        client().get("/", headers={"host": "evil.example"}),
        client(TOKEN).get("/api/v1/now"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_that_could_change_something_is_let_through(method):
    answer = client().request(method, "/api/v1/now")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


# ---- Tokens -----------------------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_told():
    browser = client(TOKEN)
    answer = browser.get("/api/v1/now")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (401, "token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert browser.get("/metrics").status_code == 401, "a program cannot log in"
    page = browser.get("/days?since=7d")
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=/days%3Fsince%3D7d"
    for path in ("/", "/static/app.js", "/api/v1/openapi.json", "/login/", "/LOGIN"):
        assert browser.get(path).text != "yes"


def test_who_knows_the_token_is_let_through():
    browser = client(TOKEN)
    assert browser.get("/api/v1/now", headers={"authorization": f"Bearer {TOKEN}"}).text == "yes"
    for wrong in (
        f"Basic {TOKEN}",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \u00e9".encode(),
    ):
        assert browser.get("/api/v1/now", headers={"authorization": wrong}).status_code == 401


def test_logging_in_leaves_a_cookie_that_scripts_and_other_sites_do_not_get():
    browser = client(TOKEN)
    answer = browser.post(
        "/login?next=/days", data={"token": TOKEN}, headers={"origin": "http://localhost:8765"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/days")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert browser.get("/api/v1/now").text == "yes"


@pytest.mark.parametrize(
    "place", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/a\nb"]
)
def test_logging_in_leads_nowhere_else(place):
    browser = client(TOKEN)
    answer = browser.post("/login", params={"next": place}, data={"token": TOKEN})
    assert answer.headers["location"] == "/"


def test_another_servers_cookie_is_none():
    browser, other = client(TOKEN), client("another token of another server")
    other.post("/login", data={"token": "another token of another server"})
    browser.cookies.set("netusage", other.cookies["netusage"])
    assert browser.get("/api/v1/now").status_code == 401
    browser.cookies.set("netusage", TOKEN)
    assert browser.get("/api/v1/now").status_code == 401


def test_a_page_of_another_site_cannot_log_in():
    answer = client(TOKEN).post("/login", data={"token": TOKEN}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_after_some_wrong_tokens_none_is_looked_at_for_a_minute():
    now = [100.0]
    browser = client(TOKEN, now=lambda: now[0])
    for _ in range(5):
        assert browser.post("/login", data={"token": "wrong"}).status_code == 401
        now[0] += 1
    answer = browser.post("/login", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "56")
    assert browser.get("/api/v1/now", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429
    now[0] += 56
    assert browser.post("/login", data={"token": TOKEN}).status_code == 303


def test_who_is_logged_in_and_who_asks_from_elsewhere_is_not_kept_waiting():
    guard = Guard(PlainTextResponse("yes"), token=TOKEN, now=lambda: 0.0)
    browsers = [
        TestClient(guard, base_url="http://localhost", client=(f"192.0.2.{n}", 1), follow_redirects=False)
        for n in (1, 2)
    ]
    browsers[0].post("/login", data={"token": TOKEN})
    for _ in range(9):
        TestClient(guard, base_url="http://localhost", client=("192.0.2.1", 1)).get(
            "/api/v1/now", headers={"authorization": "Bearer wrong"}
        )
    assert browsers[0].get("/api/v1/now").text == "yes"
    assert browsers[1].post("/login", data={"token": TOKEN}).status_code == 303


def test_wrong_tokens_of_very_many_addresses_are_not_remembered_for_ever():
    guard = Guard(PlainTextResponse("yes"), token=TOKEN, now=lambda: 0.0)
    for n in range(1200):
        guard._wrong.note(f"192.0.2.{n}")
    assert len(guard._wrong._seen) == 1000


def test_a_person_is_told_on_the_page_that_it_was_wrong():
    browser = client(TOKEN)
    html = {"accept": "text/html"}
    assert browser.post("/login", data={"token": "x"}, headers=html).headers["location"] == "/login?wrong"
    for _ in range(5):
        browser.post("/login", data={"token": "x"})
    assert browser.post("/login", data={"token": "x"}, headers=html).headers["location"] == "/login?wait"


def test_a_body_that_is_no_token_is_not_read_to_its_end():
    answer = client(TOKEN).post("/login", content=b"x" * 10_000)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("nas.local", False),
    ],
)
def test_only_loopback_addresses_are_this_machines_alone(host, expected):
    assert is_loopback(host) is expected
