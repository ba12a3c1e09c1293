"""Events one seal at a time, exactly: which are new, which were seen under another seal, and what goes with a seal that goes.

The way of every case but the common one; see ``ledger.store.projection``. An event under several seals stands under the first of
them to be in the log under which it has an effect, whichever is judged first: it is of that time, and by that key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import psycopg

from ledger.attribution.findable import value_names
from ledger.attribution.joins import keys_of, names_of, number_of
from ledger.attribution.rights import step_keys
from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.format.event import EventHeader, decode_header
from ledger.store import rows
from ledger.trust.verdict import Payload, VerifiedBatch, VerifiedEvent

_Place = tuple[bool, int, bytes]
"""Where a seal comes among those that an event may stand under: without effect last, then by append time, then by digest."""


class _Stored(NamedTuple):
    event_id: bytes
    digest: bytes
    joins: rows.Joins


def joins_of(tenant: str, event: VerifiedEvent, *, erased: bool = False) -> rows.Joins:
    """The join keys of an event; one without effect has none."""
    return _joins(tenant, event.header, None if erased else event.payload) if event.effective else rows.NO_JOINS


def _joins(tenant: str, header: EventHeader, payload: Payload | None) -> rows.Joins:
    answers, follows = names_of(header, payload)
    answers += value_names(header, payload)
    keys = keys_of(tenant)
    return rows.Joins(keys.of(answers), keys.of(follows), step_keys(keys, header, payload))


def erased_of(connection: psycopg.Connection, tenant: str, digests: Sequence[bytes]) -> frozenset[bytes]:
    """Which of these event digests an admitted erasure of the same tenant names."""
    query = "select digest from erasures where is_event and tenant = (select id from names where name = %s) and digest = any(%s)"
    return frozenset(row[0] for row in connection.execute(query, [tenant, list(digests)]))


def add(
    connection: psycopg.Connection,
    schemas: Schemas,
    batch: VerifiedBatch,
    seal: int,
    names: Mapping[str, int],
    erased: frozenset[bytes],
) -> int:
    """Adds the events of an admitted seal: rows for those not there yet, sightings for the others, or for the seals under which
    these stood. Returns how many are new."""
    tenant = batch.seal.tenant
    there = _places(connection, [event.header.event_id for event in batch.events])
    packer = rows.EventRows(tenant=names[tenant], seal=seal, names=names)
    fresh: list[bytes] = []
    linked: list[bytes] = []
    sightings: list[tuple[bytes, bytes, int, int, bool]] = []
    moved: list[tuple[int, int, bool, str, bytes]] = []
    gained: list[bytes] = []
    edges: list[bytes] = []
    rights: list[bytes] = []
    for event in batch.events:
        at = event.sequence - batch.seal.first_sequence
        identity = (event.header.event_id, event.digest)
        place = not event.effective, batch.append_time, batch.seal_digest
        if (stands := there.get(identity)) is not None:
            if place < stands:
                there[identity] = place
                moved.append((seal, at, event.effective, identity[0].hex(), identity[1]))
                gained += [identity[0]] if place[0] < stands[0] else []
            else:
                sightings.append((*identity, seal, at, event.effective))
            continue
        there[identity] = place
        gone = event.digest in erased
        joins = joins_of(tenant, event, erased=gone)
        fresh.append(packer.row(event, at, joins, erased=gone))
        edges.append(rows.edge_rows(event))
        if joins.answers_to:
            linked.append(rows.join_rows(event.header.event_id, joins))
        rights += rows.right_rows(event, joins)
    copy(connection, rows.EVENTS, fresh)
    copy(connection, rows.CAUSES, edges)
    copy(connection, rows.JOINS, linked)
    copy(connection, rows.RIGHTS, rights)
    connection.cursor().executemany(
        "insert into sightings values (%s::uuid, %s, %s, %s, %s) on conflict do nothing",
        [(event_id.hex(), *rest) for event_id, *rest in sightings],
    )
    _move(connection, schemas, moved, gained)
    return len(fresh)


def _move(
    connection: psycopg.Connection,
    schemas: Schemas,
    moved: Sequence[tuple[int, int, bool, str, bytes]],
    gained: Sequence[bytes],
) -> None:
    """Puts events under another seal: its number, their place in it, whether they have an effect there, and their identity. Those
    that ``gained`` one had neither edges nor joins."""
    if not moved:
        return
    ids = [event_id.hex() for event_id in gained]
    unlink(connection, schemas, ids)
    connection.cursor().executemany(
        "insert into sightings select event_id, digest, seal, at, effective from events"
        " where event_id = %s::uuid and digest = %s",
        [(event_id, digest) for *_, event_id, digest in moved],
    )
    connection.cursor().executemany(_STANDS, moved)
    link(connection, schemas, ids)


def remove(connection: psycopg.Connection, schemas: Schemas, seal: int) -> None:
    """Takes a seal away: its events go, or stand under another seal that they were seen with."""
    ids = _ids(connection, seal)
    unlink(connection, schemas, ids)
    connection.execute("delete from sightings where seal = %s", [seal])
    connection.cursor().executemany(_STANDS, connection.execute(_PROMOTE, [seal]).fetchall())
    connection.execute("delete from events where seal = %s", [seal])
    connection.execute(_PROMOTED, [ids])
    connection.execute("delete from rejected where seal = %s and at >= 0", [seal])
    connection.execute("delete from seals where id = %s", [seal])
    connection.execute(_UNERASE, [ids])
    connection.execute(_DATE_ERASURES, [ids])
    link(connection, schemas, ids)


def unlink(connection: psycopg.Connection, schemas: Schemas, ids: list[str]) -> None:
    """Removes every edge and join of the events with these ids."""
    edges = connection.execute("select distinct unnest(causes), event_id from events where event_id = any(%s)", [ids])
    connection.cursor().executemany("delete from causes where cause = %s and effect = %s", edges.fetchall())
    stored = [(event_id.hex(), joins) for event_id, _, joins in _stored(connection, schemas, ids)]
    keys = [(number_of(key), event_id) for event_id, joins in stored for key in joins.answers_to]
    connection.cursor().executemany("delete from joins where key = %s and event_id = %s::uuid", keys)
    rights = [(number_of(above), event_id) for event_id, joins in stored for above, _, _ in joins.rights]
    connection.cursor().executemany("delete from rights where above = %s and event_id = %s::uuid", rights)


def link(connection: psycopg.Connection, schemas: Schemas, ids: list[str]) -> None:
    """Adds every edge and join of the events with these ids that have an effect."""
    connection.execute(
        "insert into causes select distinct unnest(causes), event_id from events where effective and event_id = any(%s)",
        [ids],
    )
    keys: set[tuple[int, str]] = set()
    rights: set[tuple[int, int, str, int]] = set()
    follows: list[tuple[list[int] | None, str, bytes]] = []
    for event_id, digest, joins in _stored(connection, schemas, ids, "and effective"):
        name = event_id.hex()
        keys.update((number_of(key), name) for key in joins.answers_to)
        follows.append((list(map(number_of, joins.follows)) or None, name, digest))
        rights.update((number_of(above), number_of(below), name, how) for above, below, how in joins.rights)
    connection.cursor().executemany("insert into joins values (%s, %s::uuid)", sorted(keys))
    connection.cursor().executemany("insert into rights values (%s, %s, %s::uuid, %s)", sorted(rights))
    connection.cursor().executemany("update events set follows = %s where event_id = %s::uuid and digest = %s", follows)


def copy(connection: psycopg.Connection, statement: str, packed: Iterable[bytes]) -> None:
    """Copies packed rows, if there are any."""
    data = rows.copy_bytes(packed)
    if len(data) > len(rows.HEADER) + len(rows.TRAILER):
        with connection.cursor().copy(statement.encode()) as stream:
            stream.write(data)


def _places(connection: psycopg.Connection, ids: list[bytes]) -> dict[tuple[bytes, bytes], _Place]:
    query = (
        "select e.event_id, e.digest, e.effective, s.append_time, s.digest from events e"
        " cross join lateral (select append_time, digest from seals where id = e.seal offset 0) s"
        " where e.event_id = any(%s::uuid[])"
    )
    found = connection.execute(query, [[each.hex() for each in ids]])
    return {(event_id.bytes, digest): (not effective, *seal) for event_id, digest, effective, *seal in found}


def _ids(connection: psycopg.Connection, seal: int) -> list[str]:
    query = "select event_id from events where seal = %s union select event_id from sightings where seal = %s"
    return [str(row[0]) for row in connection.execute(query, [seal, seal])]


def _stored(connection: psycopg.Connection, schemas: Schemas, ids: list[str], where: str = "") -> list[_Stored]:
    query = (
        "select e.event_id, e.digest, n.name, e.header, e.payload from events e join names n on n.id = e.tenant"  # noqa: S608 - constants
        f" where e.event_id = any(%s) {where}"
    )
    return [
        _Stored(event_id.bytes, digest, _joins(tenant, decode_header(schemas, header), read_payload(schemas, payload)))
        for event_id, digest, tenant, header, payload in connection.execute(query.encode(), [ids])
    ]


def read_payload(schemas: Schemas, payload: bytes | None) -> Payload | None:
    """A stored payload; None where it is erased, or of a schema that is not known here."""
    try:
        return None if payload is None else schemas.decode(payload)
    except VerificationError:
        return None


_STANDS: Final = "update events set seal = %s, at = %s, effective = %s where event_id = %s::uuid and digest = %s"
_PROMOTE: Final = """
select distinct on (e.event_id, e.digest) s.seal, s.at, s.effective, e.event_id, e.digest
  from events e
 cross join lateral (select * from sightings where event_id = e.event_id and digest = e.digest offset 0) s
 cross join lateral (select append_time, digest from seals where id = s.seal offset 0) o
 where e.seal = %s
 order by e.event_id, e.digest, not s.effective, o.append_time, o.digest, s.at
"""

_PROMOTED: Final = """
delete from sightings s where event_id = any(%s) and exists
    (select from events e where (e.event_id, e.digest, e.seal, e.at) = (s.event_id, s.digest, s.seal, s.at) offset 0)
"""

_UNERASE: Final = """
delete from erasures x where not swept and event_id = any(%s) and not exists
    (select from events e where (e.event_id, e.digest) = (x.event_id, x.event_digest) and effective offset 0)
"""
_DATE_ERASURES: Final = """
update erasures x set append_time = d.at
  from (select e.event_id, e.digest, min(s.append_time) as at
          from (select event_id, digest, seal from events union all select event_id, digest, seal from sightings) e
         cross join lateral (select append_time from seals where id = e.seal offset 0) s
         where e.event_id = any(%s) group by 1, 2) d
 where (x.event_id, x.event_digest) = (d.event_id, d.digest) and x.append_time <> d.at
"""
