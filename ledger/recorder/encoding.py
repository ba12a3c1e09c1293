"""From a payload to the bytes of an event: checks what may not be recorded, and draws id and salt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.errors import InvalidEvent
from ledger.format import ids
from ledger.format.codec import Schemas
from ledger.format.event import Cause, EventHeader, encode_header, fault_of_header, strings_of_header
from ledger.format.hashing import event_digest, event_prefix, payload_digest
from ledger.format.kinds import Kind
from ledger.format.kinds.encode import WRITERS
from ledger.format.kinds.judge import strings_of
from ledger.format.kinds.plan import PLANS, digests_in
from ledger.format.kinds.shape import Part
from ledger.format.limits import CAUSES, HEADER_BYTES, PAYLOAD_BYTES
from ledger.recorder.randomness import Randomness
from ledger.recorder.secrets import fault_of_text


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


class _Frames(dict[type[Part], bytes]):
    """The frame of each class: that of the newest schema of its kind. Raises ``InvalidEvent`` where that has other fields: the
    bytes would be signed, and nobody could read them.
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def __missing__(self, cls: type[Part]) -> bytes:
        kind = cls.KIND if issubclass(cls, Kind) else ""
        schema = self._schemas.by_name[kind]
        if PLANS[cls].names != tuple(each["name"] for each in schema.parsed["fields"]):
            raise InvalidEvent(
                f"{kind}: this release does not write the newest schema; install the one that came with it"
            )
        frame = self[cls] = schema.frame
        return frame


class Encoder:
    """Encodes the events of one ledger, tenant and service."""

    def __init__(self, schemas: Schemas, ledger: str, tenant: str, service: str, randomness: Randomness) -> None:
        self._schemas = schemas
        self._frames = _Frames(schemas)
        self._prefix = event_prefix(ledger, tenant, service)
        self._draw = randomness.draw

    def encode(self, payload: Kind, about: About, now: int) -> Encoded:
        """The event of ``payload``; ``now`` (µs UTC) becomes the time in its id. Raises ``InvalidEvent``.

        The payload is taken apart once: this is in the way of every event.
        """
        kind = payload.KIND
        plan = PLANS[payload.__class__]
        values = plan.values(payload)
        strings = strings_of(plan, payload, values)
        try:
            body = self._frames[plan.cls] + WRITERS[plan.cls](values)
            if len(body) > PAYLOAD_BYTES:
                raise too_long(
                    kind, "payload", len(body), PAYLOAD_BYTES, "give long texts as contents, or their digests"
                )
            salt = self._draw()
            contents = digests_in(plan, values)
            if about.principal is not None:
                contents.append(about.principal)
            contents.extend(about.contents)
            if len(contents) > 1:
                contents = list(dict.fromkeys(contents))
            header = self._header(kind, about, contents, payload_digest(salt, body), now)
            encoded = self._encode_header(header)
            strings += strings_of_header(header)
            fault = fault_of_text("\n".join(strings))
        except UnicodeEncodeError:
            raise InvalidEvent(f"{kind}: a string holds half a surrogate pair; decode it properly before") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise InvalidEvent(
                f"{kind}: the header holds a value of a wrong type ({error}); names and correlations are str, "
                "ids and digests bytes, times µs since 1970 as int"
            ) from None
        if fault:
            raise InvalidEvent(f"{kind}: the event {fault}")
        return Encoded(header.event_id, event_digest(self._prefix, encoded), encoded, salt, body)

    def _header(self, kind: str, about: About, contents: list[bytes], digest: bytes, now: int) -> EventHeader:
        if len(about.causes) > CAUSES:
            raise InvalidEvent(f"{kind}: {len(about.causes)} causes and the limit is {CAUSES}; cite those that decided")
        occurred_at, execution_id, agent_id, instance, principal, causes, correlation, _ = about
        header = EventHeader(
            ids.uuid7(now, self._draw()[:10]),
            kind,
            occurred_at,
            execution_id,
            agent_id,
            instance,
            principal,
            causes,
            correlation,
            contents,
            digest,
        )
        if fault := fault_of_links(about) or fault_of_header(header):
            raise InvalidEvent(f"{kind}: in the header, {fault}; shorten or correct it")
        return header

    def _encode_header(self, header: EventHeader) -> bytes:
        data = encode_header(self._schemas, header)
        if len(data) > HEADER_BYTES:
            raise too_long(
                header.kind, "header", len(data), HEADER_BYTES, "give fewer causes, contents or correlations"
            )
        return data


def too_long(kind: str, part: str, size: int, limit: int, advice: str) -> InvalidEvent:
    return InvalidEvent(f"{kind}: the {part} has {size} bytes and the limit is {limit}; {advice}")


ID: Final = 16
DIGEST: Final = 32
INT64: Final = 1 << 63


def fault_of_links(about: About) -> str | None:
    """What is wrong with an id or digest of the header, in words; None if nothing is."""
    if about.execution_id is not None and len(about.execution_id) != ID:
        return f"the execution id has {len(about.execution_id)} bytes, not {ID}"
    if about.principal is not None and len(about.principal) != DIGEST:
        return f"the principal's digest has {len(about.principal)} bytes, not {DIGEST}"
    for event_id, digest, _ in about.causes:
        if len(event_id) != ID or (digest is not None and len(digest) != DIGEST):
            return f"a cause is an event id of {ID} bytes and a digest of {DIGEST}, or none"
    if about.contents and any(len(each) != DIGEST for each in about.contents):
        return f"a content's digest has {DIGEST} bytes"
    if not 0 <= about.occurred_at < INT64:
        return f"occurred_at is {about.occurred_at}; it is µs since 1970"
    return None
