"""What a server says, in one line for people; real servers say it in test_store.py."""

import pytest

from netusage.fleet.failures import of_answer
from netusage.fleet.store import Address

ADDRESS = Address("http://fleet:8123", "netusage", "host", "secret", "", "", "", 30)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Code: 193, e.displayText() = DB::Exception: Wrong password for user host, e.what() = DB::Exception",
            "does not let 'host' in",
        ),
        (
            "Code: 516. DB::Exception: host: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED) (version 26.9.2.1)",
            "does not let 'host' in",
        ),
        (
            "Code: 497. DB::Exception: host: Not enough privileges. (ACCESS_DENIED) (version 26.9.2.1)",
            "may only read",
        ),
        (
            "Code: 60. DB::Exception: Received from s2:9000. DB::Exception: Table netusage.usage_local does not exist.",
            "the shard s2:9000 has no tables",
        ),
        ("Code: 279. DB::NetException: All connection tries failed.", "a part of a total is no total"),
        (
            "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space",
            "disk of the fleet's store is full",
        ),
        (
            "Code: 75, e.displayText() = DB::ErrnoException: Cannot write to file /data/tmp_1/rx.bin, errno: 28, strerror: No",
            "disk of the fleet's store is full",
        ),
        (
            "Code: 1000, e.code() = 0, e.displayText() = Cannot write file: /var/log/errors (version 18.16.1)",
            "cannot write to its disk (code 1000: Cannot write file: /var/log/errors)",
        ),
        ("Code: 12345. DB::Exception: Something new.", "refused: Something new (code 12345)"),
        ("<html>502 Bad Gateway</html>", "answered with HTTP 500: <html>502 Bad Gateway</html>"),
        ("", "answered with HTTP 500: nothing"),
    ],
)
def test_an_answer_is_told_by_what_it_means(said, told):
    error = of_answer(500, said, ADDRESS)
    assert told in str(error)
    assert "\n" not in str(error)
    assert "e.what()" not in str(error)
    assert "secret" not in str(error)


def test_a_long_answer_is_cut_short():
    assert len(str(of_answer(500, "Code: 62. DB::Exception: " + "x" * 10_000, ADDRESS))) < 400
