"""Context between services: W3C ``traceparent`` and ``Answerable-Context: v1;<execution>;<event id>;<digest>;<action id>``.

Execution and event id are UUID text, the digest is lower-case hex, the action id is percent-encoded; each but the event id may
be empty. What arrives comes from strangers: reading never fails, and what is malformed is said and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

from ledger.format import ids
from ledger.format.limits import HEADER_STRING_BYTES
from ledger.recorder.context import Reference, Remote

CONTEXT: Final = "Answerable-Context"
TRACEPARENT: Final = "traceparent"
LONGEST: Final = 2048
"""Characters of a header that are looked at."""

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Incoming(NamedTuple):
    """What a request's headers say. ``malformed`` names the headers that were there and could not be read."""

    remote: Remote | None = None
    trace_id: bytes | None = None
    parent_span: bytes | None = None
    malformed: tuple[str, ...] = ()

    @property
    def correlation(self) -> tuple[str, ...]:
        """Join keys of the trace that the request belongs to."""
        if self.trace_id is None or self.parent_span is None:
            return ()
        return (f"trace:{self.trace_id.hex()}", f"parent_span:{self.parent_span.hex()}")


def write_context(execution_id: bytes | None, cited: Reference, action_id: str | None) -> str:
    """The value of ``Answerable-Context``."""
    execution = ids.text(execution_id) if execution_id is not None else ""
    digest = cited.digest.hex() if cited.digest is not None else ""
    return f"v1;{execution};{ids.text(cited.event_id)};{digest};{quote(action_id or '', safe='')}"


def write_traceparent(trace_id: bytes, span_id: bytes) -> str:
    """The value of ``traceparent``, sampled (W3C Trace Context §3.2)."""
    return f"00-{trace_id.hex()}-{span_id.hex()}-01"


def read_headers(headers: Mapping[str, str]) -> Incoming:
    """What ``headers`` say; names in any case. Never raises, whatever they hold."""
    try:
        found = {str(name).lower(): value for name, value in headers.items()}
    except Exception:  # noqa: BLE001 - a framework's mapping may decode as it is read
        return Incoming(malformed=(TRACEPARENT, CONTEXT))
    context, trace = found.get(CONTEXT.lower()), found.get(TRACEPARENT)
    remote = read_context(context) if context is not None else None
    spans = read_traceparent(trace) if trace is not None else None
    malformed = [CONTEXT] if context is not None and remote is None else []
    malformed += [TRACEPARENT] if trace is not None and spans is None else []
    trace_id, parent_span = spans or (None, None)
    return Incoming(remote, trace_id, parent_span, tuple(malformed))


def read_context(value: object) -> Remote | None:
    """The event that an ``Answerable-Context`` names; None where it is malformed or of an unknown version."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return None
    parts = value.strip().split(";")
    if len(parts) != 5 or parts[0] != "v1":
        return None
    execution, event, digest, action = parts[1:]
    if not _UUID.fullmatch(event) or (execution and not _UUID.fullmatch(execution)):
        return None
    event_id = UUID(event).bytes
    if not ids.is_event_id(event_id) or (digest and not _DIGEST.fullmatch(digest)):
        return None
    try:
        action_id = unquote(action, errors="strict")
        if "\0" in action_id or len(action_id.encode()) > HEADER_STRING_BYTES:
            return None
    except UnicodeError:
        return None
    return Remote(
        event_id,
        bytes.fromhex(digest) if digest else None,
        UUID(execution).bytes if execution else None,
        action_id or None,
    )


def read_traceparent(value: object) -> tuple[bytes, bytes] | None:
    """Trace id and parent span id; None where it is malformed (W3C Trace Context §3.2.2)."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return None
    found = _TRACEPARENT.fullmatch(value.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = bytes.fromhex(found[2]), bytes.fromhex(found[3])
    return (trace_id, span_id) if any(trace_id) and any(span_id) else None
