"""Connections to Postgres, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from ledger.errors import AccessDenied, BackendError, ConfigurationError, LedgerError
from ledger.postgres_login import refused_login
from ledger.store.patience import STEP_SECONDS, TCP

CONNECT_SECONDS: Final = 10
WORKER: Final = "answerable-worker"
"""What workers' sessions are called: those that another worker may end, where they are stuck."""
_SESSION: Final = """
set jit = off; set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3;
set tcp_user_timeout = 60000"""
"""The server, too, finds within a minute that our host is gone, and frees what it held."""


def connect(
    url: str, *, schema: str | None = None, autocommit: bool = True, worker: bool = False
) -> psycopg.Connection:
    """A connection whose unqualified names mean ``schema`` (by default what the database says).

    A ``worker``'s is ended by the server where it leaves a transaction idle, and by other workers (``stuck``).

    Raises ``BackendError``, ``AccessDenied`` where the server does not let us in, or ``ConfigurationError`` for what is no URL
    of a Postgres.
    """
    try:
        connection = psycopg.connect(url, autocommit=autocommit, connect_timeout=CONNECT_SECONDS, **TCP)
        connection.execute(_SESSION)
        if worker:
            connection.execute(_WORKERS)
        if schema is not None:
            connection.execute(sql.SQL("set search_path = {}").format(sql.Identifier(schema)))
    except psycopg.ProgrammingError:  # its text repeats parts of the URL, perhaps those of a password
        raise ConfigurationError("STORE_URL is not what Postgres takes: postgresql://USER@HOST:PORT/DATABASE") from None
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and (refused := refused_login(error)) is not None:
            raise AccessDenied(
                f"the store does not let us in ({refused}): check user and password of STORE_URL",
                missing="authentication",
            ) from error
        raise BackendError(f"the store cannot be reached ({_first_line(error)}); check STORE_URL") from error
    return connection


_WORKERS: Final = (
    f"set application_name = '{WORKER}'; set idle_in_transaction_session_timeout = {STEP_SECONDS * 1000:.0f}".encode()
)


@contextmanager
def unflushed(connection: psycopg.Connection) -> Iterator[None]:
    """A transaction that does not wait for the disk. A server that crashes may lose it, whole and with what came after it: for
    what is made again from what the store holds."""
    with connection.transaction():
        connection.execute("set local synchronous_commit = off")
        yield


class Link(NamedTuple):
    """How a connection reaches its server. ``remote``: over a network; ``verified``: we know whom we speak to."""

    host: str
    remote: bool
    encrypted: bool
    verified: bool


def link(connection: psycopg.Connection) -> Link:
    """How ``connection`` reaches the store."""
    info = connection.info
    remote = not info.host.startswith("/") and info.host not in ("localhost", "127.0.0.1", "::1")
    encrypted = bool(connection.pgconn.ssl_in_use)
    return Link(info.host, remote, encrypted, encrypted and info.get_parameters().get("sslmode") == "verify-full")


@contextmanager
def translated() -> Iterator[None]:
    """Turns a driver's error inside the block into ours; what the block did is rolled back.

    ``BackendError`` is for what may be tried again; ``LedgerError`` for what will be refused again, such as a value that no
    column or index takes; ``AccessDenied`` for rights that the role lacks.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise AccessDenied(
            f"the role of STORE_URL may not do that ({_first_line(error)}): a worker's is granted answerable_writer, a "
            "reader's answerable_reader, and the tables are whoever runs `answerable migrate`'s",
            missing=_first_line(error),
        ) from error
    except psycopg.Error as error:
        told = f"({type(error).__name__}: {_first_line(error)})"
        if _is_of_the_values(error):
            raise LedgerError(f"the store refused {told}") from error
        raise BackendError(f"the store failed {told}") from error


def _is_of_the_values(error: psycopg.Error) -> bool:
    """Whether it is what was sent that no store takes.

    Such are the classes of data, constraints and limits, and what the driver cannot send. Anything else passes, or is mended by
    a person without a change of the data: connections, locks, resources, tables that a migration has not made yet.
    """
    code = error.sqlstate
    if code is None:
        return not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    # A row that another worker was faster to insert passes; an internal error says nothing of its cause.
    return code != psycopg.errors.UniqueViolation.sqlstate and (code[:2] in _VALUES or code == "XX000")


_VALUES: Final = frozenset({"22", "23", "54"})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
