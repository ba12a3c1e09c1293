"""Whether a store is what the log says: recomputed beside it, and read side by side. Names the first difference.

Nothing that the store's database does is believed beyond giving its rows: no trigger, function or digest of its own. Rows are
recomputed up to the store's own positions, of one moment, so that workers may go on. They need room for a second store: in a
second schema beside it, or in another database, which the owner of the store has no hand in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Literal, NamedTuple

import psycopg

from ledger.errors import ConfigurationError, VerificationError
from ledger.format.codec import Schemas
from ledger.format.content import Content, decode_content
from ledger.format.hashing import content_digest
from ledger.ports import Bounds, Record
from ledger.store.connect import connect, translated
from ledger.store.dated import misdated
from ledger.store.migrations import LIVE
from ledger.store.natural import ROWS, Column, Rows
from ledger.store.rebuild import Progress, Readable, drop_schema, refill
from ledger.store.row_stream import fields, shown, sort_key, stream
from ledger.trust.bundle import TrustBundle, prefix_of

SCHEMA: Final = "answerable_verify"

How = Literal["changed", "deleted", "added"]


class Difference(NamedTuple):
    """The first row that is not what the log says: ``deleted`` from the store, ``added`` to it, or ``changed`` in ``columns``."""

    table: str
    how: How
    key: Mapping[str, str]
    columns: tuple[str, ...] = ()


class Compared(NamedTuple):
    """What was compared: rows by table, up to the first difference, if there is one."""

    rows: Mapping[str, int]
    difference: Difference | None


def compare(
    url: str,
    logs: Sequence[Readable],
    schemas: Schemas,
    ledger: str,
    bundle: TrustBundle,
    *,
    scratch: str | None = None,
    progress: Progress = lambda *_: None,
) -> Compared:
    """Recomputes the store at ``url`` from ``logs`` (archives first, the log last) in ``scratch``, by default its own database.

    Raises ``PositionLost`` where records that the store has read are in none of the logs.
    """
    beside = scratch or url
    with ExitStack() as stack, translated():
        live = stack.enter_context(connect(url, schema=LIVE))
        stack.enter_context(live.transaction())
        _of_one_moment(live)
        if (wrong := _standing(live, schemas, bundle)) is not None:
            return Compared({}, wrong)
        reached = _reached(live)
        stack.callback(drop_schema, beside, SCHEMA)
        lines = live.execute("select count(*) from trust").fetchone()
        under = prefix_of(bundle, lines[0] if lines else 0)
        refill(beside, SCHEMA, [UpTo(log, reached) for log in logs], schemas, ledger, under, progress=progress)
        made = stack.enter_context(connect(beside, schema=SCHEMA))
        return side_by_side(live, made, schemas)


class UpTo:
    """A log as it was when the store had read so far."""

    def __init__(self, log: Readable, reached: Mapping[tuple[str, int], int]) -> None:
        self._log, self._reached = log, reached

    def identity(self, topic: str) -> str:
        return self._log.identity(topic)

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """Partitions that the store has not begun are left out."""
        ends = {p: min(b.end, self._reached.get((topic, p), 0)) for p, b in self._log.bounds(topic).items()}
        return {p: Bounds(min(b.first, ends[p]), ends[p]) for p, b in self._log.bounds(topic).items() if ends[p]}

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        return self._log.read(topic, partition, start, stop)


def _of_one_moment(live: psycopg.Connection[Any]) -> None:
    """One snapshot for all, as long as it takes; a policy that hides rows is an error."""
    live.execute("set transaction isolation level repeatable read, read only")
    for setting in ("idle_in_transaction_session_timeout = 0", "statement_timeout = 0", "row_security = off"):
        live.execute(f"set local {setting}".encode())


def _standing(live: psycopg.Connection[Any], schemas: Schemas, bundle: TrustBundle) -> Difference | None:
    """Whether the store stands under lines of the bundle and under the schemas of this release."""
    for number, line in live.execute("select number, line from trust order by number"):
        if number >= len(bundle.lines) or bundle.lines[number] != line:
            return Difference(
                "trust", "changed" if number < len(bundle.lines) else "added", {"number": str(number)}, ("line",)
            )
    held = dict(live.execute("select frame, file_digest from schema_set").fetchall())
    known = {frame: schema.pair[8:] for frame, schema in schemas.by_frame.items()}
    for frame, digest in sorted(held.items()):
        if known.get(frame) != digest:
            how: How = "changed" if frame in known else "added"
            return Difference("schema_set", how, {"frame": frame.hex()}, ("file_digest",))
    if held.keys() != known.keys():
        raise ConfigurationError(
            "the store was judged with fewer schemas than this release has: start `answerable materialize` once, then verify"
        )
    return None


def _reached(live: psycopg.Connection[Any]) -> dict[tuple[str, int], int]:
    rows = live.execute("select topic, partition, next_offset from positions where next_offset > 0").fetchall()
    return {(topic, partition): offset for topic, partition, offset in rows}


def side_by_side(live: psycopg.Connection[Any], made: psycopg.Connection[Any], schemas: Schemas) -> Compared:
    """Reads the rows of a store (inside a transaction) and those that were recomputed, in order, up to the first difference."""
    counts: dict[str, int] = {}
    for rows in (POSITIONS, *ROWS):
        difference, counts[rows.table] = _first(live, made, rows)
        if difference is not None:
            return Compared(counts, difference)
    difference = _misstated(live) or _unswept(live) or _misdated(live)
    if difference is None:
        difference, counts["contents"] = _contents(live, made, schemas)
    return Compared(counts, difference)


def _first(live: psycopg.Connection[Any], made: psycopg.Connection[Any], rows: Rows) -> tuple[Difference | None, int]:
    """The first difference in one sort of row, and how many rows were the same."""
    stored, expected = stream(live, rows, ordered=True), stream(made, rows, ordered=True)
    count = 0
    while True:
        here, there = next(stored, None), next(expected, None)
        if here is None and there is None:
            return None, count
        if here == there:
            count += 1
            continue
        return _difference(here, there, rows), count


def _difference(here: bytes | None, there: bytes | None, rows: Rows) -> Difference:
    if there is None or (here is not None and sort_key(here, rows.key) < sort_key(there, rows.key)):
        return Difference(rows.table, "added", _key(here or b"", rows.key))
    if here is None or sort_key(here, rows.key) > sort_key(there, rows.key):
        return Difference(rows.table, "deleted", _key(there, rows.key))
    pairs = zip(rows.columns, fields(here), fields(there), strict=True)
    changed = tuple(of.label for of, ours, theirs in pairs if ours != theirs)
    return Difference(rows.table, "changed" if changed else "added", _key(here, rows.key), changed)


def _key(row: bytes, key: Sequence[Column]) -> dict[str, str]:
    return {of.label: shown(value, of) for of, value in zip(key, fields(row), strict=False)}


def _misstated(live: psycopg.Connection[Any]) -> Difference | None:
    """An event under a later seal whose effect there is not what the findings, which are those of the log, say of that seal."""
    row = live.execute(_EFFECTS).fetchone()
    if row is None:
        return None
    key = {"event_id": str(row[0]), "digest": row[1].hex(), "seal": row[2].hex(), "at": str(row[3])}
    return Difference("sightings", "changed", key, ("effective",))


def _unswept(live: psycopg.Connection[Any]) -> Difference | None:
    """An event whose erasure says that it was swept, and which has its payload."""
    row = live.execute(
        "select e.event_id, e.digest from erasures x join events e on e.tenant = x.tenant and e.digest = x.digest"
        " where x.is_event and x.swept and e.payload is not null order by 1, 2 limit 1"
    ).fetchone()
    if row is None:
        return None
    return Difference("events", "changed", {"event_id": str(row[0]), "digest": row[1].hex()}, ("payload",))


def _misdated(live: psycopg.Connection[Any]) -> Difference | None:
    """A row that says otherwise than the seals, which are those of the log, since when it holds, or that it holds no more."""
    wrong = misdated(live)
    return None if wrong is None else Difference(wrong.table, "changed", wrong.key, (wrong.column,))


def _contents(
    live: psycopg.Connection[Any], made: psycopg.Connection[Any], schemas: Schemas
) -> tuple[Difference | None, int]:
    """Contents prove themselves by their digests. One that the log has must be there. One that it has no more may be there (it
    is found out as ``unauthorized_erasure``), unless its erasure was swept. It came no later than the first copy that the log
    has; earlier it may have come, for a log that is compacted forgets the earlier ones.
    """
    count = 0
    with made.transaction():
        expected = _in_order(made, _CONTENT_KEYS)
        due = next(expected, None)
        for name, digest, value, media_type, subjects, came, swept in _in_order(live, _CONTENTS):
            tenant = name or "(no name)"  # its row of names was taken away
            here = (tenant.encode(), digest)
            if due is not None and _place(due) < here:
                return _of_content("deleted", due), count
            if wrong := _wrong(Content(tenant, b"", media_type, subjects, b""), digest, value, schemas):
                return _of_content("changed", (tenant, digest), wrong), count
            if due is not None and _place(due) == here:
                if came > due[2]:
                    return _of_content("changed", due, ("append_time",)), count
                due = next(expected, None)
            elif swept:
                return _of_content("added", (tenant, digest)), count
            count += 1
    return (_of_content("deleted", due) if due is not None else None), count


def _in_order(connection: psycopg.Connection[Any], query: bytes) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name="in_order") as cursor:
        cursor.itersize = 100
        cursor.execute(query)
        yield from cursor


def _place(row: tuple[Any, ...]) -> tuple[bytes, bytes]:
    return row[0].encode(), row[1]


def _of_content(how: How, row: tuple[Any, ...], columns: tuple[str, ...] = ()) -> Difference:
    return Difference("contents", how, {"tenant": row[0], "digest": row[1].hex()}, columns)


def _wrong(row: Content, digest: bytes, value: bytes, schemas: Schemas) -> tuple[str, ...]:
    """The columns of a stored content that its value does not bear out."""
    try:
        content = decode_content(schemas, value)
    except VerificationError:
        return ("value",)
    if content_digest(value) != digest or content.tenant != row.tenant:
        return ("value",)
    said = {
        "media_type": content.media_type == row.media_type,
        "subjects": list(content.subjects) == list(row.subjects),
    }
    return tuple(name for name, same in said.items() if not same)


POSITIONS: Final = Rows(
    "positions",
    (Column("topic", "topic", "text"), Column("partition", "partition", "int")),
    tuple(Column(name, name) for name in ("identity", "next_offset", "last_digest", "last_append")),
    "positions where topic = 'ledger.events' and next_offset > 0",
)
"""Of events alone: the log of contents forgets records, and a position past them cannot be had again."""

_EFFECTS: Final = """
select s.event_id, s.digest, l.digest, s.at from sightings s join seals l on l.id = s.seal
 where s.effective = exists (
           select from findings f
            where f.name = 'unauthorized_kind' and f.closed_at is null
              and (f.chain, f.number, f.event_id, f.digest) = (l.chain, l.number, s.event_id, s.digest))
   and not exists (select from seals o where (o.chain, o.number) = (l.chain, l.number) and o.id <> l.id)
 order by s.event_id, s.digest, l.digest, s.at limit 1"""
"""What an event's row says of its effect is read beside the other store's; what sightings say, only here. A fork's two seals
share their findings: they are left out."""
_CONTENTS: Final = b"""
select t.name, c.digest, c.value, c.media_type, c.subjects, c.append_time,
    exists (select from erasures x where not x.is_event and x.swept and x.tenant = c.tenant and x.digest = c.digest)
  from contents c left join names t on t.id = c.tenant order by t.name collate "C", c.digest"""
_CONTENT_KEYS: Final = b"""
select t.name, c.digest, c.append_time from contents c join names t on t.id = c.tenant order by t.name collate "C", c.digest"""
