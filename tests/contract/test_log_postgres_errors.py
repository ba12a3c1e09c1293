"""Errors of the log in Postgres, provoked on a real server: what passes is tried again, the rest says who is to do what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from ledger.errors import AccessDenied, BackendError, ConfigurationError, InvalidEvent, LedgerError
from ledger.logs.postgres import PostgresLog
from ledger.logs.postgres_session import Session, translated
from ledger.passwords import with_password
from ledger.ports import EVENTS
from tests.contract.logs import TIMEOUT, event
from tests.recording import STEP, recorder_on
from tests.services.postgres_secure import SecurePostgres
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


def test_a_statement_whose_table_was_altered_meanwhile_is_tried_again_and_then_works(
    session: Session, database: str
) -> None:
    run(session, "create table t (n int)")
    for _ in range(10):  # from the sixth time on the driver has it prepared
        run(session, "select * from t")
    with psycopg.connect(database, autocommit=True) as migration:
        migration.execute("alter table t add m int")
    with pytest.raises(BackendError, match="cached plan"):
        run(session, "select * from t")
    run(session, "select * from t")


REFUSED = {
    "a wrong password": ("publisher", "wrong-secret"),
    "a role that is not there": ("nobody", "wrong-secret"),
    "no password": ("publisher", None),
    "a role that may not log in": ("answerable_appender", "wrong-secret"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_who_is_not_let_in_is_told_what_to_check_and_shown_no_password(
    secure_postgres: SecurePostgres, what: str
) -> None:
    secure_postgres.admin("drop role if exists publisher")
    secure_postgres.user("publisher", "right", "answerable_appender")
    user, password = REFUSED[what]
    url = secure_postgres.url(user)
    log = PostgresLog(with_password(url, password) if password else url)
    with closing(log), pytest.raises(AccessDenied, match="user and password of LOG_URL") as raised:
        log.append([event(0)], timeout=TIMEOUT)
    assert raised.value.missing == "authentication"
    assert "wrong-secret" not in str(raised.value)


@pytest.mark.parametrize("role", ["nobody_at_all", "pg_monitor"])
def test_a_role_unknown_or_without_login_is_told_where_no_password_is_asked_for(database: str, role: str) -> None:
    with closing(PostgresLog(f"{database}&user={role}")) as log, pytest.raises(AccessDenied, match=role):
        log.append([event(0)], timeout=TIMEOUT)


def test_a_server_without_that_database_is_not_taken_for_a_wrong_password(secure_postgres: SecurePostgres) -> None:
    secure_postgres.admin("drop role if exists publisher")
    secure_postgres.user("publisher", "right", "answerable_appender")
    log = PostgresLog(with_password(secure_postgres.url("publisher", database="nowhere"), "right"))
    with closing(log), pytest.raises(BackendError, match="nowhere"):
        log.append([event(0)], timeout=TIMEOUT)


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
