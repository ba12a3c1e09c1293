"""Every scenario file: the answer to each question in it holds what the lines after the question say."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from ledger.attribution.answer import Answer, Party, to_json
from ledger.attribution.explain import explain
from tests.attribution.scenario import Story, read_scenario, scenario_files

WHOLE: Final = frozenset({"class", "reasons", "contradictions", "triggers", "links_by", "missing"})
"""Of these a scenario states everything there is, of others one of several."""


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.stem)
def test_the_answer_holds_what_the_scenario_says(path: Path) -> None:
    story = read_scenario(path.read_text())
    assert story.expected, f"{path.name} asks nothing"
    for expected in story.expected:
        answer = explain(story.subgraph(expected.asked))
        shown = show(story, answer)
        for what, words in expected.lines:
            if words == "none":
                assert shown[what] == [], f"{expected.asked}: {what}: {shown[what]}\n{answer.sentence}"
            elif what in WHOLE:
                assert " ".join(shown[what]) == words, f"{expected.asked}: {what}: {shown[what]}\n{answer.sentence}"
            else:
                assert words in shown[what], (
                    f"{expected.asked}: {what}: {words!r} not in {shown[what]}\n{answer.sentence}"
                )
        to_json(answer)


def show(story: Story, answer: Answer) -> dict[str, list[str]]:
    """The answer in the words of a scenario."""
    of = answer.accountable
    return {
        "class": [answer.class_],
        "reasons": list(answer.reasons),
        "sentence": [answer.sentence],
        "trigger": [f"{who(story, each.who)} {each.role} {each.grade}" for each in answer.triggers],
        "triggers": [", ".join(f"{who(story, each.who)} {each.role} {each.grade}" for each in answer.triggers)],
        "links_by": sorted({link.join for step in answer.path for link in step.links if link.join}),
        "accountable": [f"{of.agent_id} {who(story, of.owner)} {of.state} {who(story, of.person)} {of.grant_id}"],
        "missing": list(of.missing),
        "authority": [f"{who(story, each.subject)} {each.source} {each.grade}" for each in answer.authority],
        "actor": [f"{each.position} {each.sub}" for each in answer.actors],
        "owner": [f"{each.agent_id} {who(story, each.owner)}" for each in answer.owners],
        "decision": [f"{each.decision} {each.policy_version} {each.grade}" for each in answer.decisions],
        "approval": [
            f"{each.action} {who(story, each.by)} bound={each.bound} {each.grade}" for each in answer.approvals
        ],
        "influence": [f"{story.name_of(each.event_id)} {each.trust} {each.grade}" for each in answer.influences],
        "contradictions": sorted({each.rule for each in answer.contradictions}),
        "finding": [
            f"{each.name} {story.name_of(each.event_id) if each.event_id else ''}".strip() for each in answer.findings
        ],
        "path": [" ".join(story.name_of(step.event_id) for step in answer.path)],
        "link": [
            f"{story.name_of(link.effect)}->{story.name_of(link.cause)} {link.relation} {link.grade}"
            + (f" {link.join} {link.candidates}" if link.join else "")
            for step in answer.path
            for link in step.links
        ],
        "outcome": [str(answer.outcome)],
        "truncated": list(answer.coverage.truncated),
    }


def who(story: Story, party: Party | None) -> str:
    if party is None:
        return "nobody"
    return next((key for key, known in story.people.items() if known.digest == party.digest), party.digest.hex()[:8])
