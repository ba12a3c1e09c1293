"""The ``Lineage`` port on a real Postgres: what it fetches gives the same answers as the whole story does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.ask import lineage_of, who_triggered
from ledger.attribution.explain import explain
from ledger.attribution.graph import graph_of, node_link
from ledger.attribution.pool import Overfull
from ledger.attribution.subgraph import Limits
from ledger.errors import NotFound
from ledger.store.fetched import COPIES
from ledger.store.judging import judgements
from ledger.store.lineage import PostgresLineage, pool_above
from ledger.store.replaying import replay_steps
from tests.attribution.scenario import Story, read_scenario, scenario_files, story_files
from tests.attribution.shown import show
from tests.attribution.stored import asking, lineage, reading, store
from tests.services.databases import Databases
from tests.services.forge import START


def stored_files() -> list[Path]:
    return [path for path in (*scenario_files(), *story_files()) if read_scenario(path.read_text()).is_storable]


@pytest.fixture(scope="module")
def told(postgres: Databases) -> tuple[str, dict[str, Story]]:
    """A store that holds every scenario, each as a tenant of its own."""
    url = postgres.fresh()
    stories = {path.stem: read_scenario(path.read_text(), path.stem) for path in stored_files()}
    store(url, *stories.values())
    return url, stories


@pytest.fixture(scope="module")
def source(told: tuple[str, dict[str, Story]]) -> Iterator[PostgresLineage]:
    with asking(told[0]) as source:
        yield source


@pytest.mark.parametrize("path", stored_files(), ids=lambda path: path.stem)
def test_the_store_gives_the_answer_that_the_whole_story_gives(
    path: Path, told: tuple[str, dict[str, Story]], source: PostgresLineage
) -> None:
    _, stories = told
    story = stories[path.stem]
    for asked in story.expected:
        event_id = story.events[asked.asked].made.event_id
        answer = who_triggered(source, path.stem, event_id, limits=story.limits, house=story.house)
        expected = explain(story.subgraph(asked.asked), story.house)
        shown, wanted = show(story, answer), show(story, expected)
        found = shown.pop("finding")
        assert set(found) <= set(wanted.pop("finding"))  # the whole story also has what has nothing to do with it
        assert shown == wanted


def test_an_event_of_another_tenant_is_not_found(told: tuple[str, dict[str, Story]]) -> None:
    url, stories = told
    event = stories["schedule"].events["a1"].made.event_id
    with pytest.raises(NotFound):
        who_triggered(lineage(url), "erased", event)


def test_as_of_shows_the_ledger_as_it_was_then(told: tuple[str, dict[str, Story]]) -> None:
    url, stories = told
    story = stories["booking_with_approval"]
    intended = story.events["a1"].made
    seen = story.node("a1").append_time
    answer = who_triggered(lineage(url), "booking_with_approval", intended.event_id, as_of=seen)
    assert answer.outcome is None
    assert answer.coverage.as_of == seen
    assert who_triggered(lineage(url), "booking_with_approval", intended.event_id).outcome == "success"
    with pytest.raises(NotFound):
        who_triggered(lineage(url), "booking_with_approval", intended.event_id, as_of=seen - 1)


def test_what_came_of_a_prompt_reaches_the_uses_of_tokens_and_approvals(told: tuple[str, dict[str, Story]]) -> None:
    url, stories = told
    story = stories["booking_with_approval"]
    below = lineage_of(lineage(url), "booking_with_approval", story.events["t1"].made.event_id, "down")
    assert {story.name_of(node.event_id) for node in below.nodes} >= {"t1", "a1", "a2", "a3"}
    graph = graph_of(below)
    assert graph.number_of_nodes() >= 4
    assert node_link(graph)["graph"]["truncated"] is False


def test_what_came_of_a_prompt_comes_without_what_stands_beside_it(told: tuple[str, dict[str, Story]]) -> None:
    url, stories = told
    story = stories["accountable"]
    below = lineage(url).below("accountable", story.events["p1"].made.event_id)
    assert {story.name_of(node.event_id) for node in below.nodes} == {"p1", "a1", "a2", "a3", "a4", "a6"}
    assert not below.nearby


def test_a_limit_is_reported_and_never_called_a_dangling_cause(told: tuple[str, dict[str, Story]]) -> None:
    url, stories = told
    story = stories["steered"]
    answer = who_triggered(lineage(url), "steered", story.events["a1"].made.event_id, limits=Limits(nodes=1))
    assert answer.coverage.truncated == ("nodes",)
    assert answer.reasons == ("limit_reached",)
    assert not answer.findings


CUT = """
person alice Alice
p1 app prompt trigger_kind=human trust=trusted principal=alice agent=bot
t1 as token_issuance status=issued token=j1 subject=alice verification=issuer observer=issuer expires_at=1
o1 desk oversight oversight_id=o-1 action=approve by=alice binding=standing operation=go
d1 pdp policy_decision decision=allow decision_id=d-1 action=go obligations=approval <- p1:started_by
a1 bot api_action action_id=x phase=completed operation=go outcome=success observer=agent agent=bot token=j1 oversight_ids=o-1 decision_id=d-1 at=500 <- p1:started_by
b1 bot api_action action_id=y phase=completed operation=go outcome=success observer=agent agent=bot token=j2 at=500
p2 app prompt trigger_kind=human trust=trusted principal=alice corr=request:q
b2 bank api_action action_id=y phase=completed operation=go outcome=success observer=resource corr=request:q
"""  # noqa: E501 - a line an event


def test_what_a_limit_left_out_is_said_whether_it_is_cited_or_named(postgres: Databases) -> None:
    """A token, approval and decision that are named alone; what bears the request alone. At the limit nothing is left out."""
    story = read_scenario(CUT, "limits")
    url = postgres.fresh()
    store(url, story)
    whole = {"a1": 5, "b1": 3, "p1": 1}
    for name, events in whole.items():
        asked = story.events[name].made.event_id
        expected = who_triggered(lineage(url), "limits", asked)
        assert expected.coverage.events == events
        for nodes in range(1, events + 2):
            answer = who_triggered(lineage(url), "limits", asked, limits=Limits(nodes=nodes))
            assert answer.coverage.truncated == (("nodes",) if nodes < events else ()), (name, nodes)
            assert nodes >= events or "no_trigger" not in answer.reasons
            rules = {each.rule for each in answer.contradictions}
            assert rules <= {each.rule for each in expected.contradictions}, (name, nodes)


def test_a_chain_that_missed_its_promise_is_silent_since_then(told: tuple[str, dict[str, Story]]) -> None:
    url, stories = told
    story = stories["schedule"]
    node = story.node("a1")
    hour = 3600 * 1_000_000
    answer = who_triggered(lineage(url, node.append_time + hour), "schedule", node.event_id)
    (chain,) = [each for each in answer.coverage.chains if each.chain_id == node.chain_id]
    assert chain.silent_since == node.append_time + 60 * 1_000_000
    assert chain.verified_up_to == 3
    punctual = who_triggered(lineage(url, node.append_time), "schedule", node.event_id)
    assert not any(each.silent_since for each in punctual.coverage.chains)


def test_an_account_of_another_action_id_is_found_through_an_account_of_that_one_and_no_further_effect_is(
    postgres: Databases,
) -> None:
    story = read_scenario(
        "p1 app prompt trigger_kind=human trust=trusted\n"
        "a1 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent <- p1:started_by\n"
        "a2 bot api_action action_id=n operation=tell phase=completed observer=agent <- a1:result_of\n"
        "g1 gate api_action action_id=g operation=pay phase=completed outcome=success observer=intermediary <- a1:same_action\n"
        "g2 gate api_action action_id=g operation=pay phase=completed outcome=failure observer=intermediary\n"
        "b1 bank api_action action_id=b operation=pay phase=completed outcome=failure observer=resource <- g2:same_action\n"
    )
    url = postgres.fresh()
    store(url, story)
    asked = story.events["a1"].made.event_id
    graph = lineage(url).above(story.tenant, asked)
    assert {story.name_of(node.event_id) for node in graph.nodes} == {"p1", "a1", "g1", "g2", "b1"}
    assert not graph.cut
    answer = explain(graph)
    assert "accounts_disagree" in {each.rule for each in answer.contradictions}
    postgres.drop(url)


def test_what_only_bears_the_id_of_an_effect_does_not_stand_beside_the_answer(postgres: Databases) -> None:
    story = read_scenario(
        "a1 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent\n"
        "a2 bot api_action action_id=n operation=tell phase=completed observer=agent <- a1:informed_by\n"
        "a3 bot api_action action_id=m operation=pay phase=completed observer=agent id=a2\n"
    )
    url = postgres.fresh()
    store(url, story)
    graph = lineage(url).above(story.tenant, story.events["a1"].made.event_id)
    assert {story.name_of(node.event_id) for node in graph.nodes} == {"a1"}
    postgres.drop(url)


def test_an_account_with_more_effects_than_are_looked_at_is_said_to_be_cut(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = read_scenario(
        "a1 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent\n"
        "s1 bot reasoning_step status=completed visibility=full <- a1:result_of\n"
        "s2 bot reasoning_step status=completed visibility=full <- a1:result_of\n"
        "b1 bank api_action action_id=b operation=pay phase=completed outcome=success observer=resource <- a1:same_action\n"
    )
    url = postgres.fresh()
    store(url, story)
    asked = story.events["a1"].made.event_id
    assert explain(lineage(url).above(story.tenant, asked)).seen == "both_sides"
    monkeypatch.setattr("ledger.store.beside.EFFECTS", 2)
    answer = explain(lineage(url).above(story.tenant, asked))
    assert (answer.seen, answer.coverage.truncated) == ("caller_alone", ("nodes",))
    postgres.drop(url)


def test_what_another_tenant_says_of_an_id_is_not_among_the_effects_that_are_looked_at(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = read_scenario(
        "a1 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent\n"
        "s1 bot reasoning_step status=completed visibility=full <- a1:result_of\n"
        "s2 bot reasoning_step status=completed visibility=full <- a1:result_of\n"
        "b1 bank api_action action_id=b operation=pay phase=completed outcome=success observer=resource <- a1:same_action\n"
    )
    copied = Story("elsewhere", events={"a1": story.events["a1"]})
    for name in ("c1", "c2", "c3"):
        copied.event(name, "bot", "api_action", {"observer": "agent"}, ["a1:same_action"])
    del copied.events["a1"]
    url = postgres.fresh()
    store(url, story, copied)
    asked = story.events["a1"].made.event_id
    monkeypatch.setattr("ledger.store.beside.EFFECTS", 3)
    answer = explain(lineage(url).above(story.tenant, asked))
    assert (answer.seen, answer.coverage.truncated) == ("both_sides", ())
    monkeypatch.setattr("ledger.store.beside.COPIES", 5)
    assert explain(lineage(url).above(story.tenant, asked)).coverage.truncated == ("nodes",)
    postgres.drop(url)


def test_an_account_whose_row_was_changed_is_told_of_and_counts_for_nothing(postgres: Databases) -> None:
    story = read_scenario(
        "a1 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent\n"
        "b1 bank api_action action_id=b operation=pay phase=completed outcome=success observer=resource <- a1:same_action\n"
    )
    url = postgres.fresh()
    store(url, story)
    with psycopg.connect(url) as connection:
        changed = [story.events["b1"].made.event_id.hex()]
        connection.execute("update events set payload = payload || '\\x00' where event_id = %s::uuid", changed)
    answer = explain(lineage(url).above(story.tenant, story.events["a1"].made.event_id))
    assert (answer.seen, [each.name for each in answer.findings]) == ("caller_alone", ["row_changed"])
    postgres.drop(url)


USED_TWICE = """
person alice Alice
r1 hr agent_registration agent_id=bot state=active owner=alice
p1 app prompt by=alice trigger_kind=human trust=trusted run=r1
o1 desk oversight oversight_id=o-1 action=approve binding=standing by=alice uses_allowed=1
a1 bot api_action action_id=x operation=pay phase=completed observer=agent oversight_ids=o-1 agent=bot <- p1:started_by
a2 bot api_action action_id=y operation=pay phase=completed observer=agent oversight_ids=o-1 agent=bot <- p1:started_by
"""


def test_lineage_holds_what_leads_there_and_nothing_beside_it(postgres: Databases) -> None:
    story = read_scenario(USED_TWICE)
    url = postgres.fresh()
    store(url, story)
    port, asked = lineage(url), story.events["a1"].made.event_id
    beside = {story.name_of(node.event_id) for node in port.above(story.tenant, asked).nodes}
    assert {"r1", "a2"} <= beside  # an answer looks at them
    up = lineage_of(port, story.tenant, asked, "up")
    assert {story.name_of(node.event_id) for node in up.nodes} == {"p1", "o1", "a1"}
    assert {held["kind"] for _, held in graph_of(up).nodes(data=True)} == {"prompt", "oversight", "api_action"}
    down = lineage_of(port, story.tenant, asked, "down")
    assert {story.name_of(node.event_id) for node in down.nodes} == {"a1"}
    postgres.drop(url)


CROWDED = """
person alice Alice
p1 app prompt trigger_kind=human trust=trusted principal=alice
o1 desk oversight oversight_id=o-1 action=approve binding=standing by=alice uses_allowed=1
o2 desk oversight oversight_id=o-2 action=approve binding=standing by=alice uses_allowed=100
"""


def test_an_approval_that_a_crowd_relied_on_is_counted_as_far_as_it_allows_and_says_where_it_was_cut(
    postgres: Databases,
) -> None:
    used = "bot api_action operation=pay phase=completed outcome=success observer=agent"
    cites = [f"a{n} {used} action_id=a{n} <- p1:started_by o1:authorized_by" for n in range(1, 201)]
    names = [f"b{n} {used} action_id=b{n} oversight_ids=o-2 <- p1:started_by" for n in range(1, 121)]
    story = read_scenario(CROWDED + "\n".join(cites + names))
    url = postgres.fresh()
    store(url, story)

    def told(name: str) -> tuple[tuple[str, ...], list[str], list[object]]:
        answer = who_triggered(lineage(url), story.tenant, story.events[name].made.event_id)
        assert answer.coverage.events < 450
        (approval,) = answer.approvals
        return (
            answer.coverage.truncated,
            [each.detail.partition(", and ")[2] for each in answer.contradictions],
            [approval.use, approval.uses, approval.more_uses],
        )

    assert told("a1") == (("uses",), [], [1, 67, "later"])
    assert told("a2") == (("uses",), ["this is use 2"], [2, 68, "later"])
    assert told("a100") == (("uses",), ["this is use 66 or a later one"], [66, 132, "both"])
    assert told("a200") == (("uses",), ["this is use 66 or a later one"], [66, 66, "earlier"])
    assert told("b100") == ((), [], [100, 120, None])
    assert told("b101") == ((), ["this is use 101"], [101, 120, None])
    assert told("b120") == (("uses",), ["this is use 102 or a later one"], [102, 102, "earlier"])
    postgres.drop(url)


ONCE = """
person alice Alice
p1 app prompt trigger_kind=human trust=trusted principal=alice
o1 desk oversight oversight_id=o-1 action=approve binding=standing by=alice uses_allowed=1
"""
_USE = "bot api_action operation=pay phase=intended observer=agent"
_SAID = "bank api_action operation=pay phase=completed observer=resource"
_LAST_USE = f"z1 {_USE} action_id=z run=r1 <- p1:started_by o1:authorized_by"


def _denied_often(times: int) -> Story:
    """A use that the bank wholly carried out in its first try, and denied in so many later ones."""
    tried = f"d1 {_SAID} action_id=x attempt=1 outcome=success effect=full"
    denied = [f"d{n} {_SAID} action_id=x attempt={n} outcome=denied effect=none" for n in range(2, times + 2)]
    use = f"x1 {_USE} action_id=x <- p1:started_by o1:authorized_by"
    return read_scenario(ONCE + "\n".join((use, tried, *denied, _LAST_USE)), f"denied{times}")


def _said_to_be_the_same(times: int) -> Story:
    """A use of which so many accounts tell, each of which cites the one before; the last says that it was carried out."""
    chain = [
        f"x{n + 1} {_SAID} action_id=x{n + 1} outcome={'success' if n == times else 'denied'} <- x{n}:same_action"
        for n in range(1, times + 1)
    ]
    use = f"x1 {_USE} action_id=x1 <- p1:started_by o1:authorized_by"
    return read_scenario(ONCE + "\n".join((use, *chain, _LAST_USE)), f"same{times}")


def _cited_often(times: int) -> Story:
    """A payment that is made again after it was taken back, between so many actions that go on from it, and as many more."""
    paid = f"{_SAID} outcome=success effect=full idempotency_key=k"
    on = [f"c{n} {_USE} action_id=c{n} <- b1:continues" for n in range(2 * times)]
    back = "u1 bank api_action action_id=u operation=refund phase=completed observer=resource outcome=success <- b1:compensates"
    told = (f"b1 {paid} action_id=b1 <- p1:started_by", *on[:times], back, *on[times:])
    return read_scenario(ONCE + "\n".join((*told, f"b2 {paid} action_id=b2 <- p1:started_by")), f"cited{times}")


def test_a_second_time_is_told_as_such_with_a_reserve_where_more_may_have_undone_the_first(postgres: Databases) -> None:
    few, often = _cited_often(5), _cited_often(40)
    url = postgres.fresh()
    store(url, few, often)

    def told(story: Story) -> tuple[tuple[str, ...], list[str]]:
        asked = story.events["b2"].made.event_id
        answer = who_triggered(lineage(url), story.tenant, asked)
        with psycopg.connect(url) as connection:
            (judged,) = judgements(connection, reading(url), story.tenant, [asked])
        assert [each.detail for each in judged.accusations] == [each.detail for each in answer.contradictions]
        return answer.coverage.truncated, [each.detail for each in answer.contradictions]

    assert told(few) == ((), [])
    detail = "bank carried out pay a second time under idempotency key k"
    assert told(often) == (("uses",), [f"{detail}; more cites one of them than is looked at, and may have undone it"])


def _taken_back(times: int) -> Story:
    """A payment that is made again after it was taken back, and that was taken back, so many times in a row."""
    paid = f"{_SAID} outcome=success effect=full idempotency_key=k"
    back = "observer=resource operation=undo phase=completed outcome=success effect=full"
    undone = [
        f"u{n} bank api_action {back} action_id=u{n} <- {f'u{n - 1}' if n else 'b1'}:compensates" for n in range(times)
    ]
    told = (f"b1 {paid} action_id=b1 <- p1:started_by", *undone, f"b2 {paid} action_id=b2 <- p1:started_by")
    return read_scenario(ONCE + "\n".join(told), f"taken_back{times}")


def test_what_was_taken_back_and_taken_back_in_turn_is_followed_as_far_as_is_said(postgres: Databases) -> None:
    stories = [_taken_back(times) for times in range(6)]
    url = postgres.fresh()
    store(url, *stories)
    told = []
    for story in stories:
        asked = story.events["b2"].made.event_id
        answer = who_triggered(lineage(url), story.tenant, asked)
        with psycopg.connect(url) as connection:
            (judged,) = judgements(connection, reading(url), story.tenant, [asked])
        assert [each.detail for each in judged.accusations] == [each.detail for each in answer.contradictions]
        told.append((bool(answer.contradictions), answer.coverage.truncated))
    assert told[:3] == [(True, ()), (False, ()), (True, ())]
    assert told[3:] == [(False, ("uses",))] * 3


def test_whoever_looks_at_a_part_of_the_accounts_of_an_approval_s_uses_says_so(postgres: Databases) -> None:
    many = [f"a{n} {_USE} action_id=a{n} <- p1:started_by o1:authorized_by" for n in range(40)]
    told_of = [f"s{n} {_SAID} action_id=a{n} outcome=denied" for n in range(40)]
    crowd = read_scenario(ONCE + "\n".join((*many, *told_of, _LAST_USE)), "crowd")
    few, often = _denied_often(5), _denied_often(20)
    near, far = _said_to_be_the_same(2), _said_to_be_the_same(4)
    url = postgres.fresh()
    store(url, few, often, near, far, crowd)

    def told(story: Story, limits: Limits = Limits()) -> tuple[tuple[str, ...], int | None, int]:  # noqa: B008 - immutable
        answer = who_triggered(lineage(url), story.tenant, story.events["z1"].made.event_id, limits=limits)
        return answer.coverage.truncated, answer.approvals[0].use, answer.coverage.events

    assert told(few)[:2] == ((), 2)
    assert told(often)[:2] == (("uses",), 1)
    assert told(near)[:2] == ((), 2)
    assert told(far)[:2] == (("uses",), 1)
    assert told(crowd)[:2] == ((), 1)
    assert told(crowd, Limits(nodes=20))[0] == ("uses",)
    assert told(crowd, Limits(nodes=20))[2] < told(crowd)[2]

    def replayed(story: Story) -> tuple[str, ...]:
        of = story.events["z1"].made.header.execution_id
        assert of is not None
        with psycopg.connect(url, autocommit=True) as connection:
            return replay_steps(connection, reading(url), story.tenant, of, now=START).replay.truncated

    assert [replayed(story) for story in (few, often, near, far)] == [(), ("uses",), (), ("uses",)]
    postgres.drop(url)


@pytest.mark.parametrize(("further", "truncated"), [(3, ()), (4, ("nodes",))])
def test_accounts_of_accounts_of_an_action_are_looked_for_three_times_and_an_answer_says_if_there_are_more(
    postgres: Databases, further: int, truncated: tuple[str, ...]
) -> None:
    story = _said_to_be_the_same(further)
    url = postgres.fresh()
    store(url, story)
    asked = story.events["x1"].made.event_id
    answer = who_triggered(lineage(url), story.tenant, asked)
    assert len(answer.accounts) == 4
    assert answer.coverage.truncated == truncated
    postgres.drop(url)


@pytest.mark.parametrize("further", [2, 3, 4])
def test_an_account_that_stands_above_another_event_leads_to_its_own_accounts_all_the_same(
    postgres: Databases, further: int
) -> None:
    """What is fetched for several events at once holds what each would have had alone, or says that it does not."""
    chain = [f"x{n + 1} {_SAID} action_id=x{n + 1} <- x{n}:same_action" for n in range(1, further + 1)]
    story = read_scenario("\n".join((f"x1 {_USE} action_id=x1", *chain, f"f1 {_USE} action_id=f <- x2:informed_by")))
    url = postgres.fresh()
    store(url, story)
    first, other = (story.events[name].made.event_id for name in ("x1", "f1"))
    alone = {node.event_id for node in lineage(url).above(story.tenant, first).nodes}
    with psycopg.connect(url, autocommit=True) as connection:
        pool = pool_above(connection, reading(url), story.tenant, [first, other])
    assert pool is not None
    if further == 4:
        with pytest.raises(Overfull):
            pool.extent(first)
    else:
        assert pool.extent(first).above == alone
    postgres.drop(url)


def test_an_approval_whose_id_others_copied_so_often_that_its_uses_are_not_found_says_so(postgres: Databases) -> None:
    story = read_scenario(
        ONCE
        + f"x1 {_USE} action_id=x <- p1:started_by o1:authorized_by\nd1 {_SAID} action_id=x outcome=success\n{_LAST_USE}"
    )
    url = postgres.fresh()
    store(url, story)
    approval, use, asked = (story.events[name].made.event_id for name in ("o1", "x1", "z1"))

    def told() -> tuple[tuple[str, ...], int | None, str | None]:
        answer = who_triggered(lineage(url), story.tenant, asked)
        return answer.coverage.truncated, answer.approvals[0].use, answer.approvals[0].more_uses

    assert told() == ((), 2, None)
    with psycopg.connect(url) as connection:
        copies = "select %s::uuid, (left(%s, 19) || lpad(to_hex(n), 13, 'f'))::uuid from generate_series(1, %s) n"
        given = [approval.hex(), use.hex(), COPIES + 1]
        connection.execute(f"insert into causes (cause, effect) {copies}".encode(), given)
    assert told() == (("uses",), 1, "both")
    postgres.drop(url)


def test_what_else_began_in_the_same_trace_leads_to_an_event_only_where_nothing_surer_does(postgres: Databases) -> None:
    story = read_scenario(
        "p1 otel prompt trigger_kind=human trust=unknown principal=alice agent=bot corr=trace:T1,span:S1\n"
        "s1 otel reasoning_step status=success visibility=full agent=bot corr=trace:T1,span:S2,parent_span:S1\n"
        "a1 otel api_action action_id=e1 phase=completed operation=find observer=importer corr=trace:T1,span:S3,parent_span:S2\n"
        "p2 otel prompt trigger_kind=agent trust=unknown agent=judge corr=trace:T1,span:S9\n"
        "a2 otel api_action action_id=e2 phase=completed operation=rate observer=importer corr=trace:T1,span:S8\n"
    )
    url = postgres.fresh()
    store(url, story)
    port = lineage(url)
    led, alone = (lineage_of(port, story.tenant, story.events[name].made.event_id, "up") for name in ("a1", "a2"))
    assert {story.name_of(node.event_id) for node in led.nodes} == {"p1", "s1", "a1"}
    assert {story.name_of(node.event_id) for node in alone.nodes} == {"p1", "p2", "a2"}
    postgres.drop(url)


def test_of_what_came_of_an_event_no_cause_is_called_missing_that_was_not_asked_for(postgres: Databases) -> None:
    story = read_scenario(
        "p1 app prompt trigger_kind=human trust=trusted\n"
        "p2 app prompt trigger_kind=human trust=trusted\n"
        "a1 bot api_action action_id=x operation=pay phase=completed observer=agent <- p1:started_by p2:steered_by\n"
        "a2 bot api_action action_id=y operation=pay phase=completed observer=agent <- a1:result_of~\n"
    )
    url = postgres.fresh()
    store(url, story)
    graph = graph_of(lineage_of(lineage(url), story.tenant, story.events["p1"].made.event_id, "down"))
    missing = [held["missing"] for _, held in graph.nodes(data=True) if held["kind"] is None]
    assert missing == ["cause_mismatch"]  # a2 cites another digest than a1 has: that is known from below
    postgres.drop(url)
