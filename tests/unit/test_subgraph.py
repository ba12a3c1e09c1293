"""Events as answers are made from: what is known of one without its payload's class, and when that is made."""

from __future__ import annotations

from ledger.attribution.subgraph import Typed, typed
from ledger.format.kinds import Prompt
from tests.attribution.scenario import read_scenario

NODE = read_scenario("p1 agent prompt trigger_kind=human trust=trusted").node("p1")


def test_a_fact_is_made_once_and_stays_with_what_is_said_later_of_the_event() -> None:
    fact = NODE.fact
    assert isinstance(fact, Prompt)
    assert fact.trust == "trusted"
    assert NODE._replace(findings=("row_changed",)).fact is fact


def test_events_are_equal_whether_or_not_their_facts_were_made() -> None:
    assert NODE.payload is not None
    other = NODE._replace(typed=Typed("prompt", dict(NODE.payload)))
    assert NODE.fact is not None
    assert other == NODE
    assert other._replace(typed=Typed("prompt", {**NODE.payload, "trust": "untrusted"})) != NODE


def test_what_is_not_there_or_of_a_kind_unknown_here_has_no_fact() -> None:
    assert NODE._replace(payload=None, typed=typed("prompt", None)).fact is None
    assert NODE._replace(typed=typed("invented", {"a": 1})).fact is None
