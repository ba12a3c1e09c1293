"""Bad input, each with the reason or finding that it gets, in bounded time; and the stream goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from ledger.format.batch import ChainHead, Sealed, SealedBatch, SealedEvent, join_batch, split_batch
from ledger.format.event import Cause
from ledger.format.hashing import ZERO16
from ledger.format.limits import BATCH_BYTES
from tests.services import Databases
from tests.services.forge import EMPTY, START, Forge, Trust, signer
from tests.services.stand import Stand, migrated

DAY = 86_400_000_000
SECONDS = 5.0


@pytest.fixture
def stand(postgres: Databases) -> Iterator[Stand]:
    trust = Trust().key(signer("alpha"), tenants=["acme"]).key(signer("beta"))
    trust.key(signer("plain"), kinds=["*"])
    url = postgres.fresh(migrated)
    made = Stand(url, trust.bundle)
    yield made
    made.close()
    postgres.drop(url)


def goes_on(stand: Stand) -> None:
    """An honest publisher's batch, in the same partition, is materialized."""
    honest = Forge(name="beta", service="honest")
    before = stand.count("events")
    assert stand.put(honest, honest.seal(honest.make())).events == 2
    assert stand.count("events") == before + 2


def replaced(forge: Forge, sealed: Sealed, index: int, **fields: bytes | None) -> bytes:
    """The batch with fields of one event replaced, under the seal as it is."""
    batch = split_batch(forge.schemas, sealed.value)
    events = list(batch.events)
    events[index] = events[index]._replace(**fields)
    return join_batch(forge.schemas, SealedBatch(batch.seal, batch.signatures, events))


def long(number: int) -> bytes:
    """An Avro long."""
    value, out = (number << 1) ^ (number >> 63), b""
    value &= (1 << 64) - 1
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def frame(name: str) -> bytes:
    return Forge().schemas.by_name[name].frame


GOOD = Forge()
GOOD_VALUE = GOOD.seal(GOOD.make()).value

BYTES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "malformed"),
    "truncated": (GOOD_VALUE[:-7], "malformed"),
    "bytes after the end": (GOOD_VALUE + b"\0", "malformed"),
    "oversized": (GOOD_VALUE + bytes(BATCH_BYTES), "oversize"),
    "another fingerprint": (b"\xc3\x01" + bytes(8) + GOOD_VALUE[10:], "schema_unknown"),
    "another schema's frame": (frame("Content") + GOOD_VALUE[10:], "malformed"),
    "no frame": (b"{}" + GOOD_VALUE[2:], "malformed"),
    "a length of 2^60": (frame("SealedBatch") + long(1 << 60), "malformed"),
    "a negative length": (frame("SealedBatch") + long(-5), "malformed"),
    "a negative block count": (frame("SealedBatch") + long(0) + long(-3) + long(1 << 40), "malformed"),
    "a million items": (frame("SealedBatch") + long(0) + long(0) + long(1_000_000) + bytes(300_000), "malformed"),
    "2^40 empty items": (frame("SealedBatch") + long(0) + long(1 << 40), "malformed"),
    "an overlong number": (frame("SealedBatch") + b"\x80" * 9 + b"\0", "malformed"),
    "zeros": (frame("SealedBatch") + bytes(500_000), "malformed"),
    "a compressed bomb's bytes": (b"\x1f\x8b\x08\0" + bytes(1000), "malformed"),
}


@pytest.mark.parametrize("what", BYTES)
def test_bytes_that_are_no_batch_are_refused_and_kept(stand: Stand, what: str) -> None:
    value, reason = BYTES[what]
    began = time.monotonic()
    stand.put(Forge(), value)
    assert time.monotonic() - began < SECONDS
    assert stand.rejected() == [reason]
    assert stand.count("chains") == 0
    assert len(stand.rows("select raw from rejected")[0][0]) == min(
        len(value), 64 * 1024 if reason == "oversize" else len(value)
    )
    goes_on(stand)


@pytest.mark.parametrize("at", range(10, len(GOOD_VALUE), 61))
def test_a_flipped_bit_never_passes(stand: Stand, at: int) -> None:
    stand.put(Forge(), GOOD_VALUE[:at] + bytes([GOOD_VALUE[at] ^ 4]) + GOOD_VALUE[at + 1 :])
    assert len(stand.rejected()) == 1
    assert stand.count("events") == 0


