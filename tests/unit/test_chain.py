"""The chain's state and findings are a function of the set of seals, whatever the order in which they come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.hashing import ZERO32
from ledger.trust.chain import ChainFinding, ChainState, Mark, Near, advance, needs, replay


def digest_of(number: int, branch: int = 0) -> bytes:
    return sha256(f"{number}/{branch}".encode()).digest()


def honest(count: int) -> list[Mark]:
    return [
        Mark(n, digest_of(n), digest_of(n - 1) if n else ZERO32, n * 10, 10, 1000 + n, closes=False)
        for n in range(count)
    ]


def fold(marks: Sequence[Mark]) -> tuple[ChainState, set[ChainFinding]]:
    state, findings, seen = ChainState(), set[ChainFinding](), dict[int, frozenset[Mark]]()
    for mark in marks:
        near: Near = {number: seen.get(number, frozenset()) for number in needs(state, mark.number)}
        step = advance(state, mark, near)
        assert step.known == (mark in seen.get(mark.number, frozenset()))
        assert step.opened.isdisjoint(findings)
        assert step.closed <= findings
        findings = (findings | step.opened) - step.closed
        state = step.state
        seen[mark.number] = seen.get(mark.number, frozenset()) | {mark}
    return state, findings


def test_an_honest_chain_has_no_finding() -> None:
    state, findings = fold(honest(5))
    assert not findings
    assert state.last_number == 4
    assert len(state.runs) == 1


def test_a_missing_seal_is_a_gap_that_closes_when_it_comes() -> None:
    first, second, third = honest(3)
    _, findings = fold([first, third])
    assert findings == {ChainFinding("gap", 1, 1, None)}
    assert fold([first, third, second])[1] == set()


def test_a_gap_in_front_of_the_first_seal_seen_is_one_too() -> None:
    assert fold(honest(4)[3:])[1] == {ChainFinding("gap", 0, 2, None)}


def test_two_seals_of_one_number_are_a_fork_of_both() -> None:
    chain = honest(3)
    other = chain[1]._replace(digest=digest_of(1, branch=1))
    assert fold([*chain, other])[1] == {
        ChainFinding("fork", 1, 1, chain[1].digest),
        ChainFinding("fork", 1, 1, other.digest),
    }


def test_a_seal_that_cites_another_predecessor_is_a_broken_link() -> None:
    chain = honest(2)
    assert fold([chain[0], chain[1]._replace(previous=digest_of(7))])[1] == {
        ChainFinding("broken_link", 1, 1, chain[1].digest)
    }
    assert fold([chain[0], chain[1]._replace(first_sequence=11)])[1] == {
        ChainFinding("broken_link", 1, 1, chain[1].digest)
    }


def test_a_seal_after_the_closing_one_is_found() -> None:
    chain = honest(3)
    chain[1] = chain[1]._replace(closes=True)
    assert fold(chain)[1] == {ChainFinding("sealed_after_close", 1, 1, None)}


def test_a_seal_dated_before_its_predecessor_is_clock_skew() -> None:
    chain = honest(2)
    assert fold([chain[0], chain[1]._replace(sealed_at=1)])[1] == {ChainFinding("clock_skew", 1, 1, chain[1].digest)}


def test_the_same_seal_again_changes_nothing() -> None:
    chain = honest(3)
    assert fold([*chain, chain[1], chain[2], chain[0]]) == fold(chain)


@st.composite
def messy_chains(draw: st.DrawFn) -> list[Mark]:
    chain = honest(draw(st.integers(1, 9)))
    marks = [mark for mark in chain if draw(st.integers(0, 3))]
    for mark in chain:
        if draw(st.integers(0, 4)) == 0:
            marks.append(mark._replace(digest=digest_of(mark.number, branch=1), closes=draw(st.booleans())))
        if draw(st.integers(0, 6)) == 0:
            marks.append(mark._replace(digest=digest_of(mark.number, branch=2), previous=digest_of(99), sealed_at=1))
    return marks


@given(messy_chains(), st.randoms(use_true_random=False))
def test_any_order_gives_the_state_and_findings_of_the_set(marks: list[Mark], rng: random.Random) -> None:
    shuffled = [*marks, *rng.choices(marks, k=2)] if marks else []
    rng.shuffle(shuffled)
    assert fold(shuffled) == replay(marks)


@pytest.mark.parametrize("size", [10, 2000])
def test_a_chain_in_order_keeps_one_run_in_memory(size: int) -> None:
    assert len(fold(honest(size))[0].runs) == 1
