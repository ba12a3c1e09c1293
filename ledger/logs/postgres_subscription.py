"""A member of a group that reads a topic of ``PostgresLog``: polled, with advisory locks for membership.

Every member holds a shared lock that says "I am here", and one lock for each partition it reads, all in its own session:
when its process dies, Postgres frees them at once. Members count each other, give back what is beyond a fair share and
take what is free. A connection pooler that shares sessions would break this; the URL must lead to Postgres itself.

A process that is stopped, or cut off, keeps its session. So each member's session says something now and then, by a thread of
its own, however long the member works on what it read; one that was silent for too long is ended by the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Final

import psycopg

from ledger.errors import BackendError, ConfigurationError, PositionLost
from ledger.logs.postgres_session import connect, cut_off, translated
from ledger.ports import Record

_HERE = -1
_SHARE_SECONDS = 0.5
_IDLE_SECONDS = 0.02
_QUERY_SECONDS = 30.0
_FETCH_BYTES = 16 << 20

SESSION_SECONDS: Final = 15.0
"""As Kafka's here: after this long the partitions of a member that is silent are others'."""
_BEATS = 5

# What another role's session does is not shown to us: it counts, and is not ended.
_MEMBERS = """
SELECT a.pid, a.backend_start,
       coalesce(a.wait_event_type = 'Client' AND a.state_change < clock_timestamp() - %s * interval '1 s', false)
  FROM pg_locks l JOIN pg_database d ON d.oid = l.database JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.classid = %s::bigint::oid AND l.objid = 4294967295
   AND l.granted"""
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
_STATE = """
SELECT t.identity::text, p.partition, p.first_offset, p.next_offset FROM answerable_log.topics t
  JOIN answerable_log.partitions p ON p.topic = t.number
  JOIN unnest(%s::int[], %s::bigint[]) AS n (partition, start) ON n.partition = p.partition
 WHERE t.topic = %s AND p.next_offset <> n.start"""
_IDENTITY = "SELECT identity::text FROM answerable_log.topics WHERE topic = %s"
_FETCH = """
WITH next AS MATERIALIZED (
    SELECT taken.*, sum(size) OVER (ORDER BY place, "offset") - size AS before FROM (
        SELECT n.place, n.partition, r."offset", octet_length(coalesce(r.value, '')) AS size
          FROM unnest(%(partitions)s::int[], %(starts)s::bigint[]) WITH ORDINALITY AS n (partition, start, place)
         CROSS JOIN LATERAL (
            SELECT r."offset", r.value FROM answerable_log.records r
             WHERE r.topic = (SELECT number FROM answerable_log.topics WHERE topic = %(topic)s)
               AND r.partition = n.partition AND r."offset" >= n.start ORDER BY r."offset" LIMIT %(limit)s) r
         ORDER BY n.place, r."offset" LIMIT %(limit)s) taken)
