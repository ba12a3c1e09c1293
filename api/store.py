"""The store as handlers reach it: a pool of read-only connections, each request on one of them, bounded in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.errors import BackendError
from ledger.store.connect import translated
from ledger.store.patience import TCP, within

SIZE: Final = 8
AT_ONCE: Final = 2
"""Questions of a process that are worked while none takes long: an interpreter works one, a Postgres near by the other."""
WAIT_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 5
STATEMENT_MS: Final = 10_000
IDLE_MS: Final = 30_000
QUESTION_SECONDS: Final = 12.0
"""Past this a connection is given up, whatever its server says or does not say."""
RECONNECT_SECONDS: Final = 4.0
"""A pool waits twice as long after each failure; past this it gives up, and the next question begins anew: a store that is
back is found within seconds, however long it was away."""


class Store:
    """A pool that opens its connections when they are first needed, so that the server starts while the store is away.

    ``url`` may be a function that finds the store; it is asked for each connection. ``at_once`` questions are worked on it.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        at_once: int = AT_ONCE,
        wait: float = WAIT_SECONDS,
        question: float = QUESTION_SECONDS,
    ) -> None:
        self.at_once, self._wait, self._question = at_once, wait, question
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=SIZE,
            timeout=wait,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS, **TCP},
            configure=_configure,
            check=None,
        )

    def open(self) -> None:
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close(timeout=2)

    @contextmanager
    def connection(self, wait: float | None = None) -> Iterator[psycopg.Connection]:
        """A connection for one question; a driver's failure is ``BackendError``. What it waits, it has less for the question.

        It is had within ``wait`` seconds, or those of the store where they are fewer.
        """
        began = monotonic()
        try:
            with (
                translated(),
                self._pool.connection(min(wait or self._wait, self._wait)) as connection,
                within(self._question - (monotonic() - began), connection),
            ):
                yield connection
        except PoolTimeout:
            raise BackendError("no connection to the store became free; it is away, or overloaded") from None


def _configure(connection: psycopg.Connection) -> None:
    connection.execute(
        b"set default_transaction_read_only = on; set jit = off;"
        b"set statement_timeout = %d; set idle_in_transaction_session_timeout = %d" % (STATEMENT_MS, IDLE_MS)
    )
    connection.prepare_threshold = 0  # hardly a statement is asked once
