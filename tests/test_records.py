"""Quick named tuples are what `typing.NamedTuple` makes."""

import os
import pickle
import subprocess
import sys
import typing

import pytest
from support.ledgers import START_S, writing

from netusage.model import Counters
from netusage.records import NamedTuple as Quick

_BODY = """
from __future__ import annotations
class Example({base}):
    '''A record.'''
    first: int
    second: list[Unknown] = ()
    third: Example | None = None
    @property
    def double(self):
        '''Twice the first.'''
        return 2 * self.first
    def plus(self, n): return self._replace(first=self.first + n)
    @staticmethod
    def make(): return Example(7)
"""


def made(base):
    names = {"Base": base, "__name__": "somewhere"}
    exec(_BODY.format(base="Base"), names)
    return names["Example"]


@pytest.fixture(params=[Quick, typing.NamedTuple], ids=["quick", "typing"])
def example(request):
    return made(request.param)


def test_a_record_is_a_tuple_with_names_defaults_methods_and_properties(example):
    one = example(1, third=None)
    assert (one, one.second, one._fields, one._field_defaults) == (
        (1, (), None),
        (),
        ("first", "second", "third"),
        {"second": (), "third": None},
    )
    assert (one.double, one.plus(4), example.make()) == (2, (5, (), None), (7, (), None))
    assert (one._asdict(), example._make([1, 2, 3])) == (
        {"first": 1, "second": (), "third": None},
        (1, 2, 3),
    )
    assert repr(one) == "Example(first=1, second=(), third=None)"
    assert (example.__doc__, example.double.__doc__) == ("A record.", "Twice the first.")
    assert (example.__name__, example.__qualname__, example.__module__) == ("Example", "Example", "somewhere")
    assert (example.__mro__[1:], example.__slots__) == ((tuple, object), ())
    assert list(example.__annotations__) == ["first", "second", "third"]
    with pytest.raises(AttributeError):
        one.other = 1


def test_a_record_can_be_sent_elsewhere():
    assert pickle.loads(pickle.dumps(Counters(1, 2, 3, 4))) == Counters(1, 2, 3, 4)


_BARE = """
import sys
before = set(sys.modules)
from netusage.cli.failures import run
code = run(sys.argv[1:])
print(code, *sorted((set(sys.modules) - before) & {"typing", "re", "zoneinfo", "dataclasses", "click", "msgspec"}))
"""


def test_the_bare_command_loads_nothing_that_it_can_do_without(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 5)
        ledger.commit()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", _BARE, "--db", str(path)],
        env=kept | {"HOME": str(tmp_path), "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "all time" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "0"