SELECT r.partition, r."offset", r.append_time, r.key, r.value FROM next JOIN answerable_log.records r
    ON r.topic = (SELECT number FROM answerable_log.topics WHERE topic = %(topic)s)
   AND r.partition = next.partition AND r."offset" = next."offset"
 WHERE next.before < %(bytes)s ORDER BY next.place, 2"""


class PostgresSubscription:
    """A member of ``group``. Made by ``PostgresLog.subscribe``."""

    def __init__(
        self,
        url: str,
        *,
        topic: str,
        identity: str,
        partitions: int,
        group: str,
        assigned: Callable[[Sequence[int]], Mapping[int, int]],
        session_seconds: float = SESSION_SECONDS,
    ) -> None:
        self._url = url
        self._session_seconds = session_seconds
        self._topic = topic
        self._identity = identity
        self._partitions = partitions
        digest = hashlib.sha256(f"{group}\0{topic}\0{identity}".encode()).digest()
        self._group_key = int.from_bytes(digest[:4], "big", signed=True)
        self._assigned = assigned
        self._positions: dict[int, int] = {}
        self._connection: psycopg.Connection | None = None
        self._left = Event()
        self._share_at = 0.0
        self._first = 0

    def poll(self, max_records: int, timeout: float) -> list[Record]:
        deadline = time.monotonic() + timeout
        while True:
            try:
                with translated():
                    found = self._poll_once(max_records)
            except BackendError as error:
                if not isinstance(error, PositionLost):
                    self.close()  # and with it every lock: the next poll joins anew
                raise
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(_IDLE_SECONDS, left))

    def assignment(self) -> frozenset[int]:
        return frozenset(self._positions)

    def seek(self, partition: int, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = offset

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._left.set()
        self._positions.clear()
        if connection is not None:
            connection.close()

    def _poll_once(self, max_records: int) -> list[Record]:
        connection = self._join()
        with cut_off(connection, _QUERY_SECONDS):
            given = self._share(connection) if time.monotonic() >= self._share_at else []
        if given:
            self._place(connection, given)
        with cut_off(connection, _QUERY_SECONDS):
            return self._fetch(connection, max_records)

    def _join(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._positions.clear()
            self._connection = connect(self._url, "answerable-reader")
            self._connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (self._group_key, _HERE))
            self._share_at = 0.0
            self._left.set()
            self._left = Event()
            beat = (weakref.ref(self._connection), self._left, self._session_seconds / _BEATS)
            Thread(target=_beat, args=beat, name="answerable-log-member", daemon=True).start()
        return self._connection

    def _share(self, connection: psycopg.Connection) -> list[int]:
        """Gives back what is beyond a fair share, takes what is free, and returns what was taken."""
        self._share_at = time.monotonic() + _SHARE_SECONDS
        found = connection.execute(_MEMBERS, (self._session_seconds, self._group_key & 0xFFFFFFFF)).fetchall()
        silent = [member[:2] for member in found if member[2] and member[0] != connection.info.backend_pid]
        for member in silent:
            connection.execute(_END, member)
        share = -(-self._partitions // max(1, len(found) - len(silent)))
        for partition in sorted(self._positions)[share:]:
            del self._positions[partition]
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", (self._group_key, partition))
        given: list[int] = []
        for partition in range(self._partitions):
            if len(self._positions) + len(given) >= share:
                break
            if partition in self._positions:
                continue
            taken = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (self._group_key, partition)).fetchone()
            if taken == (True,):
                given.append(partition)
        return given

    def _place(self, connection: psycopg.Connection, given: Sequence[int]) -> None:
        try:
            offsets = self._assigned(given)
            missing = set(given) - set(offsets)
            if missing:
                raise ConfigurationError(f"no position was given for partitions {sorted(missing)} of {self._topic}")
        except BaseException:
            for partition in given:
                connection.execute("SELECT pg_advisory_unlock(%s, %s)", (self._group_key, partition))
            raise
        self._positions |= {partition: offsets[partition] for partition in given}

    def _fetch(self, connection: psycopg.Connection, max_records: int) -> list[Record]:
        # Another partition is first each time, so that a busy one does not starve the rest.
        order = sorted(self._positions)
        self._first = (self._first + 1) % max(1, len(order))
        order = order[self._first :] + order[: self._first]
        starts = [self._positions[partition] for partition in order]
        if not self._ahead(connection, order, starts):
            return []
        wanted = {"partitions": order, "starts": starts, "topic": self._topic, "limit": max_records}
        rows = connection.execute(_FETCH, {**wanted, "bytes": _FETCH_BYTES}, binary=True).fetchall()
        for row in rows:
            self._positions[row[0]] = row[1] + 1
        return [Record(self._topic, *row) for row in rows]

    def _ahead(self, connection: psycopg.Connection, order: Sequence[int], starts: Sequence[int]) -> bool:
        """Whether any partition holds more than was read; raises ``PositionLost`` where one holds less."""
        state = connection.execute(_STATE, (list(order), list(starts), self._topic)).fetchall()
        for identity, partition, first, end in state:
            start = self._positions[partition]
            if identity != self._identity:
                raise PositionLost(
                    f"topic {self._topic} was made anew while it was read: see 'answerable doctor'", topic=self._topic
                )
            if not first <= start <= end:
                raise PositionLost(
                    f"{self._topic}[{partition}] holds {first} to {end} and no longer {start}, the position to read "
                    "from: see 'answerable doctor' before going on",
                    topic=self._topic,
                    partition=partition,
                )
        return bool(state)


def _beat(connection: weakref.ref[psycopg.Connection], left: Event, seconds: float) -> None:
    """Says something by a member's session until it leaves. It waits for whatever the member asks by it meanwhile."""
    while not left.wait(seconds):
        held = connection()
        if held is None or held.closed:
            return
        with contextlib.suppress(psycopg.Error):  # the member itself finds out, and tells
            held.execute("SELECT")
        del held
