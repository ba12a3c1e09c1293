"""The log in Apache Kafka (2.8 or newer, KRaft or not), by kafka-python."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from ledger.errors import BackendError, ConfigurationError, TopicMismatch
from ledger.logs.kafka_producer import Producer
from ledger.logs.kafka_subscription import KafkaSubscription, check_identity, open_consumer, to_record, translated
from ledger.logs.topics import DEFAULT_PARTITIONS, SETTINGS, mismatches, refuse_oversized, settings_to_make
from ledger.ports import Bounds, Outgoing, Record, Subscription

_ADMIN_MS = 10_000
_RECONNECT_MS = 1_000
_READ_SLICE_MS = 500
_READ_RECORDS = 500


class KafkaLog:
    """A ``Log`` over topics whose names begin with ``prefix``.

    ``security`` are kafka-python's settings for TLS and SASL. ``linger_ms`` above 0 gathers the appends of several
    threads into fewer requests, and adds that much to each.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str = "",
        *,
        partitions: int = DEFAULT_PARTITIONS,
        replication: int = -1,
        linger_ms: int = 0,
        session_seconds: float = 15.0,
        security: Mapping[str, str] | None = None,
    ) -> None:
        self._prefix = prefix
        self._partitions = partitions
        self._replication = replication
        self._session_seconds = session_seconds
        self._connection: dict[str, Any] = {
            "bootstrap_servers": bootstrap.split(","),
            "reconnect_backoff_max_ms": _RECONNECT_MS,
            **(security or {}),
        }
        self._producer = Producer(self._connection, linger_ms=linger_ms)
        self._admin: KafkaAdminClient | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        for topic in SETTINGS:
            if self._found(topic) is None:
                self._make(topic)
        if wrong := self.problems():
            raise TopicMismatch("; ".join(wrong))

    def problems(self) -> list[str]:
        wrong = []
        for topic in SETTINGS:
            name = self._prefix + topic
            if self._found(topic) is None:
                wrong.append(f"topic {name} does not exist: run 'answerable migrate' to make it")
            else:
                wrong += mismatches(topic, name, self._settings(name))
        return wrong

    def partitions(self, topic: str) -> int:
        return len(self._required(topic)["partitions"])

    def identity(self, topic: str) -> str:
        return str(uuid.UUID(str(self._required(topic)["topic_id"])))

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        refuse_oversized(records)
        self._producer.send([r._replace(topic=self._prefix + r.topic) for r in records], timeout)

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        name = self._prefix + topic
        parts = [TopicPartition(name, number) for number in range(self.partitions(topic))]
        with contextlib.closing(open_consumer(self._connection)) as consumer, translated(name):
            first, end = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
        return {part.partition: Bounds(first[part], end[part]) for part in parts}

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        name = self._prefix + topic
        part = TopicPartition(name, partition)
        if partition >= self.partitions(topic):
            raise ConfigurationError(f"topic {name} has no partition {partition}")
        consumer = open_consumer(self._connection)
        try:
            with translated(name):
                stop = min(stop, consumer.end_offsets([part])[part])
            if start < stop:
                yield from self._read(consumer, topic, part, start, stop)
        finally:
            consumer.close(autocommit=False)

    def _read(
        self, consumer: KafkaConsumer, topic: str, part: TopicPartition, start: int, stop: int
    ) -> Iterator[Record]:
        identity = self.identity(topic)
        consumer.assign([part])
        consumer.seek(part, start)
        while True:
            with translated(part.topic):
                found = consumer.poll(timeout_ms=_READ_SLICE_MS, max_records=_READ_RECORDS).get(part, ())
                position = consumer.position(part)
            if found:
                check_identity(part.topic, identity, lambda: self.identity(topic))
            for record in found:
                if record.offset >= stop:
                    return
                yield to_record(record, topic)
            # The position also passes what is no record: markers of transactions, and what compaction took.
            if position is not None and position >= stop:
                return

    def subscribe(self, topic: str, group: str, assigned: Callable[[Sequence[int]], Mapping[int, int]]) -> Subscription:
        return KafkaSubscription(
            self._connection,
            topic=topic,
            name=self._prefix + topic,
            group=self._prefix + group,
            assigned=assigned,
            identity=lambda: self.identity(topic),
            session_seconds=self._session_seconds,
        )

    def close(self) -> None:
        self._producer.close()
        with self._lock:
            admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _make(self, topic: str) -> None:
        name = self._prefix + topic
        wanted = {
            "num_partitions": self._partitions,
            "replication_factor": self._replication,
            "configs": settings_to_make(topic),
        }

        def make(admin: KafkaAdminClient) -> None:
            with contextlib.suppress(TopicAlreadyExistsError):  # another process makes it at the same time
                admin.create_topics({name: wanted})
            admin.wait_for_topics([name])

        self._ask(make)

    def _required(self, topic: str) -> Mapping[str, Any]:
        found = self._found(topic)
        if found is None:
            raise ConfigurationError(
                f"topic {self._prefix + topic} does not exist: run 'answerable migrate' to make it"
            )
        return found

    def _found(self, topic: str) -> Mapping[str, Any] | None:
        name = self._prefix + topic
        for described in self._ask(lambda admin: admin.describe_topics([name])):
            if described["name"] == name and described["error_code"] == 0:
                return dict(described)
        return None

    def _settings(self, name: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        found = self._ask(lambda admin: admin.describe_configs([resource], config_filter="all")["topic"][name])
        return {setting: str(described["value"]) for setting, described in found.items()}

    def _ask(self, question: Callable[[KafkaAdminClient], Any]) -> Any:
        """Asks by the client at hand; one that has lost its broker does not find it again, so once more by a new one."""
        with self._lock:
            for _ in range(2):
                try:
                    if self._admin is None:
                        self._admin = KafkaAdminClient(**self._connection, bootstrap_timeout_ms=_ADMIN_MS)
                    return question(self._admin)
                except KafkaError as error:
                    failed = error
                    admin, self._admin = self._admin, None
                    if admin is not None:
                        admin.close()
        bootstrap = ",".join(self._connection["bootstrap_servers"])
        raise BackendError(f"Kafka at {bootstrap} does not do what was asked: {failed}") from failed
