"""Sealing and splitting: a round trip byte for byte, and nothing beyond the limits is sealed or split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.batch import (
    Chain,
    ChainHead,
    SealedBatch,
    SealedEvent,
    Signature,
    decode_seal,
    join_batch,
    seal_events,
    split_batch,
    used_schemas,
)
from ledger.format.codec import FRAME, Malformed
from ledger.format.hashing import ZERO32, schema_set_digest, seal_digest
from ledger.format.limits import EVENTS_PER_SEAL, SIGNATURES
from tests.sealing import CHAIN, KEY, LEDGER, SCHEMAS, SERVICE, START, TENANT, erased, event, opening, seal

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
batches = st.builds(
    SealedBatch,
    st.binary(max_size=50),
    st.lists(st.builds(Signature, texts, st.binary(max_size=70)), min_size=1, max_size=3),
    st.lists(
        st.builds(
            SealedEvent, st.binary(max_size=50), st.binary(min_size=16, max_size=16), st.none() | st.binary(max_size=50)
        ),
        min_size=1,
        max_size=3,
    ),
)
OURS = Chain(LEDGER, TENANT, SERVICE, KEY.key_id, CHAIN)
FRAMES = SCHEMAS.by_name["Seal"].frame, SCHEMAS.by_name["SealedBatch"].frame


@given(batches)
def test_a_batch_splits_into_what_was_joined_whatever_its_parts_hold(batch: SealedBatch) -> None:
    value = join_batch(SCHEMAS, batch)
    found = split_batch(SCHEMAS, value)
    assert (found.seal, list(found.signatures), list(found.events)) == batch
    assert join_batch(SCHEMAS, found) == value


@pytest.mark.parametrize(("events", "signatures"), [(0, 1), (EVENTS_PER_SEAL + 1, 1), (1, 0), (1, SIGNATURES + 1)])
def test_a_batch_of_another_size_is_malformed(events: int, signatures: int) -> None:
    batch = SealedBatch(b"", [Signature("k", b"")] * signatures, [SealedEvent(b"", bytes(16), None)] * events)
    with pytest.raises(Malformed, match="1 to"):
        split_batch(SCHEMAS, join_batch(SCHEMAS, batch))


def sealed(events: list[SealedEvent], head: ChainHead | None = None, next_within: int | None = 60) -> object:
    return seal_events(
        SCHEMAS, OURS, head or ChainHead(), events, sealed_at=START, next_within=next_within, sign=KEY.sign
    )


def test_sealing_links_each_seal_to_the_one_before() -> None:
    first = seal_events(
        SCHEMAS, OURS, ChainHead(), [opening(), event(1)], sealed_at=START, next_within=60, sign=KEY.sign
    )
    second = seal_events(SCHEMAS, OURS, first.head, [event(2)], sealed_at=START, next_within=60, sign=KEY.sign)
    one, two = (decode_seal(SCHEMAS, split_batch(SCHEMAS, each.value).seal) for each in (first, second))
    assert (one.seal_number, one.previous_seal, one.first_sequence, one.event_count) == (0, ZERO32, 0, 2)
    assert (two.seal_number, two.previous_seal, two.first_sequence, two.event_count) == (1, first.seal_digest, 2, 1)
    assert first.seal_digest == seal_digest(split_batch(SCHEMAS, first.value).seal)
    assert second.head == ChainHead(2, second.seal_digest, 3)


def test_what_cannot_be_verified_is_not_sealed() -> None:
    for events in ([], [event(n) for n in range(EVENTS_PER_SEAL + 1)]):
        with pytest.raises(ValueError, match="1 to"):
            sealed(events)
    with pytest.raises(ValueError, match="no payload"):
        sealed([erased(opening())])
    with pytest.raises(ValueError, match="over the limits"):
        sealed(_large())


def _large() -> list[SealedEvent]:
    padded = (event(1).payload or b"") + bytes(60_000)
    return [event(n, payload=padded) for n in range(14)]


def test_the_schema_set_is_that_of_the_batch_and_cannot_be_told_without_a_payload() -> None:
    names = ["SealedBatch", "Seal", "EventHeader", "chain_open", "chain_heartbeat"]
    events = [opening(), event(1), event(2)]
    assert used_schemas(SCHEMAS, *FRAMES, events) == schema_set_digest({SCHEMAS.by_name[each].pair for each in names})
    assert used_schemas(SCHEMAS, *FRAMES, [opening(), erased(event(1))]) is None
    assert used_schemas(SCHEMAS, *FRAMES, [opening(), event(1, payload=b"\xc3\x01" + bytes(8))]) is None
    assert used_schemas(SCHEMAS, *FRAMES, [opening(), event(1, payload=b"short")]) is None


def test_a_seal_is_read_only_from_its_canonical_bytes() -> None:
    raw = seal([opening()]).seal
    assert decode_seal(SCHEMAS, raw).tenant == TENANT
    for bad in (raw + b"\0", raw[:-1], raw[:FRAME] + b"\x82\x00" + raw[FRAME + 1 :], raw.replace(b"acme", b"ac\0e")):
        with pytest.raises(Malformed):
            decode_seal(SCHEMAS, bad)
