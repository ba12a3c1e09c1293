"""Parameters that several paths share: ids, times, limits. What is out of bounds is a problem that names it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Path, Query, Request
from starlette.convertors import PathConvertor, register_url_convertor

from api.cursors import CURSOR_CHARACTERS
from api.door import TARGET_BYTES
from api.problems import InvalidRequest
from ledger.format import ids
from ledger.wording import no_such

PAGE: Final = 50
PAGE_MOST: Final = 500
TEXT_MOST: Final = TARGET_BYTES
"""Of a name, in characters: whatever can be recorded is looked up, as far as a request can carry it."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

EventId = Annotated[
    str, Path(description="The event's id, a UUID.", max_length=64, examples=["018f4c1e-6a00-7cc3-98c4-dc0c0c07398f"])
]
AsOf = Annotated[
    str | None,
    Query(
        description="Answer from what the log had by this append time: RFC 3339, with an offset.",
        max_length=40,
        examples=["2026-03-01T12:00:00Z"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MOST, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_CHARACTERS, description="`next` of the page before; nothing for the first page."),
]


class _Anything(PathConvertor):
    """The rest of a path, line breaks among it: Starlette's own ends a path at the first, and the name would seem to be none."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


async def only_known(request: Request) -> None:
    """Raises ``InvalidRequest`` for a parameter that the path does not have, or that is given twice: passed over, it would let a
    list look like the one that was asked for."""
    known = [each.alias for each in request.scope["route"].dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise InvalidRequest(no_such("parameter", name, known))
        if given.count(name) > 1:
            raise InvalidRequest(f"the parameter {name} is given twice")


def read_id(text: str, what: str = "id") -> bytes:
    """The 16 bytes of a UUID in its usual form; raises ``InvalidRequest``."""
    if _UUID.fullmatch(text) is None:
        raise InvalidRequest(f"the {what} is not a UUID such as 018f4c1e-6a00-7cc3-98c4-dc0c0c07398f")
    return ids.parse(text)


def read_time(text: str | None, what: str = "as_of") -> int | None:
    """µs UTC of an RFC 3339 time; raises ``InvalidRequest``."""
    if text is None:
        return None
    try:
        # A plus that was not percent-encoded arrives as a space.
        at = datetime.fromisoformat(text) if _TIME.fullmatch(text) else datetime.fromisoformat(_mended(text))
        since = at - _EPOCH
    except (ValueError, OverflowError, TypeError):
        raise InvalidRequest(f"{what} is not a time such as 2026-03-01T12:00:00Z") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _mended(text: str) -> str:
    head, _, offset = text.rpartition(" ")
    mended = f"{head}+{offset}"
    if _TIME.fullmatch(mended) is None:
        raise ValueError(text)
    return mended


def read_text(text: str | None, what: str) -> str | None:
    """``text`` if a name of this ledger can hold it; raises ``InvalidRequest``."""
    if text is not None and ("\0" in text or any(0xD800 <= ord(each) <= 0xDFFF for each in text)):
        raise InvalidRequest(f"{what} holds a character that no name has")
    return text
