"""The log in Apache Kafka (2.8 or newer, KRaft or not), by kafka-python."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from ledger.errors import AccessDenied, BackendError, ConfigurationError, TopicMismatch
from ledger.logs.kafka_access import KafkaAccess
from ledger.logs.kafka_clients import opened
from ledger.logs.kafka_errors import Right, denied, translated
from ledger.logs.kafka_producer import Producer
from ledger.logs.kafka_subscription import KafkaSubscription, check_identity, open_consumer, to_record
from ledger.logs.topics import (
    DEFAULT_PARTITIONS,
    SETTINGS,
    mismatches,
    out_of_step,
    refuse_oversized,
    replicas_of,
    settings_to_make,
)
from ledger.ports import Bounds, Outgoing, Problem, Record, Subscription

_ADMIN_MS = 5_000
_REQUEST_MS = 15_000
_CLOSE_MS = 5_000
_SILENT_SECONDS = 30.0
_SETTLE_SECONDS = 15.0
_RECONNECT_MS = 1_000
_READ_SLICE_MS = 500
_READ_RECORDS = 500


class KafkaLog:
    """A ``Log`` over topics whose names begin with ``prefix``.

    ``tls`` and ``access`` are how the brokers let us in. ``linger_ms`` above 0 gathers the appends of several
    threads into fewer requests, and adds that much to each. ``silent_seconds``: how long a broker may send nothing of a
    partition that has more to read.
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
        silent_seconds: float = _SILENT_SECONDS,
        tls: bool = False,
        access: KafkaAccess | None = None,
    ) -> None:
        self._prefix = prefix
        self._partitions = partitions
        self._replication = replication
        self._session_seconds = session_seconds
        self._silent_seconds = silent_seconds
        self._connection: dict[str, Any] = {
            "bootstrap_servers": bootstrap.split(","),
            "reconnect_backoff_max_ms": _RECONNECT_MS,
            "request_timeout_ms": _REQUEST_MS,
            **(access or KafkaAccess()).connection(tls=tls),
        }
        self._producer = Producer(self._connection, linger_ms=linger_ms)
        self._admin: KafkaAdminClient | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        made = [topic for topic in SETTINGS if self._found(topic) is None]
        for topic in made:
            self._make(topic)
        deadline = time.monotonic() + (_SETTLE_SECONDS if made else 0.0)
        while (wrong := self._wrong(settling=time.monotonic() < deadline)) and time.monotonic() < deadline:
            time.sleep(0.1)  # brokers learn of a topic one after the other
        if wrong:
            raise TopicMismatch("; ".join(wrong))

    def _wrong(self, *, settling: bool) -> list[str]:
        """What is wrong with the topics; one that no broker asked knows yet is missing, its settings look like kept from us."""
        found = []
        for topic in SETTINGS:
            name = self._prefix + topic
            if (described := self._found(topic)) is None:
                found.append(_missing(name))
                continue
            try:
                found += mismatches(topic, name, self._settings(topic), replicas_of(described["partitions"]))
            except AccessDenied as error:
                if not settling:
                    raise
                found.append(str(error))
        return found

    def problems(self) -> list[Problem]:
        found: list[Problem] = []
        for topic in SETTINGS:
            try:
                found += self._problems(topic)
            except AccessDenied as error:
                found.append(Problem("unseen", f"topic {self._prefix + topic} could not be looked at: {error}"))
        return found

    def _problems(self, topic: str) -> list[Problem]:
        name, described = self._prefix + topic, self._found(topic)
        if described is None:
            return [Problem("missing", _missing(name))]
        partitions, settings = described["partitions"], self._settings(topic)
        wrong = mismatches(topic, name, settings, replicas_of(partitions))
        return [*(Problem("wrong", each) for each in wrong), *out_of_step(name, partitions, settings)]

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
        needs = Right("Describe", "topic", name)
        with contextlib.closing(open_consumer(self._connection)) as consumer, translated(self._connection, needs):
            first, end = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
        return {part.partition: Bounds(first[part], end[part]) for part in parts}

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        name = self._prefix + topic
        part = TopicPartition(name, partition)
        if partition >= self.partitions(topic):
            raise ConfigurationError(f"topic {name} has no partition {partition}")
        consumer = open_consumer(self._connection)
        try:
            with self._reading(name):
                stop = min(stop, consumer.end_offsets([part])[part])
            if start < stop:
                yield from self._read(consumer, topic, part, start, stop)
        finally:
            consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)

    def _read(
        self, consumer: KafkaConsumer, topic: str, part: TopicPartition, start: int, stop: int
    ) -> Iterator[Record]:
        identity = self.identity(topic)
        consumer.assign([part])
        consumer.seek(part, start)
        before, heard = start, time.monotonic()
        while True:
            with self._reading(part.topic):
                found = consumer.poll(timeout_ms=_READ_SLICE_MS, max_records=_READ_RECORDS).get(part, ())
                position = consumer.position(part, timeout_ms=_REQUEST_MS)
            if found or position != before:
                before, heard = position, time.monotonic()
            elif time.monotonic() > heard + self._silent_seconds:  # kafka-python would wait, without a word, for ever
                raise BackendError(
                    f"Kafka sends nothing of {part.topic}[{part.partition}] from {before} on, which ends at {stop}"
                )
            if found:
                check_identity(part.topic, identity, lambda: self.identity(topic))
            for record in found:
                if record.offset >= stop:
                    return
                yield to_record(record, topic, lambda: self._stamps(topic))
                heard = time.monotonic()  # whoever reads may take its time
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
            stamps=lambda: self._stamps(topic),
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

        def make(admin: KafkaAdminClient) -> None:
            wanted = {"num_partitions": self._partitions, "replication_factor": self._replication}
            with contextlib.suppress(TopicAlreadyExistsError):  # another process makes it at the same time
                if self._replication < 0:  # as many as the brokers' own default says: they tell without making it
                    (would,) = admin.create_topics({name: wanted}, validate_only=True)["topics"]
                    replicas = int(would["replication_factor"])
                else:
                    replicas = self._replication
                admin.create_topics({name: {**wanted, "configs": settings_to_make(topic, replicas)}})
            admin.wait_for_topics([name])

        self._ask(make, Right("Create", "topic", name))

    def _required(self, topic: str) -> Mapping[str, Any]:
        found = self._found(topic)
        if found is None:
            raise ConfigurationError(_missing(self._prefix + topic))
        return found

    def _found(self, topic: str) -> Mapping[str, Any] | None:
        name = self._prefix + topic
        needs = Right("Describe", "topic", name)
        (described,) = self._ask(lambda admin: admin.describe_topics([name]), needs)
        error = for_code(described["error_code"])
        if error is UnknownTopicOrPartitionError:
            return None
        if error is TopicAuthorizationFailedError:
            raise denied(self._connection, needs)
        if described["error_code"]:
            raise BackendError(f"topic {name} cannot be described: {error.__name__}")
        return dict(described)

    def _settings(self, topic: str) -> dict[str, str]:
        name = self._prefix + topic
        needs = Right("DescribeConfigs", "topic", name)
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        asked = self._ask(lambda admin: admin.describe_configs([resource], config_filter="all"), needs)
        found = asked["topic"][name]
        if not found:  # kafka-python passes over the broker's refusal; a topic that is there has settings
            raise denied(self._connection, needs)
        return {setting: str(described["value"]) for setting, described in found.items()}

    def _stamps(self, topic: str) -> bool:
        return self._settings(topic).get("message.timestamp.type") == "LogAppendTime"

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        return translated(self._connection, Right("Read", "topic", name))

    def _ask(self, question: Callable[[KafkaAdminClient], Any], needs: Right) -> Any:
        """Asks by the client at hand; one that has lost its broker does not find it again, so once more by a new one."""
        with self._lock:
            if self._admin is not None:
                try:
                    return question(self._admin)
                except AuthorizationError as error:
                    raise denied(self._connection, needs) from error
                except KafkaError:
                    admin, self._admin = self._admin, None
                    admin.close()
            self._admin = opened(KafkaAdminClient, self._connection, bootstrap_timeout_ms=_ADMIN_MS)
            with translated(self._connection, needs):
                return question(self._admin)


def _missing(name: str) -> str:
    return f"topic {name} does not exist: run 'answerable migrate' to make it"
