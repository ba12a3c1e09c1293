"""Stored findings: natural keys, opened and closed at append times; each is there once however often it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import psycopg

from ledger.ports import Opened, Record
from ledger.store.dated import date_chain
from ledger.trust.chain import ChainFinding
from ledger.trust.verdict import VerifiedBatch


class Finding(NamedTuple):
    """A row. ``number`` is the seal's, ``until`` the last of a gap, ``digest`` that of the seal, event or content it is about."""

    name: str
    tenant: int | None
    chain: int | None
    number: int | None
    until: int | None
    digest: bytes | None
    event_id: bytes | None
    detail: str
    opened_at: int


_OF_CHAINS: Final = (
    "(name in ('gap', 'fork', 'broken_link', 'sealed_after_close') or name = 'clock_skew' and until is not null)"
)


def of_batch(batch: VerifiedBatch, tenant: int, chain: int) -> list[Finding]:
    """What is wrong with an admitted seal and its events by themselves."""
    number, at = batch.seal.seal_number, batch.append_time
    found = [Finding(name, tenant, chain, number, None, batch.seal_digest, None, "", at) for name in batch.findings]
    found += [
        Finding(name, tenant, chain, number, None, event.digest, event.header.event_id, "", at)
        for event in batch.events
        if event.findings
        for name in event.findings
    ]
    return found


def of_chain(found: ChainFinding, tenant: int, chain: int, at: int) -> Finding:
    """A finding of the chain's state, opened at append time ``at``."""
    return Finding(found.name, tenant, chain, found.number, found.until, found.digest, None, "", at)


def told(found: Iterable[Finding], record: Record, batch: VerifiedBatch | None = None) -> list[Opened]:
    """Findings as a worker's log tells of them: those that a record opened, a content's or that of a batch."""
    service, chain_id = (None, None) if batch is None else (batch.seal.service, batch.seal.chain_id)
    return [Opened(each.name, record.partition, record.offset, service, chain_id, each.number) for each in found]


def open_all(connection: psycopg.Connection, found: Iterable[Finding]) -> None:
    """Inserts what is not there."""
    rows = [{**each._asdict(), "event_id": each.event_id.hex() if each.event_id else None} for each in found]
    if rows:
        connection.cursor().executemany(
            "insert into findings (name, tenant, chain, number, until, digest, event_id, detail, opened_at)"
            " values (%(name)s, %(tenant)s, %(chain)s, %(number)s, %(until)s, %(digest)s, %(event_id)s::uuid,"
            " %(detail)s, %(opened_at)s) on conflict do nothing",
            rows,
        )


def close_all(connection: psycopg.Connection, closed: Iterable[tuple[int, ChainFinding, int]]) -> None:
    """Closes findings of chains: (chain, finding, append time of the record that ended it)."""
    rows = [(at, each.name, chain, each.number, each.until, each.digest) for chain, each, at in closed]
    if rows:
        connection.cursor().executemany(
            "update findings set closed_at = %s where name = %s and chain = %s and number = %s and until = %s"
            " and digest is not distinct from %s and event_id is null and closed_at is null",
            rows,
        )


def forget_seal(connection: psycopg.Connection, chain: int, number: int, digest: bytes) -> None:
    """Removes what was found about a seal that went, and its events, by themselves; what another of that number holds stays."""
    connection.execute(
        f"delete from findings f where chain = %s and number = %s and not {_OF_CHAINS} and case when event_id is null"  # noqa: S608 (constants only)
        " then digest = %s else not exists (select from seals s where s.chain = f.chain and s.number = f.number"
        " and position(f.digest in s.leaves) > 0) end",
        [chain, number, digest],
    )


def replace_chain(
    connection: psycopg.Connection, chain: int, tenant: int, now: frozenset[ChainFinding], at: int
) -> None:
    """Makes ``now`` the open findings of the chain's state; what was open and no longer holds is removed."""
    rows = connection.execute(
        f"select id, name, number, until, digest from findings where chain = %s and closed_at is null and {_OF_CHAINS}",  # noqa: S608 (constants only)
        [chain],
    ).fetchall()
    stored = {ChainFinding(*row[1:]): row[0] for row in rows}
    gone = [stored[each] for each in stored.keys() - now]
    connection.execute("delete from findings where id = any(%s)", [gone])
    open_all(connection, [of_chain(each, tenant, chain, at) for each in now - stored.keys()])
    date_chain(connection, chain)
