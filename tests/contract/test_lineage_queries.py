"""Looking events up on a real Postgres: searches, pages, runs and actions."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from ledger.attribution.graph import graph_of
from ledger.attribution.joins import key_of
from ledger.attribution.subgraph import Limits, Node
from ledger.errors import NotFound
from ledger.store.nodes import Reading
from ledger.store.queries import (
    Cursor,
    Search,
    event_by_id,
    events_of_action,
    execution_subgraph,
    find_events,
    replay,
)
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import reading, store
from tests.services.databases import Databases
from tests.services.forge import START

TENANT = "acme"
TEXT = """
person alice Alice
p1 agent prompt trigger_kind=human trust=trusted principal=alice agent=travel run=r1 corr=trace:T
s1 agent reasoning_step status=success visibility=full principal=alice agent=travel run=r1 corr=trace:T <- p1:started_by
a1 agent api_action action_id=x phase=completed operation=book resource=r/1 observer=agent agent=travel run=r1 <- p1:started_by
d1 policy policy_decision decision=allow decision_id=d action=book action_id=x
a2 flights api_action action_id=x phase=completed operation=book resource=r/1 observer=resource <- a1:same_action
b1 other api_action action_id=y phase=completed operation=book observer=agent <- lost:started_by
b2 other api_action action_id=z phase=completed operation=book observer=agent id=b1
c1 other reasoning_step status=success visibility=full agent=other run=r2 <- a1:informed_by gone:informed_by
c2 other reasoning_step status=success visibility=full agent=other run=r2 <- c1:informed_by d1:informed_by
"""


@pytest.fixture(scope="module")
def story() -> Story:
    return read_scenario(TEXT, TENANT)


@pytest.fixture(scope="module")
def url(postgres: Databases, story: Story) -> str:
    url = postgres.fresh()
    store(url, story)
    return url


@pytest.fixture(scope="module")
def rows(url: str) -> Reading:
    return reading(url)


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update contents set subjects = '{idp#alice}'")
        yield connection


def named(story: Story, nodes: object) -> list[str]:
    by_digest = {told.made.digest: name for name, told in story.events.items()}
    assert isinstance(nodes, (list, tuple))
    return [by_digest[node.digest] for node in nodes if isinstance(node, Node) and node.digest in by_digest]


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        (Search(correlation="trace:T"), ["s1", "p1"]),
        (Search(principal="idp#alice"), ["s1", "p1"]),
        (Search(principal="idp#nobody"), []),
        (Search(agent="travel", kind="api_action"), ["a1"]),
        (Search(resource="r/1"), ["a2", "a1"]),
        (Search(resource="r/1", agent="travel"), ["a1"]),
        (Search(kind="policy_decision"), ["d1"]),
        (Search(correlation="trace:T", principal="idp#alice", kind="prompt"), ["p1"]),
        (Search(agent="nobody"), []),
        (Search(agent="travel", since=START + 1_000_000, until=START + 2_000_000), ["s1"]),
    ],
)
def test_a_search_finds_what_matches_all_of_it(
    connection: psycopg.Connection, rows: Reading, story: Story, search: Search, wanted: list[str]
) -> None:
    page = find_events(connection, rows, TENANT, search)
    assert named(story, page.events) == wanted
    assert page.next is None
    assert not find_events(connection, rows, "another", search).events


def test_pages_join_up_to_the_whole(connection: psycopg.Connection, rows: Reading, story: Story) -> None:
    whole = find_events(connection, rows, TENANT, Search(kind="api_action"))
    found: list[Node] = []
    after: Cursor | None = None
    while True:
        page = find_events(connection, rows, TENANT, Search(kind="api_action"), after=after, limit=1)
        found += page.events
        after = page.next
        if after is None:
            break
    assert found == whole.events
    assert len(found) == 4


def test_an_id_with_two_events_gives_both(connection: psycopg.Connection, rows: Reading, story: Story) -> None:
    nodes = event_by_id(connection, rows, TENANT, story.events["b1"].made.event_id)
    assert sorted(named(story, nodes)) == ["b1", "b2"]
    with pytest.raises(NotFound):
        event_by_id(connection, rows, "another", story.events["b1"].made.event_id)


def test_an_action_has_all_its_accounts_and_decisions(
    connection: psycopg.Connection, rows: Reading, story: Story
) -> None:
    page = events_of_action(connection, rows, TENANT, "x")
    assert named(story, page.events) == ["a1", "d1", "a2"]
    cut = events_of_action(connection, rows, TENANT, "x", limit=2)
    assert (len(cut.events), cut.truncated) == (2, ("events",))
    with pytest.raises(NotFound):
        events_of_action(connection, rows, TENANT, "unheard of")


def test_a_run_is_replayed_in_order_and_page_by_page(
    connection: psycopg.Connection, rows: Reading, story: Story
) -> None:
    run = story.events["p1"].made.header.execution_id
    assert run is not None
    first = replay(connection, rows, TENANT, run, limit=2)
    assert named(story, first.events) == ["p1", "s1"]
    second = replay(connection, rows, TENANT, run, limit=2, after=first.next)
    assert (named(story, second.events), second.next) == (["a1"], None)
    with pytest.raises(NotFound):
        replay(connection, rows, TENANT, bytes(16))


def test_a_run_is_drawn_with_what_it_cites_of_others_and_says_what_is_missing_or_cut(
    connection: psycopg.Connection, rows: Reading, story: Story
) -> None:
    run = story.events["c1"].made.header.execution_id
    assert run is not None

    def drawn(nodes: int) -> tuple[list[str], list[str], bool]:
        subgraph = execution_subgraph(connection, rows, TENANT, run, limits=Limits(nodes=nodes))
        graph = graph_of(subgraph)
        missing = sorted(held["missing"] for _, held in graph.nodes(data=True) if held["kind"] is None)
        return named(story, list(subgraph.nodes)), missing, graph.graph["truncated"]

    assert drawn(1000) == (["c1", "c2", "a1", "d1"], ["dangling_cause"], False)
    assert drawn(2) == (["c1", "c2", "a1"], ["dangling_cause", "limit_reached"], True)
    assert drawn(1) == (["c1", "a1"], ["limit_reached"], True)


def test_a_key_is_a_hint_and_the_name_itself_decides(
    connection: psycopg.Connection, rows: Reading, story: Story
) -> None:
    collision = key_of(TENANT, "correlation:trace:T")
    with connection.transaction(force_rollback=True):
        connection.execute(
            "insert into joins values (%s, %s::uuid)", [collision, story.events["d1"].made.event_id.hex()]
        )
        page = find_events(connection, rows, TENANT, Search(correlation="trace:T"))
    assert named(story, page.events) == ["s1", "p1"]
