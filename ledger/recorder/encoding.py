"""From a payload to the bytes of an event: checks what may not be recorded, and draws id and salt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.errors import InvalidEvent
from ledger.format import ids
from ledger.format.codec import Schemas
from ledger.format.event import Cause, EventHeader, encode_header, fault_of_header
from ledger.format.hashing import event_digest, event_prefix, payload_digest
from ledger.format.kinds import Kind, check, content_digests, encode_body
from ledger.format.kinds.plan import PLANS
from ledger.format.kinds.shape import Part
from ledger.format.limits import CAUSES, HEADER_BYTES, PAYLOAD_BYTES
from ledger.recorder.randomness import Randomness
from ledger.recorder.secrets import fault_of_bytes


class Encoded(NamedTuple):
    """An event, ready for the spool."""

    event_id: bytes
    digest: bytes
    header: bytes
    salt: bytes
    payload: bytes


class About(NamedTuple):
    """What a header says beside kind and payload."""

    occurred_at: int
    execution_id: bytes | None = None
    agent_id: str | None = None
    agent_instance: str | None = None
    principal: bytes | None = None
    causes: Sequence[Cause] = ()
    correlation: Sequence[str] = ()
    contents: Sequence[bytes] = ()


class Encoder:
    """Encodes the events of one ledger, tenant and service."""

    def __init__(self, schemas: Schemas, ledger: str, tenant: str, service: str, randomness: Randomness) -> None:
        self._schemas = schemas
        self._by_name = schemas.by_name
        self._prefix = event_prefix(ledger, tenant, service)
        self._draw = randomness.draw

    def encode(self, payload: Kind, about: About, now: int) -> Encoded:
        """The event of ``payload``; ``now`` (µs UTC) becomes the time in its id. Raises ``InvalidEvent``."""
        check(payload)
        kind = payload.KIND
        body = self._payload(kind, payload)
        draw = self._draw
        salt = draw()
        event_id = ids.uuid7(now, draw()[:10])
        contents = content_digests(payload)
        if about.principal is not None:
            contents.append(about.principal)
        contents.extend(about.contents)
        if len(contents) > 1:
            contents = list(dict.fromkeys(contents))
        header = self._header(
            EventHeader(
                event_id,
                kind,
                about.occurred_at,
                about.execution_id,
                about.agent_id,
                about.agent_instance,
                about.principal,
                about.causes,
                about.correlation,
                contents,
                payload_digest(salt, body),
            )
        )
        return Encoded(event_id, event_digest(self._prefix, header), header, salt, body)

    def _payload(self, kind: str, payload: Kind) -> bytes:
        if holds_nul(payload):
            raise InvalidEvent(f"{kind}: a string holds U+0000, which no store takes; remove it")
        try:
            body = self._by_name[kind].frame + encode_body(payload)
        except UnicodeEncodeError:
            raise InvalidEvent(f"{kind}: a string holds half a surrogate pair; decode it properly before") from None
        if len(body) > PAYLOAD_BYTES:
            raise InvalidEvent(
                f"{kind}: the payload has {len(body)} bytes and the limit is {PAYLOAD_BYTES};"
                " give long texts as contents, or their digests"
            )
        if fault := fault_of_bytes(body):
            raise InvalidEvent(f"{kind}: the payload {fault}")
        return body

    def _header(self, header: EventHeader) -> bytes:
        if len(header.causes) > CAUSES:
            raise InvalidEvent(
                f"{header.kind}: {len(header.causes)} causes and the limit is {CAUSES}; cite those that decided"
            )
        try:
            if fault := fault_of_header(header):
                raise InvalidEvent(f"{header.kind}: in the header, {fault}; shorten or correct it")
            data = encode_header(self._schemas, header)
        except UnicodeEncodeError:
            raise InvalidEvent(f"{header.kind}: a string of the header holds half a surrogate pair") from None
        if len(data) > HEADER_BYTES:
            raise InvalidEvent(
                f"{header.kind}: the header has {len(data)} bytes and the limit is {HEADER_BYTES};"
                " give fewer causes, contents or correlations"
            )
        if fault := fault_of_bytes(data):
            raise InvalidEvent(f"{header.kind}: the header {fault}")
        return data


def holds_nul(payload: Part) -> bool:
    """Whether a string somewhere in a payload holds U+0000."""
    for value in PLANS[payload.__class__].values(payload):
        kind = type(value)
        if kind is str:
            if "\0" in value:
                return True
        elif kind is tuple:
            if any(
                "\0" in each if isinstance(each, str) else isinstance(each, Part) and holds_nul(each) for each in value
            ):
                return True
        elif isinstance(value, Part) and holds_nul(value):
            return True
    return False
