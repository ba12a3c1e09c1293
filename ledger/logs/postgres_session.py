"""One Postgres connection of the log: opened when needed, given up after any failure, never used by a forked child."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import psycopg
from psycopg import errors

from ledger.errors import AccessDenied, BackendError, ConfigurationError, InvalidEvent, LedgerError
from ledger.postgres_login import refused_login

_CONNECT_SECONDS = 10
_NOT_PREPARED = {each.sqlstate for each in (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedFunction)}

_PLAN_OF_BEFORE = "RevalidateCachedQuery"
"""Where Postgres refuses a prepared statement whose table was altered since: a new connection prepares it anew. Its SQLSTATE,
0A000, is of much else too."""


class Session:
    """A connection that several threads take turns at."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._lock = threading.RLock()
        self._connection: psycopg.Connection | None = None
        self._owner = os.getpid()
        self._inherited: list[psycopg.Connection | None] = []

    @contextlib.contextmanager
    def use(self, timeout: float | None = None) -> Iterator[psycopg.Connection]:
        """The connection, in autocommit, with our errors; cut off, and so failing, after ``timeout`` seconds."""
        with self._lock, translated():
            connection = self._open()
            try:
                with cut_off(connection, timeout):
                    yield connection
            except BaseException:
                # An error of the server leaves the connection whole; anything else, an interrupt too, may not.
                self.close()
                raise

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self) -> psycopg.Connection:
        if self._owner != os.getpid():
            # Closing the inherited connection would end the parent's session.
            self._inherited.append(self._connection)
            self._connection, self._owner = None, os.getpid()
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, self._name)
        return self._connection


def connect(url: str, name: str) -> psycopg.Connection:
    """A connection in autocommit that shows up as ``name``; raises ``AccessDenied`` where the server does not let us in."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name=name)
    except psycopg.ProgrammingError:  # its text repeats parts of the URL, perhaps those of a password
        raise ConfigurationError("LOG_URL is not what Postgres takes: postgresql://USER@HOST:PORT/DATABASE") from None
    except psycopg.OperationalError as error:
        refused = refused_login(error)
        if refused is None:
            raise
        raise AccessDenied(
            f"Postgres does not let us in ({refused}): check user and password of LOG_URL", missing="authentication"
        ) from error


@contextlib.contextmanager
def cut_off(connection: psycopg.Connection, timeout: float | None) -> Iterator[None]:
    """Shuts the socket after ``timeout``: a server that is stopped, or gone with its network, answers no cancel either."""
    if timeout is None:
        yield
        return
    handle = socket.socket(fileno=os.dup(connection.fileno()))
    timer = threading.Timer(timeout, _shut, (handle,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        handle.close()


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """psycopg's errors as ours: ``BackendError`` for what passes, and for the rest who is to do what.

    What passes: connections, shutdown and start, resources, locks, time-outs, a standby that is not the primary yet, and whatever
    has no SQLSTATE because no server answered. Any class that is not named is tried again too: it is told, and nothing is lost.
    """
    try:
        yield
    except psycopg.Error as error:
        raise _translation(error) from error


def _translation(error: psycopg.Error) -> LedgerError:
    code, told = error.sqlstate, (str(error).splitlines() or [type(error).__name__])[0]
    if code is None:
        passes = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return BackendError(f"Postgres failed: {told}") if passes else InvalidEvent(f"no log takes a record: {told}")
    if code in _NOT_PREPARED:
        return ConfigurationError("this database holds no log: run 'answerable migrate' to make it")
    if code == errors.InsufficientPrivilege.sqlstate:
        return AccessDenied(
            f"the role of the log's URL may not do that ({told}): a publisher's is granted answerable_appender",
            missing=told,
        )
    if code[:2] in ("22", "54"):
        return InvalidEvent(f"the log refused a record: {told}")
    if code[:2] == "23":
        return ConfigurationError(
            f"the log's tables do not agree with each other ({told}): somebody wrote to them, or a part was restored; "
            "restore the whole of the log"
        )
    if error.diag.source_function == _PLAN_OF_BEFORE:
        return BackendError(f"a table was altered meanwhile ({told}); it is tried again")
    if code[:2] in ("42", "0A"):
        return ConfigurationError(
            f"the log was made by another release, or by other hands ({told}): run 'answerable migrate'"
        )
    if code == errors.ReadOnlySqlTransaction.sqlstate:
        return BackendError(f"LOG_URL leads to a standby, which takes no records ({told}); it is tried again")
    return BackendError(f"Postgres failed ({code}): {told}")
