"""Events and seals dropped, doubled, reordered and moved: between batches, chains, services, tenants and ledgers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest

from ledger.format.batch import ChainHead, SealedEvent, Signature
from ledger.format.hashing import seal_message
from ledger.format.merkle import tree_head
from ledger.trust.bundle import read_bundle
from ledger.trust.chain import mark_of, replay
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
    digests_of,
    event,
    key_statement,
    opening,
    seal,
    signer,
)

AT = START + 2 * SECOND
THIEF = signer("thief")
BUNDLE = read_bundle(
    bundle_of(
        key_statement(services=["flights", "hotels"]),
        key_statement(THIEF, services=["weather"]),
        key_statement(THIEF, tenants=["other"]),
    ),
    ROOT.public,
    LEDGER,
)
JUDGE = Judge(SCHEMAS, LEDGER, BUNDLE)
A, B, C = event(1), event(2), event(3)
MADE = seal([opening(), A, B, C])
LATER = seal([event(4), event(5)], MADE.head)

Events = Sequence[SealedEvent]


def reason(value: bytes, key: bytes = CHAIN, judge: Judge = JUDGE) -> str | None:
    verdict = judge.judge(key, value, AT)
    return verdict.reason if isinstance(verdict, Rejected) else None


def admitted(made: Made, judge: Judge = JUDGE) -> VerifiedBatch:
    verdict = judge.judge(made.chain_id, made.value, AT)
    assert isinstance(verdict, VerifiedBatch), verdict
    return verdict


def findings(*made: Made) -> list[str]:
    """What is wrong with a chain of these seals, by name."""
    return sorted(each.name for each in replay(mark_of(admitted(each)) for each in made)[1])


MOVES: dict[str, Callable[[Events], Events]] = {
    "an event dropped": lambda events: [*events[:2], *events[3:]],
    "the first dropped": lambda events: events[1:],
    "the last dropped": lambda events: events[:-1],
    "an event doubled": lambda events: [*events[:2], events[1], *events[2:]],
    "the last doubled": lambda events: [*events, events[-1]],
    "two swapped": lambda events: [events[0], events[2], events[1], events[3]],
    "all turned round": lambda events: events[::-1],
    "one of another batch added": lambda events: [*events, LATER.batch.events[0]],
    "one of another batch in the place of one": lambda events: [*events[:3], LATER.batch.events[0]],
    "all of another batch": lambda _: LATER.batch.events,
    "a new one in the place of one": lambda events: [*events[:3], event(9)],
}


@pytest.mark.parametrize("what", MOVES)
def test_events_moved_under_a_seal_do_not_belong_to_it(what: str) -> None:
    assert reason(MADE.but(events=list(MOVES[what](MADE.batch.events)))) == "bad_root"


def test_the_same_events_under_the_seal_of_another_batch_do_not_belong_to_it() -> None:
    assert reason(LATER.but(events=MADE.batch.events[:2])) == "bad_root"


def test_a_payload_moved_between_events_of_one_kind_is_another_payload() -> None:
    first, second = MADE.batch.events[1:3]
    for part in ({"payload": second.payload}, {"salt": second.salt}, {"payload": second.payload, "salt": second.salt}):
        moved = [MADE.batch.events[0], first._replace(**part), *MADE.batch.events[2:]]  # type: ignore[arg-type]
        assert reason(MADE.but(events=moved)) == "bad_payload"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("ledger", "other.example", "wrong_ledger"),
        ("tenant", "other", "bad_signature"),
        ("service", "weather", "bad_signature"),
        ("chain_id", bytes(16), "wrong_key"),
        ("key_id", THIEF.key_id, "bad_signature"),
        ("seal_number", 3, "bad_signature"),
        ("first_sequence", 9, "bad_signature"),
        ("sealed_at", START - 1, "bad_signature"),
        ("next_within", None, "bad_signature"),
    ],
)
def test_a_seal_that_says_something_else_is_not_what_was_signed(field: str, value: object, expected: str) -> None:
    """Moved to another chain, service, tenant or ledger by whoever cannot sign: the signature is over all of it."""
    other = SCHEMAS.encode("Seal", {**SCHEMAS.decode(LATER.seal, "Seal"), field: value})
    assert reason(LATER.but(seal=other)) == expected


def test_a_batch_moved_to_another_chain_by_its_records_key_is_refused() -> None:
    assert reason(MADE.value, key=bytes(16)) == "wrong_key"


@pytest.mark.parametrize(("tenant", "service"), [(TENANT, "hotels"), (TENANT, "weather"), ("other", "flights")])
def test_an_event_moved_to_another_service_or_tenant_is_another_event(tenant: str, service: str) -> None:
    """Sealed anew by a key that may sign there, its header byte for byte the same: no cause that cites the first means it."""
    assert set(digests_of([A, B], tenant, service)).isdisjoint(digests_of([A, B]))


def test_a_key_signs_for_its_own_services_and_tenants_alone() -> None:
    for fields in ({"service": "flights"}, {"tenant": "other"}, {"service": "weather", "tenant": "another"}):
        who = KEY if fields == {"tenant": "other"} else THIEF
        assert reason(seal([opening(), A], key=who, **fields).value) == "wrong_scope"
    assert reason(seal([opening(), A], key=THIEF, service="weather").value) is None


def test_a_batch_copied_into_a_ledger_of_another_name_is_refused() -> None:
    """Staging's batches in production: its keys may be the same."""
    production = Judge(
        SCHEMAS, "production.example", read_bundle(_bundle("production.example"), ROOT.public, "production.example")
    )
    assert reason(MADE.value, judge=production) == "wrong_ledger"


