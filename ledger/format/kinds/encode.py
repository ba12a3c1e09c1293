"""The Avro bytes of a payload, written straight from its fields.

The general encoder takes five times as long, most of it on deciding which branch of a union a value belongs to, and this is
in the way of every event. A test holds the two equal, byte for byte. Decoding stays with the general decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ledger.format.kinds.plan import PLANS, Plan
from ledger.format.kinds.shape import Field, Part

Write = Callable[[Any], bytes]

NULL: Final = b"\x00"
GIVEN: Final = b"\x02"
"""The index of the second branch of a union with null."""
SINGLE: Final = tuple(bytes((each,)) for each in range(0x80))


def number(value: int) -> bytes:
    """A long: zig-zag, then seven bits a byte, lowest first."""
    value = (value << 1) ^ (value >> 63)
    if value < 0x80:
        return SINGLE[value]
    if 1 << 49 <= value < 1 << 56:  # every time since 1978 in µs: eight bytes, without a loop
        high = value >> 28
        return bytes(
            (
                value & 0x7F | 0x80,
                value >> 7 & 0x7F | 0x80,
                value >> 14 & 0x7F | 0x80,
                value >> 21 & 0x7F | 0x80,
                high & 0x7F | 0x80,
                high >> 7 & 0x7F | 0x80,
                high >> 14 & 0x7F | 0x80,
                high >> 21,
            )
        )
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


LENGTHS: Final = tuple(number(each) for each in range(1024))
"""The encoding of every length that most texts have."""
GIVEN_LENGTHS: Final = tuple(GIVEN + each for each in LENGTHS)


def text(value: str) -> bytes:
    data = value.encode()
    try:
        return LENGTHS[len(data)] + data
    except IndexError:
        return number(len(data)) + data


def given_text(value: str) -> bytes:
    data = value.encode()
    try:
        return GIVEN_LENGTHS[len(data)] + data
    except IndexError:
        return GIVEN + number(len(data)) + data


def given(write: Write, value: Any) -> bytes:
    return GIVEN + write(value)


def array(write: Write, values: tuple[Any, ...]) -> bytes:
    """One block with its count, then the end."""
    if not values:
        return NULL
    return number(len(values)) + b"".join(map(write, values)) + NULL


def writer_of(field: Field) -> Write:
    """What writes a value of ``field`` that is not null."""
    if field.fixed:
        one: Write = bytes
    elif issubclass(field.type, Part):
        one = part_writer(PLANS[field.type])
    else:
        one = text if field.type is str else number
    if field.many:
        return partial(array, one)
    if field.values:
        write = given_text if field.optional else text
        return {each: write(each) for each in field.values}.__getitem__
    if field.optional:
        return given_text if one is text else GIVEN.__add__ if field.fixed else partial(given, one)
    return one


def part_writer(plan: Plan) -> Write:
    """What writes a part."""
    values, write = plan.values, WRITERS[plan.cls]
    return lambda part: write(values(part))


def values_writer(plan: Plan) -> Write:
    """What writes a payload or part that was taken apart: a record is its fields, one after the other."""
    writers = tuple(map(writer_of, plan.fields))
    return lambda values: b"".join(
        [NULL if value is None else write(value) for value, write in zip(values, writers)]  # noqa: B905 - strict costs
    )


class Writers(dict[type[Part], Write]):
    """What writes the values of each class, made when it is first asked for."""

    def __missing__(self, cls: type[Part]) -> Write:
        write = self[cls] = values_writer(PLANS[cls])
        return write


WRITERS: Final = Writers()


def encode_body(payload: Part) -> bytes:
    """The Avro binary encoding of ``payload`` by the newest schema of its kind, without the frame.

    Values are not judged: call ``check`` before, else what comes out may be no encoding at all.
    """
    plan = PLANS[payload.__class__]
    return WRITERS[plan.cls](plan.values(payload))
