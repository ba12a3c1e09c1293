"""What the sentinel keeps is what the answers say, whatever the order in which it came to it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import closing
from threading import Thread
from typing import Any

import psycopg
import pytest

from ledger.ask import who_triggered
from ledger.attribution.contradictions import BY_NAME
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.judging import judge
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from ledger.store.sentinel import PostgresSentinel, check
from ledger.store.sentinel_digest import sentinel_digest
from ledger.store.survey import Asked, survey
from ledger.store.sweeping import sweep
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import Story, read_scenario
from tests.attribution.stored import add_people, asking, erasure_of, records_of, store
from tests.contract.test_lineage import stored_files
from tests.sentinel.sweeping import connected, sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER

Told = tuple[str, dict[str, Story], TrustBundle]


@pytest.fixture(scope="module")
def told(postgres: Databases) -> Iterator[Told]:
    """A store that holds every scenario, each as a tenant of its own, swept."""
    url = postgres.fresh()
    stories = {path.stem: read_scenario(path.read_text(), path.stem) for path in stored_files()}
    bundle = store(url, *stories.values())
    sentinel(url, bundle)
    yield url, stories, bundle
    postgres.drop(url)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connected(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_every_event_of_consequence_is_judged_as_it_is_answered(told: Told) -> None:
    url, _, _ = told
    judged = rows(
        url,
        "select t.name, e.event_id, j.class, j.reason, j.action"
        " from events e join names t on t.id = e.tenant join names k on k.id = e.kind"
        " left join judgements j on j.event_id = e.event_id and j.tenant = e.tenant"
        " where k.name in ('api_action', 'handoff', 'memory', 'token_issuance')",
    )
    found = rows(
        url,
        "select t.name, c.event_id, c.rule from contradictions c join names t on t.id = c.tenant where c.closed_at is null",
    )
    held: dict[tuple[str, object], set[str]] = {}
    for tenant, event_id, rule in found:
        held.setdefault((tenant, event_id), set()).add(rule)
    assert len(judged) > 100
    actions = {(tenant, event_id.bytes): action.bytes for tenant, event_id, _, _, action in judged}
    with asking(url) as source:
        for tenant, event_id, class_, reason, action in judged:
            answer = who_triggered(source, tenant, event_id.bytes)
            accounts = {actions.get((tenant, each), action.bytes) for each in answer.events}
            assert accounts == {action.bytes} == {answer.events[0]}, tenant
            assert (class_, reason) == (answer.class_, answer.reasons[0] if class_ == "unattributed" else None), tenant
            if answer.events[0] == event_id.bytes:
                assert held.pop((tenant, event_id), set()) == {each.rule for each in answer.contradictions}, tenant
    assert not held


def test_what_is_stored_is_what_is_computed_again_and_a_changed_row_is_named(told: Told, postgres: Databases) -> None:
    url, stories, bundle = told
    reading = Reading(load_schemas(), LEDGER, lambda: bundle)
    with connected(url) as connection:
        for tenant in stories:
            assert check(connection, reading, tenant)[1] is None, tenant
        connection.execute("begin")
        connection.execute("update judgements set class = 'attributed', reason = null where class = 'unattributed'")
        _, found = check(connection, reading, "no_prompt")
        connection.execute("rollback")
    assert found is not None
    assert (found.what, found.stored, found.computed) == ("judgement", "attributed", "unattributed, no_trigger")
    with connected(url) as connection:
        connection.execute("begin")
        connection.execute("update judgements set action = '00000000-0000-0000-0000-000000000000'")
        _, found = check(connection, reading, "no_prompt")
        connection.execute("rollback")
    assert found is not None
    assert (found.what, found.stored) == ("action", "00000000-0000-0000-0000-000000000000")
    assert found.computed == str(uuid.UUID(bytes=found.event_id))


def records(stories: list[Story]) -> list[Record]:
    made = [record for story in stories for record in records_of(story)]
    made += [record for story in stories if (record := erasure_of(story)) is not None]
    return made


@pytest.mark.parametrize("seed", [1])
def test_any_order_of_arrival_and_two_sentinels_come_to_the_same(told: Told, postgres: Databases, seed: int) -> None:
    url, stories, bundle = told
    mixed = records(list(stories.values()))
    random.Random(seed).shuffle(mixed)
    other = postgres.fresh(migrate)
    reading = Reading(load_schemas(), LEDGER, lambda: bundle)
    with (
        closing(PostgresProjection(other, load_schemas(), LEDGER, bundle)) as projection,
        closing(PostgresContents(other, load_schemas())) as contents,
        connected(other) as connection,
    ):
        projection.claim(EVENTS, "topic", [0])
        size = len(mixed) // 5 + 1
        for start in range(0, len(mixed), size):
            part = [each._replace(offset=start + n) for n, each in enumerate(mixed[start : start + size])]
            projection.commit(projection.prepare(part))
            contents.sweep()
            sweep(connection, load_schemas(), bundle)
            judge(connection, reading, limit=seed * 7)
            if start == size:
                for story in stories.values():
                    add_people(connection, story)
                _contents_came(connection)
    both = [Thread(target=sentinel, args=(other, bundle), kwargs={"limit": 20}) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    sentinel(other, bundle)
    assert sentinel_digest(other) == sentinel_digest(url)
    postgres.drop(other)


def test_an_emptied_store_is_filled_again_with_the_same(told: Told) -> None:
    url, _, bundle = told
    before = sentinel_digest(url)
    assert before.rows["judgements"] > 100
    assert before.rows["contradictions"] > 20
    with connected(url) as connection:
        connection.execute("truncate judgements, contradictions, judgement_waits, sentinel_positions, sentinel_looks")
    sentinel(url, bundle)
    assert sentinel_digest(url) == before


def _contents_came(connection: psycopg.Connection[Any]) -> None:
    """What the contents worker does to its position when it has read."""
    connection.execute(
        "insert into positions (topic, partition, identity, next_offset) values ('ledger.contents', 0, 'topic', 1)"
        " on conflict (topic, partition) do update set next_offset = positions.next_offset + 1"
    )


_WAITS = """
create function waits_for_the_disk() returns trigger language plpgsql as $$
begin
    if current_setting('synchronous_commit') <> 'off' then raise exception '% waits', tg_table_name; end if;
    return null;
