"""One OTLP span as JSON, read into plain values: ids, times, attributes. Lenient about spelling, strict about identity.

Accepts camelCase and snake_case, ids as hex (OTLP/JSON) or base64 (plain protobuf JSON), times and integers as strings or
numbers, enums by name or number, attributes as the list of OTLP or as an object. The source of each rule is the OTLP
specification 1.x, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from ledger.importers.account import Refusal
from ledger.importers.json_text import Json, Refused, Table, Twice, items, table, text

Attributes = dict[str, Json]
SpanKind = Literal["internal", "server", "client", "producer", "consumer", "unspecified"]
_KINDS: Final[tuple[SpanKind, ...]] = ("unspecified", "internal", "server", "client", "producer", "consumer")
_VALUE_DEPTH: Final = 32


class Found(NamedTuple):
    """A span as it stands in its document, with what is stated around it."""

    span: Json
    resource: Json
    scope: Json
    schema_url: Json


class Span(NamedTuple):
    """A span. Times in µs UTC; ``parent`` None at the root; ids in lower-case hex."""

    trace: str
    span: str
    parent: str | None
    name: str
    kind: SpanKind
    start: int
    end: int | None
    failed: bool
    attributes: Attributes
    resource: Attributes
    scope: str
    events: list[tuple[str, Attributes]]
    links: list[str]


def spans_in(document: Json) -> Iterator[Found | Refusal]:
    """Every span of a document, and a refusal for each log record and metric, and for what is none of these."""
    if isinstance(document, list):
        for each in document:
            yield from spans_in(each) if isinstance(each, dict) else [Refusal("not_a_record", "not an object")]
        return
    outer = table(document)
    if isinstance(document, Twice):
        yield Refusal("duplicate_key", "an object names a member twice")
        return
    resources = _first(outer, "resourceSpans", "resource_spans", "batches")
    others = [
        *_signals(outer, "resourceLogs", "scopeLogs", "logRecords"),
        *_signals(outer, "resourceMetrics", "scopeMetrics", "metrics"),
    ]
    yield from others
    if isinstance(resources, list):
        for each in resources:
            yield from (
                _of_resource(table(each)) if isinstance(each, dict) else [Refusal("not_a_record", "not an object")]
            )
    elif isinstance(inner := _first(outer, "trace", "data", "request"), dict) and _holds_spans(inner):
        yield from spans_in(inner)
    elif _first(outer, "spanId", "span_id") is not None:
        yield Found(document, None, None, None)
    elif not others and not any(name in outer for name in ("resourceLogs", "resourceMetrics")):
        yield Refusal("not_a_record", "no resourceSpans")


def read_span(found: Found) -> Span:
    """The span; raises ``Refused`` where it cannot be told which span it is, or when it was."""
    span, resource = table(found.span), table(found.resource)
    trace = read_id(_first(span, "traceId", "trace_id"), 16)
    own = read_id(_first(span, "spanId", "span_id"), 8)
    if trace is None or own is None:
        raise Refused("no_id", "traceId or spanId is missing, zero or malformed")
    start = read_time(_first(span, "startTimeUnixNano", "start_time_unix_nano"))
    end = read_time(_first(span, "endTimeUnixNano", "end_time_unix_nano"))
    if start is None and end is None:
        raise Refused("bad_time", "no startTimeUnixNano")
    scope = table(found.scope)
    parent = read_id(_first(span, "parentSpanId", "parent_span_id"), 8)
    attributes = {**read_attributes(scope.get("attributes")), **read_attributes(span.get("attributes"))}
    status = table(span.get("status")).get("code")
    return Span(
        trace=trace,
        span=own,
        parent=None if parent == own else parent,
        name=text(span.get("name")) or "unnamed",
        kind=read_kind(span.get("kind")),
        start=start if start is not None else end or 0,
        end=end,
        failed=status in (2, "2", "STATUS_CODE_ERROR", "ERROR", "Error") or "error.type" in attributes,
        attributes=attributes,
        resource=read_attributes(resource.get("attributes")),
        scope=text(scope.get("name")) or "",
        events=[
            (text(table(e).get("name")) or "", read_attributes(table(e).get("attributes")))
            for e in items(span.get("events"))
        ],
        links=_links(span.get("links")),
    )


def read_id(value: Json, size: int) -> str | None:
    """An id of ``size`` bytes in hex, from hex or base64; None for anything else and for zeros."""
    written = text(value)
    if written is None or len(written) > 64:
        return None
    try:
        data = bytes.fromhex(written) if len(written) == size * 2 else base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        return None
    return data.hex() if len(data) == size and any(data) else None


def read_time(value: Json) -> int | None:
    """µs from ns since 1970, as text or number; None for anything else, and for 0, which means that it was not set."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer() and 0 < value < 2**64:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**64:
        return None
    return value // 1000


