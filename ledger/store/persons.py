"""Whom digests name, as far as their contents stand and verify. One look-up for a page of events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

import psycopg

from ledger.attribution.subgraph import KnownPerson
from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.format.content import PRINCIPAL, decode_content, read_person
from ledger.format.hashing import content_digest
from ledger.store.arrays import of_bytes
from ledger.store.connect import translated
from ledger.store.nodes import Reading, query_bounded


def persons_named(
    connection: psycopg.Connection[Any],
    reading: Reading,
    tenant: str,
    digests: Collection[bytes],
    *,
    as_of: int | None = None,
) -> Mapping[bytes, KnownPerson]:
    """The persons among ``digests`` of whom anything is known; a driver's error is ``BackendError``.

    As of an append time only what had come by then names anybody. Whoever was erased later was not erased then, and is nameless
    all the same (`erased_since`): asking about the past does not bring a name back. Nor is it known any more whether they were
    named by then.
    """
    if not digests:
        return {}
    given = {**people_asked(tenant, digests), "as_of": as_of}
    with translated():
        query = query_bounded("persons_named.sql", as_of is not None)
        return persons_read(connection, reading, tenant, connection.execute(query, given).fetchall(), as_of=as_of)


def people_asked(tenant: str, digests: Collection[bytes]) -> Mapping[str, str]:
    """The parameters of ``persons_named.sql``, beside ``as_of``."""
    return {"tenant": tenant, "digests": of_bytes(digests), "type": PRINCIPAL}


def persons_read(
    connection: psycopg.Connection[Any],
    reading: Reading,
    tenant: str,
    rows: Collection[tuple[bytes, bytes | None]],
    *,
    as_of: int | None,
) -> Mapping[bytes, KnownPerson]:
    """The persons of rows of ``persons_named.sql``."""
    claimed = {digest for digest, value in rows if value is None}
    erased = reading.erased(connection, tenant, claimed, events=False) if claimed else {}
    persons = {digest: _person(reading.schemas, tenant, digest, value) for digest, value in rows if value is not None}
    for digest, since in erased.items():
        persons[digest] = KnownPerson(digest, "erased" if as_of is None or since <= as_of else "erased_since")
    return _with_names(persons)


def persons_listed(
    connection: psycopg.Connection[Any],
    reading: Reading,
    tenant: str,
    digests: Collection[bytes],
    *,
    as_of: int | None = None,
) -> Mapping[bytes, KnownPerson]:
    """The same for a list of events, of which the one that names a person in full may be on another page: who has no name gets
    that of the contents about the same person, if the first ``ALIKE`` of them by digest agree on one."""
    persons = persons_named(connection, reading, tenant, digests, as_of=as_of)
    nameless = {
        known.person.key for known in persons.values() if known.person is not None and known.person.name is None
    }
    if not nameless:
        return persons
    given = {"tenant": tenant, "keys": sorted(nameless), "type": PRINCIPAL, "as_of": as_of, "alike": ALIKE}
    with translated():
        rows = connection.execute(_ALIKE, given).fetchall()
    others = {digest: _person(reading.schemas, tenant, digest, value) for digest, value in rows}
    whole = _with_names({**others, **persons})
    return {digest: whole[digest] for digest in persons}


ALIKE: Final = 64
"""Contents about one person among which a name is looked for."""
_ALIKE: Final = """
select c.digest, c.value from unnest(%(keys)s::text[]) as k (key)
 cross join lateral (
    select digest, value from contents c
     where tenant = (select id from names where name = %(tenant)s) and subjects @> array[k.key] and media_type = %(type)s
       and (%(as_of)s::bigint is null or append_time <= %(as_of)s)
       and not exists (select 1 from erasures e where e.tenant = c.tenant and e.digest = c.digest and not e.is_event)
     order by digest limit %(alike)s
 ) c"""


def _with_names(persons: Mapping[bytes, KnownPerson]) -> Mapping[bytes, KnownPerson]:
    """The same, where a service that knew no name of a person gets the one that others state, if they agree on it."""
    names: dict[str, set[str]] = {}
    for known in persons.values():
        if known.person is not None and known.person.name is not None:
            names.setdefault(known.person.key, set()).add(known.person.name)
    return {digest: _named(known, names) for digest, known in persons.items()}


def _named(known: KnownPerson, names: Mapping[str, Collection[str]]) -> KnownPerson:
    if known.person is None or known.person.name is not None or len(names.get(known.person.key, ())) != 1:
        return known
    return known._replace(person=replace(known.person, name=next(iter(names[known.person.key]))))


def _person(schemas: Schemas, tenant: str, digest: bytes, value: bytes) -> KnownPerson:
    """Whom a row's content names; nobody where its bytes are not those of the digest that events cite."""
    try:
        content = decode_content(schemas, value)
        if content_digest(value) == digest and content.tenant == tenant:
            return KnownPerson(digest, "named", read_person(content))
    except VerificationError:
        pass
    return KnownPerson(digest, "unresolved")
