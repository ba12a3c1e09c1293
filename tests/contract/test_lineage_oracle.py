"""The store's answers against networkx, on random ledgers.

Dangling causes, cycles by id, one id twice, copies, ambiguous runs, two tenants, erasures, effects that come before their causes,
and answers as of a time in between. ``make prove`` draws 10,000 of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.attribution.answer import Answer
from ledger.attribution.explain import explain
from ledger.attribution.subgraph import Limits
from ledger.errors import NotFound
from ledger.ports import EVENTS
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.downwards import FEW
from ledger.store.lineage import PostgresLineage
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from tests.attribution.drawn import EVENTS as DRAWN
from tests.attribution.drawn import PEOPLE, SERVICES, Drawn, World
from tests.attribution.oracle import Expected, Oracle
from tests.services.databases import Databases
from tests.services.forge import LEDGER, START, Trust, signer

CASES = 200
PROOF = int(os.environ.get("PROVE_CASES", "10000"))
ASKED = 2
DAY = 86_400_000_000


@dataclass
class Ledger:
    """One store for all cases: each is two tenants of its own."""

    connection: psycopg.Connection
    projection: PostgresProjection
    contents: PostgresContents
    lineage: PostgresLineage
    offset: int = 0

    def take(self, world: World) -> None:
        records = world.records(START + DAY // 8 + self.offset * 1000)
        numbered = [record._replace(offset=self.offset + place) for place, record in enumerate(records)]
        self.projection.commit(self.projection.prepare(numbered))
        self.offset += len(records)
        if any(drawn.erased for drawn in world.events):
            self.contents.sweep()
        for tenant in (0, 1):
            for who in ("alice", "alias", "bob"):
                value, digest = world.person(who, tenant)
                self.connection.execute(
                    "insert into contents select id, %s, 'application/vnd.answerable.principal+json', '{}', %s, 0"
                    " from names where name = %s",
                    [digest, value, world.tenant(tenant)],
                )


@pytest.fixture(scope="module")
def ledger(postgres: Databases) -> Iterator[Ledger]:
    url = postgres.fresh()
    migrate(url)
    trust = Trust()
    for service in (*SERVICES, "eraser"):
        trust.key(signer(service), services=[service])
    bundle = trust.bundle
    projection = PostgresProjection(url, load_schemas(), LEDGER, bundle)
    projection.claim(EVENTS, "topic", [0])
    with (
        closing(PostgresContents(url, load_schemas())) as contents,
        psycopg.connect(url, autocommit=True) as connection,
    ):

        @contextmanager
        def connect() -> Iterator[psycopg.Connection]:
            yield connection

        reading = Reading(load_schemas(), LEDGER, lambda: bundle)
        yield Ledger(connection, projection, contents, PostgresLineage(connect, reading, lambda: START))
    projection.close()


_numbers = count()


def compare(ledger: Ledger, events: list[Drawn], picked: list[int]) -> None:
    world = World(f"w{next(_numbers)}", events)
    ledger.take(world)
    arrivals = sorted(world.arrived.values())
    for number in {each % len(events) for each in picked}:
        tenant, asked = events[number].tenant, world.ids[number]
        for until in (None, arrivals[picked[0] % len(arrivals)]):
            facts = world.of(tenant, until)
            if not any(fact.id == asked for fact in facts):
                with pytest.raises(NotFound):
                    ledger.lineage.above(world.tenant(tenant), asked, as_of=until)
                continue
            try:
                _compare(ledger.lineage, world.tenant(tenant), asked, until, Oracle(facts, PEOPLE))
            except AssertionError as error:
                error.add_note("\n".join(map(str, [*world.events, f"asked {number}, until {until}"])))
                raise


def _compare(lineage: PostgresLineage, tenant: str, asked: bytes, until: int | None, oracle: Oracle) -> None:
    up = lineage.above(tenant, asked, as_of=until)
    down = lineage.below(tenant, asked, as_of=until, limits=Limits(nodes=FEW + 1))
    above = oracle.above(asked)
    assert {node.event_id for node in up.nodes} == above, "up"
    assert {node.event_id for node in down.nodes} == oracle.below(asked), "down"
    assert {node.digest for node in up.nodes} == {each.digest for each in oracle.facts.values() if each.id in above}
    agree(explain(up), oracle.answer(asked))


def agree(answer: Answer, expected: Expected) -> None:
    found = {(each.event_id, each.grade) for each in answer.triggers}
    assert found == {(each.id, each.grade) for each in expected.triggers}
    roles = {(each.id, role) for each in expected.triggers for role in each.roles}
    assert roles >= {(each.event_id, each.role) for each in answer.triggers}
    if expected.exact:
        assert (answer.class_, set(answer.reasons)) == (expected.class_, set(expected.reasons))


_asked = st.lists(st.integers(0, 1000), min_size=ASKED, max_size=ASKED)
_quietly = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    report_multiple_bugs=False,
)


@pytest.mark.timeout(300)
@settings(_quietly, max_examples=CASES)
@given(DRAWN, _asked)
def test_the_store_answers_as_networkx_does(ledger: Ledger, events: list[Drawn], picked: list[int]) -> None:
    compare(ledger, events, picked)


@pytest.mark.prove
@pytest.mark.timeout(7200)
@settings(_quietly, max_examples=PROOF)
@given(DRAWN, _asked)
def test_the_store_answers_as_networkx_does_ten_thousand_times(
    ledger: Ledger, events: list[Drawn], picked: list[int]
) -> None:
    compare(ledger, events, picked)
