"""The JSON form of answers and their parts, which HTTP and ``--json`` show.

Event ids are UUID text, digests and other bytes lower-case hex, times RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

_TIMES: Final = frozenset(
    {
        "at",
        "issued_at",
        "expires_at",
        "ended_at",
        "revoked_at",
        "occurred_at",
        "append_time",
        "as_of",
        "since",
        "last_append",
        "looked_until",
        "first_use",
        "last_use",
        "task_ended",
        "silent_since",
    }
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_json(value: object) -> Any:
    """An ``Answer``, or a part of one, as plain dicts, lists, strings and numbers."""
    return _WRITERS[value.__class__](value)


@lru_cache(maxsize=4096)
def rfc3339(time: int) -> str:
    """µs since 1970 as text, UTC; the number itself where no calendar holds it. An answer names most times twice."""
    try:
        return (_EPOCH + timedelta(microseconds=time)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except OverflowError:
        return str(time)


@lru_cache(maxsize=4096)
def _bytes(value: bytes) -> str:
    """An id as a UUID, anything else in hex. An answer names each event some ten times."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" if len(text) == 32 else text


def _same(value: Any) -> Any:
    return value


def _items(value: Iterable[object]) -> list[Any]:
    return [_WRITERS[each.__class__](each) for each in value]


_PLAIN: Final = frozenset({str, int, float, bool, NoneType})
"""Classes whose values are written as they are."""


class _Writers(dict[type[Any], Callable[[Any], Any]]):
    """What writes a value of each class, made when it is first asked for: an answer has a thousand fields."""

    def __missing__(self, cls: type[Any]) -> Callable[[Any], Any]:
        self[cls] = made = self._make(cls)
        return made

    def _make(self, cls: type[Any]) -> Callable[[Any], Any]:
        if _has_fields(cls):
            return self._of_fields(cls, [each.name for each in fields(cls)] if is_dataclass(cls) else cls._fields)
        if issubclass(cls, bytes):
            return _bytes
        return _items if issubclass(cls, (tuple, list, frozenset)) else _same

    def _of_fields(self, cls: type[Any], names: Iterable[str]) -> Callable[[Any], Any]:
        """Written out as one expression by what the class says of its fields: what is asked of each value costs more than to
        write it."""
        hints = get_type_hints(cls)
        known: dict[str, Any] = {"plain": _PLAIN, "writers": self, "text": _bytes, "time": rfc3339, "hex": _hex}
        shown = (f"{name.removesuffix('_')!r}: {self._field(name, hints[name], known)}" for name in names)
        exec(f"def write(value): return {{{', '.join(shown)}}}", known)  # noqa: S102 - of names of fields alone
        write: Callable[[Any], Any] = known["write"]
        return write

    def _field(self, name: str, hint: Any, known: dict[str, Any]) -> str:
        """What writes a field, as an expression; ``known`` gets what it calls."""
        value = f"value.{name}"
        if name == "chain_id":
            return f"hex({value})"
        if name in _TIMES:
            return f"time(held) if (held := {value}).__class__ is int else writers[held.__class__](held)"
        items = get_args(hint)
        if get_origin(hint) is tuple and len(items) == 2 and items[1] is Ellipsis:
            return f"[{one} for held in {value}]" if (one := self._one(name, items[:1], known)) else f"[*{value}]"
        one = self._one(name, items if get_origin(hint) in (Union, UnionType) else (hint,), known)
        return f"None if (held := {value}) is None else {one}" if one else value

    def _one(self, name: str, hints: Sequence[Any], known: dict[str, Any]) -> str:
        """What writes ``held``, which is of one of these types and not None; empty where it is written as it is."""
        told = [each for each in hints if each is not NoneType]
        if all(each in _PLAIN or get_origin(each) is Literal for each in told):
            return ""
        if told == [bytes]:
            return "text(held)"
        if len(told) == 1 and _has_fields(told[0]) and not told[0].__subclasses__():
            known[f"write_{name}"] = self[told[0]]
            return f"write_{name}(held)"
        return "held if (cls := held.__class__) in plain else writers[cls](held)"


def _has_fields(cls: Any) -> bool:
    return is_dataclass(cls) or (isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields"))


def _hex(value: object) -> Any:
    return value.hex() if isinstance(value, bytes) else to_json(value)


_WRITERS: Final = _Writers()
