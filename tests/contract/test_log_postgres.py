"""What only the log in Postgres promises: who may write, what a tombstone deletes, and a server that hangs or dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from ledger.embedded import EmbeddedPostgres
from ledger.errors import BackendError, ConfigurationError
from ledger.logs.postgres import PostgresLog
from ledger.ports import CONTENTS, EVENTS, Bounds, Outgoing
from tests.contract.logs import TIMEOUT, event, from_start, poll_until
from tests.waiting import until

APPEND = "SELECT answerable_log.append(%s::text[], %s::int[], %s::bytea[], %s::bytea[])"


@pytest.fixture
def log(database: str) -> Iterator[PostgresLog]:
    opened = PostgresLog(database, partitions=2)
    opened.prepare()
    yield opened
    opened.close()


def as_appender(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options=-c%20role%3Danswerable_appender"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM answerable_log.records",
        "SELECT * FROM answerable_log.topics",
        "SELECT * FROM answerable_log.partitions",
        "INSERT INTO answerable_log.records VALUES (1, 0, 99, 0, false, NULL, NULL)",
        "UPDATE answerable_log.partitions SET next_offset = 0",
        "UPDATE answerable_log.records SET value = NULL",
        "DELETE FROM answerable_log.records",
        "TRUNCATE answerable_log.records",
        "DROP TABLE answerable_log.records",
        "CREATE TABLE answerable_log.mine (n int)",
        "CREATE FUNCTION answerable_log.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'",
        "CREATE TABLE public.mine (n int)",
    ],
)
def test_the_appender_may_append_and_nothing_else(log: PostgresLog, database: str, statement: str) -> None:
    appender = PostgresLog(as_appender(database))
    assert appender.partitions(EVENTS) == 2
    assert appender.identity(EVENTS) == log.identity(EVENTS)
    appender.append([event(0)], timeout=TIMEOUT)
    appender.close()
    assert [r.value for r in log.read(EVENTS, 0, 0, 10)] == [b"value 0"]
    with (
        psycopg.connect(as_appender(database), autocommit=True) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_an_appender_who_reads_by_the_log_is_told_that_it_may_not(log: PostgresLog, database: str) -> None:
    appender = PostgresLog(as_appender(database))
    with pytest.raises(ConfigurationError, match="may not"):
        appender.bounds(EVENTS)
    appender.close()


def test_objects_of_the_appender_s_own_do_not_change_what_append_does(log: PostgresLog, database: str) -> None:
    with psycopg.connect(as_appender(database), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE records (n int)")
        connection.execute("CREATE TEMP TABLE partitions (topic smallint, partition int)")
        connection.execute(APPEND, ([EVENTS], [0], [b"key"], [b"value"]))
    assert [r.value for r in log.read(EVENTS, 0, 0, 10)] == [b"value"]


@pytest.mark.parametrize(
    "arrays",
    [
        ([EVENTS], [99], [b"k"], [b"v"]),
        (["ledger.other"], [0], [b"k"], [b"v"]),
        ([EVENTS, EVENTS], [0], [b"k"], [b"v"]),
        ([EVENTS, EVENTS], [0, 0], [b"k", b"k"], [b"fits", bytes(2 << 20)]),
        ([EVENTS, EVENTS], [0, None], [b"k", b"k"], [b"fits", b"nowhere"]),
    ],
)
def test_a_hostile_call_of_append_writes_nothing(log: PostgresLog, database: str, arrays: tuple[list, ...]) -> None:
    with psycopg.connect(as_appender(database), autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute(APPEND, arrays)
    assert log.bounds(EVENTS)[0] == Bounds(0, 0)
    assert list(log.read(EVENTS, 0, 0, 10)) == []


def test_a_tombstone_deletes_the_earlier_records_of_its_key_and_no_others(log: PostgresLog, database: str) -> None:
    def content(key: bytes, value: bytes | None, partition: int = 0) -> Outgoing:
        return Outgoing(CONTENTS, partition, key, value)

    log.append([content(b"a", b"1"), content(b"b", b"2"), content(b"a", b"3"), content(b"a", b"4", 1)], timeout=TIMEOUT)
    log.append([content(b"a", b"5"), content(b"a", None), content(b"a", b"6")], timeout=TIMEOUT)
    assert [(r.offset, r.key, r.value) for r in log.read(CONTENTS, 0, 0, 100)] == [
        (1, b"b", b"2"),
        (4, b"a", None),
        (5, b"a", b"6"),
    ]
    assert [r.value for r in log.read(CONTENTS, 1, 0, 100)] == [b"4"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM answerable_log.records").fetchone() == (4,)
    subscription = log.subscribe(CONTENTS, "group", from_start)
    assert len(poll_until(subscription, 4)) == 4
    subscription.close()


def test_a_record_without_value_in_the_events_deletes_nothing(log: PostgresLog) -> None:
    log.append([event(0), Outgoing(EVENTS, 0, b"chain", None)], timeout=TIMEOUT)
    assert [r.value for r in log.read(EVENTS, 0, 0, 10)] == [b"value 0", None]


def test_append_time_does_not_go_back_when_the_clock_does(log: PostgresLog, database: str) -> None:
    log.append([event(0)], timeout=TIMEOUT)
    ahead = 4_000_000_000_000_000
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE answerable_log.partitions SET last_time = %s", (ahead,))
    log.append([event(1), event(2)], timeout=TIMEOUT)
    assert [r.append_time for r in log.read(EVENTS, 0, 0, 10)][1:] == [ahead, ahead]


def test_an_append_that_is_not_committed_holds_later_ones_back(log: PostgresLog, database: str) -> None:
    """Offsets become visible in order: nobody may see 1 while 0 could still appear."""
    with psycopg.connect(database) as slow:
        slow.execute(APPEND, ([EVENTS], [0], [b"slow"], [b"first"]))
        done = threading.Event()
        thread = threading.Thread(target=lambda: (log.append([event(1)], timeout=TIMEOUT), done.set()))
        thread.start()
        until(lambda: waits_for_a_lock(database))
        reader = PostgresLog(database)
        assert list(reader.read(EVENTS, 0, 0, 10)) == []
        assert not done.is_set()
        slow.commit()
        thread.join()
    assert [r.value for r in reader.read(EVENTS, 0, 0, 10)] == [b"first", b"value 1"]
    reader.close()


def waits_for_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return found is not None and found[0] > 0


def test_appenders_that_name_partitions_in_opposite_orders_do_not_deadlock(database: str, log: PostgresLog) -> None:
    failures: list[BackendError] = []

    def write(order: list[int]) -> None:
        mine = PostgresLog(database)
        try:
            for step in range(50):
                mine.append([event(step, partition=p) for p in order], timeout=TIMEOUT)
        except BackendError as error:
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(order,)) for order in ([0, 1], [1, 0])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert log.bounds(EVENTS) == {0: Bounds(0, 100), 1: Bounds(0, 100)}


def test_an_append_to_a_server_that_hangs_fails_in_time_and_the_next_works(log: PostgresLog, database: str) -> None:
    with psycopg.connect(database) as holder:
        holder.execute("SELECT FROM answerable_log.partitions FOR UPDATE")
        began = time.monotonic()
        with pytest.raises(BackendError):
            log.append([event(0)], timeout=0.5)
        assert time.monotonic() - began < 3.0
    log.append([event(1)], timeout=TIMEOUT)
    assert b"value 1" in [r.value for r in log.read(EVENTS, 0, 0, 10)]


def test_what_was_acknowledged_is_there_after_the_server_was_killed(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg").start()
    log = PostgresLog(server.url, partitions=1)
    log.prepare()
    subscription = log.subscribe(EVENTS, "group", from_start)
    log.append([event(n) for n in range(10)], timeout=TIMEOUT)
    assert len(poll_until(subscription, 10)) == 10
    os.kill(server.pid, signal.SIGKILL)
    server.kill()
    with pytest.raises(BackendError):
        log.append([event(10)], timeout=TIMEOUT)
    with pytest.raises(BackendError):
        subscription.poll(10, 1.0)
    server.start()
    log.append([event(10)], timeout=TIMEOUT)
    assert [r.value for r in log.read(EVENTS, 0, 0, 100)] == [b"value %d" % n for n in range(11)]
    assert len(poll_until(subscription, 11)) == 11, "a member that lost its session joins anew and asks where to read"
    subscription.close()
    log.close()
    server.stop()


def test_prepare_by_many_at_once_makes_one_log(database: str) -> None:
    logs = [PostgresLog(database, partitions=3) for _ in range(4)]
    threads = [threading.Thread(target=each.prepare) for each in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.identity(EVENTS) for each in logs} == {logs[0].identity(EVENTS)}
    assert logs[0].partitions(EVENTS) == 3
    for each in logs:
        each.close()


def test_a_large_backlog_comes_in_bounded_pieces(log: PostgresLog) -> None:
    for _ in range(10):
        log.append([Outgoing(EVENTS, 0, b"large", bytes(900_000)) for _ in range(4)], timeout=TIMEOUT)
    subscription = log.subscribe(EVENTS, "group", from_start)
    pieces = []
    while sum(len(piece) for piece in pieces) < 40:
        pieces.append(subscription.poll(500, 1.0))
    assert max(len(piece) for piece in pieces) <= 20
    assert len(list(log.read(EVENTS, 0, 0, 100))) == 40
    subscription.close()


def test_a_member_that_works_long_keeps_its_partitions_and_one_that_says_nothing_loses_them(database: str) -> None:
    with closing(PostgresLog(database, partitions=2, session_seconds=0.5)) as log:
        log.prepare()
        busy, other = (log.subscribe(EVENTS, "group", from_start) for _ in range(2))
        with closing(busy), closing(other):
            busy.poll(1, 0)
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                other.poll(1, 0.1)
            assert (busy.assignment(), other.assignment()) == ({0, 1}, frozenset())
            busy._left.set()  # type: ignore[attr-defined] - as if its process were stopped
            until(lambda: other.poll(1, 0.1) == [] and other.assignment() == {0, 1})
            with pytest.raises(BackendError):
                busy.poll(1, 0)
            busy.poll(1, 0)
            assert busy.assignment() == frozenset()
