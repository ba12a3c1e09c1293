"""Events and their links as lines for a person: each link once, joins among them, and what is missing said."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from ledger.attribution.explain import explain
from ledger.cli.answer_text import print_answer
from ledger.cli.event_text import print_events
from ledger.format import ids
from tests.attribution.scenario import Story, read_scenario

TOLD = """
person alice Alice
p1 app prompt by=alice trigger_kind=human trust=trusted
t1 as token_issuance status=issued token=j1 subject=alice
a1 bot api_action action_id=x operation=pay phase=intended observer=agent token=j1 <- p1:started_by
a2 bank api_action action_id=x operation=pay phase=completed outcome=success observer=resource <- a1:same_action
a3 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent <- a1:completes
"""


def lines(story: Story, asked: str) -> list[str]:
    out = StringIO()
    print_events(Console(file=out, width=1000), story.subgraph(asked), utc=True)
    return named(story, out.getvalue())


def named(story: Story, text: str) -> list[str]:
    for name, told in story.events.items():
        text = text.replace(ids.text(told.made.event_id), name)
    return [line.strip() for line in text.splitlines() if "←" in line]


def test_lineage_tells_joins_and_of_two_accounts_only_once_that_they_are() -> None:
    assert lines(read_scenario(TOLD), "a3") == [
        "← started_by p1  sealed",
        "← authorized_by t1 by token  inferred",
        "← same_action a1  corroborated",
        "← completes a1  sealed",
        "← same_action a2 by action  inferred",
    ]


def test_an_answer_tells_them_so_too() -> None:
    story, out = read_scenario(TOLD), StringIO()
    print_answer(Console(file=out, width=1000), explain(story.subgraph("a3"), story.house), utc=True)
    told = [line for line in named(story, out.getvalue()) if "same_action" in line or "completes" in line]
    assert told == ["← same_action a1  corroborated", "← completes a1  sealed", "← same_action a2 by action  inferred"]


def test_a_cause_that_is_not_there_is_said_to_be_so() -> None:
    story = read_scenario(
        "a1 bot api_action action_id=x operation=pay phase=completed observer=agent <- lost:started_by"
    )
    (line,) = lines(story, "a1")
    assert line.endswith("not there: dangling_cause")
