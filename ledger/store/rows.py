"""Rows of the large tables as COPY BINARY wants them, packed by hand: this is where a materializer spends its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from ledger.format.hashing import ZERO16
from ledger.trust.verdict import VerifiedBatch, VerifiedEvent

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"

EVENTS: Final = (
    "copy events (event_id, digest, tenant, seal, at, kind, occurred_at, execution_id, agent, effective, causes, follows,"
    " header, salt, payload) from stdin (format binary)"
)
CAUSES: Final = "copy causes (cause, effect) from stdin (format binary)"
JOINS: Final = "copy joins (key, event_id) from stdin (format binary)"
RIGHTS: Final = "copy rights (above, below, event_id, how) from stdin (format binary)"

_NULL: Final = b"\xff\xff\xff\xff"
_TRUE: Final = b"\0\0\0\x01\x01"
_FALSE: Final = b"\0\0\0\x01\x00"
_UUID: Final = 2950
_BIGINT: Final = 20
_OF_SEAL: Final = Struct(">iiiqi").pack
_OF_KIND: Final = Struct(">iii").pack
_AT: Final = Struct(">h12sq").pack
_LENGTH: Final = Struct(">i").pack
_INT: Final = Struct(">ii").pack
_ARRAY: Final = Struct(">iiiiii").pack  # bytes, dimensions, nulls?, element type, size, lower bound
_SIXTEEN: Final = b"\0\0\0\x10"
_EIGHT: Final = b"\0\0\0\x08"
_THIRTY_TWO: Final = b"\0\0\0\x20"
_EVENT: Final = b"\0\x0f" + _SIXTEEN
_EDGE: Final = b"\0\x02" + _SIXTEEN
_JOIN: Final = b"\0\x02" + _EIGHT
_RIGHT: Final = Struct(">hi8si8si16sih").pack


class Joins(NamedTuple):
    """Join keys of an event, 8 bytes each: what it answers to, what it refers to, and the steps between rights that it states."""

    answers_to: Sequence[bytes]
    follows: Sequence[bytes]
    rights: Sequence[tuple[bytes, bytes, int]] = ()


NO_JOINS: Final = Joins((), ())


class EventRows:
    """Packs rows of ``events`` for the events of one seal: what they have in common is packed once."""

    __slots__ = ("_agents", "_kinds", "_names", "_of_seal")

    def __init__(self, *, tenant: int, seal: int, names: Mapping[str, int]) -> None:
        self._names = names
        self._of_seal = _OF_SEAL(4, tenant, 8, seal, 2)
        self._kinds: dict[str, bytes] = {}
        self._agents: dict[str | None, bytes] = {None: _NULL}

    def row(self, event: VerifiedEvent, at: int, joins: Joins, *, erased: bool = False) -> bytes:
        """One row; an event without effect is a row and nothing else, an erased one keeps its header."""
        _, digest, header, header_bytes, salt, payload, _, _, effective = event
        event_id, kind, occurred_at, execution_id, agent, _, _, causes, _, _, _ = header
        if erased:
            salt, payload = ZERO16, None
        if (of_kind := self._kinds.get(kind)) is None:
            of_kind = self._kinds[kind] = _OF_KIND(4, self._names[kind], 8)
        if (of_agent := self._agents.get(agent)) is None:
            of_agent = self._agents[agent] = _INT(4, self._names[agent or ""])
        parts = [
            _EVENT,
            event_id,
            _THIRTY_TWO,
            digest,
            self._of_seal,
            _AT(at, of_kind, occurred_at),
            _NULL if execution_id is None else _SIXTEEN + execution_id,
            of_agent,
            _TRUE if effective else _FALSE,
            _array(_UUID, _SIXTEEN, [cause[0] for cause in causes]) if causes else _NULL,
            _array(_BIGINT, _EIGHT, joins.follows) if joins.follows else _NULL,
            _LENGTH(len(header_bytes)),
            header_bytes,
            _SIXTEEN,
            salt,
        ]
        parts += (_NULL,) if payload is None else (_LENGTH(len(payload)), payload)
        return b"".join(parts)


def edge_rows(event: VerifiedEvent) -> bytes:
    """Rows of ``causes``: one for each event that an effective event names as a cause."""
    causes = event.header.causes
    if not causes or not event.effective:
        return b""
    above = [cause.event_id for cause in causes]
    end = _SIXTEEN + event.header.event_id
    return _EDGE + (end + _EDGE).join(above if len(above) == 1 else dict.fromkeys(above)) + end


def join_rows(event_id: bytes, joins: Joins) -> bytes:
    """Rows of ``joins``: of an event that answers to something."""
    end = _SIXTEEN + event_id
    return _JOIN + (end + _JOIN).join(joins.answers_to) + end


def right_rows(event: VerifiedEvent, joins: Joins) -> list[bytes]:
    """Rows of ``rights``."""
    return [_RIGHT(4, 8, above, 8, below, 16, event.header.event_id, 2, how) for above, below, how in joins.rights]


def names_in(batch: VerifiedBatch) -> set[str]:
    """Every string of ``batch`` that the rows hold by number."""
    found = {batch.seal.tenant, batch.seal.service}
    for event in batch.events:
        found.add(event.header.kind)
        if event.header.agent_id is not None:
            found.add(event.header.agent_id)
    return found


def copy_bytes(rows: Iterable[bytes]) -> bytes:
    """A whole COPY stream."""
    return b"".join((HEADER, *rows, TRAILER))


def _array(kind: int, length: bytes, values: Sequence[bytes]) -> bytes:
    """An array of ``values`` of one length, of which there is one at least."""
    return _head(kind, length, len(values)) + length.join(values)


@lru_cache(maxsize=256)
def _head(kind: int, length: bytes, count: int) -> bytes:
    """What stands before the first value of an array, its length too."""
    size = len(length) + int.from_bytes(length, "big")
    return _ARRAY(20 + count * size, 1, 0, kind, count, 1) + length