end $$;
create trigger t after insert or update or delete on sentinel_stale execute function waits_for_the_disk();
create trigger t after insert or update on judgements execute function waits_for_the_disk()"""


def test_no_sweep_and_no_judgement_waits_for_the_disk(postgres: Databases) -> None:
    """What a crash of the server takes away is made again."""
    url = postgres.fresh()
    story = read_scenario(
        "person alice Alice\np1 portal prompt by=alice\na1 agent api_action action_id=x <- p1:started_by"
    )
    bundle = store(url, story)
    with connected(url) as connection:
        connection.execute(_WAITS)
        assert connection.execute("show synchronous_commit").fetchone() == ("on",)
    with closing(PostgresSentinel(url, load_schemas(), LEDGER, lambda: bundle)) as opened:
        step = opened.step()
    assert (step.swept > 0, step.judged) == (True, 1)
    postgres.drop(url)


def test_contradictions_are_findings_with_severity_sentence_and_evidence(told: Told) -> None:
    url, stories, bundle = told
    reading = Reading(load_schemas(), LEDGER, lambda: bundle)
    with connected(url) as connection:
        page = survey(connection, reading, Asked("rule_expired_token", 0, name="expired_token"))
        other = survey(connection, reading, Asked("no_prompt", 0, name="expired_token"))
    assert page.found
    assert not other.found
    story = stories["rule_expired_token"]
    ids = {each.made.event_id for each in story.events.values()}
    for found in page.found:
        assert (found.origin, found.severity, found.closed_at) == ("stored", BY_NAME["expired_token"].severity, None)
        assert found.detail
        assert {found.event_id, *found.evidence} <= ids
        assert found.opened_at is not None


def test_an_account_of_another_action_id_that_comes_late_accuses_the_action_that_it_cites(postgres: Databases) -> None:
    story = read_scenario(
        "a1 bot api_action action_id=x operation=pay phase=completed outcome=success observer=agent\n"
        "b1 bank api_action action_id=y operation=pay phase=completed outcome=failure observer=resource <- a1:same_action\n"
    )
    url, laid = postgres.fresh(migrate), postgres.fresh()
    bundle = store(laid, story)
    with closing(PostgresProjection(url, load_schemas(), LEDGER, bundle)) as projection:
        projection.claim(EVENTS, "topic", [0])
        for offset, record in enumerate(records_of(story)):
            projection.commit(projection.prepare([record._replace(offset=offset)]))
            sentinel(url, bundle)
    (accused,) = rows(url, "select event_id, rule from contradictions where closed_at is null")
    assert (accused[0].bytes, accused[1]) == (story.events["a1"].made.event_id, "accounts_disagree")
    postgres.drop(url)
    postgres.drop(laid)
