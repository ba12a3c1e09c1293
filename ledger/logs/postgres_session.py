"""One Postgres connection of the log: opened when needed, given up after any failure, never used by a forked child."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import psycopg
from psycopg import errors

from ledger.errors import AccessDenied, BackendError, ConfigurationError, InvalidEvent

_CONNECT_SECONDS = 10
_NOT_PREPARED = (errors.InvalidSchemaName, errors.UndefinedTable, errors.UndefinedFunction)


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
    """A connection in autocommit that shows up as ``name``."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name=name)
    except psycopg.ProgrammingError:  # its text repeats parts of the URL, perhaps those of a password
        raise ConfigurationError("LOG_URL is not what Postgres takes: postgresql://USER@HOST:PORT/DATABASE") from None


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
    """psycopg's errors as ours."""
    try:
        yield
    except _NOT_PREPARED as error:
        raise ConfigurationError("this database holds no log: run 'answerable migrate' to make it") from error
    except errors.InsufficientPrivilege as error:
        raise AccessDenied(
            f"the role of the log's URL may not do that ({error}): a publisher's is granted answerable_appender",
            missing=str(error),
        ) from error
    except errors.InvalidParameterValue as error:
        raise InvalidEvent(f"the log refused a record: {error}") from error
    except psycopg.Error as error:
        raise BackendError(f"Postgres failed: {error}") from error
