"""How fast one sentinel and two together sweep and judge, how far one is behind a materializer at full speed, and how long
coverage over a million judgements takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from typing import NamedTuple

import psycopg

from benchmarks.figures import EVENTS, RUNS, figure
from benchmarks.generate import TENANT, Generator
from benchmarks.materialize import materialize
from benchmarks.services import Services, fill
from ledger.store.coverage import coverage
from ledger.store.sentinel import behind

SWEPT = 10_000
"""Events of a run."""
TOGETHER = 2
"""Sentinels that share ``4 * SWEPT`` events: enough for several sweeps."""
_COPY = """
insert into judgements (event_id, tenant, action, kind, service, agent, system, resource, occurred_at, class, reason, grade, who,
    responsible)
select gen_random_uuid(), j.tenant, md5(j.pair || ' ' || n)::uuid, j.kind, j.service, j.agent, j.system, j.resource,
       j.occurred_at + n, j.class, j.reason, j.grade, j.who, j.responsible
  from (select *, (row_number() over (order by event_id) + 1) / 2 as pair from judgements) j cross join generate_series(1, %s) n
 limit %s"""
"""Two accounts of each action."""


def measure(services: Services) -> None:
    rates: list[float] = []
    cpu: list[float] = []
    together: list[float] = []
    together_cpu: list[float] = []
    late: list[float] = []
    covered: list[float] = []
    for run in range(RUNS):
        url, _, later = _beside(services)
        late.append(later)
        services.drop(url)
        url, work = _after(services)
        rates.append(work.events / work.seconds)
        cpu.append(work.cpu / work.events * 1e6)
        if run == 0:
            covered = _coverage(url)
        services.drop(url)
        works, seconds = _together(services)
        swept = sum(work.events for work in works)
        together.append(swept / seconds)
        together_cpu.append(sum(work.cpu for work in works) / swept * 1e6)
    figure("sentinel", rates, "events/s", 0)
    figure("sentinel_cpu", cpu, "us/event")
    figure(f"sentinels_{TOGETHER}", together, "events/s", 0)
    figure(f"sentinels_{TOGETHER}_cpu", together_cpu, "us/event")
    figure(f"sentinel_behind_{SWEPT}", late, "s", 2)
    figure(f"coverage_{EVENTS}", covered, "ms")


class Work(NamedTuple):
    """What a sentinel did: events swept and judged, from its first step to its last, and when that was."""

    events: int
    seconds: float
    ended: float
    cpu: float


class Sentinel:
    """A sentinel in a process of its own."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.judging", url]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "ready\n"

    def finish(self) -> Work:
        """Waits until nothing is left."""
        told, _ = self._child.communicate()
        return Work(**json.loads(told))


def _beside(services: Services) -> tuple[str, Work, float]:
    """Beside a materializer at full speed; the seconds from its last commit until everything was judged."""
    log, prefix = services.log()
    url = services.database()
    with closing(log):
        fill(log, Generator().batches(SWEPT))
        sentinel = Sentinel(url)
        materialize(services, log, prefix, url)
    committed = time.monotonic()
    work = sentinel.finish()
    return url, work, work.ended - committed


def _after(services: Services) -> tuple[str, Work]:
    """Over a store that is filled, with nothing else to do."""
    log, prefix = services.log()
    url = services.database()
    with closing(log):
        fill(log, Generator().batches(SWEPT))
        materialize(services, log, prefix, url)
    return url, Sentinel(url).finish()


def _together(services: Services) -> tuple[list[Work], float]:
    """Several over a store that is filled; the seconds until nothing was left."""
    log, prefix = services.log()
    url = services.database()
    with closing(log):
        fill(log, Generator().batches(4 * SWEPT))
        materialize(services, log, prefix, url)
    sentinels = [Sentinel(url) for _ in range(TOGETHER)]
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        while (left := behind(connection)).unswept or left.stale:
            time.sleep(0.2)
    seconds = time.monotonic() - began
    works = [sentinel.finish() for sentinel in sentinels]
    services.drop(url)
    return works, seconds


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
            assert found.accounts == EVENTS, found.accounts
    return times
