"""Payloads that an erasure took away, or somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.format.batch import SealedEvent
from ledger.format.codec import FRAME
from ledger.format.event import Cause
from ledger.format.hashing import payload_digest
from tests.sealing import bundle_of, digests_of, erased, event, event_id, key_statement, opening, overlong, seal
from tests.vector_cases.case import CLEAN, Case, Expected, Sent, one, refused, rejected


def cases() -> Iterator[Case]:
    yield _erasure("good-erasure", "a payload erased, and the event that erased it", named=True)
    yield _erasure("bad_payload-unauthorized-erasure", "erased by a key that may not state erasures", named=False)
    events = [opening(), event(1), event(2)]
    a, b, c = events
    salted = seal(events).but(events=[a, b._replace(payload=None), c])
    sent = Sent(None, refused("bad_payload"), value=salted)
    yield one("bad_payload-salt-left", "an erased event whose salt is left", sent, erased=[digests_of(events)[1]])
    yield from _still_judged()


def _still_judged() -> Iterator[Case]:
    """What is still asked of an event whose payload is gone."""
    strange = event(1, causes=[Cause(event_id(0), None, "blessed_by")], occurred_at=-1)
    named = event(1, "oversight", payload=b"anything")
    overlong_kind = event(1)._replace(header=overlong(event(1).header, FRAME + 16))
    for name, title, each, expected in (
        ("findings", "an erased event has the findings of its header", strange, ["clock_skew", "unknown_relation"]),
        ("unauthorized", "an erased event of a kind that the key may not state", named, ["unauthorized_kind"]),
        ("non-canonical", "an erased event with a header that is not canonical", overlong_kind, ["non_canonical"]),
    ):
        yield _erased(f"event-erased-{name}", title, each, Expected(noted={1: expected}))
    unreadable = event(1)._replace(header=event(1).header[:-1])
    refused_alone = Expected(refused={1: "malformed"})
    yield _erased("event-erased-malformed", "an erased event whose header does not decode", unreadable, refused_alone)
    made = seal([opening(), unreadable])
    stripped = made.but(events=[opening(), erased(unreadable)])
    title = "a payload taken away, and no erasure, where the header does not decode"
    yield rejected("bad_payload", "stripped-unreadable", title, stripped)
    changed = made.but(events=[opening(), unreadable._replace(payload=b"anything", salt=bytes(16))])
    title = "another payload, where the header does not decode: nothing says which it was"
    yield one("event-malformed-payload-free", title, Sent(made, refused_alone, value=changed))
    payload = event(1).payload or b""
    unsalted = event(1, payload_digest=payload_digest(bytes(16), payload))._replace(salt=bytes(16))
    title = "a salt of zeros, with a payload: allowed"
    yield one("good-zero-salt", title, Sent(seal([opening(), unsalted])))
    elsewhere = event(1)
    sent = Sent(
        None, refused("bad_payload"), value=seal([opening(), elsewhere]).but(events=[opening(), erased(elsewhere)])
    )
    yield one(
        "bad_payload-erased-elsewhere",
        "an erasure names the event of another tenant",
        sent,
        erased=digests_of([elsewhere]),
        erased_of="other",
    )


def _erased(name: str, title: str, each: SealedEvent, expected: Expected) -> Case:
    made = seal([opening(), each])
    sent = Sent(made, expected, value=made.but(events=[opening(), erased(each)]))
    return one(name, title, sent, erased=digests_of([each]))


def _erasure(name: str, title: str, *, named: bool) -> Case:
    first, second = seal([opening(), event(1)]), None
    target = digests_of(first.batch.events)[1]
    said = {"contents": [], "events": [target], "basis": "gdpr_art_17", "by": None, "request": None}
    second = seal([event(2, "content_erasure", said)], first.head)
    after = first.but(events=[first.batch.events[0], erased(first.batch.events[1])])
    kinds = ["*", "content_erasure"] if named else ["*"]
    verdicts = (CLEAN, CLEAN) if named else (refused("bad_payload"), Expected(noted={0: ["unauthorized_kind"]}))
    return Case(
        name,
        title,
        [Sent(first, verdicts[0], value=after), Sent(second, verdicts[1])],
        bundle=bundle_of(key_statement(kinds=kinds)),
        erased=[target] if named else [],
        chain=[] if named else ["gap"],
    )
