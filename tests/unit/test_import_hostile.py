"""No record, however mangled, makes a reader raise, or makes an event that the format does not allow."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.format.event import decode_header
from ledger.format.kinds import check, from_avro
from ledger.importers.account import REASONS, Refusal
from ledger.importers.json_text import Refused, parse
from tests.importing import SCHEMAS, any_value, attributes, call, read_all, span, trace
from tests.unit.test_import_cloudtrail import assumed

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["", "\0", "\ud800", "0" * 32, "NaN", "9" * 40, "{", "[]", '{"role":"user"}', "x" * 5000, -1, 2**63, 1e308])
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
RICH_CALL = call(
    userIdentity=assumed(
        sourceIdentity="kim", webIdFederationData={"federatedProvider": "p", "attributes": {"p:sub": "s"}}
    ),
    responseElements={
        "credentials": {"accessKeyId": "ASIA1", "expiration": "Jul 30, 2024, 9:46:15 PM", "sessionToken": "t"}
    },
    resources=[{"ARN": "arn:aws:s3:::b", "type": "AWS::S3::Bucket", "accountId": "1"}],
    additionalEventData={"MFAUsed": "No"},
    eventName="AssumeRole",
    eventSource="sts.amazonaws.com",
)
RICH_SPANS = [
    span(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
            "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"tool_call","id":"call_12345678"}]}]',
            "gen_ai.tool.call.id": "call_12345678",
            "llm.input_messages.0.message.role": "user",
            "mcp.session.id": "s",
            "jsonrpc.request.id": 5,
            "url.full": "http://h/p?q",
            "user.id": "u",
            "gen_ai.usage.input_tokens": 4,
            **more,
        },
        parentSpanId="00f067aa0ba902b7",
        events=[{"name": "gen_ai.user.message", "attributes": attributes({"content": "x"})}],
        links=[{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7"}],
        status={"code": 2, "message": "no"},
    )
    for operation, more in (
        ("chat", {}),
        ("invoke_agent", {}),
        ("execute_tool", {}),
        ("", {"mcp.method.name": "tools/call"}),
    )
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*path, name))


def mangled(value: Any, path: tuple[Any, ...], replacement: Any) -> Any:
    if not path:
        return replacement
    whole = copy.deepcopy(value)
    here = whole
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = replacement
    return whole


def judge(format_name: str, document: Any) -> None:
    """Every outcome is a listed refusal, or events within the format."""
    for each in read_all(format_name, document):
        if isinstance(each, Refusal):
            assert each.reason in REASONS
            continue
        contents = {content.digest for content in each.contents}
        for event in each.events:
            header = decode_header(SCHEMAS, event.header)
            datum = SCHEMAS.decode(event.payload)
            assert SCHEMAS.encode(header.kind, datum) == event.payload
            check(from_avro(header.kind, datum))
            assert set(header.contents) <= contents


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mangled_call_is_events_or_a_refusal(data: st.DataObject) -> None:
    record = RICH_CALL
    for _ in range(data.draw(st.integers(1, 3))):
        record = mangled(record, data.draw(st.sampled_from(list(places(record)))), data.draw(ANYTHING))
        if not isinstance(record, dict | list):
            break
    judge("cloudtrail", [record])


def test_who_has_a_name_too_long_for_a_content_is_refused_and_ends_nothing() -> None:
    pairs = [{"key": "user.id", "value": {"stringValue": "u" * 5000}}]
    found = read_all("otlp", trace(span(attributes=pairs), span(spanId="00f067aa0ba902b8")))
    assert [each.reason if isinstance(each, Refusal) else "imported" for each in found] == ["too_large", "imported"]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_mangled_span_is_events_or_a_refusal(data: st.DataObject) -> None:
    document: Any = trace(data.draw(st.sampled_from(RICH_SPANS)), resource={"service.name": "s"})
    for _ in range(data.draw(st.integers(1, 3))):
        document = mangled(document, data.draw(st.sampled_from(list(places(document)))), data.draw(ANYTHING))
        if not isinstance(document, dict | list):
            break
    judge("otlp", document)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(name for each in RICH_SPANS for name in (a["key"] for a in each["attributes"]))),
        ANYTHING,
    )
)
def test_attributes_of_any_value_are_read(values: dict[str, Any]) -> None:
    pairs = [
        {"key": name, "value": any_value(value) if isinstance(value, str | bool | int | list | dict) else value}
        for name, value in values.items()
    ]
    judge("otlp", trace(span(attributes=pairs)))


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_any_document_is_read(document: Any) -> None:
    judge("otlp", document)
    judge("cloudtrail", document)


@pytest.mark.parametrize("format_name", ["otlp", "cloudtrail"])
def test_depth_and_breadth_are_bounded(format_name: str) -> None:
    deep: Any = {"a": 1}
    for _ in range(900):
        deep = {"a": deep, "detail": deep}
    wide = {f"k{number}": [number] * 10 for number in range(60_000)}
    for value in (deep, wide):
        judge(format_name, call(requestParameters=value))
        judge(format_name, trace(span(attributes=[{"key": "input.value", "value": value}])))
    with pytest.raises(Refused):
        parse('{"a":' * 100_000)
