"""Tables that are added to a configuration file and taken out of it: every other byte stays as it was."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.settings.edit import table_place, with_table
from netusage.settings.load import read_text
from netusage.settings.schema import PlanSettings

FIRST = "# mine\n[report]\nbits = true # yes\n"


def without(text, number):
    start, end = table_place(text, "plan", number)
    return text[:start] + text[end:]


def test_a_table_is_written_at_the_end_below_an_empty_line():
    text = with_table(FIRST, "plan", {"name": "home", "day": 3, "free_hours": ("01:00-06:00",)})
    assert text == FIRST + '\n[[plan]]\nname = "home"\nday = 3\nfree_hours = ["01:00-06:00"]\n'
    assert with_table("", "plan", {"name": "home"}) == '[[plan]]\nname = "home"\n'
    assert with_table("a = 1", "plan", {"name": "x"}) == 'a = 1\n\n[[plan]]\nname = "x"\n'


def test_lines_end_as_they_did():
    assert with_table("a = 1\r\n", "plan", {"name": "x"}) == 'a = 1\r\n\r\n[[plan]]\r\nname = "x"\r\n'


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_was_added_last_is_taken_out_without_a_trace(newline):
    before = FIRST.replace("\n", newline)
    text = before
    for name in ("one", "two"):
        text = with_table(text, "plan", {"name": name, "cap": '"""'})
    assert without(without(text, 1), 0) == before
    rest = without(text, 0)
    assert tomllib.loads(rest)["plan"] == [{"name": "two", "cap": '"""'}]
    assert without(rest, 0) == before


def test_only_the_lines_from_the_header_to_the_last_key_go():
    text = (
        "# about the first\n  [[plan]] # header\nname = 'a'\n# inside\ncap = '''\n[[plan]]\n''' # last\n"
        "# about the second\n[[ 'plan' ]]\nname = 'b'\n[report]\nbits = true"
    )
    assert (
        without(text, 0)
        == "# about the first\n# about the second\n[[ 'plan' ]]\nname = 'b'\n[report]\nbits = true"
    )
    assert without(text, 1) == text[: text.index("[[ 'plan' ]]")] + "[report]\nbits = true"


def test_a_table_at_the_very_end_is_found_without_a_line_end():
    assert without("[report]\n\n[[plan]]\nname = 'a'", 0) == "[report]\n"
    assert without("[[plan]]\nname = 'a'", 0) == ""


def test_tables_that_are_written_otherwise_have_no_place():
    assert table_place("plan = [{ name = 'a' }]\n", "plan", 0) is None
    assert table_place("[[plan]]\n", "plan", 1) is None
    assert table_place("", "plan", 0) is None


_LINES = st.lists(
    st.sampled_from(
        [
            "",
            "# comment [[plan]]",
            "[[plan]]",
            "[report]",
            "[[other]]",
            'k{n} = "[[plan]]"',
            "k{n} = [\n 1,\n]",
            "  ",
        ]
    ),
    max_size=12,
)


@given(_LINES)
def test_any_text_keeps_its_other_tables(lines):
    text = "\n".join(line.format(n=n) for n, line in enumerate(lines)) + "\n"
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for number, _ in enumerate(before.get("plan", [])):
        rest = before["plan"][:number] + before["plan"][number + 1 :]
        after = tomllib.loads(without(text, number))
        assert after.get("plan", []) == rest
        assert {name: value for name, value in after.items() if name != "plan"} == {
            name: value for name, value in before.items() if name != "plan"
        }
    if "plan" not in before or before["plan"]:
        added = tomllib.loads(with_table(text, "plan", {"name": "new"}))
        assert added["plan"] == [*before.get("plan", []), {"name": "new"}]


_NAMES = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), max_size=3
)


@given(_NAMES, _NAMES)
def test_any_names_of_hosts_and_labels_are_read_as_they_were_written(hosts, labels):
    values = {"name": "x", "cap": "1 GB", "hosts": tuple(hosts), "labels": tuple(labels)}
    (plan,) = read_text(Path("/config.toml"), with_table(FIRST, "plan", values)).plan
    assert plan == PlanSettings(**values)
    assert plan.is_of_hosts == bool(hosts or labels)
