"""What the migrations cost a store that an earlier release filled, each by itself; nobody writes to the table meanwhile."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg

from benchmarks.figures import RATE_EVENTS, figure
from benchmarks.generate import Generator, bundle
from benchmarks.services import Services
from ledger.ports import EVENTS as TOPIC
from ledger.ports import Record
from ledger.schema_files import load_schemas
from ledger.store.projection import PostgresProjection
from tests.older import apply, make_older
from tests.services.forge import LEDGER

FROM = "0004"


def measure(services: Services) -> None:
    source, older = services.database(), services.database(empty=True)
    _fill(source)
    left = make_older(older, source, FROM)
    services.drop(source)
    with psycopg.connect(older, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        for name in left:
            began = time.perf_counter()
            with connection.transaction():
                apply(connection, name)
            figure(f"migrate_{name[:4]}_{RATE_EVENTS}", [time.perf_counter() - began], "s", 2)
    services.drop(older)


def _fill(url: str) -> None:
    with closing(PostgresProjection(url, load_schemas(), LEDGER, bundle())) as projection:
        projection.claim(TOPIC, "bench", [0])
        waiting: list[Record] = []
        for offset, out in enumerate(Generator().batches(RATE_EVENTS)):
            waiting.append(Record(TOPIC, 0, offset, time.time_ns() // 1000, out.key, out.value))
            if len(waiting) == 50:
                projection.commit(projection.prepare(waiting))
                waiting = []
        projection.commit(projection.prepare(waiting))
