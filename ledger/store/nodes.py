"""Rows of events as ``Node``: the columns that every question fetches, and how they are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ledger.attribution.subgraph import Node, Ref
from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.format.event import decode_header
from ledger.format.kinds import KINDS, from_avro

Row = tuple[Any, ...]
"""Columns of ``lineage_events.sql``: the id first (always there), then all else, null where there is no event."""
CHAIN: Final = 11
"""Position of the chain's surrogate number."""

_VISIBLE: Final = """and (
    exists (select 1 from seals v where v.id = e.seal and v.append_time <= %(as_of)s)
    or exists (select 1 from sightings o join seals v on v.id = o.seal
                where o.event_id = e.event_id and o.digest = e.digest and v.append_time <= %(as_of)s))"""

_SEEN: Final = """and exists (
    select 1 from events e
     where e.event_id = j.event_id and e.tenant = (select id from names where name = %(tenant)s) /*visible*/)"""
"""The same for a row of ``joins``, so that later events do not crowd earlier ones out."""


@cache
def query_file(name: str) -> bytes:
    """An SQL file beside this module."""
    return (files("ledger.store") / name).read_bytes()


@cache
def query_events(wanted: str, bounded: bool) -> bytes:
    """The events of ``wanted``, an SQL file that ends in a table of that name; ``bounded``: of those no later than ``as_of``."""
    return _bounded(query_file(wanted) + query_file("lineage_events.sql"), bounded)


@cache
def query_bounded(name: str, bounded: bool) -> bytes:
    """An SQL file of its own about events `e`; ``bounded``: those no later than ``as_of``."""
    return _bounded(query_file(name), bounded)


def _bounded(text: bytes, bounded: bool) -> bytes:
    for mark, condition in ((b"/*seen*/", _SEEN), (b"/*visible*/", _VISIBLE)):
        text = text.replace(mark, condition.encode() if bounded else b"")
    return text


def node_of(schemas: Schemas, row: Row) -> Node:
    """The event in a row that has one."""
    event_id, digest, header_bytes, payload_bytes, effective, at, number, first, sealed_at, append, importer = row[
        :CHAIN
    ]
    header = decode_header(schemas, header_bytes)
    payload: Mapping[str, Any] | None = None
    fact = None
    findings: tuple[str, ...] = () if effective else ("unauthorized_kind",)
    if payload_bytes is not None:
        try:
            payload = schemas.decode(payload_bytes)
            fact = from_avro(header.kind, payload) if header.kind in KINDS else None
        except VerificationError:
            payload = fact = None
            findings += ("schema_unknown",)
    return Node(
        ref=Ref(event_id.bytes, digest),
        header=header,
        payload=payload,
        fact=fact,
        service=row[14],
        key_id=row[12],
        chain_id=row[13],
        importer=importer,
        effective=effective,
        number=number,
        sequence=first + at,
        sealed_at=sealed_at,
        append_time=append,
        sightings=row[15],
        findings=findings,
    )