def sealed_as(**fields: str) -> Callable[[], tuple[Forge, bytes, bytes | None]]:
    def make() -> tuple[Forge, bytes, bytes | None]:
        forge = Forge(**fields)  # type: ignore[arg-type]
        return forge, forge.seal(forge.make()).value, None

    return make


def under_another_key() -> tuple[Forge, bytes, bytes | None]:
    forge = Forge()
    return forge, forge.seal(forge.make()).value, bytes(16)


def squatted() -> tuple[Forge, bytes, bytes | None]:
    """Beta's key signs a seal that says it is alpha's."""
    forge = Forge()
    batch = split_batch(forge.schemas, forge.seal(forge.make()).value)
    wrong = batch.signatures[0]._replace(signature=signer("beta").sign(b"answerable/seal/v1\0" + batch.seal))
    return forge, join_batch(forge.schemas, batch._replace(signatures=[wrong])), None


def swapped_payload() -> tuple[Forge, bytes, bytes | None]:
    forge = Forge()
    other = forge.schemas.encode("chain_heartbeat", EMPTY["chain_heartbeat"])
    return forge, replaced(forge, forge.seal(forge.make()), 1, payload=other), None


def stripped_payload() -> tuple[Forge, bytes, bytes | None]:
    forge = Forge()
    return forge, replaced(forge, forge.seal(forge.make()), 1, payload=None, salt=ZERO16), None


def reordered_events() -> tuple[Forge, bytes, bytes | None]:
    forge = Forge()
    batch = split_batch(forge.schemas, forge.seal(forge.make(), forge.make()).value)
    return (
        forge,
        join_batch(forge.schemas, batch._replace(events=[batch.events[0], batch.events[2], batch.events[1]])),
        None,
    )


RECORDS = {
    "unknown_key": sealed_as(name="stranger"),
    "wrong_scope": sealed_as(tenant="other"),
    "wrong_ledger": sealed_as(ledger="another.example"),
    "wrong_key": under_another_key,
    "bad_signature": squatted,
    "bad_root": reordered_events,
    "bad_payload": stripped_payload,
}


@pytest.mark.parametrize("reason", RECORDS)
def test_a_batch_that_does_not_verify_touches_no_chain(stand: Stand, reason: str) -> None:
    forge, value, key = RECORDS[reason]()
    stand.put(forge, value, key=key)
    assert stand.rejected() == [reason]
    assert stand.count("chains") == stand.count("events") == 0
    goes_on(stand)


@pytest.mark.parametrize("tamper", [swapped_payload, stripped_payload])
def test_a_tampered_batch_sent_first_does_not_keep_the_true_one_out(
    stand: Stand, tamper: Callable[[], tuple[Forge, bytes, bytes | None]]
) -> None:
    forge, value, _ = tamper()
    stand.put(forge, value, at=START)
    true = Forge()
    assert stand.put(true, true.seal(true.make())).events == 2
    assert stand.rejected() == ["bad_payload"]
    assert stand.findings() == []


def test_a_squatted_chain_id_under_another_key_is_another_chain(stand: Stand) -> None:
    forge, squatter = Forge(), Forge(name="beta")
    squatter.chain_id = forge.chain_id
    stand.put(squatter, squatter.seal(squatter.make()))
    stand.put(forge, forge.seal(forge.make()))
    assert (stand.count("chains"), stand.findings()) == (2, [])


def test_seals_out_of_order_meet_and_a_missing_one_is_a_gap(stand: Stand) -> None:
    forge = Forge()
    seals = [forge.seal(forge.make()) for _ in range(4)]
    stand.put(forge, seals[2])
    stand.put(forge, seals[0])
    assert stand.findings() == ["gap"]
    stand.put(forge, seals[1])
    assert stand.findings() == []
    stand.put(forge, forge.seal(forge.make(), head=seals[2].head))
    stand.put(forge, seals[3])
    assert stand.findings() == ["fork", "fork"]


def test_a_link_to_another_seal_and_a_seal_after_the_close_are_found(stand: Stand) -> None:
    forge = Forge()
    first = forge.seal(forge.make())
    stand.put(forge, first)
    stand.put(forge, forge.seal(forge.close(), head=ChainHead(1, bytes([1]) * 32, first.head.first_sequence)))
    stand.put(forge, forge.seal(forge.make(), head=ChainHead(2, bytes([2]) * 32, 3)))
    assert stand.findings() == ["broken_link", "broken_link", "sealed_after_close"]


