"""JSON of strangers: parsed without trust, and made fit to be kept. Nothing here knows a format.

Numbers that RFC 8785 cannot hold (beyond 2^53 − 1, infinite, NaN) stay what they were written as: text. An object that
names a member twice is kept apart, because two readers may see two objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import rfc8785

from ledger.errors import InvalidEvent

DEPTH: Final = 64
NODES: Final = 500_000
"""Values in one record."""
MASKED: Final = b"[secret hmac-sha256:"
"""How what stands in the place of a secret begins."""
EXACT: Final = 2**53 - 1

Json = Any
Table = Mapping[str, Json]
_EMPTY: Final[dict[str, Json]] = {}


class Refused(InvalidEvent):
    """A record cannot be imported; ``reason`` is one of ``ledger.importers.account.REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Twice(dict[str, Json]):
    """An object that names a member twice."""


def parse(text: str) -> Json:
    """The value in ``text``; raises ``Refused`` (not_json)."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Refused("not_json", "nested too deep to be read") from None
    except ValueError as error:
        position = getattr(error, "pos", None)
        raise Refused("not_json", "no JSON" if position is None else f"no JSON at character {position}") from None


def clean(value: Json) -> Json:
    """A copy of ``value`` that can be kept: text that UTF-8 can hold and without U+0000; raises ``Refused`` beyond the bounds."""
    budget = [NODES]
    return _clean(value, DEPTH, budget)


def table(value: Json) -> Table:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def items(value: Json) -> list[Json]:
    """``value`` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Json) -> str | None:
    """``value`` if it is a string that says something."""
    return value if isinstance(value, str) and value else None


def nested(value: Json, *path: str) -> Json:
    """What stands at ``path`` in nested objects, or None."""
    for name in path:
        value = table(value).get(name)
    return value


def dumps(value: Json) -> str:
    """As compact JSON, members in their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def digest_of(value: Json) -> bytes | None:
    """SHA-256 over RFC 8785 JSON. None where a secret was taken out, since a digest of something else would be false."""
    try:
        encoded = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError):
        return None
    return None if MASKED in encoded else sha256(encoded).digest()


def _clean(value: Json, depth: int, budget: list[int]) -> Json:
    budget[0] -= 1
    if budget[0] < 0:
        raise Refused("too_large", f"more than {NODES} values in one record")
    if isinstance(value, str):
        return _text(value)
    if depth == 0 and isinstance(value, list | dict):
        raise Refused("too_deep", f"nested deeper than {DEPTH} levels")
    if isinstance(value, Twice):
        raise Refused("duplicate_key", "an object names a member twice")
    if isinstance(value, dict):
        return {_text(name): _clean(each, depth - 1, budget) for name, each in value.items()}
    if isinstance(value, list):
        return [_clean(each, depth - 1, budget) for each in value]
    return value


def _text(value: str) -> str:
    if value.isascii():
        return value.replace("\0", "\ufffd")
    try:
        value.encode()
    except UnicodeEncodeError:
        # Halves of pairs that JSON escaped one by one become the character that they make; lone ones cannot be kept.
        value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value.replace("\0", "\ufffd")


def _integer(digits: str) -> int | str:
    if len(digits) > 17:
        return digits
    value = int(digits)
    return value if -EXACT <= value <= EXACT else digits


def _number(digits: str) -> float | str:
    value = float(digits)
    return value if -1e300 < value < 1e300 else digits


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    whole = dict(pairs)
    return whole if len(whole) == len(pairs) else Twice(whole)


_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=str, object_pairs_hook=_object, strict=False
)
