"""Batches changed after sealing: other events than the root covers, other payloads than the headers commit to."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.format.merkle import tree_head
from tests.sealing import digests_of, erased, event, opening, seal
from tests.vector_cases.case import Case, rejected


def cases() -> Iterator[Case]:
    events = [opening(), event(1), event(2)]
    made = seal(events)
    a, b, c = events
    for name, title, others in (
        ("missing", "the last event is missing", [a, b]),
        ("added", "an event more than was sealed", [*events, c]),
        ("swapped", "two events in the other order", [a, c, b]),
        ("other", "an event that was not sealed", [a, b, event(3)]),
        ("empty-header", "a header of no bytes", [a, b, c._replace(header=b"")]),
    ):
        yield rejected("bad_root", name, title, made.but(events=others))
    yield rejected("bad_root", "count", "the seal counts another number of events", seal(events, event_count=4).value)
    copied = seal(events, events_root=tree_head(digests_of(events)), service="hotels")
    yield rejected("bad_root", "other-service", "the root as another service would have it", copied.value)
    swapped_payload = b._replace(payload=c.payload)
    for name, title, others in (
        ("swapped", "the payload of another event", [a, swapped_payload, c]),
        ("salt", "another salt", [a, b._replace(salt=c.salt), c]),
        ("stripped", "a payload taken away, and no erasure", [a, erased(b), c]),
        ("cut", "a payload without its last byte", [a, b._replace(payload=(b.payload or b"")[:-1]), c]),
        ("empty", "a payload of no bytes", [a, b._replace(payload=b""), c]),
    ):
        yield rejected("bad_payload", name, title, made.but(events=others))
