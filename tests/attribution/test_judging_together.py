"""Judging many events at once finds what each of them gives alone, with every rule asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from ledger.attribution.answer import Contradiction
from ledger.attribution.contradictions import RULES, asked, contradictions
from ledger.attribution.explain import judge
from ledger.attribution.index import Index
from ledger.attribution.judgement import KINDS, Bench
from ledger.attribution.links import Links
from ledger.attribution.pool import Overfull, Pool
from ledger.attribution.rules.case import Case
from ledger.attribution.subgraph import DEFAULT_LIMITS, KnownPerson, Limits, Node
from tests.attribution.scenario import Story, read_scenario, scenario_files, story_files

STORIES = [read_scenario(path.read_text()) for path in (*scenario_files(), *story_files())]


def pool_of(stories: Iterable[Story], limits: Limits = DEFAULT_LIMITS) -> Pool:
    nodes: dict[object, Node] = {}
    people: dict[bytes, KnownPerson] = {}
    for story in stories:
        nodes |= {node.ref: node for node in map(story.node, story.events)}
        people |= {known.digest: known for known in story.people.values() if known.state != "unresolved"}
    return Pool(nodes.values(), people, limits=limits)


Said = tuple[str, str, tuple[bytes, ...]]


def every_rule(case: Case) -> list[Said]:
    found = [(rule.name, detail, evidence) for rule in RULES for detail, evidence in rule.find(case)]
    return [
        *dict.fromkeys((rule, detail, tuple(dict.fromkeys(each.event_id for each in by))) for rule, detail, by in found)
    ]


def said(found: Iterable[Contradiction]) -> list[Said]:
    return [(each.rule, each.detail, each.evidence) for each in found]


def test_a_rule_that_is_not_asked_would_have_found_nothing() -> None:
    """At the end of each story, and at each event before: then what heals or what it relies on may not be there yet."""
    silent = 0
    for story in STORIES:
        for number, expected in enumerate(story.expected):
            whole = story.subgraph(expected.asked)
            place = next(place for place, node in enumerate(whole.nodes) if node.event_id == whole.asked)
            for end in range(place if number == 0 else len(whole.nodes) - 1, len(whole.nodes)):
                graph = replace(whole, nodes=whole.nodes[: end + 1])
                case = judge(graph.asked, Links(Index(graph)), story.house).case
                assert said(contradictions(case)) == every_rule(case), expected
                silent += len(RULES) - len(asked(case.marks))
    assert silent > 5_000


@pytest.mark.parametrize("size", [1, 6])
def test_links_made_once_for_all_are_those_of_each_alone(size: int) -> None:
    """Stories that are told together share ids, names and people that they do not share alone."""
    shared = 0
    for start in range(0, len(STORIES), size):
        stories = STORIES[start : start + size]
        pool = pool_of(stories)
        bench = Bench(pool)
        told = {name: each for story in stories for name, each in story.events.items()}
        for name, event_id in (
            (name, each.made.event_id) for name, each in told.items() if each.made.header.kind in KINDS
        ):
            try:
                graph = pool.part(event_id, pool.extent(event_id))
            except Overfull:
                continue
            links = bench.links(event_id)
            alone = Links(Index(graph))
            shared += links.kept is bench.whole.kept
            assert list(links.index.by_id) == list(alone.index.by_id)
            found, expected = judge(event_id, links), judge(event_id, alone)
            assert found._replace(case=expected.case, walk=expected.walk) == expected, name
            assert (found.walk.found, found.walk.ends, found.walk.seen) == expected.walk[:3], name
            assert said(contradictions(found.case)) == every_rule(expected.case), name
    assert shared > 100


def test_an_event_beside_more_accounts_of_uses_than_one_question_looks_at_is_asked_alone() -> None:
    used = "api_action operation=pay phase=completed outcome=success observer=agent"
    uses = [f"a{n} bot {used} action_id=a{n} oversight_ids=o-1" for n in range(50)]
    story = read_scenario("\n".join(["o1 desk oversight oversight_id=o-1 action=approve uses_allowed=1", *uses]))
    last = story.events["a49"].made.event_id
    assert len(pool_of([story]).extent(last).beside) == 49
    with pytest.raises(Overfull):
        pool_of([story], Limits(nodes=20)).extent(last)


def test_kinds_that_are_judged_are_told_in_the_stories() -> None:
    assert set(KINDS) <= {told.made.header.kind for story in STORIES for told in story.events.values()}
