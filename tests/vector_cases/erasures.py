"""Payloads that an erasure took away, or somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sealing import bundle_of, digests_of, erased, event, key_statement, opening, seal
from tests.vector_cases.case import CLEAN, Case, Expected, Sent, one, refused


def cases() -> Iterator[Case]:
    yield _erasure("good-erasure", "a payload erased, and the event that erased it", named=True)
    yield _erasure("bad_payload-unauthorized-erasure", "erased by a key that may not state erasures", named=False)
    events = [opening(), event(1), event(2)]
    a, b, c = events
    salted = seal(events).but(events=[a, b._replace(payload=None), c])
    sent = Sent(None, refused("bad_payload"), value=salted)
    yield one("bad_payload-salt-left", "an erased event whose salt is left", sent, erased=[digests_of(events)[1]])


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
