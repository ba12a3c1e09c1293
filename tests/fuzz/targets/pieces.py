"""Inputs of several parts in one string of bytes, each of which a search can change by itself; and the vectors as seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ledger.errors import VerificationError
from ledger.format.batch import SealedBatch, split_batch
from tests.sealing import SCHEMAS

VECTORS = Path(__file__).parents[2] / "vectors"
SMALL = 3000
"""Bytes of a vector's record that is a seed."""


def join(parts: Sequence[bytes]) -> bytes:
    """Each part after its length."""
    return b"".join(len(each).to_bytes(2, "big") + each for each in parts)


def split(data: bytes) -> list[bytes]:
    """The parts of ``data``; of a last one that is cut short, what is there."""
    parts = []
    at = 0
    while at + 2 <= len(data):
        stop = at + 2 + int.from_bytes(data[at : at + 2], "big")
        parts.append(data[at + 2 : stop])
        at = stop
    return parts


@cache
def vectors() -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(VECTORS.glob("*.json"))]


@cache
def values() -> list[bytes]:
    """The small records of all vectors."""
    found = [bytes.fromhex(record["value"]) for vector in vectors() for record in vector["records"] if record["value"]]
    return list(dict.fromkeys(each for each in found if len(each) <= SMALL))


def batches() -> Iterator[SealedBatch]:
    """Those of them that split."""
    for value in values():
        try:
            yield split_batch(SCHEMAS, value)
        except VerificationError:
            continue


@cache
def events() -> list[tuple[bytes, bytes]]:
    """Header and payload of their events."""
    found = [(event.header, event.payload or b"") for batch in batches() for event in batch.events]
    return list(dict.fromkeys(found))
