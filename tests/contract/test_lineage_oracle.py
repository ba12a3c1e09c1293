"""The store's answers against networkx, on random ledgers.

Dangling causes, cycles by id, one id twice, copies, ambiguous runs, two tenants, erasures, effects that come before their causes,
and answers as of a time in between. Each case is two tenants of its own, in one store with those of many other cases.

A piece is what one seed draws, in a store of its own, so that pieces run beside one another, and any range of them alone.
``make prove`` runs ``ORACLE_PIECES`` from ``ORACLE_SEED`` on, 10,000 cases if nothing is said; odd seeds draw larger ones.
What differs is noted with the name of its world, which begins with its seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ledger.attribution.answer import Answer
from ledger.attribution.explain import explain
from ledger.attribution.subgraph import Limits
from ledger.errors import LedgerError, NotFound
from ledger.ports import EVENTS
from ledger.schema_files import load_schemas
from ledger.store.contents import PostgresContents
from ledger.store.downwards import FEW
from ledger.store.lineage import PostgresLineage
from ledger.store.migrations import migrate
from ledger.store.nodes import Reading
from ledger.store.projection import PostgresProjection
from tests.attribution.drawn import LARGE, ODD, PEOPLE, PLAIN, SERVICES, SMALL, Drawn, World
from tests.attribution.oracle import Expected, Oracle
from tests.services.databases import Databases
from tests.services.forge import LEDGER, START, Trust, signer

PIECE = 200
TOGETHER = 50
"""Cases that the store takes in one commit."""
FIRST = int(os.environ.get("ORACLE_SEED", "1"))
PIECES = int(os.environ.get("ORACLE_PIECES", "50"))
ASKED = 2
PATIENCE = 600
"""Seconds that a commit may take: of so much at once, on a machine that is busy with other things, more than a worker's."""
DAY = 86_400_000_000


class Case(NamedTuple):
    """Two tenants, and places of the events that are asked about; the first chooses a time as well."""

    world: World
    picked: Sequence[int]


def draw(piece: int) -> list[Case]:
    cases: list[Case] = []

    @seed(piece)
    @settings(
        max_examples=PIECE,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(LARGE if piece % 2 else SMALL, st.lists(st.integers(0, 1000), min_size=ASKED, max_size=ASKED))
    def collect(events: list[Drawn], picked: list[int]) -> None:
        cases.append(Case(World(f"{piece}-{len(cases)}", events), picked))

    collect()
    return cases


@dataclass
class Ledger:
    """One store for many cases."""

    connection: psycopg.Connection
    projection: PostgresProjection
    contents: PostgresContents
    lineage: PostgresLineage
    count: int = 0

    def take(self, worlds: Sequence[World], *partitions: int) -> None:
        """Takes in all that is in the log of these worlds, one partition after the other."""
        records = []
        for world in worlds:
            for record in world.records(START + DAY // 8 + self.count * 1000):
                records.append(record._replace(offset=self.count))
                self.count += 1
        for partition in partitions:
            self.projection.commit(self.projection.prepare([each for each in records if each.partition == partition]))
        self.contents.swept(self.contents.sweep())
        self.projection.analyze()
        named = [
            (digest, value, world.tenant(tenant))
            for world in worlds
            for tenant in (0, 1)
            for who in ("alice", "alias", "bob")
            for value, digest in [world.person(who, tenant)]
        ]
        self.connection.cursor().executemany(
            "insert into contents select id, %s, 'application/vnd.answerable.principal+json', '{}', %s, 0"
            " from names where name = %s",
            named,
        )


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    trust = Trust()
    for service in (*SERVICES, "eraser"):
        trust.key(signer(service), services=[service])
    bundle = trust.bundle
    with (
        closing(PostgresProjection(url, load_schemas(), LEDGER, bundle, step_seconds=PATIENCE)) as projection,
        closing(PostgresContents(url, load_schemas())) as contents,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        projection.claim(EVENTS, "topic", [PLAIN, ODD])

        @contextmanager
        def connect() -> Iterator[psycopg.Connection]:
            yield connection

        reading = Reading(load_schemas(), LEDGER, lambda: bundle)
        yield Ledger(connection, projection, contents, PostgresLineage(connect, reading, lambda: START))


def compare(lineage: PostgresLineage, case: Case) -> None:
    world, picked = case
    arrivals = sorted(world.arrived.values())
    for number in {each % len(world.events) for each in picked}:
        tenant, asked = world.events[number].tenant, world.ids[number]
        for until in (None, arrivals[picked[0] % len(arrivals)]):
            facts = world.of(tenant, until)
            if not any(fact.id == asked for fact in facts):
                with pytest.raises(NotFound):
                    lineage.above(world.tenant(tenant), asked, as_of=until)
                continue
            try:
                _compare(lineage, world.tenant(tenant), asked, until, Oracle(facts, PEOPLE))
            except (AssertionError, LedgerError) as error:
                error.add_note("\n".join(map(str, [*world.events, f"{world.name}: asked {number}, until {until}"])))
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


def compare_piece(postgres: Databases, piece: int) -> None:
    url = postgres.fresh(migrate)
    cases = draw(piece)
    assert len(cases) == PIECE
    with opened(url) as ledger:
        for start in range(0, PIECE, TOGETHER):
            worlds = [case.world for case in cases[start : start + TOGETHER]]
            ledger.take(worlds, *((PLAIN, ODD) if start else (ODD, PLAIN)))
        for case in cases:
            compare(ledger.lineage, case)
    postgres.drop(url)


@pytest.mark.timeout(300)
def test_the_store_answers_as_networkx_does(postgres: Databases) -> None:
    compare_piece(postgres, 2 * random.randrange(2**32))


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("piece", range(FIRST, FIRST + PIECES))
def test_the_store_answers_as_networkx_does_ten_thousand_times(postgres: Databases, piece: int) -> None:
    compare_piece(postgres, piece)
