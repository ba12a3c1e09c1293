"""The judge: nothing raises, and reasons come in the order that the format fixes. Changed bytes: ``tests/forgery``."""

from __future__ import annotations

from functools import partial
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.batch import Signature
from ledger.format.codec import FRAME
from ledger.format.hashing import ZERO32
from ledger.format.limits import BATCH_BYTES
from ledger.trust.bundle import TrustBundle, read_bundle
from ledger.trust.reasons import REASONS
from ledger.trust.verdict import Judge, Rejected, VerifiedBatch
from tests.sealing import (
    CHAIN,
    KEY,
    LEDGER,
    ROOT,
    SCHEMAS,
    SECOND,
    START,
    TENANT,
    Made,
    bundle_of,
    data,
    digests_of,
    erased,
    event,
    frame,
    key_statement,
    opening,
    seal,
    signer,
    zigzag,
)

AT = START + 2 * SECOND


def bundle(*statements: dict[str, object]) -> TrustBundle:
    return read_bundle(bundle_of(*(statements or (key_statement(),))), ROOT.public, LEDGER)


JUDGE = Judge(SCHEMAS, LEDGER, bundle(), canonical=True)
MADE = seal([opening(), event(1)])


def reason(value: bytes | None, key: bytes | None = CHAIN, judge: Judge = JUDGE) -> str | None:
    """Why a record is refused; None where it is admitted."""
    judged = judge.judge(key, value, AT)
    return judged.reason if isinstance(judged, Rejected) else None


def test_a_batch_cut_or_lengthened_anywhere_is_malformed() -> None:
    value = MADE.value
    assert {reason(value[:cut]) for cut in range(len(value))} == {"malformed"}
    assert reason(value + b"\0") == "malformed"
    assert reason(value + value) == "malformed"


@given(st.binary(max_size=400), st.sampled_from([b"", *(each.frame for each in SCHEMAS.by_frame.values())]))
def test_random_bytes_are_refused_by_a_known_reason_and_never_raise(value: bytes, start: bytes) -> None:
    assert reason(start + value) in {"malformed", "schema_unknown"}


@given(st.binary(max_size=300), st.binary(max_size=300), st.none() | st.binary(max_size=300))
def test_random_seals_headers_and_payloads_well_signed_never_raise(raw: bytes, header: bytes, payload: bytes) -> None:
    random = event(1)._replace(header=SCHEMAS.by_name["EventHeader"].frame + header, payload=payload)
    assert reason(seal([opening(), random]).value) in {None, "bad_payload"}
    stated = event(1, payload=SCHEMAS.by_name["chain_heartbeat"].frame + raw)
    assert reason(seal([opening(), stated]).value) is None
    framed = SCHEMAS.by_name["Seal"].frame + raw
    assert reason(frame(framed, b"\x02" + data(b"k") + data(b"") + b"\0", b"\x02\0" + bytes(17) + b"\0")) in REASONS


def test_faults_are_told_in_the_order_of_the_format() -> None:
    """A record with every fault at once; each is mended in turn, and the next one shows."""
    other = signer("other")
    events = [event(0), event(1)._replace(payload=b"other")]
    faults = {
        "format": 2,
        "seal_number": -1,
        "ledger": "other.example",
        "key_id": other.key_id,
        "tenant": "other",
        "event_count": 7,
        "previous_seal": ZERO32,
    }
    bad = partial(seal, events, schemas=bytes(range(32)))
    trusting = Judge(SCHEMAS, LEDGER, bundle(key_statement(), {"type": "revocation", "key_id": KEY.key_id, "from": AT}))
    unscoped = Judge(SCHEMAS, LEDGER, bundle(key_statement(tenants=["else"], until=START)))
    expired = Judge(SCHEMAS, LEDGER, bundle(key_statement(until=START)))

    def unsigned(made: Made) -> bytes:
        return made.but(signatures=[Signature(KEY.key_id, bytes(64))])

    zeros = bytes(BATCH_BYTES)
    assert reason(unsigned(bad(**faults)) + zeros, None) == "oversize"
    assert reason(unsigned(bad(**faults)) + b"\0", None) == "malformed"
    assert reason(unsigned(bad(**faults)), None) == "schema_unknown"
    del faults["format"]
    assert reason(unsigned(bad(**faults)), None) == "malformed"
    del faults["seal_number"], faults["previous_seal"]
    assert reason(unsigned(bad(**faults)), None) == "wrong_ledger"
    del faults["ledger"]
    assert reason(unsigned(bad(**faults)), None) == "wrong_key"
    assert reason(unsigned(bad(**faults))) == "unknown_key"
    del faults["key_id"]
    assert reason(unsigned(bad(**faults)), judge=trusting) == "bad_signature"
    assert reason(bad(**faults).value, judge=trusting) == "revoked_key"
    assert reason(bad(**faults).value, judge=unscoped) == "wrong_scope"
    del faults["tenant"]
    assert reason(bad(**faults).value, judge=expired) == "expired_key"
    assert reason(bad(**faults).value) == "bad_root"
    strange = [*events, event(2)._replace(header=b"\xc3\x01" + bytes(8))]
    assert reason(seal(strange, schemas=bytes(range(32))).value) == "schema_unknown"
    assert reason(bad().value) == "bad_payload"
    assert reason(seal([event(0), event(1)], schemas=bytes(range(32))).value) == "malformed"
    assert reason(seal([opening(), event(1)], schemas=bytes(range(32))).value) == "schema_unknown"
    assert reason(MADE.value) is None