def read_kind(value: Json) -> SpanKind:
    """The kind of a span, by number or name."""
    if isinstance(value, str):
        name = value.removeprefix("SPAN_KIND_").lower()
        if name.isascii() and name.isdigit():
            value = int(name[:2])
        else:
            return next((kind for kind in _KINDS if kind == name), "unspecified")
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(_KINDS)
    return _KINDS[value] if known else "unspecified"


def read_attributes(value: Json) -> Attributes:
    """Attributes by name. Of a name that comes twice the last one holds, as in the OpenTelemetry SDKs."""
    if isinstance(value, dict):
        return {name: read_value(held) for name, held in value.items()}
    pairs = [table(each) for each in items(value)]
    return {name: read_value(each.get("value")) for each in pairs if (name := text(each.get("key")))}


def read_value(value: Json, depth: int = _VALUE_DEPTH) -> Json:
    """The plain value of an AnyValue; anything that is none stays as it is."""
    if not isinstance(value, dict) or depth == 0:
        return value
    for name, held in value.items():
        if name in ("stringValue", "string_value", "boolValue", "bool_value", "bytesValue", "bytes_value"):
            return held
        if name in ("intValue", "int_value"):
            return _integer(held)
        if name in ("doubleValue", "double_value"):
            return held
        if name in ("arrayValue", "array_value"):
            return [read_value(each, depth - 1) for each in items(table(held).get("values"))]
        if name in ("kvlistValue", "kvlist_value"):
            pairs = [table(each) for each in items(table(held).get("values"))]
            return {key: read_value(each.get("value"), depth - 1) for each in pairs if (key := text(each.get("key")))}
    return value or None


def _integer(value: Json) -> Json:
    if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isdigit() and value.isascii():
        return int(value)
    return value


def _first(holder: Table, *names: str) -> Json:
    return next((holder[name] for name in names if holder.get(name) is not None), None)


def _holds_spans(value: Json) -> bool:
    return any(name in table(value) for name in ("resourceSpans", "resource_spans", "batches"))


def _of_resource(holder: Table) -> Iterator[Found | Refusal]:
    scopes = _first(holder, "scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
    outer_url = _first(holder, "schemaUrl", "schema_url")
    if not isinstance(scopes, list):
        if scopes is not None:
            yield Refusal("not_a_record", "scopeSpans is no list")
        return
    for each in map(table, scopes):
        url = _first(each, "schemaUrl", "schema_url") or outer_url
        scope = _first(each, "scope", "instrumentationLibrary", "instrumentation_library")
        for span in items(each.get("spans")):
            yield Found(span, holder.get("resource"), scope, url)


def _signals(outer: Table, resources: str, scopes: str, records: str) -> list[Refusal]:
    """A refusal for each log record or metric in a document of mixed signals."""
    count = sum(
        len(items(table(scope).get(records)))
        for each in items(outer.get(resources))
        for scope in items(table(each).get(scopes))
    )
    return [Refusal("not_a_trace", f"one of {records}")] * count


def _links(value: Json) -> list[str]:
    """The spans that a span links to, as trace/span."""
    found = []
    for each in map(table, items(value)[:32]):
        trace, span = read_id(_first(each, "traceId", "trace_id"), 16), read_id(_first(each, "spanId", "span_id"), 8)
        if trace and span:
            found.append(f"{trace}/{span}")
    return found
