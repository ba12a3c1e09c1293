"""What a case is, and what many cases are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ledger.format.codec import MARK
from tests.sealing import CHAIN, LEDGER, SECOND, TENANT, Made, closing, event, opening, seal, signer

OTHER = signer("other")
FOREIGN = MARK + bytes.fromhex("0123456789abcdef")
"""The frame of a schema that nobody published."""
HOUR = 3600 * SECOND
DAY = 24 * HOUR


class Expected(NamedTuple):
    """What must come of a record: ``reason`` refuses it; else ``refused`` and ``noted`` say what differs from a clean event."""

    reason: str | None = None
    findings: tuple[str, ...] = ()
    refused: dict[int, str] = {}  # noqa: RUF012 - never written to
    noted: dict[int, list[str]] = {}  # noqa: RUF012
    role: str = "source"


CLEAN = Expected()


class Sent(NamedTuple):
    """A record and what is expected of it. ``made`` is the batch as sealed; ``value`` what stands in the log."""

    made: Made | None
    expected: Expected = CLEAN
    value: bytes | None = None
    key: bytes | None = CHAIN
    append_time: int | None = None
    zeros: int = 0


class Case(NamedTuple):
    """A file: ``chain`` names the chain findings expected, ``erased`` the events of ``erased_of`` that an erasure names."""

    name: str
    title: str
    sent: Sequence[Sent]
    bundle: bytes | None = None
    erased: Sequence[bytes] = ()
    erased_of: str = TENANT
    chain: Sequence[str] = ()
    refused_bundle: bool = False
    ledger: str = LEDGER


def one(name: str, title: str, sent: Sent, **more: Any) -> Case:
    return Case(name, title, [sent], **more)


def refused(reason: str) -> Expected:
    return Expected(reason=reason)


def three(**changes: Any) -> list[Made]:
    """A chain of three seals, the last of which closes it; ``changes`` are to the second seal."""
    first = seal([opening()])
    second = seal([event(1), event(2)], first.head, **changes)
    third = seal([closing(3)], second.head, next_within=0)
    return [first, second, third]


def rejected(reason: str, name: str, title: str, value: bytes | None, **more: Any) -> Case:
    bundle = more.pop("bundle", None)
    return one(f"{reason}-{name}", title, Sent(None, refused(reason), value=value, **more), bundle=bundle)
