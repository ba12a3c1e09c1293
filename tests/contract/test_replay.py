"""A run step by step, with tokens, approvals, taint, crossings and silences at each step, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from ledger.ask import who_triggered
from ledger.attribution.replay.values import Replay, State, Step
from ledger.attribution.subgraph import Limits
from ledger.errors import NotFound
from ledger.format import ids
from ledger.replay_view import replay_json
from ledger.store.replaying import Replayed, place_in_run, replay_steps
from tests.attribution.scenario import SECOND, Story, digest_of, read_scenario
from tests.attribution.stored import lineage, reading, store
from tests.services.databases import Databases
from tests.services.forge import START

TENANT = "acme"
TEXT = """
drawn at
person alice Alice
p0 app prompt trigger_kind=human trust=trusted principal=alice run=r0 at=0
o0 first observation source=web uri=https://evil.example trust=untrusted status=success run=r0 at=1 <- p0:started_by
m0 first memory action=write store=notes key=k trust=untrusted run=r0 at=2 <- o0:informed_by
p1 app prompt trigger_kind=human trust=trusted principal=alice agent=bot run=r1 at=10
e1 app execution_control action=start run=r1 at=11 <- p1:started_by
t1 issuer token_issuance status=issued token=j1 subject=alice scopes=pay expires_at=100 verification=issuer observer=issuer at=12 <- p1:started_by
t2 issuer token_issuance status=issued token=j2 subject_token=j1 scopes=pay verification=issuer observer=issuer at=14
d1 policy policy_decision decision=allow decision_id=d-1 action=pay obligations=approval action_id=x parameter_digest=P at=15 <- p1:started_by
s1 bot reasoning_step status=completed visibility=full run=r1 at=16 <- p1:started_by
v1 desk oversight oversight_id=v-1 action=approve by=alice binding=digest bound_digest=P uses_allowed=1 expires_at=1500 at=17 <- s1:started_by
a1 bot api_action action_id=x phase=intended operation=pay token=j2 oversight_ids=v-1 decision_id=d-1 parameter_digest=P observer=agent agent=bot run=r1 at=20 <- s1:started_by
a2 bot api_action action_id=x phase=completed operation=pay outcome=success token=j2 parameter_digest=P observer=agent agent=bot run=r1 at=21 <- a1:completes
s2 bot reasoning_step status=completed visibility=full run=r1 at=30 <- a2:result_of
a3 bot api_action action_id=z phase=intended operation=pay token=j1 oversight_ids=v-1 observer=agent agent=bot run=r1 at=120 <- s2:started_by
h1 bot handoff direction=sent protocol=a2a task_id=t-1 run=r1 at=121 <- s2:started_by
p2 other prompt trigger_kind=agent trust=trusted agent=helper run=r2 at=122 <- h1:started_by
m1 bot memory action=read store=notes key=k trust=unknown run=r1 at=123 <- s2:started_by m0:informed_by
k1 issuer token_revocation extent=token token=j2 derived_tokens=kept at=130
o1 bot observation source=document uri=doc:1 trust=untrusted status=success run=r1 at=140 <- s2:started_by
s3 bot reasoning_step status=completed visibility=full run=r1 at=2000 <- o1:informed_by lost:informed_by
a5 bot api_action action_id=q phase=completed operation=pay outcome=success token=j2 oversight_ids=v-1,v-9 decision_id=d-9 observer=agent agent=bot run=r1 at=2010 <- s3:started_by
"""  # noqa: E501 - a line an event
RUN = digest_of("r1")[:16]


@pytest.fixture(scope="module")
def story() -> Story:
    return read_scenario(TEXT, TENANT)


@pytest.fixture(scope="module")
def url(postgres: Databases, story: Story) -> Iterator[str]:
    made = postgres.fresh()
    store(made, story, read_scenario(TEXT.replace("doc:1", "doc:other"), "other"))
    yield made
    postgres.drop(made)


@pytest.fixture(scope="module")
def run(story: Story) -> bytes:
    found = story.events["p1"].made.header.execution_id
    assert found is not None
    return found


@pytest.fixture
def ask(url: str, run: bytes) -> Iterator[Any]:
    with psycopg.connect(url, autocommit=True) as connection:

        def replayed(**given: Any) -> Replayed:
            given = {"now": START + 9000 * SECOND, **given}
            return replay_steps(connection, reading(url), TENANT, given.pop("execution", run), **given)

        yield replayed


def steps_of(story: Story, replay: Replay) -> dict[str, Step]:
    return {story.name_of(step.node.event_id): step for step in replay.steps}


def changes(story: Story, step: Step, what: str) -> list[str]:
    return [
        f"{each.how} {each.name}" + (f" {story.name_of(each.event_id)}" if each.event_id else "")
        for each in step.changes
        if each.what == what
    ]


def tokens(state: State) -> dict[str, str]:
    return {each.token: each.state for each in state.tokens}


def test_each_step_has_the_tokens_then_alive_and_what_became_of_them(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask().replay)
    assert tokens(steps["p1"].state) == {}
    assert changes(story, steps["s1"], "token") == ["issued j1 t1"]
    assert changes(story, steps["a1"], "token") == ["used j1 t2", "exchanged j2 t2", "used j2 a1"]
    assert tokens(steps["a1"].state) == {"j1": "alive", "j2": "alive"}
    of_a2 = {each.token: each for each in steps["a2"].state.tokens}
    assert of_a2["j2"].exchanged_from == "j1"
    assert (of_a2["j2"].uses, of_a2["j2"].last_used_by) == (
        1,
        story.events["a1"].made.event_id,
    )  # the outcome is no second use
    assert of_a2["j1"].last_used_by == story.events["t2"].made.event_id


def test_a_token_that_expires_midway_is_expired_from_then_on_and_its_use_afterwards_says_so(
    ask: Any, story: Story
) -> None:
    steps = steps_of(story, ask().replay)
    assert tokens(steps["s2"].state)["j1"] == "alive"
    assert changes(story, steps["a3"], "token") == ["expired j1", "used j1 a3"]
    assert "expired since" in steps["a3"].changes[1].detail
    assert tokens(steps["a3"].state) == {"j1": "expired", "j2": "alive"}
    assert changes(story, steps["o1"], "token") == ["revoked j2 k1"]
    assert tokens(steps["o1"].state)["j2"] == "revoked"
    assert [each.ended_by for each in steps["o1"].state.tokens] == [None, story.events["k1"].made.event_id]


def test_an_approval_is_asked_given_bound_used_twice_and_expires(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask().replay)
    assert [each.state for each in steps["s1"].state.approvals] == ["asked"]
    assert changes(story, steps["s1"], "approval") == ["asked d-1 d1"]
    assert changes(story, steps["a1"], "approval") == ["given v-1 v1", "used v-1 a1"]
    (given,) = steps["a1"].state.approvals
    assert (given.state, given.uses, given.uses_allowed) == ("used_up", 1, 1)
    assert given.bound == digest_of("P").hex()
    assert given.by is not None
    assert given.by.label == "Alice"
    (again,) = steps["a3"].state.approvals
    assert (again.state, again.uses) == ("overused", 2)
    assert "use 2 of 1 allowed" in steps["a3"].changes[-1].detail
    assert changes(story, steps["s3"], "approval") == ["expired v-1"]
    assert "expired since" in steps["a5"].changes[-1].detail


CITED = """
person alice Alice
o1 desk oversight oversight_id=o-1 action=approve by=alice binding=standing operation=pay uses_allowed=1
e1 bot api_action action_id=w phase=completed operation=pay outcome=success observer=agent agent=bot <- o1:authorized_by
a1 bot api_action action_id=x phase=completed operation=pay outcome=success observer=agent agent=bot run=r1 <- o1:authorized_by
"""


def test_an_approval_that_another_run_cited_before_is_used_too_often(postgres: Databases) -> None:
    story = read_scenario(CITED)
    made, of = postgres.fresh(), story.events["a1"].made.header.execution_id
    store(made, story)
    assert of is not None
    with psycopg.connect(made, autocommit=True) as connection:
        replay = replay_steps(connection, reading(made), story.tenant, of, now=START + 9000 * SECOND).replay
    (used,) = steps_of(story, replay)["a1"].state.approvals
    assert (used.state, used.uses) == ("overused", 2)
    postgres.drop(made)


TRIED_AGAIN = """
person alice Alice
o1 desk oversight oversight_id=o-1 action=approve by=alice binding=standing operation=pay uses_allowed=1
a1 bot api_action action_id=x phase=intended operation=pay oversight_ids=o-1 observer=agent agent=bot run=r1
a2 shop api_action action_id=s-1 phase=completed operation=pay outcome=failure effect=none observer=resource <- a1:same_action
a3 bot reasoning_step status=completed visibility=full run=r1 <- a1:informed_by
b1 bot api_action action_id=y phase=intended operation=pay oversight_ids=o-1 observer=agent agent=bot run=r1 <- a1:retries
b2 shop api_action action_id=s-2 phase=completed operation=pay oversight_ids=o-1 outcome=success effect=full observer=resource <- b1:same_action
b3 bot reasoning_step status=completed visibility=full run=r1 <- b1:informed_by
c1 bot api_action action_id=y phase=intended operation=pay oversight_ids=o-1 observer=agent agent=bot run=r2
c2 bot reasoning_step status=completed visibility=full run=r1 <- b1:informed_by
"""  # noqa: E501 - a line an event


def test_a_replay_counts_the_uses_of_an_approval_as_its_rule_does_by_what_had_come_of_them(postgres: Databases) -> None:
    story = read_scenario(TRIED_AGAIN)
    made, of = postgres.fresh(), story.events["a1"].made.header.execution_id
    store(made, story)
    assert of is not None
    with psycopg.connect(made, autocommit=True) as connection:
        replay = replay_steps(connection, reading(made), story.tenant, of, now=START + 9000 * SECOND).replay
    steps = steps_of(story, replay)
    told = {name: [(each.state, each.uses) for each in step.state.approvals] for name, step in steps.items()}
    assert told == {
        "a1": [("used_up", 1)],
        "a3": [("open", 0)],
        "b1": [("used_up", 1)],
        "b3": [("used_up", 1)],
        "c2": [("overused", 2)],
    }
    said = [(each.how, each.detail) for step in steps.values() for each in step.changes if each.what == "approval"][1:]
    assert said == [
        ("used", "use 1 of 1 allowed"),
        ("unused", "use 1 of 1 allowed, outside of this run, which came to nothing and used nothing up"),
        ("used", "use 1 of 1 allowed"),
        ("used", "use 2 of 1 allowed, outside of this run"),
    ]
    asked = [who_triggered(lineage(made), story.tenant, story.events[name].made.event_id) for name in ("b1", "c1")]
    assert [[(each.use, each.uses) for each in answer.approvals] for answer in asked] == [[(1, 2)], [(2, 2)]]
    assert [[each.rule for each in answer.contradictions] for answer in asked] == [[], ["approval_reused"]]
    postgres.drop(made)


def test_what_was_read_taints_from_that_step_on_and_so_does_what_another_run_had_read(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask().replay)

    def taint(name: str) -> list[str]:
        return [story.name_of(each.event_id) for each in steps[name].state.taint]

    assert taint("h1") == []
    assert taint("m1") == ["m0"]
    assert taint("o1") == ["m0", "o1"]
    assert taint("a5") == ["m0", "o1"]
    brought, read = steps["a5"].state.taint
    assert [story.name_of(each) for each in brought.way] == ["m0", "m1"]
    assert brought.execution_id == story.events["m0"].made.header.execution_id
    assert (story.name_of(read.step), read.since) == ("o1", START + 140 * SECOND)
    assert changes(story, steps["o1"], "taint") == ["read document doc:1 o1"]


def test_a_run_crosses_both_ways(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask().replay)
    (out,) = steps["h1"].crossings
    assert (out.direction, out.relation, out.grade) == ("to", "started_by", "sealed")
    assert out.execution_id == story.events["p2"].made.header.execution_id
    assert story.name_of(out.event_id or b"") == "p2"
    (into,) = steps["m1"].crossings
    assert (into.direction, into.relation, story.name_of(into.event_id or b"")) == ("from", "informed_by", "m0")
    assert not steps["s2"].crossings
    other = steps_of(story, ask(execution=story.events["p2"].made.header.execution_id).replay)
    assert [(each.direction, story.name_of(each.event_id or b"")) for each in other["p2"].crossings] == [("from", "h1")]


def test_silences_are_gaps_and_what_was_promised_and_did_not_come(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask().replay)
    heard = {name: sorted(each.what for each in step.silences) for name, step in steps.items() if step.silences}
    assert heard == {
        "a3": ["attempt_without_outcome", "gap"],
        "s3": ["cause_missing", "gap"],
        "a5": ["approval_missing", "chain_silent", "decision_missing", "run_without_end"],
    }
    (gap,) = (each for each in steps["s3"].silences if each.what == "gap")
    assert (gap.since, gap.ended_at) == (START + 140 * SECOND, START + 2000 * SECOND)
    assert gap.detail.startswith("1860 s without a step; bot promised to be heard within 60 s, and was ")
    assert "chain_silent" not in {each.what for each in ask(now=START + 2020 * SECOND).replay.steps[-1].silences}


def test_a_threshold_tells_gaps_where_the_chain_promises_less_often(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask(silence=8).replay)
    assert [name for name, step in steps.items() if any(each.what == "gap" for each in step.silences)] == [
        "s2", "a3", "o1", "s3", "a5",
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_a_page_in_the_middle_says_what_a_replay_from_the_start_says(ask: Any, story: Story, limit: int) -> None:
    whole = ask()
    assert whole.next is None
    pages, after = [], None
    while after is not None or not pages:
        pages.append(ask(after=after, limit=limit))
        after = pages[-1].next
    assert len(pages) == -(-len(whole.replay.steps) // limit)
    assert [step for page in pages for step in page.replay.steps] == list(whole.replay.steps)
    assert pages[0].replay.before == State()
    for before, page in pairwise(pages):
        assert page.replay.before == before.replay.steps[-1].state
    assert pages[-1].replay.before != State()


def test_what_a_limit_kept_out_is_said(ask: Any, story: Story, run: bytes, url: str) -> None:
    with psycopg.connect(url) as connection:
        place = place_in_run(connection, TENANT, run, story.events["s3"].made.event_id)
        with pytest.raises(NotFound, match="has no event"):
            place_in_run(connection, TENANT, run, story.events["p2"].made.event_id)
    page = ask(after=place, earlier=2)
    assert page.replay.truncated == ("earlier",)
    assert [story.name_of(each.event_id) for each in page.replay.before.taint] == ["o1"]
    assert "nodes" in ask(limits=Limits(nodes=1)).replay.truncated
    assert ask().replay.truncated == ()
    assert not ask(limits=Limits(nodes=1)).replay.steps[0].silences  # what was cut is not missing


def test_a_limit_that_is_reached_and_leaves_nothing_out_is_not_said(ask: Any) -> None:
    """Nine events that are not of the run are above it."""
    cut = [ask(limits=Limits(nodes=nodes)).replay.truncated for nodes in range(7, 12)]
    assert cut == [("nodes",), ("nodes",), (), (), ()]
    assert ask(limits=Limits(nodes=9)).replay.steps == ask().replay.steps


def test_effects_beyond_the_limit_are_said_to_be_cut(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.replaying.EFFECTS", 1)
    assert "effects" in ask().replay.truncated
    monkeypatch.undo()
    monkeypatch.setattr("ledger.store.replaying.EFFECTS_OF_ONE", 1)
    assert "effects" in ask().replay.truncated


def test_as_of_a_time_there_are_the_steps_that_had_come_and_nothing_of_later(ask: Any, story: Story) -> None:
    steps = steps_of(story, ask(as_of=story_time(story, "m1")).replay)
    assert list(steps)[-1] == "m1"
    assert tokens(steps["m1"].state) == {"j1": "expired", "j2": "alive"}


def story_time(story: Story, name: str) -> int:
    return story.events[name].made.header.occurred_at + 2000


def test_a_run_of_another_tenant_or_of_nobody_is_not_there(ask: Any, url: str, run: bytes) -> None:
    with pytest.raises(NotFound):
        ask(execution=bytes(16))
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(NotFound):
        replay_steps(connection, reading(url), "nobody", run, now=START)


def test_the_json_of_a_page_names_its_run_and_what_held_before(ask: Any, run: bytes) -> None:
    first = ask(limit=2)
    shown = replay_json(ask(after=first.next, limit=2))
    assert shown["execution_id"] == ids.text(run)
    assert [each["event"]["kind"] for each in shown["items"]] == ["reasoning_step", "api_action"]
    assert shown["items"][0]["changes"][0]["at"].endswith("Z")
