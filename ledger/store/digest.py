"""The state digest: two stores that hold the same have the same, however they came to it.

It is the sum, modulo 2^256, of SHA-256 over each row below, so that no order enters; rows are natural keys, so that no
surrogate number does. A text is its length (4 bytes, big-endian) and its UTF-8; what may be null has 0 or 1 before it.

* ``seal``: chain, number, digest, append time of the earliest copy, copies, importer or not
* ``sighting``: an event under a seal: tenant, event id, digest, seal digest, index; whether the event has an effect
* ``finding``: the open ones that follow from a chain: name, chain, number, until, digest, event id
* ``rejected``: whole records by SHA-256 and key, with reason, append time and copies; single events by seal and index
* ``erasure``, ``trust`` (each line of the bundle), ``quarantine`` (topic, partition, offset)

Contents, and findings about them or about what the log lost, are left out: they depend on what was erased by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg

from ledger.store.connect import connect, translated

_MODULUS: Final = 1 << 256
_HASH: Final = 32


class StateDigest(NamedTuple):
    """The digest, and how many rows of each sort went into it."""

    digest: bytes
    rows: Mapping[str, int]


def state_digest(url: str, *, schema: str | None = None) -> StateDigest:
    """The digest of a store, of one moment; raises ``BackendError``."""
    with connect(url, schema=schema) as connection, translated(), connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        total, rows = 0, {}
        for sort, query in _ROWS.items():
            part, rows[sort] = _sum(connection, query)
            total += part
    return StateDigest((total % _MODULUS).to_bytes(_HASH, "big"), rows)


def _sum(connection: psycopg.Connection, query: str) -> tuple[int, int]:
    """Sum and number of the hashes that a query gives; they are streamed."""
    total = count = 0
    with connection.cursor().copy(f"copy ({query}) to stdout (format binary)".encode()) as stream:
        for row in stream:
            data = bytes(row)
            if len(data) < _HASH:  # the trailer
                continue
            total += int.from_bytes(data[-_HASH:], "big")
            count += 1
    return total, count


def _text(value: str) -> str:
    return f"int4send(octet_length({value})) || convert_to({value}, 'UTF8')"


def _maybe(value: str, sent: str) -> str:
    return f"case when {value} is null then '\\x00'::bytea else '\\x01'::bytea || {sent} end"


def _row(sort: str, *parts: str) -> str:
    return f"select sha256(convert_to('{sort}', 'UTF8') || " + " || ".join(parts) + ")"


_CHAIN: Final = f"{_text('t.name')} || {_text('v.name')} || {_text('c.key_id')} || c.chain_id"
_CHAINS: Final = "chains c join names t on t.id = c.tenant join names v on v.id = c.service"

_SIGHTING: Final = (
    _text("t.name"),
    "uuid_send(e.event_id)",
    "e.digest",
    "s.digest",
)

_ROWS: Final = {
    "seal": _row(
        "seal",
        _CHAIN,
        "int8send(s.number)",
        "s.digest",
        "int8send(s.append_time)",
        "int4send(s.copies)",
        "boolsend(s.importer)",
    )
    + f" from {_CHAINS} join seals s on s.chain = c.id",
    "sighting": _row("sighting", *_SIGHTING, "int2send(e.at)", "boolsend(e.effective)")
    + " from events e join names t on t.id = e.tenant join seals s on s.id = e.seal",
    "sighting again": _row("sighting", *_SIGHTING, "int2send(g.at)", "boolsend(e.effective)")
    + " from sightings g join events e using (event_id, digest) join names t on t.id = e.tenant"
    " join seals s on s.id = g.seal",
    "finding": _row(
        "finding",
        _text("f.name"),
        _maybe("c.id", _CHAIN),
        _maybe("f.number", "int8send(f.number)"),
        _maybe("f.until", "int8send(f.until)"),
        _maybe("f.digest", "f.digest"),
        _maybe("f.event_id", "uuid_send(f.event_id)"),
    )
    + f" from findings f left join ({_CHAINS}) on c.id = f.chain"
    " where f.closed_at is null and f.name not in ('unauthorized_erasure', 'lost_to_retention')",
    "rejected": _row(
        "rejected",
        "r.raw_digest",
        _maybe("r.record_key", "int4send(octet_length(r.record_key)) || r.record_key"),
        _text("r.reason"),
        "int8send(r.append_time)",
        "int4send(r.copies)",
    )
    + " from rejected r where r.topic = 'ledger.events' and r.at = -1",
    "rejected event": _row("rejected event", "s.digest", "int2send(r.at)", "r.raw_digest", _text("r.reason"))
    + " from rejected r join seals s on s.id = r.seal where r.at >= 0",
    "erasure": _row(
        "erasure",
        _text("t.name"),
        "x.digest",
        "uuid_send(x.event_id)",
        "x.event_digest",
        "boolsend(x.is_event)",
    )
    + " from erasures x join names t on t.id = x.tenant",
    "trust": _row("trust", "int4send(number)", "line") + " from trust",
    "quarantine": _row("quarantine", _text("topic"), "int4send(partition)", "int8send(log_offset)")
    + " from quarantine where set_aside and topic = 'ledger.events'",
}
