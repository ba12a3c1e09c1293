"""Positions: how far each partition is materialized, and by whom. Locked and compared first in every transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import psycopg
from psycopg import errors

from ledger.errors import BackendError
from ledger.ports import Position, Record, record_digest

STUCK_SECONDS: Final = 10.0
"""After this long the next owner terminates a predecessor that holds a position's lock."""
_MINE: Final = "(select backend_start from pg_stat_activity where pid = pg_backend_pid())"


class Advance(NamedTuple):
    """One partition's step: from the offset expected to the one after the last record."""

    start: int
    end: int
    digest: bytes
    append_time: int


def advances(records: Sequence[Record], starts: dict[int, int]) -> dict[int, Advance]:
    """The step of each partition in ``records``, which are in order within it.

    ``starts`` says where each was read from, and is moved on: a compacted topic has holes, so the first record does not tell.
    """
    lasts = {record.partition: record for record in records}
    steps = {}
    for partition, last in lasts.items():
        steps[partition] = Advance(starts[partition], last.offset + 1, record_digest(last), last.append_time)
        starts[partition] = last.offset + 1
    return steps


def claim(
    connection: psycopg.Connection,
    topic: str,
    identity: str,
    partitions: Sequence[int],
    *,
    stuck: float = STUCK_SECONDS,
) -> dict[int, Position]:
    """Makes this connection the owner of ``partitions``; a predecessor that holds the lock ``stuck`` seconds is terminated.

    Raises the driver's ``LockNotAvailable`` where that did not help, as with another role's session.
    """
    deadline, terminated = time.monotonic() + stuck, False
    while True:
        try:
            with connection.transaction():
                connection.execute(f"set local lock_timeout = {max(100, int(min(stuck, 1.0) * 1000))}")
                return _take(connection, topic, identity, sorted(partitions))
        except errors.LockNotAvailable:
            if time.monotonic() > deadline:
                if terminated:
                    raise
                _terminate_owners(connection, topic, partitions)
                deadline, terminated = time.monotonic() + stuck, True


def _take(connection: psycopg.Connection, topic: str, identity: str, partitions: Sequence[int]) -> dict[int, Position]:
    connection.execute(
        "insert into positions (topic, partition, identity, next_offset) select %s, unnest(%s::int[]), %s, 0"
        " on conflict do nothing",
        [topic, partitions, identity],
    )
    rows = connection.execute(
        "select partition, identity, next_offset, last_digest, owner_pid is not null from positions"
        " where topic = %s and partition = any(%s) order by partition for update",
        [topic, partitions],
    ).fetchall()
    connection.execute(
        f"update positions set owner_pid = pg_backend_pid(), owner_started = {_MINE} where topic = %s and partition = any(%s)",  # noqa: S608 - constants
        [topic, partitions],
    )
    return {row[0]: Position(*row[1:]) for row in rows}


def _terminate_owners(connection: psycopg.Connection, topic: str, partitions: Sequence[int]) -> None:
    connection.execute(
        "select pg_terminate_backend(a.pid) from positions p"
        " join pg_stat_activity a on a.pid = p.owner_pid and a.backend_start = p.owner_started"
        " where p.topic = %s and p.partition = any(%s) and a.pid <> pg_backend_pid()",
        [topic, list(partitions)],
    )


def lock(connection: psycopg.Connection, topic: str, steps: Mapping[int, Advance]) -> None:
    """Locks the positions and compares them; raises ``BackendError`` where another owner or offset is found."""
    rows = connection.execute(
        f"select partition, next_offset, owner_pid = pg_backend_pid() and owner_started = {_MINE} from positions"  # noqa: S608 - constants
        " where topic = %s and partition = any(%s) order by partition for update",
        [topic, sorted(steps)],
    ).fetchall()
    found = {partition: (offset, mine) for partition, offset, mine in rows}
    for partition, step in steps.items():
        offset, mine = found.get(partition, (None, False))
        if not mine:
            raise BackendError(f"partition {partition} of {topic} is another worker's now; claim it again")
        if offset != step.start:
            raise BackendError(f"partition {partition} of {topic} is at {offset}, not {step.start}; read from there")


def advance(connection: psycopg.Connection, topic: str, steps: Mapping[int, Advance]) -> None:
    """Moves the locked positions."""
    connection.cursor().executemany(
        "update positions set next_offset = %s, last_digest = %s, last_append = %s where topic = %s and partition = %s",
        [(step.end, step.digest, step.append_time, topic, partition) for partition, step in steps.items()],
    )


def release(connection: psycopg.Connection, topic: str, partitions: Sequence[int]) -> None:
    """Ends this connection's ownership, clean."""
    connection.execute(
        "update positions set owner_pid = null, owner_started = null"
        " where topic = %s and partition = any(%s) and owner_pid = pg_backend_pid()",
        [topic, list(partitions)],
    )


def attempt(connection: psycopg.Connection, record: Record) -> int:
    """Counts an attempt on a suspect record; returns which it is. Those before the server's last start are not counted."""
    row = connection.execute(
        "insert into quarantine as q (topic, partition, log_offset, attempts) values (%s, %s, %s, 1)"
        " on conflict (topic, partition, log_offset) do update set attempted_at = clock_timestamp(),"
        " attempts = case when q.attempted_at < pg_postmaster_start_time() then 1 else q.attempts + 1 end"
        " returning attempts",
        [record.topic, record.partition, record.offset],
    ).fetchone()
    return int(row[0]) if row else 1


def attempted(connection: psycopg.Connection, record: Record) -> None:
    """Forgets the attempts on a record that did no harm."""
    connection.execute(
        "delete from quarantine where topic = %s and partition = %s and log_offset = %s and not set_aside",
        [record.topic, record.partition, record.offset],
    )


def set_aside(connection: psycopg.Connection, record: Record, detail: str) -> None:
    """Marks a record as set aside."""
    connection.execute(
        "update quarantine set set_aside = true, detail = %s where topic = %s and partition = %s and log_offset = %s",
        [detail.replace("\0", ""), record.topic, record.partition, record.offset],
    )


def reset(connection: psycopg.Connection, topic: str, partition: int, identity: str, offset: int) -> None:
    """Sets a position by a person's decision, when what was before it is lost."""
    connection.execute(
        "update positions set identity = %s, next_offset = %s, last_digest = null where topic = %s and partition = %s",
        [identity, offset, topic, partition],
    )
