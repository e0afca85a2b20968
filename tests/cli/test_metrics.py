"""netusage metrics: on standard output, in a file for node_exporter, and again and again."""

import json
import os
import signal
import stat

import pytest
from support.ledgers import START_S, writing
from support.patience import until

from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, Counters, Who

pytestmark = pytest.mark.system
OF_ETH0 = 'netusage_interface_receive_bytes_total{interface="eth0",kind=""}'


@pytest.fixture
def filled(ledger):
    with writing(ledger) as book:
        eth0 = book.interface("eth0")
        book.count(eth0, START_S, 100, 1, 1, 1)
        for n, name in enumerate(("web", "ssh", "下载管理器\n")):
            part = Part(START_S // QUARTER_S * QUARTER_S, eth0, Who("application", name), 3, 6, 4)
            book.share(part, Counters(10 - n, 0, 1, 0))
        book.commit(START_S + 10)
    return ledger


def more(ledger, number):
    with writing(ledger, START_S + 20) as book:
        book.count(book.interface("eth0"), START_S + 20, number, 0, 0, 0)
        book.commit(START_S + 30)


def test_all_metrics_are_written_once_in_utf_8_whatever_the_locale_is(start, filled):
    process = start(
        "metrics", "--db", filled, environment={"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    )
    assert process.wait() == 0, process.err
    assert f"{OF_ETH0} 100\n" in process.out
    assert r'application="下载管理器\\n",scope="internet"} 8' in process.out


def test_only_so_many_applications_are_told_apart_as_one_wants(start, filled):
    process = start("metrics", "--db", filled, "--applications", "1")
    assert process.wait() == 0, process.err
    assert process.out.count("netusage_application_receive_bytes_total{") == 1
    assert 'netusage_attributed_receive_bytes_total{scope="internet"} 27' in process.out


def test_a_new_file_may_be_read_by_everybody_and_nothing_is_beside_it(start, filled, tmp_path):
    place = tmp_path / "textfile"
    place.mkdir()
    earlier = os.umask(0o077)
    try:
        process = start("metrics", "--db", filled, "-o", place / "netusage.prom")
    finally:
        os.umask(earlier)
    assert process.wait() == 0, process.err
    assert os.listdir(place) == ["netusage.prom"]
    assert stat.S_IMODE((place / "netusage.prom").stat().st_mode) == 0o644
    assert OF_ETH0 in (place / "netusage.prom").read_text()


def test_standard_output_that_is_a_file_keeps_its_mode(start, filled, tmp_path):
    target = tmp_path / "own"
    target.touch(0o600)
    with open(target, "wb") as file:
        assert start("metrics", "--db", filled, "-o", "-", out=file).wait() == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert OF_ETH0 in target.read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_every_second_the_file_is_whole_and_what_is_new_is_in_it(start, filled, tmp_path, number, code):
    file = tmp_path / "netusage.prom"
    process = start("metrics", "--db", filled, "-o", file, "--every", "1s")
    until(file.exists, "the first file")
    first = file.stat().st_ino
    assert f"{OF_ETH0} 100\n" in file.read_text()
    more(filled, 23)
    until(lambda: f"{OF_ETH0} 123\n" in file.read_text(), "the next file")
    assert file.stat().st_ino != first, "it was replaced, not written over"
    assert process.stop(number) == code
    assert f"{OF_ETH0} 123\n" in file.read_text()


def test_a_ledger_that_is_away_for_a_while_leaves_the_file_as_it_was_and_is_said_once(
    start, filled, tmp_path
):
    file = tmp_path / "netusage.prom"
    process = start("metrics", "--db", filled, "-o", file, "--every", "1s")
    until(file.exists, "the first file")
    filled.rename(tmp_path / "away.db")
    process.wait_for_words("the file stays as it was")
    (tmp_path / "away.db").rename(filled)
    more(filled, 23)
    until(lambda: f"{OF_ETH0} 123\n" in file.read_text(), "the next file")
    process.stop()
    assert process.err.count("the file stays as it was") == 1


def test_without_a_ledger_there_is_no_file_and_the_exit_code_says_so(start, tmp_path):
    for more in ([], ["--every", "5s"]):
        process = start("metrics", "--db", tmp_path / "none.db", "-o", tmp_path / "netusage.prom", *more)
        assert process.wait() == 3
        assert not (tmp_path / "netusage.prom").exists()
        assert "netusage daemon" in process.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--every", "5s"], "--every needs a file"),
        (["--every", "10ms", "-o", "x.prom"], "use 1s or more"),
        (["--every", "soon", "-o", "x.prom"], "not a duration"),
        (["--grafana", "--every", "5s"], "a dashboard does not change"),
        (["--applications", "-1"], "applications"),
    ],
)
def test_what_makes_no_sense_is_refused(start, filled, words, said):
    process = start("metrics", "--db", filled, *words)
    assert process.wait() == 2
    assert said in process.err
    assert process.out == ""


def test_the_dashboard_needs_no_ledger(start, tmp_path):
    process = start("metrics", "--grafana", "--db", tmp_path / "none.db")
    assert process.wait() == 0, process.err
    assert json.loads(process.out)["title"] == "netusage"
