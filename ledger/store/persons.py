"""Whom digests name, as far as their contents stand and verify. One look-up for a page of events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import psycopg

from ledger.attribution.subgraph import KnownPerson
from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.format.content import PRINCIPAL, decode_content, read_person
from ledger.store.connect import translated

_ERASED: Final = """
select digest from erasures
 where tenant = (select id from names where name = %(tenant)s) and digest = any(%(digests)s)"""
_NAMED: Final = """
select digest, value from contents
 where tenant = (select id from names where name = %(tenant)s) and digest = any(%(digests)s) and media_type = %(type)s"""


def persons_named(
    connection: psycopg.Connection[Any], schemas: Schemas, tenant: str, digests: Collection[bytes]
) -> Mapping[bytes, KnownPerson]:
    """The persons among ``digests`` of whom anything is known; a driver's error is ``BackendError``."""
    if not digests:
        return {}
    given = {"tenant": tenant, "digests": list(digests), "type": PRINCIPAL}
    with translated():
        erased = {bytes(digest) for (digest,) in connection.execute(_ERASED, given)}
        named = connection.execute(_NAMED, given).fetchall()
    persons = {digest: KnownPerson(digest, "erased") for digest in erased}
    for digest, value in named:
        if digest not in erased:
            persons[digest] = _person(schemas, digest, value)
    return persons


def _person(schemas: Schemas, digest: bytes, value: bytes) -> KnownPerson:
    try:
        return KnownPerson(digest, "named", read_person(decode_content(schemas, value)))
    except VerificationError:
        return KnownPerson(digest, "unresolved")
