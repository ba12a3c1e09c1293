"""What only Kafka can do to a log, against a real broker."""

from __future__ import annotations

import gc
import os
import signal
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lz4.frame
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.record.default_records import DefaultRecordBatchBuilder

from ledger.errors import BackendError, ConfigurationError, TopicMismatch
from ledger.logs import kafka_records
from ledger.logs.kafka import KafkaLog
from ledger.logs.kafka_subscription import KafkaSubscription
from ledger.ports import CONTENTS, EVENTS, Bounds, Log, Outgoing
from tests.bounding import bounded
from tests.contract.logs import TIMEOUT, KafkaBench, event, from_start, poll_until, wrong
from tests.services import KafkaBroker
from tests.services.fixtures import skip_loudly
from tests.services.kafka_jars import Missing, jars, java
from tests.waiting import until


@pytest.fixture
def kafka_bench(kafka: str, topic_prefix: str) -> Iterator[KafkaBench]:
    bench = KafkaBench(kafka, topic_prefix)
    yield bench
    bench.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of this test's own, to be stopped and killed."""
    try:
        java()
        jars()
    except Missing as missing:
        skip_loudly(str(missing))
    with KafkaBroker(tmp_path / "broker") as started:
        yield started


def stand_still(pid: int) -> None:
    """Stops a process, and returns when every thread of it has stopped: on a busy machine one may go on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    states = [task / "stat" for task in Path(f"/proc/{pid}/task").iterdir()]
    until(lambda: all(each.read_text().rpartition(")")[2].split()[0] == "T" for each in states))


def set_on(bench: KafkaBench, topic: str, **settings: str) -> None:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    with KafkaAdminClient(bootstrap_servers=bench.bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, bench.prefix + topic, named)])


@pytest.mark.parametrize(
    ("topic", "setting", "value"),
    [
        (EVENTS, "message_timestamp_type", "CreateTime"),
        (EVENTS, "retention_ms", "604800000"),
        (EVENTS, "cleanup_policy", "compact"),
        (EVENTS, "max_message_bytes", "500000"),
        (EVENTS, "compression_type", "zstd"),
        (CONTENTS, "cleanup_policy", "delete"),
        (CONTENTS, "max_compaction_lag_ms", "9223372036854775807"),
        (CONTENTS, "delete_retention_ms", "0"),
        (CONTENTS, "segment_ms", "31536000000"),
        (CONTENTS, "max_message_bytes", "1048588"),
    ],
)
def test_a_topic_with_a_wrong_setting_is_refused_with_what_to_do(
    kafka_bench: KafkaBench, topic: str, setting: str, value: str
) -> None:
    log = kafka_bench.prepared()
    set_on(kafka_bench, topic, **{setting: value})
    name = setting.replace("_", ".")
    until(lambda: len(wrong(log)) == 1)
    ((kind, problem),) = wrong(log)
    assert kind == "wrong"
    assert f"{kafka_bench.prefix}{topic} has {name}={value}" in problem
    assert f"set {name}=" in problem
    with pytest.raises(TopicMismatch, match=name):
        log.prepare()


def test_a_record_that_bears_its_publisher_s_time_is_refused(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.prepared()
    set_on(kafka_bench, EVENTS, message_timestamp_type="CreateTime")
    until(lambda: wrong(log) != [])
    log.append([event(0)], timeout=TIMEOUT)
    with pytest.raises(TopicMismatch, match="publisher's time"):
        list(log.read(EVENTS, 0, 0, 1))
    subscription = log.subscribe(EVENTS, "group", from_start)
    with pytest.raises(TopicMismatch, match="publisher's time"):
        poll_until(subscription, 1)
    subscription.close()


def test_once_the_topic_is_right_again_such_a_record_stops_nobody(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.prepared()
    set_on(kafka_bench, EVENTS, message_timestamp_type="CreateTime")
    until(lambda: wrong(log) != [])
    log.append([event(0)], timeout=TIMEOUT)
    set_on(kafka_bench, EVENTS, message_timestamp_type="LogAppendTime")
    until(lambda: wrong(log) == [])
    log.append([event(1)], timeout=TIMEOUT)
    subscription = log.subscribe(EVENTS, "group", from_start)
    for old, new in (poll_until(subscription, 2), log.read(EVENTS, 0, 0, 2)):
        assert (old.offset, old.key, old.value, old.append_time) == (0, None, event(0).value, 0)
        assert (new.offset, new.key, new.value) == (1, event(1).key, event(1).value)
        assert new.append_time > 0
    subscription.close()


def test_what_another_program_writes_is_read_as_it_is(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.prepared()
    name = kafka_bench.prefix + EVENTS
    with KafkaProducer(bootstrap_servers=kafka_bench.bootstrap) as producer:
        producer.send(name, value=b"no key", key=None, partition=0).get(TIMEOUT)
        producer.send(name, value=b"", key=b"", partition=0).get(TIMEOUT)
        producer.send(name, value=None, key=b"key", partition=0).get(TIMEOUT)
    with KafkaProducer(bootstrap_servers=kafka_bench.bootstrap, compression_type="gzip") as producer:
        producer.send(name, value=b"g" * 10_000, key=b"key", partition=0).get(TIMEOUT)
    found = [(r.key, r.value) for r in log.read(EVENTS, 0, 0, 10)]
    assert found == [(None, b"no key"), (b"", b""), (b"key", None), (b"key", b"g" * 10_000)]


def test_transactions_leave_gaps_that_stop_nobody(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.prepared()
    name = kafka_bench.prefix + EVENTS
    with KafkaProducer(bootstrap_servers=kafka_bench.bootstrap, transactional_id=kafka_bench.prefix) as producer:
        producer.init_transactions()
        for number, end in enumerate([producer.commit_transaction, producer.abort_transaction]):
            producer.begin_transaction()
            producer.send(name, value=b"%d" % number, key=b"key", partition=0).get(TIMEOUT)
            end()
    assert log.bounds(EVENTS)[0] == Bounds(0, 4)
    # Offsets 1 and 3 are markers. What was aborted is in the log all the same: the state depends on nothing else.
    assert [(r.offset, r.value) for r in log.read(EVENTS, 0, 0, 4)] == [(0, b"0"), (2, b"1")]
    subscription = log.subscribe(EVENTS, "group", from_start)
    assert [r.offset for r in poll_until(subscription, 2)] == [0, 2]
    log.append([event(4)], timeout=TIMEOUT)
    assert [r.offset for r in poll_until(subscription, 1)] == [4]
    subscription.close()


def batch_of(payload: bytes, *, records: int, codec: int) -> bytes:
    """A record batch with a correct checksum around ``payload``, whatever that is."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1,
    )
    builder.append(0, 1_700_000_000_000, b"key", b"value", [])
    head = bytearray(builder.build()[:61])
    struct.pack_into(">h", head, 21, codec)
    struct.pack_into(">i", head, 23, records - 1)
    struct.pack_into(">i", head, 57, records)
    struct.pack_into(">i", head, 8, 61 - 12 + len(payload))
    return bytes(head) + payload


