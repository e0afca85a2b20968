"""Named tuples that are made quickly.

`typing.NamedTuple` looks into every annotation, and importing `typing` is a tenth of what the bare `netusage` takes
as a whole. Type checkers see the real one. Modules that use this need `from __future__ import annotations`: only the
names of the fields are looked at.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    _SET_BY_NAMEDTUPLE = {
        "__module__",
        "__new__",
        "_fields",
        "_field_defaults",
        "_make",
        "_replace",
        "_asdict",
    }

    class _Maker(type):
        """Turns the body of a class into a named tuple with its methods and properties."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            defaults = [body[field] for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])  # noqa: PYI024
            for key in body.keys() - fields.keys() - _SET_BY_NAMEDTUPLE:
                setattr(made, key, body[key])
            return made

    class NamedTuple(metaclass=_Maker):
        """As `typing.NamedTuple`."""


__all__ = ["NamedTuple"]
