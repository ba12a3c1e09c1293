"""What a person triggered, and what a document, token, memory or policy version touched, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.attribution.subgraph import Limits
from ledger.errors import InvalidEvent
from ledger.store import touched as module
from ledger.store.touched import Touched, touched
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import lineage, reading, store
from tests.services.databases import Databases

TEXT = """
person alice Alice
person bob Bob
person ghost !erased
p1 app prompt by=alice trigger_kind=human trust=trusted run=r1
s1 first reasoning_step status=completed visibility=full agent=first run=r1 <- p1:started_by
h1 first handoff direction=sent protocol=a2a task_id=t-1 run=r1 <- s1:started_by
a1 first api_action action_id=x operation=read phase=completed observer=agent agent=first run=r1 <- s1:started_by
h2 second handoff direction=received protocol=a2a task_id=t-1 run=r2 <- h1:started_by
a2 second api_action action_id=y operation=pay phase=completed observer=agent token=j1 agent=second run=r2 <- h2:started_by
p2 app prompt by=bob trigger_kind=human trust=trusted run=r3
o1 second observation source=web uri=https://evil.example/page trust=untrusted run=r3 <- p2:started_by
a3 second api_action action_id=z operation=pay phase=completed observer=agent agent=second run=r3 <- o1:informed_by
m1 second memory action=write store=notes key=k trust=untrusted run=r3 <- o1:informed_by
a4 third api_action action_id=w operation=send phase=completed observer=agent agent=third run=r4 <- m1:informed_by?
t1 as token_issuance status=issued token=j1 subject=alice
d1 pdp policy_decision decision=allow decision_id=d-1 policy_id=pay policy_version=v1 action=pay
d2 pdp policy_decision decision=allow decision_id=d-2 policy_id=pay policy_version=v2 action=pay
a5 second api_action action_id=v operation=pay phase=completed observer=agent decision_id=d-2 <- d2:authorized_by
p3 app prompt by=ghost trigger_kind=human trust=trusted run=r5
a6 first api_action action_id=u operation=read phase=completed observer=agent agent=first run=r5 <- p3:started_by
a7 liar api_action action_id=q operation=lie phase=completed observer=agent <- p1:started_by~
m2 third memory action=read store=notes key=k trust=untrusted run=r6
m3 third memory action=read store=elsewhere key=k trust=untrusted run=r6
a8 third api_action action_id=t operation=send phase=completed observer=agent agent=third run=r6 <- m2:informed_by
m4 third memory action=write store=elsewhere key=k trust=untrusted run=r6 <- a8:informed_by
a9 second api_action action_id=s operation=pay phase=completed observer=agent decision_id=d-1
m5 third memory action=read store=elsewhere key=k trust=untrusted run=r8
h3 third handoff direction=received protocol=a2a task_id=t-1 run=r7
x1 first reasoning_step status=completed visibility=full id=x1 <- x2:informed_by? p1:started_by
x2 first reasoning_step status=completed visibility=full id=x2 <- x1:informed_by?
m6 third memory action=write store=notes key=user#7 trust=untrusted
m7 third memory action=read store=notes key=user#7 trust=untrusted
m8 third memory action=read store=notes key=7 trust=untrusted
t2 as token_issuance status=issued token=j#9
a10 second api_action action_id=r operation=pay phase=completed observer=agent token=j#9
"""


@pytest.fixture(scope="module")
def story() -> Story:
    return read_scenario(TEXT)


@pytest.fixture(scope="module")
def url(postgres: Databases, story: Story) -> Iterator[str]:
    made = postgres.fresh()
    other = read_scenario(TEXT.partition("p2 app")[0], "other")
    store(made, story, other)
    yield made
    postgres.drop(made)


def ask(url: str, what: Any, value: str, tenant: str = "acme", **given: Any) -> Touched:
    with psycopg.connect(url, autocommit=True) as connection:
        return touched(connection, reading(url), tenant, what, value, **given)


def names(story: Story, page: Touched) -> dict[str, str]:
    return {story.name_of(each.node.event_id): each.grade for each in page.items}


def of(story: Story, person: str) -> str:
    return story.people[person].digest.hex()


def test_everything_that_a_person_triggered_through_whichever_agents(url: str, story: Story) -> None:
    found = names(story, ask(url, "person", of(story, "alice")))
    assert {"s1", "h1", "a1", "h2", "a2", "h3", "x1", "x2"} == set(found)
    assert (found["a2"], found["h3"], found["x2"]) == ("sealed", "inferred", "asserted")
    assert "a7" not in found  # it cites another digest than the prompt has


def test_a_poisoned_document_is_followed_through_memory_into_another_run(url: str, story: Story) -> None:
    page = ask(url, "document", "https://evil.example/page")
    found = names(story, page)
    assert found == {"a3": "sealed", "m1": "sealed", "a4": "asserted"} | dict.fromkeys(
        ("m2", "a8", "m4", "m5"), "inferred"
    )


def test_a_memory_is_followed_to_what_read_it_and_on(url: str, story: Story) -> None:
    page = ask(url, "memory", "notes#k")
    assert {story.name_of(each.event_id) for each in page.starts} == {"m1", "m2"}
    assert names(story, page) == {"a4": "asserted", "a8": "sealed", "m4": "sealed", "m5": "inferred"}


def test_a_hash_may_stand_in_the_key_of_a_memory_and_in_a_jti(url: str, story: Story) -> None:
    memory, token = ask(url, "memory", "notes#user#7"), ask(url, "token", "as#j#9")
    assert {story.name_of(each.event_id) for each in memory.starts} == {"m6", "m7"}
    assert {story.name_of(each.event_id) for each in token.starts} == {"t2", "a10"}


def test_where_more_state_the_value_of_a_memory_than_are_looked_at_the_answer_is_cut(postgres: Databases) -> None:
    story = read_scenario(
        "w1 first memory action=write store=notes key=k trust=trusted\n"
        "r1 first memory action=read store=notes key=k trust=trusted\n"
        + "".join(f"e{n} first memory action=read store=elsewhere key=k trust=trusted\n" for n in range(4))
    )
    url = postgres.fresh()
    store(url, story)
    asked = story.events["w1"].made.event_id
    for nodes, met, cut in ((3, {"w1"}, True), (5, {"w1", "r1"}, True), (6, {"w1", "r1"}, False)):
        below = lineage(url).below(story.tenant, asked, limits=Limits(nodes=nodes))
        assert {story.name_of(each.event_id) for each in below.nodes} == met
        assert bool(below.cut) == cut
    postgres.drop(url)


def test_a_token_is_followed_to_what_presented_it(url: str, story: Story) -> None:
    page = ask(url, "token", "as#j1")
    assert {story.name_of(each.event_id) for each in page.starts} == {"t1", "a2"}
    assert {story.name_of(each.event_id) for each in page.uses} == {"a2"}
    with pytest.raises(InvalidEvent, match="issuer#jti"):
        ask(url, "token", "j1")


def test_one_version_of_a_policy_is_told_from_another(url: str, story: Story) -> None:
    assert names(story, ask(url, "policy", "pay@v2")) == {"a5": "sealed"}
    assert names(story, ask(url, "policy", "pay@v1")) == {"a9": "inferred"}
    assert {story.name_of(each.event_id) for each in ask(url, "policy", "pay").starts} == {"d1", "d2"}


def test_of_an_erased_person_what_came_is_told_and_not_who(url: str, story: Story) -> None:
    page = ask(url, "person", of(story, "ghost"))
    assert names(story, page) == {"a6": "sealed"}
    assert [each.state for each in page.persons.values()] == ["erased"]


@pytest.mark.parametrize("value", ["", "#", "'; drop table joins; --", "\u202e#\U0001f600", "x" * 5000])
def test_hostile_values_find_nothing(url: str, value: str) -> None:
    for what in ("grant", "document", "memory", "policy"):
        assert ask(url, what, value).items == []


@pytest.mark.parametrize("value", ["", "alice", "'; drop table joins; --", "x" * 5000])
def test_what_names_no_person_is_refused_with_what_would(url: str, value: str) -> None:
    with pytest.raises(InvalidEvent, match=r"names no person: it takes issuer#subject, or a digest of theirs in hex$"):
        ask(url, "person", value)
    assert ask(url, "person", "\u202e#\U0001f600").items == []


def test_tenants_are_apart(url: str, story: Story) -> None:
    theirs = ask(url, "person", of(read_scenario(TEXT, "other"), "alice"), tenant="other")
    assert len(theirs.items) == 5
    assert ask(url, "person", of(story, "alice"), tenant="other").starts == []
    assert {each.node.digest for each in theirs.items}.isdisjoint({told.made.digest for told in story.events.values()})
    assert ask(url, "document", "https://evil.example/page", tenant="other").starts == []


def test_what_a_limit_kept_out_is_said_and_pages_go_on(url: str, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(url, "person", of(story, "alice"), limits=Limits(nodes=3)).truncated == ("nodes",)
    monkeypatch.setattr(module, "STARTS", 1)
    first = ask(url, "policy", "pay")
    assert first.before is not None
    second = ask(url, "policy", "pay", before=first.before)
    assert [story.name_of(each.event_id) for each in (*first.starts, *second.starts)] == ["d2", "d1"]
    assert second.before is None
    assert [names(story, each) for each in (first, second)] == [{"a5": "sealed"}, {"a9": "inferred"}]
    monkeypatch.setattr(module, "STARTS", 2)
    assert ask(url, "policy", "pay").before is None


@pytest.mark.parametrize(
    ("what", "value", "nodes"),
    [("person", "alice", 10), ("token", "as#j1", 2), ("memory", "notes#k", 7), ("policy", "pay", 4)],
)
def test_a_limit_that_is_reached_and_leaves_nothing_out_is_not_said(
    url: str, story: Story, what: str, value: str, nodes: int
) -> None:
    """``nodes`` are all that is looked at, led to or not: what cites another digest of the prompt, and what read before."""
    value = of(story, value) if what == "person" else value
    whole = ask(url, what, value)
    assert whole.truncated == ()
    assert ask(url, what, value, limits=Limits(nodes=nodes)) == whole
    for fewer in range(len(whole.starts), nodes):
        short = ask(url, what, value, limits=Limits(nodes=fewer))
        assert (short.truncated, short.starts) == (("nodes",), whole.starts)
        assert len(short.items) <= fewer - len(short.starts)


@pytest.mark.parametrize("far", [False, True])
def test_of_what_came_of_an_event_as_much_is_shown_as_the_limit_allows(
    url: str, story: Story, monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    monkeypatch.setattr("ledger.store.downwards.FEW", 0 if far else 1000)
    for asked in ("p1", "o1", "m1", "h1", "a1", "t1", "d2", "x1"):
        event_id = story.events[asked].made.event_id
        whole = lineage(url).below(story.tenant, event_id)
        size = len(whole.nodes)
        for nodes in range(1, size + 2):
            below = lineage(url).below(story.tenant, event_id, limits=Limits(nodes=nodes))
            assert len(below.nodes) == min(nodes, size), (asked, nodes)
            assert bool(below.cut) == (nodes < size), (asked, nodes)
            assert {node.ref for node in below.nodes} <= {node.ref for node in whole.nodes}
            assert event_id in {node.event_id for node in below.nodes}


def test_what_others_state_of_an_action_under_its_id_is_touched_with_what_came_of_it(postgres: Databases) -> None:
    story = read_scenario(
        "p1 app prompt trigger_kind=human trust=trusted\n"
        "o1 bot observation source=web uri=doc:1 trust=untrusted status=success <- p1:started_by\n"
        "a1 bot api_action action_id=x operation=pay phase=intended observer=agent <- o1:informed_by\n"
        "b1 bank api_action action_id=x operation=pay phase=completed outcome=success observer=resource\n"
        "b2 bank api_action action_id=y operation=settle phase=completed observer=agent <- b1:result_of\n"
        "c1 bank api_action action_id=z operation=pay phase=completed observer=resource\n"
    )
    url = postgres.fresh()
    store(url, story)
    page = ask(url, "document", "doc:1")
    found = {story.name_of(each.node.event_id): each.grade for each in page.items}
    assert found == {"a1": "sealed", "b1": "inferred", "b2": "inferred"}
    postgres.drop(url)


def _handed_on(times: int) -> Story:
    """What one run writes to a memory the next one reads by its name alone, and so on."""
    told = [
        "p1 app prompt by=alice trigger_kind=human trust=trusted",
        "w0 bot memory action=write store=s key=k0 <- p1:started_by",
    ]
    for n in range(times):
        told.append(f"r{n} bot memory action=read store=s key=k{n}")
        told.append(f"w{n + 1} bot memory action=write store=s key=k{n + 1} <- r{n}:informed_by")
    return read_scenario("person alice Alice\n" + "\n".join(told), f"on{times}")


def test_what_leads_on_by_names_is_followed_or_said_to_be_left(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories = [_handed_on(12), _handed_on(2), _handed_on(1)]
    url = postgres.fresh()
    store(url, *stories)

    def asked(story: Story) -> tuple[int, tuple[str, ...], bool]:
        with psycopg.connect(url) as connection:
            page = touched(connection, reading(url), story.tenant, "person", "idp#alice")
        below = lineage(url).below(story.tenant, story.events["p1"].made.event_id)
        assert len(below.nodes) == len(page.items) + 1
        return len(page.items), page.truncated, bool(below.cut)

    assert asked(stories[0]) == (25, (), False)
    monkeypatch.setattr("ledger.store.downwards.ROUNDS", 2)
    assert asked(stories[1]) == (4, ("rounds",), True)
    assert asked(stories[2]) == (3, (), False)
