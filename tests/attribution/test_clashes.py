"""A rule that is not asked for want of a clash has nothing to say, now or at any earlier time, whatever came in which order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from ledger.attribution.contradictions import RULES, Rule, asked
from ledger.attribution.explain import judge
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.judgement import KINDS, Bench
from ledger.attribution.pool import Overfull, Pool
from ledger.attribution.rules.case import Case
from ledger.attribution.subgraph import KnownPerson, Node
from ledger.format.event import SAME, Cause
from tests.attribution.scenario import SECOND, Story, read_scenario, scenario_files, story_files

STORIES = [read_scenario(path.read_text()) for path in (*scenario_files(), *story_files())]
SHARED = 4
"""Stories that are judged together: they share people, runs, tokens and names, though not alone."""


class Asking(Bench):
    """Asks every rule at every moment."""

    def rules(self, _event_id: bytes, _case: Case) -> tuple[Rule, ...]:
        return RULES


def shuffled(stories: list[Story], chance: random.Random) -> Iterator[Node]:
    """The events of stories as they may have come otherwise: in any order, some not at all, some hours earlier or later, some
    as accounts of what another one tells of."""
    told = {node.ref: node for story in stories for node in map(story.node, story.events)}
    for node in told.values():
        if chance.random() < 0.1:
            continue
        header = node.header
        if chance.random() < 0.2:
            header = header._replace(occurred_at=header.occurred_at + chance.randrange(-7200, 7200) * SECOND)
        if chance.random() < 0.05:
            other = chance.choice([*told])
            header = header._replace(causes=(*header.causes, Cause(other.event_id, None, chance.choice(sorted(SAME)))))
        yield node._replace(header=header, append_time=header.occurred_at + chance.randrange(300) * SECOND)


def house_of(stories: list[Story]) -> HouseRules:
    return next((story.house for story in stories if story.house != NO_RULES), NO_RULES)


@pytest.mark.parametrize("seed", range(4))
def test_asking_only_the_rules_that_have_their_clash_finds_what_asking_all_finds(seed: int) -> None:
    chance = random.Random(seed)
    silent, accused = 0, Counter[str]()
    for start in range(seed % SHARED, len(STORIES), SHARED):
        stories = STORIES[start : start + SHARED]
        people: dict[bytes, KnownPerson] = {
            known.digest: known for story in stories for known in story.people.values() if known.state != "unresolved"
        }
        pool = Pool(shuffled(stories, chance), people)
        sparing, asking = Bench(pool, house_of(stories)), Asking(pool, house_of(stories))
        for event_id in [node.event_id for node in pool.whole().nodes if node.kind in KINDS]:
            try:
                found = sparing.judge(event_id)
            except Overfull:
                continue
            assert found == asking.judge(event_id)
            silent += not found.accusations
            accused.update(each.rule for each in found.accusations)
    assert silent > 500
    assert len(accused) > 20


def test_a_cause_that_came_too_late_is_found_behind_one_that_may_be_late() -> None:
    """What lasts may have come to its decision midway, and not to what began it."""
    story = read_scenario(
        """
        person alice Alice
        d1 policy policy_decision decision=allow at=500
        p1 portal prompt by=alice at=600
        a1 agent api_action action_id=x phase=completed at=10 <- d1:authorized_by p1:started_by
        """
    )
    pool = Pool([story.node(name) for name in story.events], {})
    found = Bench(pool).judge(story.events["a1"].made.event_id)
    assert [each.rule for each in found.accusations] == ["effect_before_cause"]


def test_of_more_accounts_than_are_looked_at_every_clash_is_assumed() -> None:
    """Whoever records chooses the names: each account held against each other would take the square of their number."""
    lines = [
        f"a{number} agent api_action action_id=x phase=completed outcome=success idempotency_key=k"
        for number in range(30)
    ]
    story = read_scenario("\n".join(["person alice Alice", *lines]))
    bench = Bench(Pool([story.node(name) for name in story.events], {}))
    first = story.events["a0"].made.event_id
    case = judge(first, bench.links(first)).case
    assert bench.rules(first, case) == asked(case.marks)
    assert "completed_twice" in {rule.name for rule in asked(case.marks)}
