"""The real parts that are measured: a broker, a Postgres, topics filled before, materializers as processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import psycopg

from ledger.embedded import EmbeddedPostgres
from ledger.logs.kafka import KafkaLog
from ledger.ports import EVENTS, Outgoing
from ledger.store.migrations import migrate
from tests.services.databases import Databases
from tests.services.kafka_broker import KafkaBroker

PATIENCE = 900.0


class Services:
    """One broker and one Postgres for all figures."""

    def __init__(self, bootstrap: str, databases: Databases) -> None:
        self.bootstrap, self._databases = bootstrap, databases
        self._topics = 0

    def log(self) -> tuple[KafkaLog, str]:
        """A log with topics of its own, and their prefix."""
        self._topics += 1
        prefix = f"bench{self._topics}."
        log = KafkaLog(self.bootstrap, prefix)
        log.prepare()
        return log, prefix

    def database(self, *, empty: bool = False) -> str:
        return self._databases.fresh(None if empty else migrate)

    def drop(self, url: str) -> None:
        self._databases.drop(url)


@contextmanager
def services() -> Iterator[Services]:
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedPostgres(Path(directory, "postgres")) as postgres,
        KafkaBroker(Path(directory, "kafka")) as broker,
    ):
        yield Services(broker.bootstrap, Databases(postgres.url))


def fill(log: KafkaLog, records: Iterable[Outgoing]) -> None:
    """Appends all of ``records``, some at a time."""
    part: list[Outgoing] = []
    for record in records:
        part.append(record)
        if len(part) == 64:
            log.append(part, timeout=60)
            part = []
    if part:
        log.append(part, timeout=60)


class Work(NamedTuple):
    """What one or more materializers did, from the first commit of any to the last; memory in MB of the largest."""

    events: int
    rate: float
    cpu: float
    half: float
    full: float


class Materializers:
    """Processes that materialize ``prefix`` into ``url``; the clock runs from their first commit."""

    def __init__(self, bootstrap: str, prefix: str, url: str, count: int, chains: int) -> None:
        command = [sys.executable, "-m", "benchmarks.materializing", bootstrap, prefix, url, str(chains)]
        self._url, self._bootstrap, self._prefix = url, bootstrap, prefix
        self._children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]

    def ready(self) -> None:
        """Returns when each has its partitions."""
        for child in self._children:
            assert _out(child).readline() == "ready\n"

    def finish(self, log: KafkaLog) -> Work:
        """Waits until everything in ``log`` is committed, and ends them."""
        ends = sum(each.end for each in log.bounds(EVENTS).values())
        deadline = time.monotonic() + PATIENCE
        with psycopg.connect(self._url, autocommit=True) as connection:
            while _position(connection) < ends:
                if time.monotonic() > deadline or any(child.poll() is not None for child in self._children):
                    raise RuntimeError("a materializer does not go on")
                time.sleep(0.1)
        return self._ended()

    def _ended(self) -> Work:
        reports = []
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        for child in self._children:
            reports.append(json.loads(_out(child).read()))
            child.wait()
        worked = [report for report in reports if report["events"]]
        began = min(report["began"] for report in worked)
        first = sum(report["first"] for report in worked if report["began"] == began)
        events = sum(report["events"] for report in worked)
        seconds = max(report["ended"] for report in worked) - began
        return Work(
            events,
            (events - first) / seconds,
            sum(report["cpu"] for report in worked) / events * 1e6,
            max(report["half"] for report in worked),
            max(report["full"] for report in worked),
        )

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
            _out(child).close()

    def __enter__(self) -> Materializers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _out(child: subprocess.Popen[str]) -> IO[str]:
    assert child.stdout is not None
    return child.stdout


def _position(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select coalesce(sum(next_offset), 0) from positions where topic = %s", [EVENTS]
    ).fetchone()
    assert row is not None
    return int(row[0])
