"""What may be shown of URLs with passwords and tokens in them."""

import pytest

from netusage.settings.secrets import names_of, without_secrets


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mailto://eva:sesame@gmail.com?to=tom@example.org", "mailto://gmail.com/…"),
        ("mailtos://eva:sesame@mail.example.org:465/x", "mailtos://mail.example.org:465/…"),
        ("json://eva:sesame@127.0.0.1:8080/hook/token", "json://127.0.0.1:8080/…"),
        ("JSONS://Example.ORG/token", "jsons://example.org/…"),
        ("ntfy://my-secret-topic", "ntfy://…"),
        ("ntfy://my-secret-topic/", "ntfy://…"),
        ("ntfys://eva:sesame@ntfy.example.org/topic", "ntfys://ntfy.example.org/…"),
        ("discord://4711/sesame", "discord://…"),
        ("tgram://4711:sesame/12", "tgram://…"),
        ("novelty://sesame", "novelty://…"),
        ("dbus://", "dbus://"),
    ],
)
def test_a_name_has_the_scheme_and_the_host_where_that_is_one(url, name):
    assert names_of([url]) == (name,)


def test_names_that_would_be_alike_are_numbered():
    urls = ["json://a.example/x", "json://b.example/x", "json://a.example/y", "json://a.example/z"]
    assert names_of(urls) == (
        "json://a.example/…",
        "json://b.example/…",
        "json://a.example/… #2",
        "json://a.example/… #3",
    )


def test_no_part_of_a_url_but_its_host_is_left_in_a_text():
    url = "json://eva-mueller:s%C3%A9same@example.org:8080/hook/token?+X-Key=letmein"
    said = (
        "cannot reach example.org:8080 (example.org) as eva-mueller with sésame, s%C3%A9same, token, letmein"
    )
    assert without_secrets(said, url) == "cannot reach example.org:8080 (example.org) as … with …, …, …, …"


def test_a_host_that_may_be_a_token_is_not_left_in_a_text():
    assert without_secrets("sesame was refused", "discord://sesame/x") == "… was refused"
