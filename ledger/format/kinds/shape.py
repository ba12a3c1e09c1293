"""What the classes of payloads are made of, and how their fields are read off their annotations.

The annotations repeat the schemas field by field, so that nothing here reads a file; a test holds the two equal.
"""

from __future__ import annotations

from dataclasses import fields
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints


class Fixed(NamedTuple):
    """Marks ``bytes`` of one length. ``refers`` tells what a digest of a Content stands for: content or person."""

    size: int
    refers: str | None = None


Id = Annotated[bytes, Fixed(16)]
"""An id of 16 bytes."""
Digest = Annotated[bytes, Fixed(32)]
"""A digest of something that is kept elsewhere: a token, parameters, a policy, an event."""
ContentDigest = Annotated[bytes, Fixed(32, "content")]
"""The digest of a Content."""
PersonDigest = Annotated[bytes, Fixed(32, "person")]
"""The digest of a Content that names a principal."""


class Part:
    """A record inside a payload."""

    __slots__ = ()

    def fault(self) -> str | None:
        """What is wrong between fields, in words; None if nothing is. Each field by itself is judged elsewhere."""
        return None


class Kind(Part):
    """The payload of an event."""

    __slots__ = ()

    KIND: ClassVar[str]
    """The name of the payload's record, and the header's ``kind``."""


class Field(NamedTuple):
    """A field of a payload or part. ``type`` is str, int, bytes or a ``Part``; of an array, that of its items."""

    name: str
    type: type
    optional: bool
    many: bool
    fixed: Fixed | None
    values: tuple[str, ...]
    """The closed list of a string's values; empty if it is open."""


NULL: Final = NoneType


def fields_of(cls: type[Part]) -> tuple[Field, ...]:
    """The fields of a payload or part, in order."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(read_hint(each.name, hints[each.name]) for each in fields(cls))  # type: ignore[arg-type]


def read_hint(name: str, hint: Any) -> Field:
    """The field that an annotation describes."""
    optional = many = False
    if get_origin(hint) in (Union, UnionType):
        optional = True
        hint = next(each for each in get_args(hint) if each is not NULL)
    if get_origin(hint) is tuple:
        many = True
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return Field(name, str, optional, many, None, get_args(hint))
    if get_origin(hint) is Annotated:
        return Field(name, bytes, optional, many, get_args(hint)[1], ())
    return Field(name, hint, optional, many, None, ())