def test_what_a_refused_seal_claims_can_be_stored() -> None:
    for field in ("ledger", "tenant", "service", "key_id"):
        judged = JUDGE.judge(CHAIN, seal([opening()], **{field: "a\0b"}).value, AT)
        assert isinstance(judged, Rejected)
        assert (judged.reason, judged.seal) == ("malformed", None)
        assert "\0" not in judged.detail


def test_an_erasure_is_asked_for_the_tenant_and_the_events_without_payload_only() -> None:
    asked: list[tuple[str, list[bytes]]] = []
    target = digests_of(MADE.batch.events)[1]

    def answer(tenant: str, digests: object) -> frozenset[bytes]:
        asked.append((tenant, list(digests)))  # type: ignore[call-overload]
        return frozenset({target})

    value = MADE.but(events=[MADE.batch.events[0], erased(MADE.batch.events[1])])
    judged = JUDGE.judge(CHAIN, value, AT, answer)
    assert isinstance(judged, VerifiedBatch)
    assert asked == [(TENANT, [target])]
    assert [each.payload is None for each in judged.events] == [False, True]
    assert isinstance(JUDGE.judge(CHAIN, MADE.value, AT, answer), VerifiedBatch)
    assert len(asked) == 1


def test_only_the_verifier_makes_a_verified_batch() -> None:
    with pytest.raises(TypeError, match="only the verifier"):
        VerifiedBatch(object(), **dict.fromkeys(  # type: ignore[arg-type]
            ("chain", "seal", "seal_digest", "batch", "append_time", "role", "events", "refused", "findings",
             "leaves")
        ))  # fmt: skip


def test_a_record_holds_at_some_time_unless_more_than_its_time_is_wrong() -> None:
    revoked = Judge(SCHEMAS, LEDGER, bundle(key_statement(), {"type": "revocation", "key_id": KEY.key_id, "from": 0}))
    assert revoked.holds(CHAIN, MADE.value)
    other = key_statement(tenants=["other"])
    unscoped = Judge(SCHEMAS, LEDGER, bundle(other, {"type": "revocation", "key_id": KEY.key_id, "from": 0}))
    assert not unscoped.holds(CHAIN, MADE.value)
    assert not revoked.holds(CHAIN, MADE.value[:-1])


@pytest.mark.parametrize(
    "body",
    [
        zigzag(2**60),
        zigzag(0) + zigzag(2**60),
        zigzag(0) + zigzag(350_000) + bytes(700_000),
        zigzag(0) + zigzag(-350_000) + zigzag(2**62) + bytes(700_000),
        zigzag(0) + (zigzag(1) + bytes(2)) * 200_000 + b"\0",
        b"\x80" * 700_000,
        zigzag(0) + b"\0" + zigzag(40_000) + (b"\0" + bytes(16) + b"\0") * 40_000 + b"\0",
    ],
    ids=["length", "count", "empty items", "negative count", "blocks", "number", "empty events"],
)
def test_the_worst_that_fits_a_record_is_refused_in_a_second(body: bytes) -> None:
    hostile = SCHEMAS.by_name["SealedBatch"].frame + body
    began = perf_counter()
    assert reason(hostile) == "malformed"
    assert perf_counter() - began < 3


def test_256_events_of_the_worst_headers_are_judged_in_seconds() -> None:
    header = SCHEMAS.by_name["EventHeader"].frame + bytes([1, 0x9B, 0, 0, 0, 0, 0x70, 0, 0x80]) + bytes(7)
    worst = header + data(b"x") + b"\0" + bytes(4) + b"\0" + zigzag(2_000) + bytes(2_000) + b"\0\0" + bytes(32)
    events = [opening(), *(event(1)._replace(header=worst) for _ in range(255))]
    value = seal(events[:60]).value
    began = perf_counter()
    assert reason(value) in REASONS
    assert perf_counter() - began < 5
    assert header[:FRAME] == SCHEMAS.by_name["EventHeader"].frame
