"""How fast one sentinel sweeps and judges, and how long coverage over a million judgements takes."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg

from benchmarks.figures import EVENTS, RUNS, figure
from benchmarks.generate import TENANT, Generator, bundle
from benchmarks.materialize import materialize
from benchmarks.services import Services, fill
from ledger.schema_files import load_schemas
from ledger.store.coverage import coverage
from ledger.store.sentinel import PostgresSentinel
from tests.services.forge import LEDGER

SWEPT = 10_000
"""Events of a run: judging takes a hundred times as long as materializing."""
_COPY = """
insert into judgements
select gen_random_uuid(), j.tenant, j.kind, j.service, j.agent, j.system, j.resource, j.occurred_at + n, j.class, j.reason,
       j.grade, j.who, j.responsible
  from judgements j cross join generate_series(1, %s) n limit %s"""


def measure(services: Services) -> None:
    rates: list[float] = []
    covered: list[float] = []
    for run in range(RUNS):
        url = _filled(services)
        rates.append(_sweep(url))
        if run == 0:
            covered = _coverage(url)
        services.drop(url)
    figure("sentinel", rates, "events/s", 0)
    figure(f"coverage_{EVENTS}", covered, "ms")


def _filled(services: Services) -> str:
    log, prefix = services.log()
    url = services.database()
    with closing(log):
        fill(log, Generator().batches(SWEPT))
        materialize(services, log, prefix, url)
    return url


def _sweep(url: str) -> float:
    trusted = bundle()
    with closing(PostgresSentinel(url, load_schemas(), LEDGER, lambda: trusted)) as sentinel:
        began, events, more = time.perf_counter(), 0, True
        while more:
            step = sentinel.step()
            events, more = events + step.swept, step.more
        return events / (time.perf_counter() - began)


def _coverage(url: str) -> list[float]:
    """ms of each question over the judgements of one store, copied until there are so many."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("select count(*) from judgements").fetchone()
        there = row[0] if row else 0
        connection.execute(_COPY, [EVENTS // there + 1, EVENTS - there])
        connection.execute("analyze judgements")
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            found = coverage(connection, TENANT, by="agent")
            times.append((time.perf_counter() - began) * 1000)
            assert found.total == EVENTS, found.total
    return times
