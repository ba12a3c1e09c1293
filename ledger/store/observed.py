"""Findings that depend on the state as of a time: computed when read, never stored, and outside the state digest.

``overdue`` and ``double_continuation`` are read off the chains; ``dangling_cause`` and ``duplicate_event_id`` off the events, so
many a call. ``cause_mismatch`` and ``cause_cycle`` show in the answer about an event that they touch (``attribution.explain``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.answer import Finding, rfc3339
from ledger.errors import VerificationError
from ledger.format import ids
from ledger.format.codec import Schemas
from ledger.store.connect import translated
from ledger.store.nodes import query_file

Connection = psycopg.Connection[Any]

OPENS: Final = 10_000
"""Chains whose first event is read to tell what was continued, the latest first."""
SCAN: Final = 20_000
"""Events looked at in one call."""
FIRST: Final = bytes(16)


class Continuation(NamedTuple):
    """A chain says that it continues another of the same service and key."""

    chain_id: bytes
    by: bytes
    service: str
    event_id: bytes


class Observed(NamedTuple):
    """Findings; ``next`` is where to go on, None at the end."""

    findings: Sequence[Finding]
    next: bytes | int | None


def continuations(
    connection: Connection,
    schemas: Schemas,
    tenant: str,
    *,
    services: Sequence[str] | None = None,
    as_of: int | None = None,
) -> list[Continuation]:
    """What chains continue which: a continued chain promises nothing any more."""
    given = {"tenant": tenant, "services": services, "as_of": as_of, "limit": OPENS}
    with translated():
        rows = connection.execute(query_file("chain_opens.sql"), given, binary=True).fetchall()
    return [found for row in rows for found in _continued(schemas, row)]


def _continued(schemas: Schemas, row: tuple[Any, ...]) -> Iterator[Continuation]:
    payload, by, key_id, service, event_id = row
    try:
        opened = schemas.decode(payload, "chain_open")
    except VerificationError:
        return
    for each in opened["continues"]:
        if each["key_id"] == key_id:  # nobody ends the promise of another's chain
            yield Continuation(each["chain_id"], by, service, event_id.bytes)


def overdue(
    connection: Connection,
    schemas: Schemas,
    tenant: str,
    now: int,
    *,
    as_of: int | None = None,
    after: int = 0,
    limit: int = 100,
) -> Observed:
    """Chains that promised their next seal and did not keep it, at ``now`` µs UTC."""
    given = {"tenant": tenant, "now": now, "as_of": as_of, "after": after, "limit": limit}
    with translated():
        rows = connection.execute(query_file("observed_overdue.sql"), given).fetchall()
    services = sorted({row[1] for row in rows})
    ended = (
        {each.chain_id for each in continuations(connection, schemas, tenant, services=services, as_of=as_of)}
        if rows
        else set()
    )
    findings = [
        Finding(
            name="overdue",
            event_id=None,
            detail=f"service {service}, chain {chain_id.hex()}: seal {number + 1} was due at {rfc3339(due)}",
        )
        for _, service, _, chain_id, number, due in rows
        if chain_id not in ended
    ]
    return Observed(findings, rows[-1][0] if len(rows) == limit else None)


def double_continuations(connection: Connection, schemas: Schemas, tenant: str) -> list[Finding]:
    """Chains that two others continue: a spool was copied."""
    by: dict[bytes, list[Continuation]] = {}
    for each in continuations(connection, schemas, tenant):
        by.setdefault(each.chain_id, []).append(each)
    return [
        Finding(
            name="double_continuation",
            event_id=found[0].event_id,
            detail=f"chain {chain_id.hex()} of {found[0].service} is continued by {', '.join(each.by.hex() for each in found)}",
        )
        for chain_id, found in sorted(by.items())
        if len({each.by for each in found}) > 1
    ]


def dangling_causes(connection: Connection, tenant: str, *, after: bytes = FIRST, scan: int = SCAN) -> Observed:
    """Causes that are not in the ledger, among the next ``scan`` events by id."""
    rows = _look(connection, "observed_dangling.sql", tenant, after, scan)
    findings = [
        Finding(name="dangling_cause", event_id=event_id.bytes, detail=f"cites {ids.text(cause.bytes)}")
        for event_id, _, cause in rows
        if cause is not None
    ]
    return Observed(findings, _end(rows))


def duplicate_ids(connection: Connection, tenant: str, *, after: bytes = FIRST, scan: int = SCAN) -> Observed:
    """Ids that two events have, among the next ``scan`` events by id."""
    rows = _look(connection, "observed_duplicates.sql", tenant, after, scan)
    findings = [
        Finding(name="duplicate_event_id", event_id=event_id.bytes, detail=f"{number} events under one id")
        for event_id, number in rows
        if number is not None
    ]
    return Observed(findings, _end(rows))


def _look(connection: Connection, file: str, tenant: str, after: bytes, scan: int) -> list[tuple[Any, ...]]:
    with translated():
        return connection.execute(query_file(file), {"tenant": tenant, "after": after.hex(), "scan": scan}).fetchall()


def _end(rows: Sequence[tuple[Any, ...]]) -> bytes | None:
    last = rows[-1][0]
    return last.bytes if last is not None else None
