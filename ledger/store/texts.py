"""What contents say, as far as they stand and verify: bounded in number and size, for those who compare or show them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any, Final

import psycopg

from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.format.content import PRINCIPAL, decode_content
from ledger.format.hashing import content_digest
from ledger.store.connect import translated

TEXTS: Final = 4000
"""Contents read for one question."""
TEXT_BYTES: Final = 256 << 10
"""What is larger is not read: it is as one that is not here."""
_SHOWN: Final = 500

_STANDING: Final = """
select digest, value from contents
 where tenant = (select id from names where name = %(tenant)s)
   and digest = any((select %(digests)s::bytea[])::bytea[]) and media_type <> %(type)s and length(value) <= %(most)s"""


def texts_of(
    connection: psycopg.Connection[Any], schemas: Schemas, tenant: str, digests: Collection[bytes]
) -> Mapping[bytes, str]:
    """Of each content that stands what it says: its text, or of bytes and of what is long the SHA-256. Persons are left out."""
    wanted = sorted(digests)[:TEXTS]
    given = {"tenant": tenant, "digests": wanted, "type": PRINCIPAL, "most": TEXT_BYTES}
    found: dict[bytes, str] = {}
    with translated():
        rows = connection.execute(_STANDING, given, binary=True).fetchall() if wanted else []
    for digest, value in rows:
        try:
            content = decode_content(schemas, value)
        except VerificationError:
            continue
        if content_digest(value) == digest and content.tenant == tenant:
            found[digest] = _text(content.bytes)
    return found


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text and len(text) <= _SHOWN:
        return text
    shown = f"{text[:_SHOWN]}… " if text else ""
    return f"{shown}({len(data)} bytes, sha256 {sha256(data).hexdigest()})"
