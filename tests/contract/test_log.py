"""What every log promises, asked of each adapter: see ``ledger.ports.Log``."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from ledger.errors import BackendError, ConfigurationError, InvalidEvent, PositionLost
from ledger.logs import open_log
from ledger.logs.archive import write_archive
from ledger.logs.topics import VALUE_BYTES
from ledger.ports import CONTENTS, EVENTS, Bounds, Log, Outgoing, Record
from tests.contract.logs import PARTITIONS, TIMEOUT, Bench, event, from_start, poll_until, wrong
from tests.waiting import until


def test_records_are_read_in_the_order_of_their_append(log: Log) -> None:
    log.append([event(n) for n in range(50)], timeout=TIMEOUT)
    log.append([event(n) for n in range(50, 100)], timeout=TIMEOUT)
    records = list(log.read(EVENTS, 0, 0, 100))
    assert [r.value for r in records] == [b"value %d" % n for n in range(100)]
    assert [r.offset for r in records] == list(range(100))
    assert {(r.topic, r.partition, r.key) for r in records} == {(EVENTS, 0, b"chain")}


def test_the_log_sets_the_append_time_in_order(log: Log) -> None:
    before = time.time_ns() // 1000
    for number in range(5):
        log.append([event(number)], timeout=TIMEOUT)
    times = [r.append_time for r in log.read(EVENTS, 0, 0, 5)]
    assert times == sorted(times)
    assert before - 2_000 <= times[0] <= times[-1] <= time.time_ns() // 1000 + 2_000


def test_each_record_goes_to_the_partition_that_it_names(log: Log) -> None:
    assert log.partitions(EVENTS) == PARTITIONS
    log.append([event(p, partition=p) for p in range(PARTITIONS)], timeout=TIMEOUT)
    for partition in range(PARTITIONS):
        (record,) = log.read(EVENTS, partition, 0, 10)
        assert record.value == b"value %d" % partition
    assert log.bounds(EVENTS) == {p: Bounds(0, 1) for p in range(PARTITIONS)}


def test_read_keeps_to_its_bounds(log: Log) -> None:
    log.append([event(n) for n in range(10)], timeout=TIMEOUT)
    assert [r.offset for r in log.read(EVENTS, 0, 3, 7)] == [3, 4, 5, 6]
    assert [r.offset for r in log.read(EVENTS, 0, 8, 1000)] == [8, 9]
    assert list(log.read(EVENTS, 0, 5, 5)) == []
    assert list(log.read(EVENTS, 0, 10, 20)) == []
    with pytest.raises(ConfigurationError, match="no partition"):
        list(log.read(EVENTS, PARTITIONS, 0, 1))


@pytest.mark.parametrize("topic", [EVENTS, CONTENTS])
def test_a_record_may_have_the_full_size_and_no_more(log: Log, topic: str) -> None:
    largest = os.urandom(VALUE_BYTES[topic])
    log.append([Outgoing(topic, 0, b"k" * 100, largest)], timeout=TIMEOUT)
    (record,) = log.read(topic, 0, 0, 10)
    assert record.value == largest
    with pytest.raises(InvalidEvent, match="too many"):
        log.append([Outgoing(topic, 0, b"k", b"small"), Outgoing(topic, 0, b"k", largest + b"x")], timeout=TIMEOUT)
    assert log.bounds(topic)[0] == Bounds(0, 1), "nothing of a refused append is in the log"


def test_a_tombstone_is_a_record_without_value(log: Log) -> None:
    log.append([Outgoing(CONTENTS, 0, b"key", b"text"), Outgoing(CONTENTS, 0, b"other", b"stays")], timeout=TIMEOUT)
    log.append([Outgoing(CONTENTS, 0, b"key", None)], timeout=TIMEOUT)
    records = list(log.read(CONTENTS, 0, 0, 10))
    assert (records[-1].offset, records[-1].key, records[-1].value) == (2, b"key", None)
    assert (b"other", b"stays") in [(r.key, r.value) for r in records]


def test_appends_of_many_threads_keep_the_order_of_each(log: Log) -> None:
    def write(number: int) -> None:
        for step in range(20):
            log.append([Outgoing(EVENTS, 0, b"%d" % number, b"%d" % step)], timeout=TIMEOUT)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = list(log.read(EVENTS, 0, 0, 1000))
    assert [r.offset for r in records] == list(range(80))
    for number in range(4):
        assert [r.value for r in records if r.key == b"%d" % number] == [b"%d" % step for step in range(20)]


def test_a_reader_that_follows_never_misses_a_record(bench: Bench) -> None:
    bench.prepared()
    writers = [bench.log() for _ in range(3)]

    def write(log: Log) -> None:
        for step in range(40):
            log.append([event(step, partition=p) for p in range(PARTITIONS)], timeout=TIMEOUT)

    subscription = bench.log().subscribe(EVENTS, "follower", from_start)
    threads = [threading.Thread(target=write, args=(log,)) for log in writers]
    for thread in threads:
        thread.start()
    records = poll_until(subscription, 3 * 40 * PARTITIONS)
    for thread in threads:
        thread.join()
    subscription.close()
    for partition in range(PARTITIONS):
        assert [r.offset for r in records if r.partition == partition] == list(range(120))


def test_a_subscription_starts_where_its_caller_says(log: Log) -> None:
    log.append([event(n, partition=p) for n in range(5) for p in range(PARTITIONS)], timeout=TIMEOUT)
    asked: list[int] = []
    threads = set()

    def positions(partitions: object) -> dict[int, int]:
        threads.add(threading.current_thread())
        given = list(partitions)  # type: ignore[call-overload]
        asked.extend(given)
        return dict.fromkeys(given, 3)

    subscription = log.subscribe(EVENTS, "group", positions)
    records = poll_until(subscription, 2 * PARTITIONS)
    assert sorted(asked) == list(range(PARTITIONS)) == sorted(subscription.assignment())
    assert sorted((r.partition, r.offset) for r in records) == [(p, o) for p in range(PARTITIONS) for o in (3, 4)]
    assert threads == {threading.current_thread()}
    subscription.seek(2, 1)
    assert [(r.partition, r.offset) for r in poll_until(subscription, 4)] == [(2, o) for o in (1, 2, 3, 4)]
    subscription.seek(PARTITIONS + 5, 1)
    subscription.close()


def test_poll_returns_as_soon_as_there_are_records_and_no_more_than_asked(log: Log) -> None:
    subscription = log.subscribe(EVENTS, "group", from_start)
    until(lambda: subscription.poll(10, 0.1) == [] and len(subscription.assignment()) == PARTITIONS)
    log.append([event(n) for n in range(10)], timeout=TIMEOUT)
    began = time.monotonic()
    first = subscription.poll(4, 20.0)
    assert time.monotonic() - began < 5.0
    assert 1 <= len(first) <= 4
    assert [r.offset for r in first + poll_until(subscription, 10 - len(first))] == list(range(10))
    assert subscription.poll(10, 0.0) == []
    subscription.close()


def test_an_error_in_the_caller_s_positions_comes_out_of_poll(log: Log) -> None:
    def fail(_: object) -> dict[int, int]:
        raise BackendError("the store is away")

    subscription = log.subscribe(EVENTS, "group", fail)
    with pytest.raises(BackendError, match="the store is away"):
        poll_until(subscription, 1)
    subscription.close()


class Member(threading.Thread):
    """A member of a group in a thread of its own, as workers are: members wait for each other while they rebalance."""

    def __init__(self, bench: Bench, group: str) -> None:
        super().__init__(daemon=True)
        self.subscription = bench.log().subscribe(EVENTS, group, from_start)
        self.records: list[Record] = []
        self.done = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.done.is_set():
            self.records += self.subscription.poll(500, 0.1)
        self.subscription.close()

    def partitions(self) -> frozenset[int]:
        return self.subscription.assignment()

    def leave(self) -> None:
        self.done.set()
        self.join()


def test_members_of_a_group_share_the_partitions(bench: Bench) -> None:
    log = bench.prepared()
    first, other = Member(bench, "group"), Member(bench, "another group")
    until(lambda: len(first.partitions()) == PARTITIONS)
    second = Member(bench, "group")
    until(lambda: len(first.partitions()) == len(second.partitions()) == PARTITIONS // 2)
    assert first.partitions() | second.partitions() == set(range(PARTITIONS))
    log.append([event(n, partition=p) for n in range(3) for p in range(PARTITIONS)], timeout=TIMEOUT)
    until(lambda: len(first.records) == len(second.records) == 3 * PARTITIONS // 2)
    assert {r.partition for r in first.records} == first.partitions()
    assert {r.partition for r in second.records} == second.partitions()
    until(lambda: len(other.records) == 3 * PARTITIONS)
    second.leave()
    until(lambda: len(first.partitions()) == PARTITIONS)
    first.leave()
    other.leave()


def hold_a_partition(url: str, ready: object) -> None:
    subscription = open_log(url).subscribe(EVENTS, "group", from_start)
    until(lambda: subscription.poll(10, 0.1) == [] and len(subscription.assignment()) > 0)
    ready.set()  # type: ignore[attr-defined]
    while True:
        subscription.poll(10, 1.0)


def test_the_partitions_of_a_member_that_is_killed_go_to_the_others(bench: Bench) -> None:
    bench.prepared()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    url = bench.url + ("&session_seconds=1" if bench.url.startswith("kafka") else "")
    member = context.Process(target=hold_a_partition, args=(url, ready), daemon=True)
    member.start()
    assert ready.wait(30)
    survivor = bench.log().subscribe(EVENTS, "group", from_start)
    until(lambda: survivor.poll(10, 0.1) == [] and len(survivor.assignment()) == PARTITIONS // 2)
    member.kill()
    member.join()
    until(lambda: survivor.poll(10, 0.1) == [] and len(survivor.assignment()) == PARTITIONS)
    survivor.close()


def test_a_position_that_retention_took_is_lost_and_not_reset(bench: Bench) -> None:
    log = bench.prepared()
    log.append([event(n) for n in range(10)], timeout=TIMEOUT)
    bench.truncate(EVENTS, 0, 5)
    assert log.bounds(EVENTS)[0] == Bounds(5, 10)
    assert [r.offset for r in log.read(EVENTS, 0, 5, 10)] == [5, 6, 7, 8, 9]
    with pytest.raises(PositionLost, match="no longer holds"):
        list(log.read(EVENTS, 0, 4, 10))
    subscription = log.subscribe(EVENTS, "group", from_start)
    with pytest.raises(PositionLost, match="no longer"):
        poll_until(subscription, 1)
    subscription.close()


def test_a_position_beyond_the_end_is_lost(log: Log) -> None:
    log.append([event(0)], timeout=TIMEOUT)
    subscription = log.subscribe(EVENTS, "group", lambda given: dict.fromkeys(given, 7))
    with pytest.raises(PositionLost):
        poll_until(subscription, 1)
    subscription.close()


def test_a_topic_made_anew_has_another_identity(bench: Bench) -> None:
    log = bench.prepared()
    before = {topic: log.identity(topic) for topic in (EVENTS, CONTENTS)}
    assert before == {topic: bench.log().identity(topic) for topic in (EVENTS, CONTENTS)}
    subscription = log.subscribe(EVENTS, "group", from_start)
    log.append([event(0)], timeout=TIMEOUT)
    assert len(poll_until(subscription, 1)) == 1
    bench.recreate(EVENTS)
    assert bench.log().identity(EVENTS) != before[EVENTS]
    assert bench.log().identity(CONTENTS) == before[CONTENTS]
    writer = bench.log()
    writer.append([event(n, partition=p) for n in range(5) for p in range(PARTITIONS)], timeout=TIMEOUT)
    with pytest.raises(PositionLost):
        poll_until(subscription, 1)
    subscription.close()


def test_what_is_not_prepared_is_said_and_not_made(bench: Bench) -> None:
    log = bench.log()
    assert len(log.problems()) == 2
    for ask in (log.partitions, log.identity, log.bounds, lambda topic: log.subscribe(topic, "group", from_start)):
        with pytest.raises(ConfigurationError, match="make it"):
            ask(EVENTS)
    log.prepare()
    assert wrong(log) == []
    log.prepare()


def test_a_forked_child_appends_by_a_connection_of_its_own(log: Log) -> None:
    log.append([event(0)], timeout=TIMEOUT)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.append([event(1)], timeout=TIMEOUT)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    log.append([event(2)], timeout=TIMEOUT)
    assert [r.value for r in log.read(EVENTS, 0, 0, 10)] == [b"value 0", b"value 1", b"value 2"]


def test_an_archive_holds_what_the_log_held(bench: Bench, tmp_path: Path) -> None:
    log = bench.prepared()
    log.append([event(n, partition=p) for n in range(300) for p in (0, 2)], timeout=TIMEOUT)
    log.append([Outgoing(EVENTS, 1, b"large", os.urandom(900_000)) for _ in range(3)], timeout=TIMEOUT)
    log.append([Outgoing(CONTENTS, 0, b"person", b"Alice")], timeout=TIMEOUT)
    bench.truncate(EVENTS, 2, 100)
    path = tmp_path / "copy.avro"
    assert write_archive(log, path) == 300 + 3 + 200
    assert path.stat().st_mode & 0o077 == 0
    archive = open_log(f"file:{path}")
    assert archive.identity(EVENTS) == log.identity(EVENTS)
    assert archive.partitions(EVENTS) == PARTITIONS
    assert archive.bounds(EVENTS) == log.bounds(EVENTS)
    for partition, bounds in log.bounds(EVENTS).items():
        assert list(archive.read(EVENTS, partition, *bounds)) == list(log.read(EVENTS, partition, *bounds))
    assert [r.offset for r in archive.read(EVENTS, 2, 150, 153)] == [150, 151, 152]
    with pytest.raises(PositionLost):
        list(archive.read(EVENTS, 2, 99, 153))
    with pytest.raises(ConfigurationError, match="does not hold"):
        archive.bounds(CONTENTS)
    archive.close()
