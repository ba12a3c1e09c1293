"""The JSON form of answers and their parts, which HTTP and ``--json`` show.

Event ids are UUID text, digests and other bytes lower-case hex, times RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import NoneType
from typing import Any, Final

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
        if is_dataclass(cls):
            return self._of_fields([each.name for each in fields(cls)])
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return self._of_fields(list(cls._fields))
        if issubclass(cls, bytes):
            return _bytes
        return _items if issubclass(cls, (tuple, list, frozenset)) else _same

    def _of_fields(self, names: list[str]) -> Callable[[Any], Any]:
        """Written out as one expression: what is asked of each field in turn costs more than to write it."""
        special = {name: _SPECIAL[name] for name in names if name in _SPECIAL}
        fields_ = (
            f"{name.removesuffix('_')!r}: special[{name!r}](value.{name})"
            if name in special
            else f"{name.removesuffix('_')!r}: held if (cls := (held := value.{name}).__class__) in plain else writers[cls](held)"
            for name in names
        )
        known: dict[str, Any] = {"special": special, "plain": _PLAIN, "writers": self}
        exec(f"def write(value): return {{{', '.join(fields_)}}}", known)  # noqa: S102 - of names of fields alone
        write: Callable[[Any], Any] = known["write"]
        return write


def _time(value: object) -> Any:
    return rfc3339(value) if isinstance(value, int) else to_json(value)


def _hex(value: object) -> Any:
    return value.hex() if isinstance(value, bytes) else to_json(value)


_SPECIAL: Final = dict.fromkeys(_TIMES, _time) | {"chain_id": _hex}
_WRITERS: Final = _Writers()
