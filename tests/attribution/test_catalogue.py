"""The catalogue: every rule, class, reason, grade, join, role and limit of an answer is told by some scenario.

A new one without a scenario is red here, and so is a rule without a near miss: a story in which it must accuse nobody.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, get_args

import pytest

from ledger.attribution.answer import MISSING, REASONS, Answer, Class, Grade, Influence
from ledger.attribution.contradictions import RULES, SEVERITIES, table
from ledger.attribution.explain import explain
from ledger.attribution.joins import JOINED, NAMESPACES
from ledger.attribution.rules.policies import DEMANDS_APPROVAL
from ledger.attribution.subgraph import Limits
from ledger.format.event import RELATIONS
from tests.attribution.scenario import Story, read_scenario, scenario_files, story_files
from tests.attribution.shown import show

LOOKED_UP: Final = frozenset(
    {
        "token_use",
        "txn",
        "grant_use",
        "oversight_use",
        "agent",
        "principal",
        "resource",
        "run_state",
        "idempotency",
        "revoked",
    }
    | {"policy", "named", "configured", "listed", "value"}
)
"""Namespaces by which events are found, or counted, and never joined to one another."""


@cache
def told() -> dict[str, tuple[Story, dict[str, Answer]]]:
    """Every scenario by its name, with the answer to each question in it."""
    stories = {path.stem: read_scenario(path.read_text()) for path in (*scenario_files(), *story_files())}
    return {
        name: (story, {each.asked: explain(story.subgraph(each.asked), story.house) for each in story.expected})
        for name, story in stories.items()
    }


def answers() -> list[Answer]:
    return [answer for _, found in told().values() for answer in found.values()]


@pytest.mark.parametrize("rule", [each.name for each in RULES])
def test_each_rule_has_a_story_in_which_it_accuses_and_one_in_which_it_must_not(rule: str) -> None:
    assert f"rule_{rule}" in told(), f"no scenario rule_{rule}.txt"
    story, found = told()[f"rule_{rule}"]
    assert any(rule in {each.rule for each in answer.contradictions} for answer in found.values())
    spared = [
        each.asked
        for each in story.expected
        if ("contradictions", "none") in each.lines and found[each.asked].contradictions == ()
    ]
    assert spared, f"rule_{rule}.txt accuses in every question: add a near miss"
    whole = [found[each.asked] for each in story.expected if each.whole]
    assert rule in {each.rule for answer in whole for each in answer.contradictions}, (
        "of no accusation the whole answer"
    )


def test_each_accusation_in_the_corpus_is_stated_with_its_evidence() -> None:
    for name, (story, found) in told().items():
        for each in story.expected:
            stated = [words for what, words in each.lines if what == "evidence"]
            shown = show(story, found[each.asked])["evidence"]
            assert sorted(stated) == sorted(shown), f"{name}, {each.asked}"


def test_an_accusation_names_its_evidence() -> None:
    for story, found in told().values():
        for asked, answer in found.items():
            known = {each.made.event_id for each in story.events.values()}
            for each in answer.contradictions:
                assert each.detail, asked
                assert each.evidence, asked
                assert known >= set(each.evidence), asked


FROM: Final = re.compile(r"# (Issue \d+ §|DESIGN §|ATTRIBUTION §|RFC \d|docs/adr/\d{4}|Rule [a-z_]+[.:])")
"""How a scenario begins: with the section or rule that it comes from."""


@pytest.mark.parametrize("path", [*scenario_files(), *story_files()], ids=lambda path: path.stem)
def test_a_scenario_names_what_it_comes_from(path: Path) -> None:
    assert FROM.match(path.read_text()), f"{path.name} does not begin with the section or rule that it comes from"


def test_the_corpus_is_as_large_as_the_issue_asks() -> None:
    assert len(scenario_files()) >= 85
    assert len(story_files()) >= 12


@pytest.mark.parametrize("class_", sorted({*get_args(Class)} - {"archived", "erased_principal"}))
def test_of_each_class_some_scenario_states_the_whole_answer(class_: str) -> None:
    whole = [found[each.asked] for story, found in told().values() for each in story.expected if each.whole]
    assert class_ in {answer.class_ for answer in whole}


@pytest.mark.parametrize("class_", get_args(Class))
def test_each_class_is_told(class_: str) -> None:
    assert class_ in {answer.class_ for answer in answers()}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_told(reason: str) -> None:
    assert reason in {each for answer in answers() for each in answer.reasons}


def test_no_answer_has_a_reason_that_is_not_in_the_list() -> None:
    assert {each for answer in answers() for each in answer.reasons} <= set(REASONS)
    for answer in answers():
        assert answer.reasons or answer.class_ != "unattributed", answer.sentence


@pytest.mark.parametrize("missing", MISSING)
def test_whatever_may_be_missing_of_who_answers_for_it_is_told(missing: str) -> None:
    assert missing in {each for answer in answers() for each in answer.accountable.missing}


def test_who_answers_for_it_is_never_empty_without_a_word() -> None:
    for answer in answers():
        of = answer.accountable
        assert {*of.missing} <= {*MISSING}
        assert (of.agent_id is None) == ("agent" in of.missing)
        assert (of.agent_id is not None and of.owner is None) == bool({"owner", "owner_ambiguous"} & {*of.missing})
        assert (of.person is None) == bool({"person", "person_ambiguous"} & {*of.missing})
        for who, what in ((of.owner, "owner"), (of.person, "person")):
            unnamed = bool({f"{what}_unresolved", f"{what}_erased"} & {*of.missing})
            assert (who is not None and who.state != "named") == unnamed
        assert (of.grant_id is None) == ("grant" in of.missing)


@pytest.mark.parametrize("grade", get_args(Grade))
def test_each_grade_is_told_of_a_link_and_of_a_trigger(grade: str) -> None:
    assert grade in {link.grade for answer in answers() for step in answer.path for link in step.links}
    assert grade in {each.grade for answer in answers() for each in answer.triggers}


@pytest.mark.parametrize("relation", sorted(RELATIONS))
def test_each_relation_is_told_of_a_cause_that_is_stated(relation: str) -> None:
    links = [link for answer in answers() for step in answer.path for link in step.links]
    assert relation in {link.relation for link in links if link.join is None}


@pytest.mark.parametrize("role", ["initiated", "steered", "scheduled", "direct", "external"])
def test_each_role_of_a_trigger_is_told(role: str) -> None:
    assert role in {each.role for answer in answers() for each in answer.triggers}


@pytest.mark.parametrize("source", ["token", "grant", "principal"])
def test_each_source_of_authority_is_told(source: str) -> None:
    assert source in {each.source for answer in answers() for each in answer.authority}


@pytest.mark.parametrize(
    "join", sorted({*NAMESPACES} - {"correlation"} - LOOKED_UP | {each.removeprefix("parent_") for each in JOINED})
)
def test_each_namespace_joins_two_events(join: str) -> None:
    joined = {edge.join for answer in answers() for step in answer.path for edge in step.links}
    joined |= {"memory"} if any(each.kind == "memory" and each.grade == "inferred" for each in influences()) else set()
    assert join in joined


def influences() -> list[Influence]:
    return [each for answer in answers() for each in answer.influences]


@pytest.mark.parametrize("limit", sorted(Limits._fields))
def test_each_limit_that_was_reached_is_said(limit: str) -> None:
    assert limit in {each for answer in answers() for each in answer.coverage.truncated}


def test_the_page_of_contradictions_is_the_table_of_the_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "contradictions.md").read_text()
    assert page.endswith(table()), "write the table anew: python -m tests.write_contradictions"


def test_the_page_of_contradictions_names_every_obligation_that_demands_an_approval() -> None:
    page = (Path(__file__).parents[2] / "docs" / "contradictions.md").read_text()
    paragraph = page.partition("**An approval that a decision demands**")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", paragraph)) == DEMANDS_APPROVAL | {
        "obligation_unmet",
        "obligations",
    }


def test_rules_are_whole_and_the_worst_come_first() -> None:
    order = list(SEVERITIES)
    assert [each.severity for each in RULES] == sorted((each.severity for each in RULES), key=order.index)
    assert len({each.name for each in RULES}) == len(RULES)
    for each in RULES:
        assert all((each.why, each.meaning, each.closes, each.source)), each.name
