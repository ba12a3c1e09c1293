"""Finding events by any value that they state, on a real Postgres: which are found, by which field, and by an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.attribution.findable import matches, names_for
from ledger.attribution.joins import key_of
from ledger.store import queries
from ledger.store.queries import Search, find_events
from tests.attribution.scenario import Story, digest_of, read_scenario
from tests.attribution.stored import reading, store
from tests.services.databases import Databases

TENANT = "acme"
TEXT = """
p1 app prompt trigger_kind=human trust=trusted origin=203.0.113.7 corr=trace:T1,request:R-1,ours:O-1 token=jx
s1 bot reasoning_step status=completed visibility=full response_id=resp-1 corr=span:S1,tool_call:call-1 <- p1:started_by
d1 pdp policy_decision decision=allow decision_id=d-1 action=read resource=pg://db.example/prod.sales.orders
v1 desk oversight oversight_id=v-1 action=approve binding=reference reference=ticket-7 external_system=https://desk.example external_id=CHG-9
a1 bot api_action action_id=x operation=read resource=pg://db.example:5432/prod.sales.orders target_system=https://db.example token=j1 decision_id=d-1 oversight_ids=v-1 idempotency_key=once-1 origin=192.0.2.9:443 observer=agent phase=completed corr=parent_span:S1 <- s1:started_by
a2 bot api_action action_id=y operation=send resource=mailto:bob@example.org observer=agent phase=completed token=j2@d2 <- s1:started_by
t1 as token_issuance status=issued token=j1 subject_token=j0 client_id=c-1 session=sid-1 txn=txn-1
o1 bot observation source=web uri=https://docs.example/a/b?q=1 origin=[2001:db8::1]:80 trust=untrusted status=success
m1 bot memory action=write store=notes key=k-1 trust=unknown
h1 bot handoff direction=sent protocol=a2a task_id=task-1 peer_ledger=ledger.example
r1 as token_revocation extent=session session=sid-1 derived_tokens=kept
r2 as token_revocation extent=token token=j9 derived_tokens=kept
e1 bot execution_control action=start conversation=conv-1 run=r1
t2 as token_issuance status=issued token=j#9 subject_token=j#8
"""  # noqa: E501 - a line an event
FOUND = {
    "T1": {"p1": ["correlation trace"]},
    "trace:T1": {"p1": ["correlation trace"]},
    "R-1": {"p1": ["correlation request"]},
    "O-1": {"p1": ["correlation ours"]},
    "S1": {"s1": ["correlation span"], "a1": ["correlation parent_span"]},
    "call-1": {"s1": ["correlation tool_call"]},
    "resp-1": {"s1": ["response_id"]},
    "203.0.113.7": {"p1": ["origin"]},
    "192.0.2.9": {"a1": ["origin"]},
    "192.0.2.9:443": {"a1": ["origin"]},
    "2001:db8::1": {"o1": ["origin"]},
    "bob@example.org": {"a2": ["resource"]},
    "mailto:bob@example.org": {"a2": ["resource"]},
    "db.example": {"d1": ["resource"], "a1": ["resource", "target_system"]},
    "https://docs.example/a/b?q=1": {"o1": ["uri"]},
    "docs.example": {"o1": ["uri"]},
    "prod.sales.orders": {"d1": ["resource"], "a1": ["resource"]},
    "sales.orders": {"d1": ["resource"], "a1": ["resource"]},
    "orders": {"d1": ["resource"], "a1": ["resource"]},
    "x": {"a1": ["action_id"]},
    "d-1": {"d1": ["decision_id"], "a1": ["decision_id"]},
    "v-1": {"v1": ["oversight_id"], "a1": ["oversight_ids"]},
    "ticket-7": {"v1": ["reference"]},
    "CHG-9": {"v1": ["external_id"]},
    "desk.example": {"v1": ["external_system"]},
    "once-1": {"a1": ["idempotency_key"]},
    "j1": {"a1": ["token"], "t1": ["token"]},
    "j0": {"t1": ["subject_token"]},
    "as#j1": {"a1": ["token"], "t1": ["token"]},
    "as#j0": {"t1": ["subject_token"]},
    "as#jx": {"p1": ["token"]},
    "as#j2": {"a2": ["token"]},
    "as#j9": {"r2": ["token"]},
    "other#j1": {},
    "as#j#9": {"t2": ["token"]},
    "as#j#8": {"t2": ["subject_token"]},
    "j#9": {"t2": ["token"]},
    "jx": {"p1": ["token"]},
    digest_of("@d2").hex(): {"a2": ["token"]},
    "c-1": {"t1": ["client_id"]},
    "sid-1": {"t1": ["session"], "r1": ["session"]},
    "txn-1": {"t1": ["txn"]},
    "k-1": {"m1": ["key"]},
    "task-1": {"h1": ["task_id"]},
    "ledger.example": {"h1": ["peer_ledger"]},
    "conv-1": {"e1": ["conversation"]},
    "sales": {},
    "example": {},
    "a": {},
    "order": {},
    "ORDERS": {},
    "": {},
}


@pytest.fixture(scope="module")
def story() -> Story:
    return read_scenario(TEXT, TENANT)


@pytest.fixture(scope="module")
def url(postgres: Databases, story: Story) -> Iterator[str]:
    made = postgres.fresh()
    store(made, story, read_scenario(TEXT, "other"))
    yield made
    postgres.drop(made)


@pytest.mark.parametrize("value", FOUND)
def test_a_value_is_found_exactly_with_the_field_in_which_it_stands(url: str, story: Story, value: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        page = find_events(connection, reading(url), TENANT, Search(value=value))
    found = {story.name_of(node.event_id): matches(node.header, node.payload, value) for node in page.events}
    assert found == FOUND[value]
    assert page.truncated == ()


def test_a_value_and_a_kind_are_both_asked_for(url: str, story: Story) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        page = find_events(connection, reading(url), TENANT, Search(value="orders", kind="policy_decision"))
    assert [story.name_of(node.event_id) for node in page.events] == ["d1"]


def test_a_store_of_before_says_that_it_must_be_rebuilt(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update values_since set seal = 7")
        page = find_events(connection, reading(url), TENANT, Search(value="orders"))
        assert page.truncated == ("rebuild",)
        assert find_events(connection, reading(url), TENANT, Search(kind="prompt")).truncated == ()
        connection.rollback()


@pytest.fixture(scope="module")
def large(postgres: Databases) -> Iterator[str]:
    """120,000 events that only look like some: a plan is made for how many there are, not for what they say."""
    made = postgres.fresh()
    store(made, read_scenario("p1 app prompt trigger_kind=human trust=trusted", TENANT))
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute(_MANY, {"common": key_of(TENANT, "value:common"), "rare": key_of(TENANT, "value:rare")})
        connection.execute("analyze")
    yield made
    postgres.drop(made)


_MANY = """
with made as (
    select (lpad(to_hex(1767225600000 + i), 12, '0') || '7000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid as id, i
      from generate_series(1, 120000) i
), events as (
    insert into events (event_id, digest, tenant, seal, at, kind, occurred_at, effective, header, salt)
    select id, sha256(id::text::bytea), e.tenant, e.seal, 0, e.kind, 1767225600000000 + i, true, e.header, e.salt
      from made cross join (select * from events limit 1) e
)
insert into joins
select case when i %% 4 = 0 then %(common)s when i = 77777 then %(rare)s else i end, id from made
"""


@pytest.mark.parametrize("value", ["rare", "common", "nothing"])
@pytest.mark.parametrize("kind", [None, "prompt"])
def test_a_value_is_found_by_an_index_however_many_events_there_are(large: str, value: str, kind: str | None) -> None:
    search = Search(value=value, kind=kind)
    names = [names_for(value)]
    keys = [key_of(TENANT, each) for each in names[0]]
    with psycopg.connect(large, autocommit=True) as connection:
        window, edge = queries._window(connection, keys, b"\xff" * 16)
        assert (len(window), edge is None) == {
            "rare": (1, True),
            "common": (queries.WINDOW, False),
            "nothing": (0, True),
        }[value]
        given = {"keys": keys, "below": "f" * 32, "tenant": TENANT, "kind": kind, "limit": 51}
        asked = [
            (queries._KEYED.encode(), given | {"window": queries.WINDOW}),
            (queries.find_query(search, names, None), given | {"window": [each.hex() for each in window]}),
        ]
        for query, values in asked:
            row = connection.execute(b"explain (analyze, format json) " + query, values).fetchone()
            assert row is not None
            (plan,) = row[0]
            scans = [each for each in _nodes(plan["Plan"]) if each["Node Type"] == "Seq Scan"]
            read = {
                each["Relation Name"]: each["Actual Rows"] + each.get("Rows Removed by Filter", 0) for each in scans
            }
            assert not [name for name, rows in read.items() if name.startswith(("events", "joins")) and rows], read
            assert plan["Execution Time"] < 500


def test_what_a_common_value_is_looked_through_for_is_bounded_and_goes_on(
    large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SCAN", 2000)
    with psycopg.connect(large, autocommit=True) as connection:
        page = find_events(connection, reading(large), TENANT, Search(value="common", kind="api_action"))
        assert (list(page.events), page.truncated) == ([], ("scan",))
        assert page.next is not None
        lower = find_events(
            connection, reading(large), TENANT, Search(value="common", kind="api_action"), after=page.next
        )
        assert lower.next is not None
        assert lower.next.event_id < page.next.event_id


def test_pages_of_a_value_hold_each_event_once(url: str, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "WINDOW", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        whole = find_events(connection, reading(url), TENANT, Search(value="orders"))
        first = find_events(connection, reading(url), TENANT, Search(value="orders"), limit=1)
        second = find_events(connection, reading(url), TENANT, Search(value="orders"), limit=1, after=first.next)
    assert [story.name_of(node.event_id) for node in whole.events] == ["a1", "d1"]
    assert [story.name_of(node.event_id) for node in (*first.events, *second.events)] == ["a1", "d1"]
    assert second.next is None


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