@pytest.mark.parametrize(
    ("what", "payload", "records", "codec"),
    [
        ("a bomb", lz4.frame.compress(bytes(kafka_records.UNPACKED_BYTES + 1)), 1, 3),
        ("not lz4", b"garbage", 1, 3),
        ("cut lz4", lz4.frame.compress(os.urandom(1000))[:-20], 1, 3),
        ("not gzip", b"garbage", 1, 1),
        ("snappy, which nobody writes", b"garbage", 1, 2),
        ("no records", b"", 1, 0),
        ("a length of 2^60", b"\xff" * 9 + b"\x01", 1, 0),
        ("too many records", b"\x00" * 100_000, 100_000, 0),
        ("a header that is not UTF-8", b"\x14\x00\x00\x00\x01\x01\x02\x04\xc3\x28\x01", 1, 0),
    ],
)
def test_a_batch_that_cannot_be_read_is_one_record_with_its_bytes(
    what: str, payload: bytes, records: int, codec: int
) -> None:
    kafka_records.install()
    batch = kafka_records.memory_records.MemoryRecords(batch_of(payload, records=records, codec=codec)).next_batch()
    began = time.monotonic()
    (record,) = list(batch)
    assert (record.offset, record.key, record.value) == (0, None, payload), what
    assert time.monotonic() - began < 5.0


