"""Connections to Postgres, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import sql

from ledger.errors import AccessDenied, BackendError, ConfigurationError, LedgerError


def connect(url: str, *, schema: str | None = None, autocommit: bool = True) -> psycopg.Connection:
    """A connection whose unqualified names mean ``schema`` (by default what the database says); raises ``BackendError``."""
    try:
        connection = psycopg.connect(url, autocommit=autocommit, connect_timeout=10)
        connection.execute("set jit = off")
        if schema is not None:
            connection.execute(sql.SQL("set search_path = {}").format(sql.Identifier(schema)))
    except psycopg.ProgrammingError:  # its text repeats parts of the URL, perhaps those of a password
        raise ConfigurationError("STORE_URL is not what Postgres takes: postgresql://USER@HOST:PORT/DATABASE") from None
    except psycopg.Error as error:
        raise BackendError(f"the store cannot be reached ({_first_line(error)}); check STORE_URL") from error
    return connection


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


_RETRY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.UniqueViolation)
"""Failures of connections, locks and resources, and rows that another worker was faster to insert: all pass."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns a driver's error inside the block into ours; what the block did is rolled back.

    ``BackendError`` is for what may be tried again; any other, such as a value that no column takes, is ``LedgerError``.
    """
    try:
        yield
    except _RETRY as error:
        raise BackendError(f"the store failed ({type(error).__name__}: {_first_line(error)})") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise AccessDenied(
            f"the role of STORE_URL may not do that ({_first_line(error)}): a worker's is granted answerable_writer, a "
            "reader's answerable_reader, and the tables are whoever runs `answerable migrate`'s",
            missing=_first_line(error),
        ) from error
    except psycopg.Error as error:
        raise LedgerError(f"the store refused ({type(error).__name__}: {_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
