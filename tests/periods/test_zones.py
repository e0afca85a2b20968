"""Zones by name, and how the machine's own is found."""

import shutil
import time
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.looking import LOOK

from netusage.errors import UsageError
from netusage.periods import zone
from netusage.periods.zones import RunningZone, system_zone


def file_of(name):
    for directory in zoneinfo.TZPATH:
        path = Path(directory) / name
        if path.is_file():
            return path
    pytest.skip(f"this machine keeps no file of the zone {name}")


@pytest.fixture
def etc(tmp_path):
    path = tmp_path / "etc"
    path.mkdir()
    return path


@pytest.fixture
def running(monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("the C library of this system does not take a zone from TZ")

    def use(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()
        return RunningZone()

    yield use
    monkeypatch.undo()
    time.tzset()


def offset_in_july(found):
    return datetime(2026, 7, 1, tzinfo=found).utcoffset()


def test_a_zone_is_found_by_its_name():
    assert str(zone("Europe/Berlin")) == "Europe/Berlin"
    assert zone("UTC").utcoffset(datetime(2026, 1, 1, tzinfo=UTC)) == timedelta()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/BERLN", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("utcc", "UTC"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_one(name, nearest):
    with pytest.raises(UsageError, match=f"no time zone '{name}'.*did you mean '{nearest}'"):
        zone(name)


@pytest.mark.parametrize(
    "name", ["", "qqqqqq", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "\udcff", "a" * 999]
)
def test_a_name_that_resembles_none_is_refused_with_an_example(name):
    with pytest.raises(UsageError, match="no time zone") as caught:
        zone(name)
    assert caught.value.hint


def test_without_a_name_the_zone_is_the_machines():
    found = zone(None)
    assert found.utcoffset(datetime(2026, 7, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize("text", ["Asia/Kathmandu", ":Asia/Kathmandu"])
def test_the_environment_names_the_zone(text, etc):
    assert str(system_zone({"TZ": text}, etc)) == "Asia/Kathmandu"


def test_the_environment_may_give_the_path_of_a_zone(etc, tmp_path):
    path = file_of("Asia/Kathmandu")
    assert str(system_zone({"TZ": f":{path}"}, etc)) == "Asia/Kathmandu"
    copy = shutil.copy(path, tmp_path / "somewhere")
    assert offset_in_july(system_zone({"TZ": str(copy)}, etc)) == timedelta(hours=5, minutes=45)


def test_an_empty_name_in_the_environment_is_utc(etc):
    (etc / "timezone").write_text("Europe/Berlin\n")
    assert system_zone({"TZ": ""}, etc) is UTC


def test_rules_in_the_environment_are_applied_as_the_c_library_would(running):
    rules = "AAA-1BBB,M3.5.0,M10.5.0/3"
    found = system_zone({"TZ": rules})
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    c_library = running(rules)
    for moment in range(1_735_689_600, 1_767_225_600, 1800):
        local = datetime.fromtimestamp(moment, found)
        assert local.replace(tzinfo=None) == datetime.fromtimestamp(moment, berlin).replace(tzinfo=None)
        assert local.utcoffset() == datetime.fromtimestamp(moment, c_library).utcoffset()


@pytest.mark.parametrize("text", ["Nowhere/Land", "/no/such/file", "AAA", "AAA-1BBB,nonsense", "\u00e4"])
def test_an_environment_that_names_no_zone_is_passed_over(text, etc):
    (etc / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Kathmandu")
    assert str(system_zone({"TZ": text}, etc)) == "Asia/Kathmandu"


@pytest.mark.parametrize(
    "target",
    [
        "/usr/share/zoneinfo/Asia/Kathmandu",
        "../usr/share/zoneinfo/Asia/Kathmandu",
        "/var/db/timezone/zoneinfo/Asia/Kathmandu",
        "/usr/share/zoneinfo/posix/Asia/Kathmandu",
    ],
)
def test_the_link_names_the_zone(target, etc):
    (etc / "localtime").symlink_to(target)
    (etc / "timezone").write_text("Europe/Berlin\n")
    assert str(system_zone({}, etc)) == "Asia/Kathmandu"


def test_a_link_to_a_link_names_the_zone(etc):
    (etc / "localtime").symlink_to("chosen")
    (etc / "chosen").symlink_to("/usr/share/zoneinfo/Asia/Kathmandu")
    assert str(system_zone({}, etc)) == "Asia/Kathmandu"


def test_links_in_a_circle_are_no_zone(etc):
    (etc / "localtime").symlink_to("localtime")
    assert system_zone({}, etc) is UTC


def test_the_name_file_names_a_copied_zone(etc):
    shutil.copy(file_of("Asia/Kathmandu"), etc / "localtime")
    (etc / "timezone").write_text("Asia/Kathmandu\n")
    assert str(system_zone({}, etc)) == "Asia/Kathmandu"


def test_a_copied_zone_without_a_name_or_with_a_wrong_one_is_followed(etc):
    shutil.copy(file_of("Asia/Kathmandu"), etc / "localtime")
    assert offset_in_july(system_zone({}, etc)) == timedelta(hours=5, minutes=45)
    (etc / "timezone").write_text("Etc/UTC\n")
    assert offset_in_july(system_zone({}, etc)) == timedelta(hours=5, minutes=45)


def test_the_name_file_alone_names_the_zone(etc):
    (etc / "timezone").write_text("Asia/Kathmandu\n")
    assert str(system_zone({}, etc)) == "Asia/Kathmandu"


def test_a_machine_that_says_nothing_or_nonsense_is_in_utc(etc):
    assert system_zone({}, etc) is UTC
    (etc / "localtime").write_bytes(b"nonsense")
    (etc / "timezone").write_bytes(b"\xff\xfe")
    assert system_zone({}, etc) is UTC


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/Sao_Paulo",
        "UTC",
    ],
)
def test_the_running_systems_zone_agrees_with_the_rules_through_every_change(name, running):
    file_of(name)
    rules, found = zoneinfo.ZoneInfo(name), running(name)
    step_s = 1800 if LOOK else 7200
    for moment in range(
        1_514_764_800, 1_546_300_800, step_s
    ):  # 2018, the last year with summer time in Brazil
        expected = datetime.fromtimestamp(moment, rules)
        local = datetime.fromtimestamp(moment, found)
        assert local.replace(tzinfo=None) == expected.replace(tzinfo=None)
        assert (local.fold, local.utcoffset()) == (expected.fold, expected.utcoffset())
        assert local.timestamp() == moment


def test_the_running_systems_zone_knows_its_summer_time_and_its_names(running):
    found = running("Europe/Berlin")
    summer, winter = datetime(2026, 7, 1, tzinfo=found), datetime(2026, 1, 1, tzinfo=found)
    assert (summer.dst(), summer.tzname()) == (timedelta(hours=1), "CEST")
    assert (winter.dst(), winter.tzname()) == (timedelta(), "CET")
    assert found.utcoffset(None) is None
    assert found.dst(None) is None
    assert found.tzname(None) is None


def test_the_running_systems_zone_falls_back_to_standard_time_where_it_knows_none(running):
    found = running("Europe/Berlin")
    assert datetime.max.replace(tzinfo=found).utcoffset() == timedelta(hours=1)