def test_a_compression_bomb_in_the_topic_does_not_stop_the_stream(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.prepared()
    bomb = bytes(100 << 20)
    with KafkaProducer(
        bootstrap_servers=kafka_bench.bootstrap,
        compression_type="lz4",
        max_request_size=200 << 20,
        batch_size=200 << 20,
        request_timeout_ms=60_000,
    ) as producer:
        producer.send(kafka_bench.prefix + EVENTS, value=bomb, key=b"key", partition=0).get(60)
    log.append([event(1)], timeout=TIMEOUT)
    subscription = log.subscribe(EVENTS, "group", from_start)
    with bounded(seconds=5, megabytes=95):  # less than the bomb
        first, second = poll_until(subscription, 2)
    assert first.value is not None
    assert len(first.value) < 1 << 20
    assert second.value == b"value 1"
    subscription.close()


def test_a_closed_subscription_keeps_nothing_of_what_it_fetched_ahead(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.log()
    log.prepare()
    log.append([event(n) for n in range(20)], timeout=TIMEOUT)
    gc.disable()  # what it does in time is too late for a worker that begins anew each second
    try:
        subscription = log.subscribe(EVENTS, "group", from_start)
        assert isinstance(subscription, KafkaSubscription)
        assert poll_until(subscription, 1)
        consumer = weakref.ref(subscription._consumer)
        subscription.close()
        subscription.close()
        assert consumer() is None
    finally:
        gc.enable()


def test_an_append_to_a_broker_that_hangs_fails_in_time_and_the_next_works(broker: KafkaBroker) -> None:
    log = KafkaLog(broker.bootstrap, partitions=1)
    log.prepare()
    log.append([event(0)], timeout=TIMEOUT)
    stand_still(broker.pid)
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(BackendError):
                log.append([event(1)], timeout=1.0)
            assert time.monotonic() - began < 4.0
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    log.append([event(1), event(2)], timeout=TIMEOUT)
    values = [r.value for r in log.read(EVENTS, 0, 0, 100)]
    # What was given up may have arrived as well, before or after; what was acknowledged is there, in its order.
    assert values[0] == b"value 0"
    assert values.index(b"value 1") < values.index(b"value 2")
    log.close()


def test_after_a_killed_broker_the_log_goes_on_with_all_that_was_acknowledged(broker: KafkaBroker) -> None:
    log: Log = KafkaLog(broker.bootstrap, partitions=1)
    log.prepare()
    subscription = log.subscribe(EVENTS, "group", from_start)
    log.append([event(n) for n in range(10)], timeout=TIMEOUT)
    assert len(poll_until(subscription, 10)) == 10
    broker.kill()
    with pytest.raises(BackendError):
        log.append([event(10)], timeout=1.0)
    broker.start()
    log.append([event(10), event(11)], timeout=TIMEOUT)
    assert b"value 11" in {r.value for r in poll_until(subscription, 2)}
    assert [r.value for r in log.read(EVENTS, 0, 0, 10)] == [b"value %d" % n for n in range(10)]
    subscription.close()
    log.close()


def test_a_log_without_broker_says_why_and_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.logs.kafka._ADMIN_MS", 500)
    before = threading.active_count()
    log = KafkaLog("127.0.0.1:1")
    for attempt in (lambda: log.append([event(0)], timeout=0.5), lambda: log.identity(EVENTS)):
        with pytest.raises(BackendError, match=r"no Kafka broker answers at 127\.0\.0\.1:1: .*ECONNREFUSED"):
            attempt()
    log.close()
    assert threading.active_count() == before


def test_an_unknown_topic_or_partition_is_refused(kafka_bench: KafkaBench) -> None:
    log = kafka_bench.prepared()
    with pytest.raises(ConfigurationError, match="has no topic"):
        log.append([Outgoing("ledger.other", 0, b"k", b"v")], timeout=TIMEOUT)
    with pytest.raises(ConfigurationError, match="partition 99"):
        log.append([event(0, partition=99)], timeout=TIMEOUT)
    log.append([event(0)], timeout=TIMEOUT)


def test_a_broker_that_falls_silent_in_the_middle_of_a_read_ends_it(broker: KafkaBroker) -> None:
    with closing(KafkaLog(broker.bootstrap, "silent.", partitions=1, silent_seconds=1.0)) as log:
        log.prepare()
        for _ in range(30):  # more than one answer holds
            log.append([Outgoing(EVENTS, 0, b"k" * 16, os.urandom(900_000))], timeout=TIMEOUT)
        records = log.read(EVENTS, 0, 0, 30)
        next(records)
        stand_still(broker.pid)
        try:
            with pytest.raises(BackendError, match="sends nothing"):
                list(records)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert len(list(log.read(EVENTS, 0, 0, 30))) == 30
