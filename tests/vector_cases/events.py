# ruff: noqa: E501 - a row a case
"""Events refused alone, and findings of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ledger.format import ids
from ledger.format.batch import SealedEvent
from ledger.format.codec import FRAME
from ledger.format.event import Cause
from ledger.trust.keys import jwk_of
from tests.sealing import (
    KEY,
    OPEN,
    SCHEMAS,
    SECOND,
    START,
    TENANT,
    bundle_of,
    closing,
    data,
    event,
    event_id,
    heartbeat,
    key_statement,
    negative_block,
    opening,
    overlong,
    seal,
    split_blocks,
    zigzag,
)
from tests.vector_cases.case import DAY, FOREIGN, Case, Expected, Sent, one
from tests.vector_cases.samples import sample


def cases() -> Iterator[Case]:
    for name, title, bad in _bad_headers():
        made = seal([opening(), bad, event(2)])
        yield one(f"event-malformed-{name}", title, Sent(made, Expected(refused={1: "malformed"})))
    for name, title, bad in _bad_payloads():
        made = seal([opening(), bad, event(2)])
        yield one(f"event-unprojectable-{name}", title, Sent(made, Expected(refused={1: "unprojectable"})))
    for name, title, bad, found in _noted():
        made = seal([opening(), bad, event(2)])
        yield one(f"event-{found}-{name}", title, Sent(made, Expected(noted={1: [found]})))
    yield from _both()
    yield from _scoped_kinds()
    last = seal([opening(), event(1, "chain_close", payload=SCHEMAS.by_name["chain_close"].frame)], next_within=0)
    yield one("event-unprojectable-close", "a close whose payload does not decode closes the chain", Sent(last, Expected(refused={1: "unprojectable"})))  # fmt: skip


def _raw(header: bytes) -> SealedEvent:
    return event(1)._replace(header=header)


def _bad_headers() -> Iterator[tuple[str, str, SealedEvent]]:
    fine = event(1)
    header = fine.header
    version4 = event_id(1)[:6] + b"\x4f" + event_id(1)[7:]
    variant = event_id(1)[:8] + b"\x3f" + event_id(1)[9:]
    at = header.index(b"chain_heartbeat")
    many = [Cause(event_id(n), None, "x") for n in range(65)]
    yield "empty", "a header of no bytes", _raw(b"")
    yield "no-mark", "a header without the mark", _raw(b"\0" + header[1:])
    yield "cut-short", "a header without its last byte", _raw(header[:-1])
    yield "trailing-byte", "a header with a byte after its end", _raw(header + b"\0")
    yield "other-record", "a seal in the place of a header", _raw(SCHEMAS.by_name["Seal"].frame + header[FRAME:])
    yield "uuid4", "an event id of version 4", event(1, event_id=version4)
    yield "variant", "an event id of another variant", event(1, event_id=variant)
    yield "nul", "U+0000 in a string", event(1, agent_id="a\0b")
    yield "not-utf8", "a kind that is not UTF-8", _raw(header[:at] + b"\xff" + header[at + 1 :])
    yield "long-string", "a string of 513 bytes", event(1, correlation=["x" * 513])
    yield "long-string-utf8", "a string of 257 characters and 514 bytes", event(1, agent_instance="é" * 257)
    yield "65-causes", "a cause too many", event(1, causes=many)
    yield "too-long", "a header over 8 KiB", event(1, correlation=["x" * 500] * 17)
    yield "union-index-2", "a union with index 2", _raw(_with_union(header, b"\x04"))
    yield "union-index-minus-1", "a union with index -1", _raw(_with_union(header, b"\x01" + bytes(16)))
    yield "union-index-minus-2", "a union with index -2", _raw(_with_union(header, b"\x03"))
    causes = [event_id(0) + b"\0" + data(b"retries")] * 2
    wrong = zigzag(-2) + zigzag(9999) + b"".join(causes) + b"\0"
    yield "block-size", "a block of another size than it says", _raw(header[: -(3 + 32)] + wrong + header[-(2 + 32) :])
    yield "count-2-60", "2^60 contents", _raw(header[:-33] + zigzag(2**60) + header[-32:])
    yield "length-negative", "a string of -1 bytes", _raw(header[: FRAME + 16] + b"\x01" + header[FRAME + 17 :])


def _with_union(header: bytes, index: bytes) -> bytes:
    """A header with another index for ``execution_id``, the union after the time."""
    at = header.index(b"chain_heartbeat") + len("chain_heartbeat") + len(zigzag(START))
    return header[:at] + index + header[at + 1 :]


def _bad_payloads() -> Iterator[tuple[str, str, SealedEvent]]:
    payload = SCHEMAS.encode("chain_heartbeat", heartbeat())
    opened = SCHEMAS.encode("chain_open", {**OPEN, "software": "a\0b"})
    held = {"tenant": TENANT, "salt": bytes(16), "media_type": "text/plain", "subjects": [], "bytes": b""}
    nested = {"continues": [_continued("a\0b")], **{k: v for k, v in OPEN.items() if k != "continues"}}
    yield "other-kind", "the payload is of another kind", event(1, "prompt", payload=payload)
    yield "empty", "a payload of no bytes", event(1, payload=b"")
    yield "no-mark", "a payload without the mark", event(1, payload=b"{}" + payload)
    yield "cut-short", "a payload without its last byte", event(1, payload=payload[:-1])
    yield "trailing-byte", "a payload with a byte after its end", event(1, payload=payload + b"\0")
    yield "too-long", "a payload over 64 KiB", event(1, payload=payload + bytes(64 * 1024))
    yield "nul", "U+0000 in a string", event(1, "chain_open", payload=opened)
    yield "nul-inside", "U+0000 in a string of an inner record", event(1, "chain_open", nested)
    yield "not-a-kind", "a Content as payload", event(1, "Content", held)
    yield "union-index-2", "a union with index 2", event(1, payload=payload[:-1] + b"\x04")
    yield "union-index-minus-2", "a union with index -2", event(1, payload=payload[:-1] + b"\x03")
    eleven = payload[:FRAME] + b"\x80" * 10 + b"\x00" + payload[FRAME + 1 :]
    endless = payload[:FRAME] + b"\x80" * 10 + payload[FRAME + 1 :]
    yield "ten-bytes-and-on", "a number whose tenth byte says that it goes on", event(1, payload=endless)
    yield "eleven-bytes", "a number in eleven bytes", event(1, payload=eleven)
    beyond = payload[:FRAME] + b"\x80" * 9 + b"\x02" + payload[FRAME + 1 :]
    yield "beyond-64-bits", "a number beyond 64 bits", event(1, payload=beyond)
    least = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown") + zigzag(-(2**63)) + b"\0" + b"\0"
    yield "least-block", "a block of -2^63 items", event(1, "chain_loss", payload=least)
    losses = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown") + zigzag(2**60) + bytes(60_000)
    yield "count-2-60", "2^60 items", event(1, "chain_loss", payload=losses)


def _continued(key_id: str) -> dict[str, Any]:
    return {
        "chain_id": bytes(16),
        "key_id": key_id,
        "next_sequence": 1,
        "last_seal_number": None,
        "last_seal_digest": None,
    }


def _noted() -> Iterator[tuple[str, str, SealedEvent, str]]:
    fine = event(1)
    header, payload = fine.header, fine.payload or b""
    at = START + 2 * SECOND
    id9999 = ids.uuid8(253_402_300_799_000, b"", b"")
    yield "ahead", "occurred over a day after append time", event(1, occurred_at=at + DAY + 1), "clock_skew"
    yield "negative", "occurred before 1970", event(1, occurred_at=-1), "clock_skew"
    yield "id-9999", "an event id of the year 9999", event(1, event_id=id9999), "clock_skew"
    strange = [Cause(event_id(0), None, "blessed_by")]
    yield "strange", "a relation that is not in the table", event(1, causes=strange), "unknown_relation"
    yield "empty", "a relation of no letters", event(1, causes=[Cause(event_id(0), None, "")]), "unknown_relation"
    found = "non_canonical"
    yield "header-overlong", "the length of the kind takes two bytes", _raw(overlong(header, FRAME + 16)), found
    causes = [event_id(0) + b"\0" + data(b"retries")] * 2
    before, after = header[: -(3 + 32)], header[-(2 + 32) :]
    yield (
        "header-negative-block",
        "causes in a block of negative count",
        _raw(before + negative_block(causes) + after),
        found,
    )
    yield "header-two-blocks", "a block for each cause", _raw(before + split_blocks(causes) + after), found
    yield "payload-overlong", "a number in two bytes", event(1, payload=overlong(payload, FRAME)), found
    ten = payload[:FRAME] + b"\x82" + b"\x80" * 8 + b"\x00" + payload[FRAME + 1 :]
    yield "payload-ten-bytes", "a small number in ten bytes", event(1, payload=ten), found
    blocks = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown") + split_blocks([bytes(2)] * 2)
    yield "payload-two-blocks", "a block for each item", event(1, "chain_loss", payload=blocks), found


def _both() -> Iterator[Case]:
    """Two faults of one event: the first of step 18 refuses it, findings add up."""
    unknown = FOREIGN + b"\x02"
    overlong_kind = event(1, "weather", payload=unknown)
    overlong_kind = overlong_kind._replace(header=overlong(overlong_kind.header, FRAME + 16))
    for name, title, bad, found in (
        ("schema_unknown-as-seal", "a kind that no payload may be, and a payload of an unknown schema", event(1, "Seal", payload=unknown), ["schema_unknown"]),
        ("schema_unknown-non-canonical", "a header that is not canonical, and a payload of an unknown schema", overlong_kind, ["non_canonical", "schema_unknown"]),
        ("two-findings", "two findings of one event", event(1, occurred_at=-1, causes=[Cause(event_id(0), None, "x")]), ["clock_skew", "unknown_relation"]),
    ):  # fmt: skip
        yield one(f"event-{name}", title, Sent(seal([opening(), bad]), Expected(noted={1: found})))
    foreign = event(1, "oversight", payload=SCHEMAS.encode("chain_heartbeat", heartbeat()), occurred_at=-1)
    sent = Sent(seal([opening(), foreign]), Expected(refused={1: "unprojectable"}))
    yield one("event-unprojectable-without-findings", "an event that is refused has no findings", sent)


def _scoped_kinds() -> Iterator[Case]:
    made = seal(
        [opening(), event(1, "agent_registration", sample(SCHEMAS.by_name["agent_registration"].parsed, "a", True))]
    )
    noted = Expected(noted={1: ["unauthorized_kind"]})
    yield one("event-unauthorized_kind-named", "`*` leaves out agent_registration", Sent(made, noted))
    some = bundle_of(key_statement(kinds=["chain_open", "prompt"]))
    made = seal([opening(), event(1)])
    yield one("event-unauthorized_kind-listed", "a kind that the key's list leaves out", Sent(made, noted), bundle=some)
    both = bundle_of(key_statement(kinds=["chain_open"]), key_statement(kinds=["chain_heartbeat"], role="importer"))
    yield one("good-two-statements", "two statements of one key add up", Sent(made), bundle=both)
    more = {"a": [True, False, None, 0.1, -1e-7, 1.5e300, 2**53 - 1, "\u20ac\n"], "": {}}
    further = bundle_of(key_statement(key={**jwk_of(KEY.public.raw), "kid": 1.5}, more=more))
    yield one("good-further-members", "members that nobody reads, of any JSON", Sent(made), bundle=further)
    over = bundle_of(key_statement(kinds=["chain_open"]), key_statement(until=START))
    yield one(
        "event-unauthorized_kind-over", "a statement that has run out adds nothing", Sent(made, noted), bundle=over
    )
    for other in ("tenants", "services"):
        title = f"a statement for other {other} adds nothing"
        elsewhere = bundle_of(key_statement(kinds=["chain_open"]), key_statement(**{other: ["other"]}))
        yield one(f"event-unauthorized_kind-other-{other}", title, Sent(made, noted), bundle=elsewhere)
    cased = bundle_of(key_statement(kinds=["chain_open", "Chain_heartbeat"]))
    yield one("event-unauthorized_kind-case", "a kind with another capital", Sent(made, noted), bundle=cased)
    closed = seal([opening(), closing(1)], next_within=0)
    none = bundle_of(key_statement(kinds=["prompt"]))
    ends = Sent(closed, Expected(noted={0: ["unauthorized_kind"], 1: ["unauthorized_kind"]}))
    yield one("event-unauthorized_kind-ends", "a key that may neither open nor close does both", ends, bundle=none)