def test_a_kind_that_the_key_may_not_state_has_a_row_and_no_effect(stand: Stand) -> None:
    forge = Forge(name="plain")
    made = forge.make()
    erasure = forge.make(
        "content_erasure",
        {**EMPTY["content_erasure"], "events": [made.digest]},
        causes=[Cause(made.event_id, made.digest, "informed_by")],
    )
    stand.put(forge, forge.seal(made, erasure))
    assert stand.findings() == ["unauthorized_kind"]
    assert stand.count("erasures") == stand.count("causes") == 0
    assert stand.rows("select effective from events where digest = %s", erasure.digest) == [(False,)]


@pytest.mark.parametrize(
    ("payload_kind", "raw", "reason"),
    [
        ("chain_heartbeat", None, "unprojectable"),
        (None, frame("prompt") + b"\x7f", "unprojectable"),
        (None, frame("prompt") + long(1 << 60), "unprojectable"),
        (None, frame("chain_heartbeat")[:10] + bytes(70_000), "unprojectable"),
        (None, frame("prompt") + long(2) + b"\xff\xfe" + bytes(20), "unprojectable"),
    ],
)
def test_a_payload_that_is_not_its_kind_is_refused_alone(
    stand: Stand, payload_kind: str | None, raw: bytes | None, reason: str
) -> None:
    forge = Forge()
    stand.put(forge, forge.seal(forge.make(), forge.make(payload_kind=payload_kind, raw_payload=raw), forge.make()))
    assert stand.rejected() == [reason]
    assert (stand.count("events"), stand.findings()) == (3, [])
    goes_on(stand)


def test_a_nul_in_a_payload_or_header_is_refused_alone(stand: Stand) -> None:
    forge = Forge()
    stand.put(
        forge,
        forge.seal(
            forge.make(payload={**EMPTY["prompt"], "channel": "a\0b"}), forge.make(agent_id="a\0b"), forge.make()
        ),
    )
    assert sorted(stand.rejected()) == ["malformed", "unprojectable"]
    assert stand.count("events") == 2
    goes_on(stand)


def test_a_header_that_is_not_one_is_refused_alone(stand: Stand) -> None:
    forge = Forge()
    good, bad = forge.make(), forge.make()
    broken = bad._replace(event=SealedEvent(bad.event.header[:-1], bad.event.salt, bad.event.payload))
    stand.put(forge, forge.seal(good, broken, forge.make(event_id=bytes(16))))
    assert stand.rejected() == ["malformed", "malformed"]
    assert stand.count("events") == 2


@pytest.mark.parametrize("event_id", [None, bytes.fromhex("e67f9e4cb000") + b"\x70\0\x80" + bytes(7)])
def test_a_clock_ahead_and_an_id_of_the_year_9999_are_clock_skew(stand: Stand, event_id: bytes | None) -> None:
    forge = Forge()
    occurred = None if event_id else forge.now + 2 * DAY
    stand.put(forge, forge.seal(forge.make(event_id=event_id, occurred_at=occurred)))
    assert stand.findings() == ["clock_skew"]
    assert stand.count("events") == 2
    goes_on(stand)


def test_causes_that_lead_nowhere_or_round_are_kept_and_judged_when_read(stand: Stand) -> None:
    forge, other = Forge(), Forge(name="beta", tenant="other")
    foreign = other.make()
    stand.put(other, other.seal(foreign))
    first_id, second_id = forge.make().event_id, forge.make().event_id
    causes = [
        [Cause(bytes(6) + b"\x70\0\x80" + bytes(7), None, "informed_by")],
        [Cause(first_id, None, "informed_by")],
        [Cause(second_id, bytes(32), "informed_by"), Cause(foreign.event_id, foreign.digest, "same_as")],
    ]
    made = [
        forge.make(causes=causes[0]),
        forge.make(causes=[*causes[1], Cause(second_id, None, "started_by")], event_id=first_id),
        forge.make(causes=[*causes[2], Cause(first_id, None, "started_by")], event_id=second_id),
    ]
    stand.put(forge, forge.seal(*made))
    assert stand.findings() == ["unknown_relation"]
    assert stand.rejected() == []
    goes_on(stand)


def test_an_event_copied_into_another_services_chain_is_another_event(stand: Stand) -> None:
    author, thief = Forge(), Forge(name="beta", service="thief")
    made = author.make()
    stand.put(thief, thief.seal(thief.open(), made))
    stand.put(author, author.seal(made))
    found = stand.rows(
        "select count(*), count(distinct digest) from events where event_id = %s::uuid", made.event_id.hex()
    )
    assert found == [(2, 2)]
