"""Lines of keys in TOML texts."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.settings.toml_lines import find_line, key_lines


def test_keys_below_a_header_are_found_on_their_lines():
    lines = key_lines(
        '# top\n[recorder]\n\nsample_interval = "1s" # why\n  commit_interval="2s"\n[report]\nbits=true'
    )
    assert lines == {
        ("recorder",): 2,
        ("recorder", "sample_interval"): 4,
        ("recorder", "commit_interval"): 5,
        ("report",): 6,
        ("report", "bits"): 7,
    }


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ('\nrecorder.sample_interval = "1s"', ("recorder", "sample_interval"), 2),
        ('["recorder"]\n\'sample_interval\' = "1s"', ("recorder", "sample_interval"), 2),
        ("[ recorder ] # here\nx=1", ("recorder", "x"), 2),
        ("[[recorder]]\nx=1", ("recorder", 0, "x"), 2),
        ("[[a]]\nx=1\n\n[b]\n[[ 'a' ]] # again\nx=1", ("a", 1), 5),
        ("[[a]]\nx=1\n[[a]]\ny=1\nx=1", ("a", 1, "x"), 5),
        ("[[a]]\n[[a]]\n[a.b]\nx=1", ("a", 1, "b", "x"), 4),
        ("[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\n[[a.b]]\nx=1", ("a", 1, "b", 1, "x"), 6),
        ("x=1\na = [{ x = 1 },\n{ x = 2 }]", ("a", 1, "x"), 2),
        ('a = """\n[recorder]\nx = 1\n"""\nb = 1', ("b",), 5),
        ("a = '''\nb = 1'''\nb = 1", ("b",), 3),
        ("a = [\n  'x', # ]\n  { b = 1 },\n]\nb = 1", ("b",), 5),
        ("a = 'it # is'\r\nb = 1\r\n", ("b",), 2),
        ('a = """x""""\nb = 1', ("b",), 2),
        ("recorder = { x = 1 }", ("recorder", "x"), 1),
    ],
)
def test_no_way_of_writing_a_key_misleads(text, path, line):
    tomllib.loads(text)
    assert find_line(key_lines(text), path) == line


def test_a_key_inside_a_text_is_no_key():
    lines = key_lines('a = """\n[recorder]\nx = 1\n"""\n')
    assert ("recorder",) not in lines


def test_a_place_that_is_nowhere_has_no_line():
    assert find_line(key_lines("a = 1"), ("b", "c")) == 0


_NAMES = st.sampled_from(["a", "b-c", "d_e", "1"])
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=12)
_VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    _TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.lists(_TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)), max_size=3).map(
        lambda items: "[\n" + ",  # ] = [\n".join(items) + "\n]"
    ),
    st.sampled_from(['"""\n[x]\ny = 1 \\""" # no\n"""', "'''\n[z] '' \n'''", "{ a = 1, b = [ 'x' ] }"]),
)
_ENTRIES = st.dictionaries(_NAMES, st.tuples(_VALUES, st.integers(0, 2)), max_size=4)


@given(st.dictionaries(_NAMES, _ENTRIES, max_size=4))
def test_every_key_of_any_document_is_on_the_line_on_which_it_was_written(document):
    lines: list[str] = []
    expected = {}
    for table, entries in document.items():
        lines.append(f"[{table}]")
        expected[table,] = sum(part.count("\n") + 1 for part in lines)
        for name, (value, blank) in entries.items():
            lines += [f"# {name} = [" for _ in range(blank)]
            lines.append(f"{name} = {value}")
            expected[table, name] = sum(part.count("\n") + 1 for part in lines) - value.count("\n")
    text = "\n".join(lines)
    tomllib.loads(text)
    assert key_lines(text) == expected
