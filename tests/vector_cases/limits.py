"""At a limit and one beyond it (section 19 of the page); ``good`` and ``frames`` have others."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from ledger.format import ids
from ledger.format.batch import ChainHead, SealedEvent, Signature
from ledger.format.event import Cause
from ledger.format.limits import (
    EVENT_AHEAD,
    HEADER_BYTES,
    HEADER_STRING_BYTES,
    NEXT_WITHIN,
    NUMBER,
    PAYLOAD_BYTES,
    SEAL_BYTES,
    SECOND,
    SIGNATURES,
)
from tests.sealing import SCHEMAS, START, Made, data, event, event_id, opening, seal, zigzag
from tests.vector_cases.case import CLEAN, FOREIGN, Case, Expected, Sent, one, rejected


def cases() -> Iterator[Case]:
    yield from _strings()
    yield from _headers()
    yield from _payloads()
    yield from _seals()


def _strings() -> Iterator[Case]:
    """Each string of a header by itself."""
    for name, at_limit, beyond in (
        ("kind", *({"kind": "x" * n, "payload": FOREIGN} for n in (512, 513))),
        ("agent-id", *({"agent_id": "x" * n} for n in (512, 513))),
        ("agent-instance", *({"agent_instance": "x" * n} for n in (512, 513))),
        ("relation", *({"causes": [Cause(event_id(0), None, "x" * n)]} for n in (512, 513))),
        ("correlation", *({"correlation": ["", "x" * n]} for n in (512, 513))),
    ):
        noted = {"kind": ["schema_unknown"], "relation": ["unknown_relation"]}.get(name, [])
        yield _event(f"longest-{name}", f"a {name} of 512 bytes", event(1, **at_limit), Expected(noted={1: noted}))
        yield _event(f"malformed-long-{name}", f"a {name} of 513 bytes", event(1, **beyond), MALFORMED)


MALFORMED = Expected(refused={1: "malformed"})
UNPROJECTABLE = Expected(refused={1: "unprojectable"})


def _event(name: str, title: str, second: SealedEvent, expected: Expected = CLEAN) -> Case:
    return one(f"event-{name}", title, Sent(seal([opening(), second]), expected))


def _headers() -> Iterator[Case]:
    whole = _header_of(HEADER_BYTES)
    yield _event("longest-header", "a header of 8 KiB", whole)
    yield _event("malformed-header-8193", "a header of 8 KiB and a byte", _header_of(HEADER_BYTES + 1), MALFORMED)
    strange = whole._replace(header=FOREIGN + whole.header)
    title = "a header over 8 KiB of an unknown schema: its size refuses it alone, and `schemas` cannot be checked"
    yield _event("malformed-too-long-unknown", title, strange, MALFORMED)
    other = whole._replace(header=SCHEMAS.by_name["Content"].frame + whole.header)
    yield _event("malformed-too-long-counts", "a header over 8 KiB: its schema counts", other, MALFORMED)
    latest = ids.uuid8((START + 2 * SECOND + EVENT_AHEAD) // 1000, b"", b"")
    yield _event("id-a-day-ahead", "at the limit: no finding", event(1, event_id=latest))
    after = ids.uuid8((START + 2 * SECOND + EVENT_AHEAD) // 1000 + 1, b"", b"")
    title = "an event id a millisecond beyond the day"
    yield _event("clock_skew-id", title, event(1, event_id=after), Expected(noted={1: ["clock_skew"]}))


def _header_of(size: int) -> SealedEvent:
    """An event whose header has so many bytes."""
    most = ["x" * HEADER_STRING_BYTES] * 15
    short = event(1, correlation=[*most, "x" * 64])
    made = event(1, correlation=[*most, "x" * (64 + size - len(short.header))])
    assert len(made.header) == size
    return made


def _payloads() -> Iterator[Case]:
    whole, beyond = _losses("unknown.", PAYLOAD_BYTES), _losses("unknown", PAYLOAD_BYTES + 1)
    yield _tailed("longest-payload", "a payload of 64 KiB", event(1, "chain_loss", payload=whole), CLEAN)
    title = "a payload of 64 KiB and a byte, which would decode"
    yield _tailed("unprojectable-65537", title, event(1, "chain_loss", payload=beyond), UNPROJECTABLE)
    strange = event(1, payload=FOREIGN + bytes(PAYLOAD_BYTES))
    yield _tailed("unprojectable-too-long-unknown", "over 64 KiB and of an unknown schema", strange, UNPROJECTABLE)


def _losses(reason: str, size: int) -> bytes:
    """A chain_loss of so many bytes, by its number of items of two zero bytes."""
    before = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(reason.encode())
    count = (size - len(before) - 4) // 2
    made = before + zigzag(count) + bytes(2 * count + 1)
    assert len(made) == size
    return made


def _tailed(name: str, title: str, last: SealedEvent, expected: Expected) -> Case:
    """A case of a batch that ends in many zero bytes, which the file counts."""
    made = seal([opening(), last])
    value = made.value.rstrip(b"\0")
    return one(f"event-{name}", title, Sent(made, expected, value=value, zeros=len(made.value) - len(value)))


def _seals() -> Iterator[Case]:
    events = [opening(), event(1)]
    yield one("good-longest-seal", "a seal of 2 KiB", Sent(_seal_of(SEAL_BYTES)))
    yield rejected("malformed", "seal-2049", "a seal of 2 KiB and a byte", _seal_of(SEAL_BYTES + 1).value)
    yield one("good-longest-promise", "a promise of 366 days", Sent(seal(events, next_within=NEXT_WITHIN)))
    made = seal(events)
    sixteen = [*made.batch.signatures, *[Signature("", b"")] * (SIGNATURES - 1)]
    yield one("seal-16-signatures", "as many signatures as allowed", Sent(made, value=made.but(signatures=sixteen)))
    last = ChainHead(NUMBER, sha256(b"seal").digest(), NUMBER)
    largest = Sent(seal([event(2)], last, sealed_at=NUMBER), Expected(findings=("clock_skew",)), append_time=START)
    yield one("chain-largest-numbers", "seal number, sequence and time of 2^53 - 1", largest, chain=["gap"])
    for name, number, reason in (
        ("2-31", 2**31, "malformed"),
        ("minus-2-31-1", -(2**31) - 1, "malformed"),
        ("2-31-1", 2**31 - 1, "schema_unknown"),
        ("minus-2-31", -(2**31), "schema_unknown"),
    ):
        yield rejected(reason, f"format-{name}", f"format {number}", seal(events, format=number).value)


def _seal_of(size: int) -> Made:
    """A first seal of so many bytes, by the length of its service's name."""
    short = len(seal([opening()], service="s" * 1024).seal)
    made = seal([opening()], service="s" * (1024 + size - short))
    assert len(made.seal) == size
    return made
