"""The event header: who, when, why. Its bytes, hashed, are the event; the payload hangs on it by a salted digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ledger.format import ids
from ledger.format.codec import Datum, Malformed, Schemas
from ledger.format.kinds.encode import GIVEN, NULL, array, given_text, number, text
from ledger.format.limits import CAUSES, HEADER_BYTES, HEADER_STRING_BYTES
from ledger.format.strict import HoldsNul, NotCanonical

STARTED_BY: Final = "started_by"
STEERED_BY: Final = "steered_by"
SCHEDULED_BY: Final = "scheduled_by"
CONTINUES: Final = "continues"
AUTHORIZED_BY: Final = "authorized_by"
INFORMED_BY: Final = "informed_by"
RESULT_OF: Final = "result_of"
COMPLETES: Final = "completes"
RETRIES: Final = "retries"
COMPENSATES: Final = "compensates"
SAME_ACTION: Final = "same_action"

TO_TRIGGERS: Final = frozenset({STARTED_BY, STEERED_BY, SCHEDULED_BY, CONTINUES})
"""Relations that lead to triggers."""
SAME: Final = frozenset({SAME_ACTION, COMPLETES})
"""Relations between accounts of one thing: crossing them is no step towards the trigger."""
RELATIONS: Final = TO_TRIGGERS | {
    AUTHORIZED_BY,
    INFORMED_BY,
    RESULT_OF,
    COMPLETES,
    RETRIES,
    COMPENSATES,
    SAME_ACTION,
}
"""All relations of this format. An unknown one counts as ``informed_by`` and raises a finding."""


class Cause(NamedTuple):
    """A link to an earlier event, by id and, where the signer knew it, digest."""

    event_id: bytes
    digest: bytes | None
    relation: str


class EventHeader(NamedTuple):
    """The fields of ``EventHeader``, in the schema's order. ``occurred_at`` is µs UTC."""

    event_id: bytes
    kind: str
    occurred_at: int
    execution_id: bytes | None
    agent_id: str | None
    agent_instance: str | None
    principal: bytes | None
    causes: Sequence[Cause]
    correlation: Sequence[str]
    contents: Sequence[bytes]
    payload_digest: bytes


def encode_header(schemas: Schemas, header: EventHeader) -> bytes:
    """The framed bytes of ``header``. Limits and lengths are the caller's to check, by ``fault_of_header``.

    Written straight from the fields, being in the way of every event: the general encoder takes four times as long. A test
    holds the two equal, byte for byte.
    """
    return b"".join(
        (
            schemas.by_name["EventHeader"].frame,
            header.event_id,
            text(header.kind),
            number(header.occurred_at),
            NULL if header.execution_id is None else GIVEN + header.execution_id,
            NULL if header.agent_id is None else given_text(header.agent_id),
            NULL if header.agent_instance is None else given_text(header.agent_instance),
            NULL if header.principal is None else GIVEN + header.principal,
            array(_cause, tuple(header.causes)),
            array(text, tuple(header.correlation)),
            array(bytes, tuple(header.contents)),
            header.payload_digest,
        )
    )


def _cause(cause: Cause) -> bytes:
    event_id, digest, relation = cause
    return b"".join((event_id, NULL if digest is None else GIVEN, digest or b"", text(relation)))


def header_datum(header: EventHeader) -> dict[str, Any]:
    datum = header._asdict()
    datum["causes"] = [cause._asdict() for cause in header.causes]
    return datum


def decode_header(schemas: Schemas, data: bytes) -> EventHeader:
    """The header in ``data``; raises ``Malformed`` or ``SchemaUnknown``, also for what breaks a limit of the format."""
    if len(data) > HEADER_BYTES:
        raise Malformed(f"the header has {len(data)} bytes; the limit is {HEADER_BYTES}")
    try:
        header: EventHeader = schemas.expect(data, "EventHeader").made_of(EventHeader, Cause)(data)
        if len(data) <= HEADER_STRING_BYTES and ids.is_event_id(header.event_id):
            return header  # what is this short, and canonical, holds no string or number of causes beyond the limits
    except (NotCanonical, HoldsNul):
        header = _header_of(schemas.decode(data, "EventHeader"))
    if fault := fault_of_header(header):
        raise Malformed(fault)
    return header


def _header_of(datum: Datum) -> EventHeader:
    datum["causes"] = [Cause(*cause.values()) for cause in datum["causes"]]
    return EventHeader(*datum.values())


def strings_of_header(header: EventHeader) -> list[str]:
    """Every string in ``header``."""
    strings = [header.kind, header.agent_id or "", header.agent_instance or "", *header.correlation]
    strings += [cause.relation for cause in header.causes]
    return strings


def fault_of_header(header: EventHeader) -> str | None:
    """What breaks a limit of the format, in words; None if nothing does."""
    if not ids.is_event_id(header.event_id):
        return "the event id is not a UUID of version 7 or 8"
    if len(header.causes) > CAUSES:
        return f"{len(header.causes)} causes; the limit is {CAUSES}"
    strings = strings_of_header(header)
    joined = "".join(strings)
    if "\0" in joined:
        return "a string holds U+0000"
    if len(joined) * 4 > HEADER_STRING_BYTES and max(len(each.encode()) for each in strings) > HEADER_STRING_BYTES:
        return f"a string is longer than {HEADER_STRING_BYTES} bytes"
    return None
