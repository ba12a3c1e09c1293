"""Findings of seals and chains."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from tests.sealing import SECOND, START, bundle_of, closing, erased, event, key_statement, opening, seal
from tests.vector_cases.case import HOUR, OTHER, Case, Expected, Sent, one, refused, three


def cases() -> Iterator[Case]:
    first, second, third = three()
    at = START + 2 * SECOND
    ahead = seal([opening()], sealed_at=at + 300 * SECOND + 1)
    yield one(
        "seal-clock_skew", "sealed over 5 minutes after append time", Sent(ahead, Expected(findings=("clock_skew",)))
    )
    behind = Sent(seal([opening()], sealed_at=START), Expected(findings=("late",)), append_time=START + HOUR + 1)
    yield one("seal-late", "sealed over an hour before append time", behind)
    yield Case("chain-gap", "the second of three seals is missing", [Sent(first), Sent(third)], chain=["gap"])
    yield Case("chain-gap-in-front", "the first seal is missing", [Sent(second), Sent(third)], chain=["gap"])
    refused_middle = Sent(None, refused("bad_payload"), value=second.but(events=[event(1), erased(event(2))]))
    yield Case(
        "chain-gap-refused", "the second seal is refused", [Sent(first), refused_middle, Sent(third)], chain=["gap"]
    )
    other = seal([event(1)], first.head)
    yield Case(
        "chain-fork", "two seals of one number", [Sent(first), Sent(second), Sent(other)], chain=["fork", "fork"]
    )
    after = seal([event(9)], other.head)
    forked = [Sent(each) for each in (first, second, other, after)]
    yield Case("chain-fork-goes-on", "a seal follows one of two: no broken link", forked, chain=["fork", "fork"])
    strange = seal([event(1)], first.head._replace(previous_seal=sha256(b"other").digest()))
    yield Case("chain-broken-digest", "another previous digest", [Sent(first), Sent(strange)], chain=["broken_link"])
    skipped = seal([event(1)], first.head._replace(first_sequence=7))
    yield Case(
        "chain-broken-sequence", "a sequence that does not follow", [Sent(first), Sent(skipped)], chain=["broken_link"]
    )
    gone_on = seal([event(4)], third.head)
    all_four = [Sent(each) for each in (first, second, third, gone_on)]
    yield Case("chain-sealed-after-close", "a seal after the close", all_four, chain=["sealed_after_close"])
    early = seal([closing(1)], first.head, next_within=0)
    closers = [Sent(each) for each in (first, early, seal([closing(2)], early.head, next_within=0))]
    yield Case("chain-two-closes", "two seals close: the lower counts", closers, chain=["sealed_after_close"])
    forked = [Sent(each) for each in (first, early, seal([event(8), closing(9)], first.head, next_within=0))]
    yield Case("chain-fork-of-closes", "both seals of one number close", forked, chain=["fork", "fork"])
    same = seal([event(1)], first.head, sealed_at=START + SECOND)
    yield Case("good-equal-times", "sealed_at is the parent's: no finding", [Sent(first), Sent(same)])
    past = seal([event(1)], first.head, sealed_at=START)
    yield Case("chain-clock-skew", "sealed_at goes backwards", [Sent(first), Sent(past)], chain=["clock_skew"])
    chain_id = sha256(b"another chain").digest()[:16]
    two = seal([opening()], chain_id=chain_id)
    yield Case("chain-two", "two chains of one key", [Sent(first), Sent(two, key=chain_id)])
    owned = bundle_of(key_statement(), key_statement(OTHER))
    squatted = seal([opening()], key=OTHER)
    pair = [Sent(squatted), Sent(first)]
    yield Case("chain-squatted", "one chain id under two keys: two chains", pair, bundle=owned)
