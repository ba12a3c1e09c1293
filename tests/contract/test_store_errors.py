"""What a driver's error means: a value that no store takes, or something that passes or is mended without the data."""

from __future__ import annotations

import pytest

from ledger.errors import AccessDenied, BackendError, ConfigurationError, LedgerError
from ledger.logs.postgres import PostgresLog
from ledger.store.connect import connect, translated

OF_THE_VALUES = {
    "beyond a limit": "select repeat('x', 2000000000)",
    "no number": "select 'x'::int",
    "no text": r"select convert_from('\x00'::bytea, 'utf8')",
    "against a constraint": "insert into kept values (-1)",
}
PASSING = {
    "a table that is not made yet": "select * from nothing",
    "a time-out": "set statement_timeout = 10; select pg_sleep(5)",
    "a row that another worker was faster to insert": "insert into kept values (1)",
    "a connection that is ended": "select pg_terminate_backend(pg_backend_pid())",
}


@pytest.mark.parametrize("what", [*OF_THE_VALUES, *PASSING])
def test_only_what_the_values_provoke_is_refused_for_good(database: str, what: str) -> None:
    with connect(database) as connection:
        connection.execute("create table kept (n int primary key check (n > 0)); insert into kept values (1)")
        with pytest.raises(LedgerError) as raised, translated():
            connection.execute((OF_THE_VALUES | PASSING)[what].encode())
        assert isinstance(raised.value, BackendError) == (what in PASSING)


def test_a_right_that_is_not_given_is_for_a_person_to_give(database: str) -> None:
    with connect(database) as connection, pytest.raises(AccessDenied), translated():
        connection.execute("create table kept (); create role nobody_yet; set role nobody_yet; select * from kept")


def test_what_the_driver_cannot_send_is_of_the_values(database: str) -> None:
    with connect(database) as connection, pytest.raises(LedgerError) as raised, translated():
        connection.execute("select %s", ["a\0b"])
    assert not isinstance(raised.value, BackendError)


def test_a_url_that_is_none_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="STORE_URL"):
        connect("postgresql://127.0.0.1/ledger?no_such_option=1")
    with pytest.raises(ConfigurationError, match="LOG_URL"):
        PostgresLog("postgresql://127.0.0.1/ledger?no_such_option=1").partitions("ledger.events")
