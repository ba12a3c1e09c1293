"""Lays a story into a real store: each event sealed in a batch of its own, judged, committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext

import psycopg

from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.lineage import PostgresLineage
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import Story
from tests.services.forge import EMPTY, LEDGER, NAMED, START, Forge, Trust
from tests.services.forge import signer as forge_key

ERASER = "eraser"


def store(url: str, *stories: Story) -> TrustBundle:
    """Migrates the database and commits the stories, in order. Each service has one key in all of them."""
    migrate(url)
    bundle = trust_of(*stories).bundle
    erasures = [record for story in stories if (record := erasure_of(story)) is not None]
    records = [*(record for story in stories for record in records_of(story)), *erasures]
    records = [record._replace(offset=offset) for offset, record in enumerate(records)]
    fill(url, bundle, [records[start : start + 50] for start in range(0, len(records), 50)])
    add_all_people(url, *stories)
    return bundle


def trust_of(*stories: Story) -> Trust:
    """What the services of the stories may state, and who may erase."""
    trust = Trust()
    keys = {}
    for story in stories:
        for service, forge in story.forges.items():
            keys[service] = (forge.signer, story.roles.get(service, "source"))
    for service, (signer, role) in keys.items():
        kinds = ["chain_open"] if role == "unauthorized" else ["*", *NAMED]
        trust.key(signer, services=[service], kinds=kinds, role="importer" if role == "importer" else "source")
    if any(told.erased for story in stories for told in story.events.values()) or any(
        known.state == "erased" for story in stories for known in story.people.values()
    ):
        trust.key(forge_key(ERASER), services=[ERASER])
    return trust


def fill(url: str, bundle: TrustBundle, commits: Sequence[Sequence[Record]]) -> None:
    """Commits records to a migrated database, each list of them at once, and sweeps what they erase."""
    trusts(url, bundle)
    projection = PostgresProjection(url, load_schemas(), LEDGER, bundle)
    try:
        projection.claim(EVENTS, "topic", sorted({record.partition for records in commits for record in records}))
        for records in commits:
            projection.commit(projection.prepare(records))
        with closing(PostgresContents(url, load_schemas())) as contents:
            contents.sweep()
    finally:
        projection.close()


def add_all_people(url: str, *stories: Story) -> None:
    """Whom the stories name."""
    with psycopg.connect(url, autocommit=True) as connection:
        for story in stories:
            add_people(connection, story)
        connection.execute("analyze")


OPENING = 1_000
"""µs that it takes to open a chain."""


def records_of(story: Story) -> Iterator[Record]:
    """The records of a story, in the order in which it is told, at least a second apart, each sealed when it happened: the same
    times whenever they are made, though a chain is opened by the first of them alone."""
    sealed_at: dict[str, int] = {}
    for number, told in enumerate(story.events.values()):
        forge = story.forges[told.service]
        now = max(START + number * 1_000_000, told.made.header.occurred_at, sealed_at.get(told.service, 0))
        forge.now = now
        sealed = forge.seal(told.made)
        sealed_at[told.service] = now + OPENING
        yield forge.record(sealed, append_time=now + 1000)


def add_people(connection: psycopg.Connection, story: Story) -> None:
    """What the contents worker would have done."""
    connection.execute("insert into names (name) values (%s) on conflict do nothing", [story.tenant])
    for known in story.people.values():
        if known.person is not None:
            connection.execute(
                "insert into contents select id, %s, 'application/vnd.answerable.principal+json', %s, %s, 0 from names"
                " where name = %s on conflict do nothing",
                [known.digest, [known.person.key], story.content_of(known.person)[0], story.tenant],
            )


def erasure_of(story: Story) -> Record | None:
    """The record that erases what the story says was erased, if anything was."""
    events = [told.made.digest for told in story.events.values() if told.erased]
    contents = [known.digest for known in story.people.values() if known.state == "erased"]
    if not events and not contents:
        return None
    forge = Forge(name=ERASER, service=ERASER, tenant=story.tenant, now=START + 1_000_000_000)
    named = {**EMPTY["content_erasure"], "events": events, "contents": contents}
    return forge.record(forge.seal(forge.make("content_erasure", named)))


_TRUSTED: dict[str, tuple[TrustBundle, str]] = {}
"""The bundle and the ledger of each database that was filled."""


def trusts(url: str, bundle: TrustBundle, ledger: str = LEDGER) -> None:
    """A database stands under ``bundle``: one that was filled, or a copy of it."""
    _TRUSTED[url] = bundle, ledger


def reading(url: str) -> Reading:
    """What reads the rows that ``store`` laid down at ``url``."""
    bundle, ledger = _TRUSTED[url]
    return Reading(load_schemas(), ledger, lambda: bundle)


def lineage(url: str, now: int = START) -> PostgresLineage:
    """The port on the store at ``url``, a connection a question."""

    @contextmanager
    def connect() -> Iterator[psycopg.Connection]:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    return PostgresLineage(connect, reading(url), lambda: now)


@contextmanager
def asking(url: str, now: int = START) -> Iterator[PostgresLineage]:
    """The same for many questions: all of them on one connection, which plans each statement once."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.prepare_threshold = 0
        yield PostgresLineage(lambda: nullcontext(connection), reading(url), lambda: now)