def test_a_batch_from_a_ledger_of_the_same_name_under_another_root_is_by_nobody() -> None:
    root = signer("root of production")
    production = Judge(
        SCHEMAS, LEDGER, read_bundle(bundle_of(key_statement(signer("p")), root=root), root.public, LEDGER)
    )
    assert reason(MADE.value, judge=production) == "unknown_key"


def test_two_ledgers_of_one_name_that_trust_one_key_are_one_ledger() -> None:
    """Nothing tells them apart: the name and the keys are what a ledger is."""
    root = signer("root of production")
    production = Judge(SCHEMAS, LEDGER, read_bundle(bundle_of(key_statement(), root=root), root.public, LEDGER))
    assert reason(MADE.value, judge=production) is None


def _bundle(ledger: str) -> bytes:
    return bundle_of(key_statement(), ledger=ledger)


THIRD = seal([event(6)], LATER.head)


def test_a_seal_taken_out_of_a_chain_is_a_gap() -> None:
    assert findings(MADE, LATER, THIRD) == []
    assert findings(MADE, THIRD) == ["gap"]
    assert findings(LATER, THIRD) == ["gap"]


def test_seals_doubled_and_in_any_order_are_the_same_chain() -> None:
    assert findings(THIRD, MADE, LATER, MADE, THIRD) == []


def test_seals_taken_off_the_end_leave_a_chain_in_which_nothing_is_wrong() -> None:
    """Alone, a chain does not know its end: promises, successors and heads kept elsewhere tell."""
    assert findings(MADE, LATER) == []
    assert admitted(LATER).seal.next_within == 60


def test_a_seal_signed_anew_by_its_own_key_is_a_fork_that_keeps_both() -> None:
    again = seal([event(4), event(7)], MADE.head)
    assert findings(MADE, LATER, again) == ["fork", "fork"]
    _, found = replay(mark_of(admitted(each)) for each in (MADE, LATER, again))
    assert {each.digest for each in found} == {LATER.digest, again.digest}


def test_a_branch_that_goes_on_from_a_fork_does_not_mend_it() -> None:
    again = seal([event(4), event(7)], MADE.head)
    assert findings(MADE, LATER, again, seal([event(8)], again.head)) == ["fork", "fork"]


def test_a_seal_signed_anew_by_another_key_is_not_in_the_chain() -> None:
    wrong = Signature(KEY.key_id, THIEF.sign(seal_message(LATER.seal)))
    assert reason(LATER.but(signatures=[wrong])) == "bad_signature"
    assert reason(LATER.but(signatures=[wrong._replace(key_id=THIEF.key_id)])) == "bad_signature"
    own = seal([event(4), event(5)], MADE.head, key=THIEF, service="weather")
    assert admitted(own).chain != admitted(LATER).chain


def test_a_chain_spliced_onto_another_head_is_broken() -> None:
    assert findings(MADE, seal([event(4)], MADE.head._replace(previous_seal=bytes(31) + b"\1"))) == ["broken_link"]
    assert findings(MADE, seal([event(4)], MADE.head._replace(first_sequence=7))) == ["broken_link"]
    assert findings(MADE, LATER, seal([event(9)], ChainHead(2, MADE.digest, 6))) == ["broken_link"]


def test_a_doubled_odd_leaf_has_another_root() -> None:
    """RFC 6962 moves an odd node up as it is; who doubles it gives two batches one root (CVE-2012-2459)."""
    leaves = [sha256(bytes([each])).digest() for each in range(20)]
    for size in range(1, 20):
        heads = {tree_head(leaves[:size])}
        for doubled in range(1, size + 1):
            heads.add(tree_head([*leaves[:size], *leaves[size - doubled : size]]))
        assert len(heads) == size + 1
    a, b, c = digests_of([A, B, C])
    assert tree_head([a, b, c]) != tree_head([a, b, c, c])


def test_a_batch_whose_last_event_is_doubled_under_a_count_to_match_is_refused() -> None:
    """[A, B, C] against [A, B, C, C]: the root that was signed over three does not cover four."""
    three = seal([opening(), A, B])
    doubled = [*three.batch.events, three.batch.events[-1]]
    assert reason(three.but(events=doubled)) == "bad_root"
    assert reason(seal(doubled, events_root=tree_head(digests_of(three.batch.events))).value) == "bad_root"
