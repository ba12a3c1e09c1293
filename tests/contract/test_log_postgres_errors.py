"""Errors of the log in Postgres, provoked on a real server: what passes is tried again, the rest says who is to do what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.errors import AccessDenied, BackendError, ConfigurationError, InvalidEvent, LedgerError
from ledger.logs.postgres import PostgresLog
from ledger.logs.postgres_session import Session, translated
from ledger.ports import EVENTS
from tests.contract.logs import TIMEOUT, event
from tests.recording import STEP, recorder_on
from tests.waiting import until

PASSING = {
    "the connection is ended": "select pg_terminate_backend(pg_backend_pid())",
    "a time-out": "set statement_timeout = 10; select pg_sleep(5)",
    "a lock that is not to be had": "do $$ begin raise 'busy' using errcode = '55P03'; end $$",
    "a deadlock": "do $$ begin raise 'deadlock' using errcode = '40P01'; end $$",
    "a serialization failure": "do $$ begin raise 'again' using errcode = '40001'; end $$",
    "a connection failure": "do $$ begin raise 'gone' using errcode = '08006'; end $$",
    "a full disk": "do $$ begin raise 'full' using errcode = '53100'; end $$",
    "too many connections": "do $$ begin raise 'many' using errcode = '53300'; end $$",
    "a shutdown": "do $$ begin raise 'ending' using errcode = '57P01'; end $$",
    "a start": "do $$ begin raise 'starting' using errcode = '57P03'; end $$",
    "an error of the machine": "do $$ begin raise 'input/output' using errcode = '58030'; end $$",
    "a standby": "begin read only; create table t ()",
}
OTHERS: dict[str, tuple[str, type[LedgerError], str]] = {
    "no schema": ("select nothing.append()", ConfigurationError, "answerable migrate"),
    "no table": ("select * from nothing", ConfigurationError, "answerable migrate"),
    "no column": ("select nothing from pg_class", ConfigurationError, "another release"),
    "no syntax": ("selec", ConfigurationError, "another release"),
    "other types": ("select 1 = 'x'::text", ConfigurationError, "answerable migrate"),
    "an older server": (
        "do $$ begin raise 'not there' using errcode = '0A000'; end $$",
        ConfigurationError,
        "another release",
    ),
    "a row that is there": (
        "create table t (n int unique); insert into t values (1), (1)",
        ConfigurationError,
        "restore the whole",
    ),
    "no number": ("select 'x'::int", InvalidEvent, "refused a record"),
    "beyond a limit": ("select repeat('x', 2000000000)", InvalidEvent, "refused a record"),
    "no right": (
        "create role nobody_there; set role nobody_there; create schema mine",
        AccessDenied,
        "answerable_appender",
    ),
    "no password": (
        "do $$ begin raise 'who is that' using errcode = '28P01'; end $$",
        AccessDenied,
        "user and password of LOG_URL",
    ),
}


@pytest.fixture
def session(database: str) -> Iterator[Session]:
    made = Session(database, "test")
    yield made
    made.close()


def run(session: Session, statements: str) -> None:
    with session.use() as connection:
        connection.execute(statements.encode())


@pytest.mark.parametrize("what", PASSING)
def test_what_passes_is_tried_again_and_the_next_attempt_works(session: Session, what: str) -> None:
    with pytest.raises(BackendError):
        run(session, PASSING[what])
    run(session, "select 1")


@pytest.mark.parametrize("what", OTHERS)
def test_what_comes_again_is_no_failure_of_the_log_and_says_what_to_do(session: Session, what: str) -> None:
    statements, kind, words = OTHERS[what]
    with pytest.raises(kind, match=words) as raised:
        run(session, f"begin; {statements}")
    assert not isinstance(raised.value, BackendError)


def test_a_standby_is_told(session: Session) -> None:
    with pytest.raises(BackendError, match="LOG_URL leads to a standby"):
        run(session, PASSING["a standby"])


def test_what_the_driver_cannot_send_is_no_failure_of_the_log(session: Session) -> None:
    with pytest.raises(InvalidEvent), session.use() as connection:
        connection.execute("select %s", ["a\0b"])


def test_a_server_that_is_not_there_passes() -> None:
    with pytest.raises(BackendError), translated():
        psycopg.connect("postgresql://127.0.0.1:1/ledger", connect_timeout=2)


def test_tables_of_other_hands_are_told_by_append_and_health_of_a_recorder_says_so_until_they_are_mended(
    database: str, tmp_path: Path
) -> None:
    log = PostgresLog(database, partitions=2)
    log.prepare()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter table answerable_log.partitions rename column last_time to time_before")
        with pytest.raises(ConfigurationError, match="answerable migrate"):
            log.append([event(0)], timeout=TIMEOUT)
        with recorder_on(log, tmp_path) as recorder:
            recorder.record(STEP)
            until(lambda: "answerable migrate" in (recorder.health().error or ""))
            connection.execute("alter table answerable_log.partitions rename column time_before to last_time")
            assert recorder.flush(20)
    assert [record for n in (0, 1) for record in log.read(EVENTS, n, 0, 10)]
    log.close()
