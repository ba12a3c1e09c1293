"""``who_triggered`` on a large store, each question about an action at the end of a path of 21 events, and the memory of
the materializers that filled it, one a run.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from benchmarks.figures import EVENTS, RUNS, figure, percentile
from benchmarks.generate import TENANT, Generator, bundle
from benchmarks.materialize import materialize
from benchmarks.services import Services, Work, fill
from ledger.ask import who_triggered
from ledger.format import ids
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.store.lineage import PostgresLineage
from ledger.store.nodes import Reading
from tests.services.forge import LEDGER

QUESTIONS = 500


def measure(services: Services) -> None:
    generator = Generator()
    url = _filled(services, generator)
    rng = random.Random(1)
    asked = [rng.choice(generator.asked) for _ in range(QUESTIONS * RUNS)]
    in_sql: list[list[float]] = []
    over_http: list[list[float]] = []
    with served(url) as port:
        _ask_http(port, asked[:100])
        for run in range(RUNS):
            part = asked[run * QUESTIONS : (run + 1) * QUESTIONS]
            in_sql.append(_ask_sql(url, part))
            over_http.append(_ask_http(port, part))
    for name, runs in (("who_triggered_sql", in_sql), ("who_triggered_http", over_http)):
        for percent in (50, 99):
            figure(f"{name}_p{percent}", [percentile(run, percent) for run in runs], "ms", 2)


def _filled(services: Services, generator: Generator) -> str:
    """A store of all events: the last of those into which the same log is read, each by a materializer of its own."""
    log, prefix = services.log()
    url, works = "", list[Work]()
    with closing(log):
        fill(log, generator.batches(EVENTS))
        for _ in range(RUNS):
            if url:
                services.drop(url)
            url = services.database()
            works.append(materialize(services, log, prefix, url))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze events, causes, joins, rights, seals")
    figure("materialize_all", [work.rate for work in works], "events/s", 0)
    figure("materializer_memory_half", [work.half for work in works], "MB")
    figure("materializer_memory", [work.full for work in works], "MB")
    return url


class _Timed:
    """A connection whose statements are timed, as far as Postgres and its driver go."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.seconds = 0.0

    def execute(self, *given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        cursor = self._connection.execute(*given, **named)
        self.seconds += time.perf_counter() - began
        return cursor


def _ask_sql(url: str, asked: list[bytes]) -> list[float]:
    """ms that all statements of a question took together."""
    times = []
    trusted = bundle()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set jit = off")
        timed = _Timed(connection)

        @contextmanager
        def lend() -> Iterator[Any]:
            yield timed

        lineage = PostgresLineage(lend, Reading(load_schemas(), LEDGER, lambda: trusted), SystemClock().now)
        for event_id in [*asked[:20], *asked]:
            timed.seconds = 0.0
            answer = who_triggered(lineage, TENANT, event_id)
            assert len(answer.path) >= 20, answer.path
            times.append(timed.seconds * 1000)
    return times[20:]


@contextmanager
def served(url: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.serving", url]
    with (
        tempfile.TemporaryDirectory() as counted,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": counted}
        ) as server,
    ):
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def _ask_http(port: int, asked: list[bytes]) -> list[float]:
    """ms of each question by one client on a connection kept open."""
    times = []
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for event_id in asked:
            began = time.perf_counter()
            connection.request("GET", f"/v1/events/{ids.text(event_id)}/who-triggered")
            response = connection.getresponse()
            body = response.read()
            times.append((time.perf_counter() - began) * 1000)
            assert response.status == 200, body
            assert json.loads(body)
    return times
