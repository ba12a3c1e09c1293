"""The verbs that ask about more than one event, on a seeded store."""

from __future__ import annotations

import json
from pathlib import Path

import networkx
import pytest

from ledger.format import ids
from tests.e2e.conftest import Run
from tests.seeded import AGENT, EXECUTION, OTHER, Story

RUN = ids.text(EXECUTION)


def test_a_run_did_what_it_did(run: Run) -> None:
    assert "the two runs did the same" in run("diff", RUN, RUN).stdout
    found = json.loads(run("diff", RUN, RUN, "--json").stdout)
    assert (found["same"], found["counts"]["same"]) == (True, len(found["rows"]))


def test_a_run_is_compared_with_none_of_another_tenant(run: Run) -> None:
    assert RUN in run("diff", RUN, RUN, "--tenant", OTHER, status=1).stderr
    assert "no execution id" in run("diff", RUN, "run-2", status=2).stderr


def test_graphs_come_in_each_form(run: Run, told: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dot = run("graph", RUN).stdout
    assert dot.startswith("digraph ledger {")
    graphml = run("lineage", told.outcome, "--format", "graphml").stdout
    (tmp_path / "graph").write_text(graphml)
    assert told.prompt in {held["event_id"] for _, held in networkx.read_graphml(tmp_path / "graph").nodes(data=True)}
    assert json.loads(run("graph", RUN, "--json").stdout)["directed"] is True
    assert "no format of a graph" in run("graph", RUN, "--format", "png", status=2).stderr
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install it" in run("graph", RUN, "--format", "svg", status=2).stderr


def test_the_inventory_lists_agents_and_tells_one_with_its_history(run: Run) -> None:
    text = run("agents").stdout
    assert f"{AGENT} (travel agent)  active, owner Olga, last seen" in text
    (only,) = json.loads(run("agents", "--json").stdout)["items"]
    assert (only["agent_id"], only["remarks"]) == (AGENT, [])
    detail = run("agents", AGENT).stdout
    assert "agent_registration by travel-agent: state active; " in detail
    assert "; owner Olga" in detail
    assert json.loads(run("agents", AGENT, "--json").stdout)["history"][0]["says"]["name"] == "travel agent"


def test_no_such_agent_is_exit_1_and_no_such_remark_misuse(run: Run) -> None:
    run("agents", "--remark", "never_seen", status=1)
    assert "knows no agent" in run("agents", "https://nobody.example", status=1).stderr
    assert "there is no remark" in run("agents", "--remark", "nothing", status=2).stderr
    run("agents", AGENT, "--tenant", OTHER, status=1)


def test_what_a_person_triggered_is_told_with_the_agent_and_for_whom(run: Run, told: Story) -> None:
    text = run("touched", "person", "https://issuer.example#alice").stdout
    assert f"{told.outcome}  by {AGENT} for Alice" in text
    found = json.loads(run("touched", "person", "https://issuer.example#alice", "--json").stdout)
    assert found["agents"] == [AGENT]
    assert {told.step, told.action, told.outcome} <= {each["event_id"] for each in found["items"]}
    assert "for Alice" in run("find", "--agent", AGENT, "--kind", "api_action").stdout
    assert "1 event of person https://issuer.example#alice (1 prompt):\n" in text
    assert told.prompt in text.partition("what came of them:")[0]
    run("touched", "person", "https://issuer.example#nobody", status=1)
    run("touched", "person", "https://issuer.example#alice", "--tenant", OTHER, status=1)
    assert "touches nothing" in run("touched", "spoon", "x", status=2).stderr


def test_a_token_that_was_used_and_led_no_further_is_told_with_its_uses(run: Run, told: Story) -> None:
    text = run("touched", "token", "https://issuer.example#token-1").stdout
    assert text.startswith("2 events of token https://issuer.example#token-1 (2 events of use):\n")
    assert told.action in text
    assert text.endswith("nothing further came of them that is recorded\n")
    assert "0 events of token" in run("touched", "token", "https://issuer.example#token-2", status=1).stdout


def test_a_question_that_nothing_can_answer_says_what_would_be_one(run: Run) -> None:
    assert "there is no kind 'apiaction' (api_action?)" in run("find", "--kind", "apiaction", status=2).stderr
    assert "it takes issuer#subject" in run("find", "--principal", "alice", status=2).stderr
    assert "it takes issuer#subject" in run("touched", "person", "alice", status=2).stderr
    assert "it takes issuer#subject" in run("agents", "--owner", "Dana", status=2).stderr
    assert "there is no state 'actve' (active?)" in run("agents", "--state", "actve", status=2).stderr
    assert "is namespace:value" in run("find", "--correlation", "0af7651916cd43dd8448eb211c80319c", status=2).stderr
    assert "an agent is named by its URI" in run("find", "--agent", "travel-agent", status=1).stderr
    assert run("find", "--kind", "handoff", status=1).stderr == "no event matches\n"
    assert "--principal ISSUER#SUBJECT finds a person" in run("find", "Alice", status=1).stderr
    assert "`answerable find token-1` finds names its issuer" in run("lineage", "token:token-1", status=2).stderr
    assert "no agent matches" in run("agents", "--state", "retired", status=1).stderr


def test_an_id_of_another_thing_is_told_as_what_it_is(run: Run, told: Story) -> None:
    for verb in ("who-triggered", "lineage"):
        assert f"no event {RUN}, but a run of that id: ask for its replay" in run(verb, RUN, status=1).stderr
    for ask in (("replay", told.step), ("graph", told.step), ("diff", told.step, RUN)):
        said = run(*ask, status=1).stderr
        assert (
            f"no execution {told.step}, but an event of that id, of the execution {RUN}: ask who triggered it" in said
        )
    assert "but an event of that id of no execution" in run("replay", told.orphan, status=1).stderr
    assert run("replay", told.step, "--tenant", OTHER, status=1).stderr.endswith(f"no execution {told.step}\n")
    assert run("who-triggered", RUN, "--tenant", OTHER, status=1).stderr.endswith(f"no event {RUN}\n")


def test_what_came_later_than_was_asked_is_not_said_never_to_have_come(run: Run, told: Story) -> None:
    before = ("--as-of", "2020-01-01T00:00:00Z")
    for verb in ("who-triggered", "lineage"):
        said = run(verb, told.step, *before, status=1).stderr
        assert f"had no event {told.step} by 2020-01-01T00:00:00.000000Z: it came at 20" in said
    said = run("replay", RUN, *before, status=1).stderr
    assert f"had no execution {RUN} by 2020-01-01T00:00:00.000000Z: its first event came at 20" in said
    assert run("who-triggered", told.step, *before, "--tenant", OTHER, status=1).stderr.endswith(
        f"no event {told.step}\n"
    )
    assert f"knows no agent '{AGENT}' by 2020-01-01" in run("agents", AGENT, *before, status=1).stderr
