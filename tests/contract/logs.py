"""The logs under contract, each with what a test needs to do behind its back."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from kafka import KafkaAdminClient, TopicPartition

from ledger.logs import open_log
from ledger.logs.kafka import KafkaLog
from ledger.logs.postgres import PostgresLog
from ledger.ports import EVENTS, Log, Outgoing, Problem, Record, Subscription
from tests.waiting import until

TIMEOUT = 20.0
PARTITIONS = 4


class Bench(ABC):
    """A kind of log: makes members, truncates and recreates topics as an operator could."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open = contextlib.ExitStack()

    def log(self, **options: Any) -> Log:
        log = self._make(**options)
        self._open.callback(log.close)
        return log

    def prepared(self) -> Log:
        log = self.log()
        log.prepare()
        return log

    def close(self) -> None:
        self._open.close()

    @abstractmethod
    def _make(self, **options: Any) -> Log: ...

    @abstractmethod
    def truncate(self, topic: str, partition: int, first: int) -> None: ...

    @abstractmethod
    def recreate(self, topic: str) -> None: ...

    @abstractmethod
    def widen(self, topic: str, partitions: int) -> None:
        """Gives a topic so many partitions."""


class KafkaBench(Bench):
    def __init__(self, bootstrap: str, prefix: str) -> None:
        super().__init__(f"kafka://{bootstrap}/{prefix}?partitions={PARTITIONS}")
        self.bootstrap, self.prefix = bootstrap, prefix

    def _make(self, **options: Any) -> Log:
        return KafkaLog(self.bootstrap, self.prefix, **{"partitions": PARTITIONS} | options)

    def truncate(self, topic: str, partition: int, first: int) -> None:
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            admin.delete_records({TopicPartition(self.prefix + topic, partition): first})

    def recreate(self, topic: str) -> None:
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            admin.delete_topics([self.prefix + topic])
        until(lambda: any(problem.kind == "missing" for problem in self.log().problems()))
        self.prepared()

    def widen(self, topic: str, partitions: int) -> None:
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            admin.create_partitions({self.prefix + topic: partitions})
        until(lambda: self.log().partitions(topic) == partitions)


class PostgresBench(Bench):
    def _make(self, **options: Any) -> Log:
        return PostgresLog(self.url, **{"partitions": PARTITIONS} | options)

    def truncate(self, topic: str, partition: int, first: int) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "UPDATE answerable_log.partitions SET first_offset = %s WHERE partition = %s "
                "AND topic = (SELECT number FROM answerable_log.topics WHERE topic = %s)",
                (first, partition, topic),
            )
            connection.execute(
                'DELETE FROM answerable_log.records WHERE "offset" < %s AND partition = %s '
                "AND topic = (SELECT number FROM answerable_log.topics WHERE topic = %s)",
                (first, partition, topic),
            )

    def recreate(self, topic: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("DELETE FROM answerable_log.topics WHERE topic = %s", (topic,))
        self.prepared()

    def widen(self, topic: str, partitions: int) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("UPDATE answerable_log.topics SET partitions = %s WHERE topic = %s", (partitions, topic))
        self.prepared()


@pytest.fixture(params=["kafka", "postgres"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made: Bench
    if request.param == "kafka":
        made = KafkaBench(request.getfixturevalue("kafka"), request.getfixturevalue("topic_prefix"))
    else:
        made = PostgresBench(request.getfixturevalue("database"))
    with contextlib.closing(made):
        yield made


@pytest.fixture
def log(bench: Bench) -> Log:
    return bench.prepared()


def wrong(log: Log) -> list[Problem]:
    """What is wrong with the topics; that one broker keeps no second copy is worth a note, and true here."""
    return [each for each in log.problems() if each.kind != "note"]


def event(number: int, *, partition: int = 0, key: bytes = b"chain") -> Outgoing:
    return Outgoing(EVENTS, partition, key, b"value %d" % number)


def from_start(partitions: Any) -> dict[int, int]:
    return dict.fromkeys(partitions, 0)


def poll_until(subscription: Subscription, count: int, seconds: float = 30.0) -> list[Record]:
    """Polls until ``count`` records came."""
    got: list[Record] = []

    def enough() -> bool:
        got.extend(subscription.poll(500, 0.2))
        return len(got) >= count

    until(enough, seconds)
    return got


__all__ = ["Bench", "KafkaBench", "PostgresBench", "bench", "event", "from_start", "log", "open_log", "poll_until"]
