"""The reading half of ``KafkaLog``: a member of a consumer group, and nothing of Kafka's own bookkeeping.

The group only deals out partitions. Where to read each from comes from the caller, offsets are never committed, and
there is no auto reset. Transactions are not honoured (``read_uncommitted``): what is in the log is in the log, and an
open transaction must not be able to hold readers back; its markers leave gaps in the offsets.

kafka-python fetches by the topic's name, and would read on, unmoved, in a topic that was deleted and made anew. So no
record is given before the log was asked, after the fetch, whether the topic is still the same.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError

from ledger.errors import ConfigurationError, PositionLost, TopicMismatch
from ledger.logs import kafka_records
from ledger.logs.kafka_clients import opened
from ledger.logs.kafka_errors import Right, translated
from ledger.ports import Record

LOG_APPEND_TIME = 1
_SLICE_SECONDS = 0.1
_JOIN_SECONDS = 5.0
_LEARN_MS = 15_000
_CLOSE_MS = 5_000
_FETCH_BYTES = 4 << 20
_BOOTSTRAP_MS = 5_000
_METADATA_MS = 10_000
"""After which partitions that were added are read; kafka-python's own is five minutes."""
_ALL_FETCHES_BYTES = 32 << 20


def open_consumer(connection: Mapping[str, Any], **group: Any) -> KafkaConsumer:
    """A consumer that reads what is there and decides nothing by itself."""
    kafka_records.install()
    return opened(
        KafkaConsumer,
        connection,
        **group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_uncommitted",
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_bytes=_ALL_FETCHES_BYTES,
        fetch_max_wait_ms=100,
        metadata_max_age_ms=_METADATA_MS,
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def to_record(found: Any, topic: str, stamps: Callable[[], bool]) -> Record:
    """Our record of kafka-python's. ``stamps``: whether the topic is set now so that the log writes the times.

    One with its publisher's time was written while it was not. When that reached the log nobody knows, so it is given without
    its key and with the time 0: every reader then refuses it, and goes on. Raises ``TopicMismatch`` while the topic still is
    set so, since all that is written meanwhile would be lost.
    """
    if found.timestamp_type == LOG_APPEND_TIME:
        return Record(topic, found.partition, found.offset, found.timestamp * 1000, found.key, found.value)
    if not stamps():
        raise TopicMismatch(
            f"record {found.offset} of {found.topic}[{found.partition}] bears its publisher's time: "
            f"set message.timestamp.type=LogAppendTime on {found.topic}; records written before that stay refused"
        )
    return Record(topic, found.partition, found.offset, 0, None, found.value)


def check_identity(name: str, before: str, ask: Callable[[], str]) -> None:
    """Raises ``PositionLost`` where the topic is no longer the one that was read before."""
    if ask() != before:
        raise PositionLost(
            f"topic {name} was made anew while it was read: see 'answerable doctor' before going on", topic=name
        )


class KafkaSubscription:
    """A member of ``group``. Made by ``KafkaLog.subscribe``."""

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        topic: str,
        name: str,
        group: str,
        assigned: Callable[[Sequence[int]], Mapping[int, int]],
        identity: Callable[[], str],
        stamps: Callable[[], bool],
        session_seconds: float,
    ) -> None:
        self._topic = topic
        self._ask_identity = identity
        self._identity = identity()
        self._name = name
        self._errors = partial(translated, connection, Right("Read", "topic", name), Right("Read", "group", group))
        self._assigned, self._stamps = assigned, stamps
        self._fresh: set[int] = set()
        self._consumer = open_consumer(
            connection,
            group_id=group,
            session_timeout_ms=int(session_seconds * 1000),
            heartbeat_interval_ms=max(100, int(session_seconds * 100)),
        )
        self._consumer.subscribe([name], listener=_Listener(self._given, self._taken))
        # A member that leads its group before it knows the topic's partitions deals out none, and then deals again.
        try:
            with self._errors():
                self._learn_partitions()
        except BaseException:
            self.close()
            raise

    def _learn_partitions(self) -> None:
        # kafka-python's own question for them has no time limit.
        consumer = self._consumer
        if consumer._cluster.partitions_for_topic(self._name) is None:
            consumer._net.run(consumer._manager.wait_for, consumer._cluster.request_update(), _LEARN_MS)

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        while True:
            self._join()
            self._place()
            wait = max(0.0, min(_SLICE_SECONDS, deadline - time.monotonic()))
            with self._errors():
                found = self._consumer.poll(timeout_ms=int(wait * 1000), max_records=max_records)
            if found:
                check_identity(self._name, self._identity, self._ask_identity)
                return [
                    to_record(record, self._topic, self._stamps) for records in found.values() for record in records
                ]
            if time.monotonic() >= deadline:
                self._place()
                return []

    def assignment(self) -> frozenset[int]:
        return frozenset(part.partition for part in self._consumer.assignment())

    def seek(self, partition: int, offset: int) -> None:
        part = TopicPartition(self._name, partition)
        if part in self._consumer.assignment():
            self._consumer.seek(part, offset)

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        with contextlib.suppress(KafkaError):
            consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
        # What it had fetched ahead, tens of MB in few objects, stays in a cycle that the collector would seldom look for.
        del consumer
        gc.collect()

    def _given(self, parts: Sequence[TopicPartition]) -> None:
        # Runs on kafka-python's own thread, where a slow or failing callback would stop the heartbeat: the partitions
        # stand still, at a position that keeps Kafka from looking for one, until our own thread has placed them.
        for part in parts:
            self._consumer.pause(part)
            self._consumer.seek(part, 0)
            self._fresh.add(part.partition)

    def _taken(self, parts: Sequence[TopicPartition]) -> None:
        self._fresh.difference_update(part.partition for part in parts)

    def _join(self) -> None:
        # kafka-python throws away a join that ends while nobody polls, and joins again: members that poll briefly and
        # work long would make each other rebalance without end. So a join, once begun, is waited for.
        coordinator = self._consumer._coordinator
        if coordinator.rejoining and not coordinator.need_rejoin():
            # One that began because partitions were added, and whose own member deals them out, it no longer asks for once it
            # has dealt; it would be left half done: no partition, no heartbeat, no error. It is asked for again, and ended.
            coordinator.request_rejoin()
        if coordinator.need_rejoin():
            with self._errors():
                coordinator.poll(timeout_ms=int(_JOIN_SECONDS * 1000))

    def _place(self) -> None:
        fresh = sorted(self._fresh & self.assignment())
        if not fresh:
            return
        offsets = self._assigned(fresh)
        missing = set(fresh) - set(offsets)
        if missing:
            raise ConfigurationError(f"no position was given for partitions {sorted(missing)} of {self._topic}")
        for partition in fresh:
            part = TopicPartition(self._name, partition)
            with contextlib.suppress(KafkaError, AssertionError):  # taken away again in this very moment
                self._consumer.seek(part, offsets[partition])
                self._consumer.resume(part)
            self._fresh.discard(partition)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(
        self, given: Callable[[Sequence[TopicPartition]], None], taken: Callable[[Sequence[TopicPartition]], None]
    ) -> None:
        self._given = given
        self._taken = taken

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._given(assigned)

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._taken(revoked)
