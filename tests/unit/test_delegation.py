"""Reading `act` claims: it never fails, and what could not be read is said."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.attribution.delegation import DEPTH, ActActor, act_of, read_act


def test_the_outermost_actor_comes_first() -> None:
    read = read_act({"sub": "now", "iss": "as", "act": {"sub": "before"}})
    assert read.chain == (ActActor("as", "now"), ActActor(None, "before"))
    assert (read.truncated, read.omitted, read.malformed, read.reason) == (0, 0, (), None)


def test_malformed_is_not_absent() -> None:
    assert act_of({"sub": "alice"}) is None
    for claim in (None, "x", 1, [], True):
        read = act_of({"act": claim})
        assert read is not None
        assert (read.chain, read.reason) == ((), "act_not_object")


def test_each_reason_is_told_and_what_can_be_read_stays() -> None:
    read = read_act({"sub": 7, "iss": ["x"], "act": {"sub": "before", "act": "x"}})
    assert read.chain == (ActActor(None, None), ActActor(None, "before"))
    assert read.malformed == ("iss_not_string", "sub_not_string", "nested_act_not_object")


def test_other_claims_are_counted_and_not_kept() -> None:
    read = read_act({"sub": "a", "email": "a@x", "exp": 1, "act": {"sub": "b", "name": "B"}})
    assert read.omitted == 3
    assert "a@x" not in repr(read)


def test_depth_is_bounded_and_what_is_beyond_is_counted() -> None:
    claim: dict[str, Any] = {"sub": "0"}
    for number in range(1, 40):
        claim = {"sub": str(number), "act": claim}
    read = read_act(claim)
    assert len(read.chain) == DEPTH
    assert read.truncated == 40 - DEPTH
    assert read.chain[0].sub == "39"


def test_names_that_no_event_can_hold_are_not_strings() -> None:
    for name in ("a\0b", "\ud800", "x" * 5000):
        assert read_act({"sub": name}).malformed == ("sub_not_string",)


def test_a_claim_within_itself_ends() -> None:
    claim: dict[str, Any] = {"sub": "a"}
    claim["act"] = claim
    assert len(read_act(claim).chain) == DEPTH


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["act", "sub", "iss", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_it_never_fails(claim: object) -> None:
    read = read_act(claim)
    assert read.chain or read.malformed
