"""Every scenario and every story: the answer to each question in it holds what the lines after the question say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.attribution.explain import explain
from ledger.attribution.json_form import to_json
from tests.attribution.scenario import read_scenario, scenario_files, story_files
from tests.attribution.shown import faults, whole

FILES = [*scenario_files(), *story_files()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_answer_holds_what_the_scenario_says(path: Path) -> None:
    story = read_scenario(path.read_text())
    assert story.expected, f"{path.name} asks nothing"
    for expected in story.expected:
        answer = explain(story.subgraph(expected.asked), story.house)
        assert not (found := faults(story, expected, answer)), "\n".join(
            [f"{path.name}, {expected.asked}:", *found, "the whole answer:", whole(story, answer)]
        )
        to_json(answer)


def test_what_a_whole_answer_holds_beyond_what_is_stated_is_a_fault() -> None:
    told = (
        "person alice Alice\np1 agent prompt trigger_kind=human trust=trusted principal=alice\n"
        "a1 agent api_action action_id=x phase=completed operation=send observer=agent <- p1:started_by\n? a1 whole\n"
    )
    story = read_scenario(told)
    lines = whole(story, explain(story.subgraph("a1"))).splitlines()
    assert len(lines) == 9
    for left_out in range(len(lines) + 1):
        stated = read_scenario("\n".join([told, *lines[:left_out], *lines[left_out + 1 :]]))
        found = faults(stated, stated.expected[0], explain(stated.subgraph("a1")))
        assert len(found) == (left_out < len(lines)), found
