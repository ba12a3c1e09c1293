"""The writing half of ``KafkaLog``: a producer that is trusted until its first failure.

kafka-python's idempotent producer, when the brokers were away longer than its delivery time-out, reports one failure and
leaves every later future unresolved for ever; a new producer works at once. So after any failure, and whenever our own
watch runs out, the producer is given up as a whole, and the next append makes another one. Idempotence only saves
duplicates: what was given up may still arrive, and the caller sends again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import AuthorizationError, ClusterAuthorizationFailedError, KafkaError

from ledger.errors import BackendError, ConfigurationError
from ledger.logs.kafka_clients import opened
from ledger.logs.kafka_errors import Right, denied
from ledger.ports import Outgoing

_BATCH_BYTES = 256 << 10
_REQUEST_BYTES = 12 << 20
_GIVE_UP_SECONDS = 1.0


class _PartitionUnknown(Exception):
    """The producer knows of no such partition."""


class Producer:
    """Sends records and waits for all of them. Threads may share it; a forked child gets its own connection."""

    def __init__(self, connection: Mapping[str, Any], *, linger_ms: int) -> None:
        self._connection = connection
        self._linger_ms = linger_ms
        self._lock = threading.Lock()
        self._current: KafkaProducer | None = None
        self._owner = os.getpid()
        self._inherited: list[KafkaProducer] = []

    def send(self, records: Sequence[Outgoing], timeout: float) -> None:
        """Returns when the log has all of ``records``; raises ``BackendError`` if that is not known in time."""
        deadline = time.monotonic() + timeout
        try:
            self._send(records, timeout, deadline)
        except _PartitionUnknown:  # a producer learns of added partitions within minutes, a new one at once
            try:
                self._send(records, timeout, deadline)
            except _PartitionUnknown as error:
                raise ConfigurationError(f"Kafka does not take the record: {error}") from error

    def _send(self, records: Sequence[Outgoing], timeout: float, deadline: float) -> None:
        producer = self._producer(timeout)
        try:
            futures = [producer.send(r.topic, value=r.value, key=r.key, partition=r.partition) for r in records]
            for future in futures:
                future.get(max(0.001, deadline - time.monotonic()))
        except ValueError as error:  # nothing was sent after it
            self._give_up(producer)
            raise _PartitionUnknown(str(error)) from error
        except KafkaError as error:
            self._give_up(producer)
            if _is_denied(error):
                raise denied(self._connection, Right("Write", "topic", records[0].topic)) from error
            raise BackendError(f"Kafka did not acknowledge within {timeout:g} s: {error}") from error
        except BaseException:
            self._give_up(producer)
            raise

    def close(self) -> None:
        with self._lock:
            producer, self._current = self._current, None
        if producer is not None and self._owner == os.getpid():
            _close(producer)

    def _producer(self, timeout: float) -> KafkaProducer:
        with self._lock:
            if self._owner != os.getpid():
                # Of a forked producer only the memory came along: closing it would write to its parent's sockets.
                if self._current is not None:
                    self._inherited.append(self._current)
                self._current, self._owner = None, os.getpid()
            if self._current is None:
                self._current = self._open(timeout)
            return self._current

    def _open(self, timeout: float) -> KafkaProducer:
        return opened(
            KafkaProducer,
            self._connection,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=self._linger_ms,
            batch_size=_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
            max_block_ms=int(timeout * 1000),
            bootstrap_timeout_ms=int(timeout * 1000),
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _give_up(self, producer: KafkaProducer) -> None:
        with self._lock:
            if self._current is producer:
                self._current = None
        threading.Thread(target=_close, args=(producer,), name="kafka-give-up", daemon=True).start()


def _is_denied(error: KafkaError) -> bool:
    """Who may write to no topic at all gets no producer id, and kafka-python tells that by its text alone."""
    return isinstance(error, AuthorizationError) or ClusterAuthorizationFailedError.__name__ in str(error)


def _close(producer: KafkaProducer) -> None:
    with contextlib.suppress(KafkaError):
        producer.close(_GIVE_UP_SECONDS)
        return
    # close() waits for what is unsent, and when that stays so it raises before it ends the sending thread.
    producer._sender.force_close()
