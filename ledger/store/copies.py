"""Copies of records as the store keeps them: the refused ones whole, the admitted ones to be put together again.

The same key and bytes again are one row, which counts them and has the position and append time of the earliest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import psycopg

from ledger.format.batch import Seal, SealedBatch, SealedEvent, Signature, join_batch
from ledger.format.codec import Schemas
from ledger.format.hashing import ZERO16
from ledger.format.limits import BATCH_BYTES, KEPT_OF_OVERSIZE
from ledger.ports import Record, Refused
from ledger.trust.verdict import UNTIMELY, RefusedEvent, Rejected, VerifiedBatch

KEY_BYTES: Final = 2400
"""Of a refused record's key; those of contents are bounded by the format, those of events have 16 bytes."""


class Whole(NamedTuple):
    """SHA-256 and length of a record's value as it came, where what is kept of it may be less."""

    digest: bytes
    length: int


class Copy(NamedTuple):
    """A record with the number of times that it came; position and append time are the earliest's.

    ``whole`` is there where the store refused the record before, and may have taken erased payloads out of its value.
    """

    record: Record
    copies: int
    whole: Whole | None = None

    @property
    def append_time(self) -> int:
        return self.record.append_time

    @property
    def order(self) -> tuple[int, int, int]:
        return self.record.append_time, self.record.partition, self.record.offset


def merged(copies: Iterable[Copy]) -> Copy:
    """All of them as one: the earliest, counted."""
    ordered = sorted(copies, key=lambda copy: copy.order)
    return Copy(ordered[0].record, sum(copy.copies for copy in ordered))


def keep(connection: psycopg.Connection, refused: Iterable[tuple[Copy, Rejected]]) -> None:
    """Inserts refused records, or counts them where they were refused before."""
    rows = []
    for copy, verdict in refused:
        record, seal = copy.record, verdict.seal
        value = record.value
        whole = copy.whole or Whole(sha256(value or b"").digest(), len(value or b""))
        kept = value if value is None or len(value) <= BATCH_BYTES else value[:KEPT_OF_OVERSIZE]
        rows.append(
            (
                record.topic,
                record.partition,
                record.offset,
                record.append_time,
                copy.copies,
                verdict.seal_digest,
                verdict.reason,
                verdict.detail,
                *((seal.key_id, seal.tenant, seal.service) if seal is not None else (None, None, None)),
                _bounded(record.key),
                kept,
                *whole,
            )
        )
    if rows:
        connection.cursor().executemany(
            _KEEP, [tuple(_clean(each) for each in row) for row in sorted(rows, key=_identity)]
        )


def _bounded(key: bytes | None) -> bytes | None:
    """A record's key as it is kept: what no index can hold, by its beginning and SHA-256. No key that verifies is that long."""
    return key if key is None or len(key) <= KEY_BYTES else key[: KEY_BYTES - 32] + sha256(key).digest()


def keep_events(
    connection: psycopg.Connection, record: Record, batch: VerifiedBatch, seal: int, erased: frozenset[bytes]
) -> None:
    """Inserts the events of an admitted seal that were refused alone, those erased without their payload."""
    rows = [_event_row(record, batch, seal, event, erased) for event in batch.refused]
    if rows:
        connection.cursor().executemany(_KEEP_EVENT, rows)


def refused_with(connection: psycopg.Connection, seal_digests: list[bytes]) -> dict[bytes, list[tuple[int, Copy]]]:
    """The records refused for their time that hold these seals: (row id, copy) by seal digest."""
    rows = connection.execute(
        f"select seal_digest, {_COPY} from rejected where seal_digest = any(%s) and at = -1 and reason = any(%s)",  # noqa: S608 - constants
        [seal_digests, sorted(UNTIMELY)],
    )
    found: dict[bytes, list[tuple[int, Copy]]] = {}
    for digest, *row in rows:
        found.setdefault(digest, []).append(_copy(row))
    return found


def refused_ids(connection: psycopg.Connection, condition: str, values: list[object]) -> list[int]:
    """The ids of whole records refused, by a condition on their rows."""
    query = f"select id from rejected where topic = 'ledger.events' and at = -1 and {condition} order by id"  # noqa: S608 - constants
    return [row[0] for row in connection.execute(query.encode(), values)]


def take(connection: psycopg.Connection, row: int) -> Copy | None:
    """The refused record of a row, which is deleted."""
    found = connection.execute(f"delete from rejected where id = %s returning {_COPY}", [row]).fetchone()  # noqa: S608 - constants
    return None if found is None else _copy(list(found))[1]


def admitted(connection: psycopg.Connection, schemas: Schemas, seal: int) -> Copy:
    """The record of an admitted seal, put together from its rows; erased payloads stay null."""
    row = connection.execute(
        "select s.seal, s.signatures, s.append_time, s.partition, s.log_offset, s.copies, c.chain_id"
        " from seals s join chains c on c.id = s.chain where s.id = %s",
        [seal],
    ).fetchone()
    assert row is not None  # noqa: S101 - the caller holds the chain's lock and has just read the id
    data, signatures, append_time, partition, offset, copies, key = row
    events = [event for _, event in sorted(_events(connection, seal), key=lambda each: each[0])]
    value = join_batch(schemas, SealedBatch(data, read_signatures(signatures), events))
    return Copy(Record("ledger.events", partition, offset, append_time, key, value), copies)


