"""Finding the events behind a number of coverage: by what the sentinel judged them as, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest

from ledger.coverage_view import sums
from ledger.errors import InvalidEvent
from ledger.store import judged, queries
from ledger.store.coverage import coverage
from ledger.store.judged import Judged
from ledger.store.queries import Cursor, Search, find_events
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import reading, store
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases

TENANT = "acme"
TEXT = """
person alice Alice
person x7 !erased
person dana Dana
r0 platform agent_registration agent_id=https://a.example/owned state=active owner=dana
p1 app prompt trigger_kind=human trust=trusted principal=alice
a1 bot api_action action_id=a1 phase=completed operation=read resource=orders outcome=success observer=agent <- p1:started_by
p2 app prompt trigger_kind=human trust=trusted principal=x7
a2 bot api_action action_id=a2 phase=completed operation=read outcome=success observer=agent <- p2:started_by
p3 app prompt trigger_kind=schedule trust=trusted
a3 bot api_action action_id=a3 phase=completed operation=read outcome=success observer=agent <- p3:started_by
a4 bot api_action action_id=a4 phase=completed operation=read outcome=success observer=agent agent=https://a.example/owned <- p3:started_by
a5 bot api_action action_id=a5 phase=completed operation=read resource=orders outcome=success observer=agent agent=https://a.example/owned
a6 bot api_action action_id=a6 phase=completed operation=read outcome=success observer=agent <- lost:started_by
m1 bot memory action=write store=notes key=k-1 trust=unknown
"""  # noqa: E501 - a line an event
AS = {
    "attributed": {"a1"},
    "erased_principal": {"a2"},
    "unattended_alone": {"a3"},
    "unattended": {"a4"},
    "unattributed": {"a5", "a6", "m1"},
    "external": set[str](),
    "archived": set[str](),
}


class Stored(NamedTuple):
    url: str
    story: Story

    def found(self, search: Search, tenant: str = TENANT, limit: int = 100) -> list[str]:
        """The names of the events on all pages, in their order."""
        names: list[str] = []
        after = None
        with psycopg.connect(self.url, autocommit=True) as connection:
            while True:
                page = find_events(connection, reading(self.url), tenant, search, after=after, limit=limit)
                names += [self.story.name_of(node.event_id) for node in page.events]
                if (after := page.next) is None:
                    return names


@pytest.fixture(scope="module")
def stored(postgres: Databases) -> Iterator[Stored]:
    url = postgres.fresh()
    story = read_scenario(TEXT, TENANT)
    sentinel(url, store(url, story, read_scenario(TEXT, "other")))
    yield Stored(url, story)
    postgres.drop(url)


@pytest.mark.parametrize("class_", judged.CLASSES)
def test_the_events_of_a_class_are_those_that_coverage_counts(stored: Stored, class_: str) -> None:
    assert set(judged.CLASSES) == set(AS)
    found = stored.found(Search(judged=Judged(class_)))
    assert set(found) == AS[class_]
    with psycopg.connect(stored.url, autocommit=True) as connection:
        assert len(found) == sums(coverage(connection, TENANT).counts).classes[class_].accounts


def test_they_are_told_apart_by_reason_and_by_whatever_else_is_asked(stored: Stored) -> None:
    assert set(stored.found(Search(judged=Judged(reason="dangling_cause")))) == {"a6"}
    assert set(stored.found(Search(judged=Judged("unattributed", "no_trigger")))) == {"a5", "m1"}
    assert stored.found(Search(judged=Judged("attributed", "no_trigger"))) == []
    assert stored.found(Search(kind="memory", judged=Judged("unattributed"))) == ["m1"]
    assert stored.found(Search(agent="https://a.example/owned", judged=Judged("unattributed"))) == ["a5"]
    assert stored.found(Search(value="orders", judged=Judged("unattributed"))) == ["a5"]
    assert stored.found(Search(value="orders", judged=Judged("attributed"))) == ["a1"]
    assert stored.found(Search(resource="orders", judged=Judged(reason="dangling_cause"))) == []
    assert stored.found(Search(judged=Judged("unattributed")), tenant="nobody's") == []


def test_they_come_in_pages_the_latest_first(stored: Stored) -> None:
    whole = stored.found(Search(judged=Judged("unattributed")))
    assert whole == stored.found(Search(judged=Judged("unattributed")), limit=1)
    ids = [stored.story.events[name].made.event_id for name in whole]
    assert ids == sorted(ids, reverse=True)


def test_a_class_or_reason_that_is_none_is_said_with_those_that_there_are(stored: Stored) -> None:
    with pytest.raises(InvalidEvent, match=r"no class 'unatributed' \(unattributed\?\); there are attributed, "):
        stored.found(Search(judged=Judged("unatributed")))
    with pytest.raises(InvalidEvent, match=r"no reason 'trigger'.*there are no_trigger, "):
        stored.found(Search(judged=Judged(reason="trigger")))


@pytest.mark.parametrize(
    "asked",
    [
        Judged("external"),
        Judged("unattributed"),
        Judged("unattributed", "cycle"),
        Judged("unattributed", "no_trigger"),
        Judged(reason="cycle"),
        Judged("unattended"),
        Judged("unattended_alone"),
        Judged("attributed"),
    ],
    ids=lambda asked: "-".join(filter(None, asked)),
)
def test_few_and_many_are_found_by_an_index_from_where_the_page_before_ended(stored: Stored, asked: Judged) -> None:
    after = Cursor(bytes.fromhex("019b767e1800700080000000000003e8"), bytes(32))
    given = {
        "tenant": TENANT,
        "as_of": None,
        "limit": 3,
        "after_id": after.event_id.hex(),
        "after_digest": after.digest,
    }
    with psycopg.connect(stored.url) as connection:
        connection.execute(_MANY)
        for page in (None, after):
            query = b"explain (analyze, format json) " + queries.find_query(Search(judged=asked), [], page)
            row = connection.execute(query, {**given, **asked.given()}).fetchone()
            assert row is not None
            [step] = [each for each in steps(row[0][0]["Plan"]) if each.get("Relation Name") == "judgements"]
            assert "Index Name" in step, step
            assert step.get("Rows Removed by Filter", 0) < 50, step
            assert page is None or "event_id <= " in step["Index Cond"], step
        connection.rollback()


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from steps(each)


_MANY = """
create temp table many as
select i, (lpad(to_hex(1767225600000 + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid as id
  from generate_series(1, 10000) i;
insert into judgements (event_id, tenant, kind, occurred_at, class, reason, responsible)
select m.id, j.tenant, j.kind, i,
       case when i % 10 < 6 then 'attributed' when i % 10 < 9 then 'unattributed' else 'unattended' end,
       case when i % 10 between 6 and 8 then case when i < 10 then 'cycle' else 'no_trigger' end end, i >= 50
  from many m cross join (select * from judgements limit 1) j;
insert into events (event_id, digest, tenant, seal, at, kind, occurred_at, effective, header, salt)
select m.id, '', e.tenant, e.seal, e.at, e.kind, i, true, '', ''
  from many m cross join (select * from events limit 1) e;
analyze judgements; analyze events"""
