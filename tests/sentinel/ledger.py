"""A ledger that gets a story in parts, and is swept after each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.migrations import migrate
from ledger.store.projection import PostgresProjection
from ledger.store.sentinel import PostgresSentinel
from ledger.store.sentinel_digest import sentinel_digest
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import Story
from tests.attribution.stored import ERASER, add_people, records_of
from tests.sentinel.sweeping import STEPS, connected
from tests.services.databases import Databases
from tests.services.forge import LEDGER, Trust, signer


class Ledger(NamedTuple):
    """A store into which a story comes in parts, and a sentinel that looks after each."""

    url: str
    story: Story

    def commit(self, bundle: TrustBundle, *records: Record) -> None:
        with (
            closing(PostgresProjection(self.url, load_schemas(), LEDGER, bundle)) as projection,
            closing(PostgresContents(self.url, load_schemas())) as contents,
        ):
            projection.adopt(bundle)
            projection.claim(EVENTS, "topic", [0])
            if records:
                projection.commit(projection.prepare(records))
            contents.sweep()

    def look(self, bundle: TrustBundle) -> None:
        with closing(PostgresSentinel(self.url, load_schemas(), LEDGER, lambda: bundle)) as sentinel:
            for _ in range(STEPS):
                if not sentinel.step().more:
                    return
        raise AssertionError("the sentinel comes to no end")

    def held(self, name: str = "a1") -> tuple[str | None, list[str]]:
        """The class of an event, and the rules that contradict it now."""
        event_id = self.story.events[name].made.event_id.hex()
        with connected(self.url) as connection:
            row = connection.execute("select class from judgements where event_id = %s::uuid", [event_id]).fetchone()
            rules = connection.execute(
                "select rule from contradictions where event_id = %s::uuid and closed_at is null order by rule",
                [event_id],
            ).fetchall()
        return row[0] if row else None, [each for (each,) in rules]

    def actions(self) -> dict[str, str]:
        """By the name of each event that is judged that of the first account of its action."""
        with connected(self.url) as connection:
            rows = connection.execute("select event_id, action from judgements").fetchall()
        return {self.story.name_of(event.bytes): self.story.name_of(first.bytes) for event, first in rows}

    def is_as_made_now(self, bundle: TrustBundle) -> bool:
        """Whether a sentinel that begins with empty tables comes to the same."""
        before = sentinel_digest(self.url)
        with connected(self.url) as connection:
            connection.execute(
                "truncate judgements, contradictions, judgement_waits, sentinel_positions, sentinel_looks, sentinel_stale"
            )
        self.look(bundle)
        return sentinel_digest(self.url) == before

    def records(self, *names: str) -> list[Record]:
        made = dict(zip(self.story.events, records_of(self.story), strict=True))
        return [made[name]._replace(offset=list(made).index(name)) for name in names]

    def records_but(self, late: str) -> tuple[list[Record], Record]:
        """All but one, and that one as it comes after them: their offsets have no gap."""
        before = self.records(*(each for each in self.story.events if each != late))
        (last,) = self.records(late)
        return [each._replace(offset=at) for at, each in enumerate(before)], last._replace(offset=len(before))


def begun(postgres: Databases, story: Story) -> Ledger:
    """A store of its own, in which the people of a story are known already."""
    ledger = Ledger(postgres.fresh(migrate), story)
    with connected(ledger.url) as connection:
        add_people(connection, story)
    return ledger


def trust_of(story: Story, services: Sequence[str]) -> Trust:
    trust = Trust()
    for service in services:
        trust.key(story.forges[service].signer if service != ERASER else signer(ERASER), services=[service])
    return trust