def write_signatures(batch: SealedBatch) -> bytes:
    """Two lines each: key id, signature in hex. A line end in a key id (nothing forbids it to others' signatures) is escaped."""
    lines = [f"{_escape(each.key_id)}\n{each.signature.hex()}\n" for each in batch.signatures]
    return "".join(lines).encode()


def read_signatures(data: bytes) -> list[Signature]:
    lines = data.decode().split("\n")
    return [
        Signature(re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], key_id), bytes.fromhex(signature))
        for key_id, signature in zip(lines[::2], lines[1::2], strict=False)
    ]


def _escape(key_id: str) -> str:
    return key_id.replace("\\", "\\\\").replace("\n", "\\n")


def raw_event(event: SealedEvent) -> bytes:
    """The bytes kept of an event refused alone: lp(header) ‖ salt ‖ 0x00, or 0x01 ‖ payload."""
    payload = b"\0" if event.payload is None else b"\1" + event.payload
    return len(event.header).to_bytes(4, "big") + event.header + event.salt + payload


def read_raw_event(raw: bytes) -> SealedEvent:
    end = 4 + int.from_bytes(raw[:4], "big")
    payload = raw[end + 17 :] if raw[end + 16] else None
    return SealedEvent(raw[4:end], raw[end : end + 16], payload)


def _events(connection: psycopg.Connection, seal: int) -> Iterator[tuple[int, SealedEvent]]:
    columns = "at, header, salt, payload"
    for at, *event in connection.execute(f"select {columns} from events where seal = %s", [seal]):  # noqa: S608 - constants
        yield at, SealedEvent(*event)
    again = (
        "select s.at, e.header, e.salt, e.payload from sightings s cross join lateral (select header, salt, payload from events"
        " where event_id = s.event_id and digest = s.digest offset 0) e where s.seal = %s"
    )
    for at, *event in connection.execute(again, [seal]):
        yield at, SealedEvent(*event)
    for at, raw in connection.execute("select at, raw from rejected where seal = %s and at >= 0", [seal]):
        yield at, read_raw_event(raw)


def _copy(row: list[object]) -> tuple[int, Copy]:
    number, topic, partition, offset, append_time, key, raw, copies, *whole = row
    record = Record(topic, partition, offset, append_time, key, raw)  # type: ignore[arg-type]
    return number, Copy(record, copies, Whole(*whole))  # type: ignore[return-value, arg-type]


def _event_row(
    record: Record, batch: VerifiedBatch, seal: int, event: RefusedEvent, erased: frozenset[bytes]
) -> tuple[object, ...]:
    raw = raw_event(event.raw._replace(salt=ZERO16, payload=None) if event.digest in erased else event.raw)
    claims = batch.seal
    return (
        record.topic,
        record.partition,
        record.offset,
        event.sequence - claims.first_sequence,
        batch.append_time,
        seal,
        event.reason,
        event.detail,
        claims.key_id,
        claims.tenant,
        claims.service,
        record.key,
        raw,
        event.digest,
        len(raw),
    )


def _identity(row: tuple[object, ...]) -> tuple[bytes, bytes]:
    return row[13], row[11] or b""  # type: ignore[return-value]


def _clean(value: object) -> object:
    """Postgres has no U+0000 in a text: what a refused seal claims may hold one."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


_COPY: Final = "id, topic, partition, log_offset, append_time, record_key, raw, copies, raw_digest, raw_length"

_EARLIER: Final = (
    "(excluded.append_time, excluded.partition, excluded.log_offset) < (r.append_time, r.partition, r.log_offset)"
)
_KEEP: Final = f"""
insert into rejected as r (topic, partition, log_offset, at, append_time, copies, seal_digest, reason, detail, key_id, tenant,
    service, record_key, raw, raw_digest, raw_length)
values (%s, %s, %s, -1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (topic, raw_digest, record_key, at, seal) do update set copies = r.copies + excluded.copies,
    partition = case when {_EARLIER} then excluded.partition else r.partition end,
    log_offset = case when {_EARLIER} then excluded.log_offset else r.log_offset end,
    reason = case when {_EARLIER} then excluded.reason else r.reason end,
    detail = case when {_EARLIER} then excluded.detail else r.detail end,
    append_time = least(r.append_time, excluded.append_time)
"""  # noqa: S608 (constants only)

_KEEP_EVENT: Final = """
insert into rejected (topic, partition, log_offset, at, append_time, seal, reason, detail, key_id, tenant, service, record_key,
    raw, raw_digest, raw_length)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict do nothing
"""


def refused_of(refused: Sequence[tuple[Record, Rejected]]) -> list[Refused]:
    """Refused records as a worker's log tells of them."""
    return [Refused(v.reason, r.partition, r.offset, *_claims(v.seal)) for r, v in refused]


def _claims(seal: Seal | None) -> tuple[str | None, bytes | None, int | None]:
    return (None, None, None) if seal is None else (seal.service, seal.chain_id, seal.seal_number)
