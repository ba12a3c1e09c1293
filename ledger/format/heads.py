"""Heads of chains: what somebody outside the log knows of them, so that a log that lost its end is found out.

A file of them is JSON lines, one a head, in UTF-8: an object of exactly the members ``ledger``, ``tenant``, ``service``,
``key_id`` (texts), ``chain_id``, ``seal_digest`` (hex), ``seal_number``, ``next_sequence``, ``sealed_at`` (integers). Nothing in
it is signed: it is worth what the way is worth on which it was kept apart from the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from ledger.errors import LedgerError
from ledger.format.batch import Chain
from ledger.format.limits import NUMBER

LINE_BYTES: Final = 8192


class KnownHead(NamedTuple):
    """A chain and its last seal, as far as somebody knew. ``next_sequence`` is what its next event would have had."""

    chain: Chain
    seal_number: int
    seal_digest: bytes
    next_sequence: int
    sealed_at: int


class InvalidHeads(LedgerError):
    """A file of heads cannot be used; none of it is."""


def format_heads(heads: Iterable[KnownHead]) -> Iterator[bytes]:
    """The lines of a file, ended by LF each."""
    for head in heads:
        named = head.chain._asdict() | {"chain_id": head.chain.chain_id.hex()}
        rest = head._asdict() | {"seal_digest": head.seal_digest.hex()}
        del rest["chain"]
        yield json.dumps({**named, **rest}, ensure_ascii=False).encode() + b"\n"


def parse_heads(lines: Iterable[bytes], ledger: str) -> Iterator[KnownHead]:
    """The heads of a file, of this ledger alone; raises ``InvalidHeads`` naming the line at fault. Memory is a line's."""
    for number, line in enumerate(lines, 1):
        try:
            head = _head(line)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidHeads(f"line {number} of the heads is not a head ({error}); export them again") from None
        if head.chain.ledger != ledger:
            raise InvalidHeads(
                f"line {number} of the heads is of ledger {head.chain.ledger[:60]!r}, this is {ledger!r}"
            )
        yield head


def _head(line: bytes) -> KnownHead:
    if len(line) > LINE_BYTES:
        raise ValueError(f"it has over {LINE_BYTES} bytes")
    if not line.endswith(b"\n"):
        raise ValueError("it is cut short")
    found: Any = json.loads(line)
    if not isinstance(found, dict) or found.keys() != _MEMBERS:
        raise ValueError(f"its members are not {', '.join(sorted(_MEMBERS))}")
    return KnownHead(
        Chain(
            ledger=_text(found["ledger"]),
            tenant=_text(found["tenant"]),
            service=_text(found["service"]),
            key_id=_text(found["key_id"]),
            chain_id=_bytes(found["chain_id"], 16),
        ),
        seal_number=_number(found["seal_number"]),
        seal_digest=_bytes(found["seal_digest"], 32),
        next_sequence=_number(found["next_sequence"]),
        sealed_at=_number(found["sealed_at"]),
    )


_MEMBERS: Final = {*Chain._fields, *KnownHead._fields} - {"chain"}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is not a text")
    value.encode()  # a lone surrogate is no text, and a ValueError
    return value


def _bytes(value: object, size: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * size or value != value.lower():
        raise ValueError(f"a digest or id is not {size} bytes in hex")
    return bytes.fromhex(value)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER:
        raise ValueError(f"a number is not between 0 and {NUMBER}")
    return value
