"""Erasures: what an admitted ``content_erasure`` names, kept for ever, and the payloads of events that it takes away."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from ledger.errors import VerificationError
from ledger.format.batch import Seal, SealedEvent, decode_seal, join_batch, split_batch
from ledger.format.codec import Schemas
from ledger.format.event import decode_header
from ledger.format.hashing import ZERO16, event_digest, event_prefix, payload_digest
from ledger.store import copies, sighted
from ledger.store.copies import raw_event, read_raw_event
from ledger.trust.verdict import VerifiedBatch


def in_batch(batch: VerifiedBatch) -> bool:
    """Whether an effective erasure is among the events."""
    return any(event.header.kind == "content_erasure" and event.effective for event in batch.events)


def note(connection: psycopg.Connection, batch: VerifiedBatch, tenant: int) -> bool:
    """Keeps what the effective erasures of an admitted seal name; whether one names events."""
    rows = []
    for event in batch.events:
        if event.header.kind == "content_erasure" and event.effective and event.payload is not None:
            named = [(digest, False) for digest in event.payload["contents"]]
            named += [(digest, True) for digest in event.payload["events"]]
            rows += [
                (tenant, digest, event.header.event_id.hex(), event.digest, batch.append_time, is_event)
                for digest, is_event in named
            ]
    if rows:
        connection.cursor().executemany(
            "insert into erasures (tenant, digest, event_id, event_digest, append_time, is_event)"
            " values (%s, %s, %s::uuid, %s, %s, %s) on conflict (tenant, digest, event_digest, is_event)"
            " do update set append_time = least(erasures.append_time, excluded.append_time)",
            rows,
        )
    return any(row[-1] for row in rows)


def sweep_events(connection: psycopg.Connection, schemas: Schemas) -> int:
    """Takes the payloads of events that unswept erasures name; returns how many. In one transaction.

    Every event committed before its erasure is found here, and every later one was written without its payload: an erasure
    is admitted under the exclusive lock of ``trust``, which no other writer's transaction overlaps. Digests are not
    indexed, since erasing payloads is rare: one scan serves all erasures that wait.
    """
    with connection.transaction():
        pending = connection.execute(
            "select tenant, digest from erasures where is_event and not swept for update"
        ).fetchall()
        if not pending:
            return 0
        digests = [digest for _, digest in pending]
        found = connection.execute(
            "select e.event_id::text from events e where e.digest = any(%s) and e.payload is not null"
            " and exists (select from erasures x where x.is_event and (x.tenant, x.digest) = (e.tenant, e.digest))",
            [digests],
        ).fetchall()
        ids = [row[0] for row in found]
        sighted.unlink(connection, schemas, ids)
        connection.execute(
            "update events set payload = null, salt = %s where event_id = any(%s::uuid[]) and digest = any(%s)",
            [ZERO16, ids, digests],
        )
        sighted.link(connection, schemas, ids)
        _strip_events(connection, digests)
        connection.execute("update erasures set swept = true where is_event and digest = any(%s)", [digests])
    return len(ids)


def erased_contents(connection: psycopg.Connection, pairs: Sequence[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
    """Which of these contents, by tenant and digest, an admitted erasure of the same tenant names."""
    if not pairs:
        return set()
    rows = connection.execute(
        "select tenant, digest from erasures join unnest(%s::int[], %s::bytea[]) as w (tenant, digest)"
        " using (tenant, digest) where not is_event",
        [[tenant for tenant, _ in pairs], [digest for _, digest in pairs]],
    )
    return {(tenant, digest) for tenant, digest in rows}


def sweep_again(connection: psycopg.Connection, pairs: Sequence[tuple[int, bytes]]) -> None:
    """Content came after its erasure: it is tombstoned again."""
    connection.cursor().executemany(
        "update erasures set swept = false where not is_event and tenant = %s and digest = %s", pairs
    )


def sweep_contents(connection: psycopg.Connection) -> list[tuple[str, bytes]]:
    """Deletes the contents that unswept erasures name; returns tenant and digest of each, to be tombstoned.

    What was found about them while no erasure named them is closed: it was authorized after all, and came out of order.
    """
    connection.execute("lock table contents in share row exclusive mode")
    rows = connection.execute(
        "select distinct x.tenant, n.name, x.digest from erasures x join names n on n.id = x.tenant"
        " where not x.is_event and not x.swept"
    ).fetchall()
    pairs = [(tenant, digest) for tenant, _, digest in rows]
    cursor = connection.cursor()
    cursor.executemany("delete from contents where tenant = %s and digest = %s", pairs)
    cursor.executemany(
        "delete from findings where name = 'unauthorized_erasure' and tenant = %s and digest = %s", pairs
    )
    return [(name, digest) for _, name, digest in rows]


def mark_swept(connection: psycopg.Connection, pairs: Sequence[tuple[str, bytes]]) -> None:
    """The tombstones of these contents are in the log."""
    connection.cursor().executemany(
        "update erasures set swept = true where not is_event and digest = %s"
        " and tenant = (select id from names where name = %s)",
        [(digest, tenant) for tenant, digest in pairs],
    )


def strip(connection: psycopg.Connection, schemas: Schemas, value: bytes | None, claims: Seal | None) -> bytes | None:
    """A refused record's value without the payloads that erasures name.

    What is judged again comes to the same: a payload that is the sealed one is null then, as in any erased event, and one that
    is not stays another than was sealed. An erasure keeps its payload, which is the ground of others. Of what does not decode
    (and of an oversized record) nobody can tell which events are in it: it stays as it is.
    """
    if value is None or claims is None:
        return value
    try:
        batch = split_batch(schemas, value)
    except VerificationError:
        return value
    prefix = event_prefix(claims.ledger, claims.tenant, claims.service)
    digests = [event_digest(prefix, event.header) for event in batch.events]
    erased = sighted.erased_of(connection, claims.tenant, digests)
    if not erased:
        return value
    events = [
        _without_payload(schemas, event) if digest in erased else event
        for digest, event in zip(digests, batch.events, strict=True)
    ]
    return join_batch(schemas, batch._replace(events=events))


def strip_refused(connection: psycopg.Connection, schemas: Schemas, tenant: str) -> None:
    """Takes what erasures of ``tenant`` name out of every record that was refused whole and claims to be the tenant's."""
    for row in copies.refused_ids(connection, "raw is not null and tenant = %s", [tenant]):
        found = connection.execute("select raw from rejected where id = %s for update", [row]).fetchone()
        value = found[0] if found is not None else None
        stripped = strip(connection, schemas, value, _claims(schemas, value))
        if stripped != value:
            connection.execute("update rejected set raw = %s where id = %s", [stripped, row])


def _claims(schemas: Schemas, value: bytes | None) -> Seal | None:
    try:
        return decode_seal(schemas, split_batch(schemas, value or b"").seal)
    except VerificationError:
        return None


def _without_payload(schemas: Schemas, event: SealedEvent) -> SealedEvent:
    if event.payload is None:
        return event
    try:
        header = decode_header(schemas, event.header)
    except VerificationError:  # its payload is checked by nobody
        return event._replace(salt=ZERO16, payload=None)
    if header.kind == "content_erasure":
        return event
    if payload_digest(event.salt, event.payload) == header.payload_digest:
        return event._replace(salt=ZERO16, payload=None)
    other = next(each for each in (b"", b"\0") if payload_digest(ZERO16, each) != header.payload_digest)
    return event._replace(salt=ZERO16, payload=other)


def _strip_events(connection: psycopg.Connection, digests: list[bytes]) -> None:
    query = "select id, raw from rejected where at >= 0 and raw_digest = any(%s) for update"
    for row, raw in connection.execute(query, [digests]).fetchall():
        stripped = raw_event(read_raw_event(raw)._replace(salt=ZERO16, payload=None))
        connection.execute(
            "update rejected set raw = %s, raw_length = %s where id = %s", [stripped, len(stripped), row]
        )
