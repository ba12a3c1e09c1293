"""Cursors of lists: where a page ended, opaque to the caller and good for the same list, filters and tenant only.

The check in a cursor catches what was mangled or taken to another list. It is no secret and guards nothing: whatever a
cursor says, the query behind it is bounded by the tenant of the token.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from api.problems import InvalidRequest

CURSOR_CHARACTERS: Final = 512
BAD_CURSOR: Final = "the cursor is not one of this list with these parameters; begin without it"
_CHECK: Final = 8
_BIGINT: Final = 1 << 63

Position = Sequence[int | str | None]


def write_cursor(scope: Sequence[object], position: Position) -> str:
    """The cursor after ``position`` in the list that ``scope`` (list, tenant, filters) names."""
    body = json.dumps(list(position), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(scope, body) + body).rstrip(b"=").decode()


def read_cursor(scope: Sequence[object], cursor: str, shape: Sequence[type]) -> list[int | str]:
    """The position in ``cursor``; raises ``InvalidRequest`` unless it was written for this ``scope``, of this ``shape``."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = data[:_CHECK], data[_CHECK:]
        position = json.loads(body) if check == _check(scope, body) else None
    except (binascii.Error, ValueError, RecursionError):
        position = None
    if not isinstance(position, list) or [type(each) for each in position] != list(shape):
        raise InvalidRequest(BAD_CURSOR)
    return position


def bounded(number: int) -> int:
    """``number`` if the store can hold it; raises ``InvalidRequest``: anybody can make a cursor whose check is right."""
    if not -_BIGINT <= number < _BIGINT:
        raise InvalidRequest(BAD_CURSOR)
    return number


def _check(scope: Sequence[object], body: bytes) -> bytes:
    named = json.dumps([str(each) if each is not None else None for each in scope]).encode()
    return blake2b(len(named).to_bytes(4, "big") + named + body, digest_size=_CHECK, person=b"answerable/curs").digest()
