"""Lays a story into a real store: each event sealed in a batch of its own, judged, committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ledger.format.content import encode_content, person_content
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store.lineage import PostgresLineage
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from tests.attribution.scenario import UNKNOWN, Story
from tests.services.forge import LEDGER, NAMED, START, Trust


def store(url: str, *stories: Story) -> None:
    """Migrates the database and commits the stories, in order. Each service has one key in all of them."""
    migrate(url)
    trust = Trust()
    keys = {}
    for story in stories:
        for service, forge in story.forges.items():
            keys[service] = (forge.signer, story.roles.get(service, "source"))
    for service, (signer, role) in keys.items():
        kinds = ["chain_open"] if role == "unauthorized" else ["*", *NAMED]
        trust.key(signer, services=[service], kinds=kinds, role="importer" if role == "importer" else "source")
    records = [record for story in stories for record in records_of(story)]
    records = [record._replace(offset=offset) for offset, record in enumerate(records)]
    projection = PostgresProjection(url, load_schemas(), LEDGER, trust.bundle)
    try:
        projection.claim(EVENTS, "topic", [0])
        for start in range(0, len(records), 50):
            projection.commit(projection.prepare(records[start : start + 50]))
    finally:
        projection.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for story in stories:
            add_people(connection, story)
        connection.execute("analyze")


def records_of(story: Story) -> Iterator[Record]:
    """The records of a story, in the order in which it is told, a second apart."""
    for number, told in enumerate(story.events.values()):
        forge = story.forges[told.service]
        forge.now = START + number * 1_000_000
        sealed = forge.seal(told.made)
        yield forge.record(sealed, append_time=max(forge.now, told.made.header.occurred_at) + 1000)


def add_people(connection: psycopg.Connection, story: Story) -> None:
    """What the contents worker would have done."""
    connection.execute("insert into names (name) values (%s) on conflict do nothing", [story.tenant])
    for known in story.people.values():
        if known.person is not None:
            value, _ = encode_content(load_schemas(), person_content(story.tenant, bytes(16), known.person))
            connection.execute(
                "insert into contents select id, %s, 'application/vnd.answerable.principal+json', '{}', %s, 0 from names"
                " where name = %s on conflict do nothing",
                [known.digest, value, story.tenant],
            )
        elif known.state == "erased":
            connection.execute(
                "insert into erasures (tenant, digest, event_id, event_digest, append_time, is_event)"
                " select id, %s, gen_random_uuid(), '', 0, false from names where name = %s on conflict do nothing",
                [known.digest, story.tenant],
            )
    for told in story.events.values():
        if told.erased or told.unknown:
            left = UNKNOWN if told.unknown else None
            connection.execute("update events set payload = %s where digest = %s", [left, told.made.digest])


def lineage(url: str, now: int = START) -> PostgresLineage:
    """The port on the store at ``url``, a connection a question."""

    @contextmanager
    def connect() -> Iterator[psycopg.Connection]:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    return PostgresLineage(connect, load_schemas(), lambda: now)
