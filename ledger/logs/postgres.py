"""The log in Postgres 16 or newer: for one machine without Kafka, with the same bytes and the same promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources

from ledger.errors import AccessDenied, ConfigurationError, PositionLost
from ledger.logs.postgres_session import Session
from ledger.logs.postgres_subscription import SESSION_SECONDS, PostgresSubscription
from ledger.logs.topics import DEFAULT_PARTITIONS, VALUE_BYTES, refuse_oversized
from ledger.ports import CONTENTS, Bounds, Outgoing, Problem, Record, Subscription

_PREPARE_LOCK = 0x616E7377_6C6F67  # "answ" "log"
_READ_BYTES = 16 << 20
_READ_RECORDS = 500

_APPEND = "SELECT answerable_log.append(%s::text[], %s::int[], %s::bytea[], %s::bytea[])"
_DESCRIBE = "SELECT identity::text, partitions FROM answerable_log.describe(%s)"
_BOUNDS = """
SELECT p.partition, p.first_offset, p.next_offset FROM answerable_log.partitions p
  JOIN answerable_log.topics t ON t.number = p.topic WHERE t.topic = %s ORDER BY 1"""
# Sizes are known without reading the values; the first record comes however large it is.
_READ = """
WITH next AS MATERIALIZED (
    SELECT "offset", sum(octet_length(coalesce(value, ''))) OVER (ORDER BY "offset") - octet_length(coalesce(value, ''))
           AS before FROM (
        SELECT r."offset", r.value FROM answerable_log.records r
         WHERE r.topic = (SELECT number FROM answerable_log.topics WHERE topic = %(topic)s)
           AND r.partition = %(partition)s AND r."offset" >= %(start)s AND r."offset" < %(stop)s
         ORDER BY r."offset" LIMIT %(limit)s) taken)
SELECT r."offset", r.append_time, r.key, r.value FROM next JOIN answerable_log.records r
    ON r.topic = (SELECT number FROM answerable_log.topics WHERE topic = %(topic)s)
   AND r.partition = %(partition)s AND r."offset" = next."offset"
 WHERE next.before < %(bytes)s ORDER BY 1"""


class PostgresLog:
    """A ``Log`` in the schema ``answerable_log`` of one database; written only by its append function."""

    def __init__(
        self, url: str, *, partitions: int = DEFAULT_PARTITIONS, session_seconds: float = SESSION_SECONDS
    ) -> None:
        self._url = url
        self._session_seconds = session_seconds
        self._partitions = partitions
        self._session = Session(url, "answerable-log")

    def prepare(self) -> None:
        script = resources.files("ledger.logs").joinpath("log.sql").read_text("utf-8")
        with self._session.use() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARE_LOCK,))
            connection.execute("SET LOCAL client_min_messages = warning")
            connection.execute(script.encode())
            for topic, limit in VALUE_BYTES.items():
                connection.execute(
                    "INSERT INTO answerable_log.topics (topic, partitions, compacted, value_bytes) "
                    "VALUES (%s, %s, %s, %s) ON CONFLICT (topic) DO NOTHING",
                    (topic, self._partitions, topic == CONTENTS, limit),
                )
            connection.execute(
                "INSERT INTO answerable_log.partitions (topic, partition) SELECT t.number, p "
                "FROM answerable_log.topics t, generate_series(0, t.partitions - 1) p ON CONFLICT DO NOTHING"
            )

    def problems(self) -> list[Problem]:
        found = []
        for topic in VALUE_BYTES:
            try:
                self._describe(topic)
            except AccessDenied as error:
                found.append(Problem("unseen", str(error)))
            except ConfigurationError as error:
                found.append(Problem("missing", str(error)))
        return found

    def partitions(self, topic: str) -> int:
        return self._describe(topic)[1]

    def identity(self, topic: str) -> str:
        return self._describe(topic)[0]

    def append(self, records: Sequence[Outgoing], *, timeout: float) -> None:
        refuse_oversized(records)
        columns = [[getattr(record, name) for record in records] for name in Outgoing._fields]
        with self._session.use(timeout) as connection:
            connection.execute(_APPEND, columns, binary=True)

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        self._describe(topic)
        with self._session.use() as connection:
            return {number: Bounds(first, end) for number, first, end in connection.execute(_BOUNDS, (topic,))}

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        bounds = self.bounds(topic).get(partition)
        if bounds is None:
            raise ConfigurationError(f"topic {topic} has no partition {partition}")
        stop = min(stop, bounds.end)
        while start < stop:
            found = self._read(topic, partition, start, stop)
            # Looked at after the rows: what was truncated before we read them is known by then.
            first = self.bounds(topic)[partition].first
            if start < first:
                raise PositionLost(f"{topic}[{partition}] no longer holds {start}: its first record is {first}")
            if not found:
                return
            yield from found
            start = found[-1].offset + 1

    def _read(self, topic: str, partition: int, start: int, stop: int) -> list[Record]:
        wanted = {"topic": topic, "partition": partition, "start": start, "stop": stop}
        limits = {"limit": _READ_RECORDS, "bytes": _READ_BYTES}
        with self._session.use() as connection:
            rows = connection.execute(_READ, wanted | limits, binary=True).fetchall()
        return [Record(topic, partition, *row) for row in rows]

    def subscribe(self, topic: str, group: str, assigned: Callable[[Sequence[int]], Mapping[int, int]]) -> Subscription:
        identity, partitions = self._describe(topic)
        return PostgresSubscription(
            self._url,
            topic=topic,
            identity=identity,
            partitions=partitions,
            group=group,
            assigned=assigned,
            session_seconds=self._session_seconds,
        )

    def close(self) -> None:
        self._session.close()

    def _describe(self, topic: str) -> tuple[str, int]:
        with self._session.use() as connection:
            found = connection.execute(_DESCRIBE, (topic,)).fetchone()
        if found is None or found[0] is None:
            raise ConfigurationError(f"the log has no topic {topic}: run 'answerable migrate' to make it")
        return found[0], found[1]
