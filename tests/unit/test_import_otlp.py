"""What spans become, across spellings and dialects; and how a tool call finds the prompt above it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ledger.attribution.joins import names_of
from ledger.importers.draft import Imported
from tests.importing import (
    TRACE,
    attributes,
    by_kind,
    person,
    read_all,
    read_span,
    reason_of,
    seen,
    span,
    texts,
    trace,
)  # fmt: skip

SPAN = "b7ad6b7169203331"
PARENT = "00f067aa0ba902b7"
MESSAGES = json.dumps([{"role": "system", "content": "be kind"}, {"role": "user", "content": "book a flight"}])
ANSWER = json.dumps([{"role": "assistant", "parts": [{"type": "tool_call", "id": "call_12345678", "name": "search"}]}])
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}


def kinds(imported: Any) -> list[str]:
    return [each.header.kind for each in seen(imported)]


def said(imported: Any) -> str:
    prompt = by_kind(imported)["prompt"]
    return texts(imported)[prompt.payload["text"]]


def test_a_model_call_with_a_new_input_is_a_prompt_and_a_step_started_by_it() -> None:
    imported = read_span(
        {**CHAT, "gen_ai.input.messages": MESSAGES, "gen_ai.output.messages": ANSWER}, parentSpanId=PARENT
    )
    prompt, step = seen(imported)
    assert said(imported) == "book a flight"
    assert step.header.kind == "reasoning_step"
    assert [(each.event_id, each.digest, each.relation) for each in step.header.causes] == [
        (prompt.header.event_id, None, "started_by")
    ]
    assert {f"span:{SPAN}", f"parent_span:{PARENT}", f"trace:{TRACE}", "tool_call:call_12345678"} <= set(
        step.header.correlation
    )
    assert f"span:{SPAN}" not in prompt.header.correlation
    assert step.payload["request_model"] == "m-1"
    assert step.header.execution_id == bytes.fromhex(TRACE)


def test_a_model_call_that_reads_a_result_is_no_prompt() -> None:
    history = [
        *json.loads(MESSAGES),
        *json.loads(ANSWER),
        {"role": "tool", "tool_call_id": "call_12345678", "content": "ok"},
    ]
    imported = read_span({**CHAT, "gen_ai.input.messages": json.dumps(history)})
    assert kinds(imported) == ["reasoning_step"]
    correlation = seen(imported)[0].header.correlation
    assert "tool_result:call_12345678" in correlation
    assert "tool_call:call_12345678" not in correlation


@pytest.mark.parametrize(
    "of",
    [
        {**CHAT, "gen_ai.input.messages": MESSAGES},
        {**CHAT, "gen_ai.input.messages": json.loads(MESSAGES)},
        {"openinference.span.kind": "LLM", "llm.input_messages.0.message.role": "user",
         "llm.input_messages.0.message.content": "book a flight"},
        {"openinference.span.kind": "LLM", "llm.input_messages.0.message.role": "user",
         "llm.input_messages.0.message.contents.0.message_content.type": "text",
         "llm.input_messages.0.message.contents.0.message_content.text": "book a flight"},
        {"traceloop.span.kind": "llm", "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "book a flight"},
        {"langsmith.span.kind": "llm", "input.value":
         json.dumps({"messages": [[{"type": "human", "content": "book a flight"}]]})},
        {"ai.operationId": "ai.generateText.doGenerate", "ai.prompt.messages":
         json.dumps([{"role": "user", "content": [{"type": "text", "text": "book a flight"}]}])},
        {"langfuse.observation.type": "generation", "langfuse.observation.input": MESSAGES},
        {"gen_ai.request.model": "gemini", "gcp.vertex.agent.llm_request":
         json.dumps({"contents": [{"role": "user", "parts": [{"text": "book a flight"}]}]})},
        {"openinference.span.kind": "LLM", "llm.prompts": '["book a flight"]'},
        {"gen_ai.operation.name": "text_completion", "gen_ai.prompt": "book a flight"},
    ],
)  # fmt: skip
def test_a_prompt_is_found_in_every_dialect(of: dict[str, Any]) -> None:
    imported = read_span(of, parentSpanId=PARENT)
    assert kinds(imported) == ["prompt", "reasoning_step"]
    assert said(imported) == "book a flight"


def test_a_prompt_is_found_in_span_events() -> None:
    events = [{"name": "gen_ai.user.message", "attributes": attributes({"content": "book a flight"})}]
    assert said(read_span(CHAT, events=events)) == "book a flight"


@pytest.mark.parametrize(
    "output",
    [
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "call_12345678"}]}],
        {"choices": [{"message": {"role": "assistant", "tool_calls": [{"id": "call_12345678"}]}}]},
        {"role": "assistant", "content": "", "additional_kwargs": {"tool_calls": [{"id": "call_12345678"}]}},
        {"content": [{"type": "tool_use", "id": "call_12345678", "name": "f"}], "role": "assistant"},
        {"content": {"role": "model", "parts": [{"function_call": {"id": "call_12345678", "name": "f"}}]}},
        {"output": [{"type": "function_call", "call_id": "call_12345678", "name": "f"}]},
    ],
)
def test_tool_calls_are_found_in_every_shape_of_answer(output: Any) -> None:
    imported = read_span({**CHAT, "output.value": json.dumps(output)})
    assert "tool_call:call_12345678" in seen(imported)[-1].header.correlation


def test_reasoning_is_kept_and_said_to_be_seen() -> None:
    answer = [
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "think"}, {"type": "text", "content": "hi"}]}
    ]
    imported = read_span({**CHAT, "gen_ai.output.messages": json.dumps(answer)})
    step = by_kind(imported)["reasoning_step"].payload
    assert step["visibility"] == "full"
    assert texts(imported)[step["reasoning"]] == "think"


@pytest.mark.parametrize(
    "of",
    [
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_12345678",
         "gen_ai.tool.call.arguments": '{"to":"NYC"}', "gen_ai.tool.call.result": "none"},
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "search", "ai.toolCall.id": "call_12345678",
         "ai.toolCall.args": '{"to":"NYC"}', "ai.toolCall.result": "none"},
        {"gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_12345678", "tool_arguments": '{"to":"NYC"}',
         "tool_response": "none"},
    ],
)  # fmt: skip
def test_a_tool_call_is_an_action_and_what_it_gave_an_observation(of: dict[str, Any]) -> None:
    imported = read_span(of, parentSpanId=PARENT)
    action, observation = seen(imported)
    assert action.payload["operation"] == "search"
    assert action.payload["action_id"] == "call_12345678" == observation.payload["action_id"]
    assert action.payload["outcome"] == "success"
    assert [each.relation for each in observation.header.causes] == ["result_of"]
    assert texts(imported)[observation.payload["result"]] == "none"
    answers, follows = names_of(*action)
    assert {f"correlation:span:{PARENT}", "correlation:tool_call:call_12345678"} <= set(follows)
    assert f"correlation:span:{SPAN}" in answers


def test_a_tool_call_leads_to_the_prompt_of_its_parent() -> None:
    root = span({"gen_ai.operation.name": "invoke_agent", "input.value": MESSAGES}, spanId=PARENT)
    tool = span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}, parentSpanId=PARENT)
    above, below = read_all("otlp", trace(root, tool))
    assert said(above) == "book a flight"
    assert f"correlation:span:{PARENT}" in names_of(*by_kind(above)["prompt"])[0]
    assert f"correlation:span:{PARENT}" in names_of(*by_kind(below)["api_action"])[1]


def test_both_sides_of_an_mcp_call_tell_of_one_action() -> None:
    of = {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "search",
        "mcp.session.id": "s1",
        "jsonrpc.request.id": 7,
    }
    client, server = (by_kind(read_span(of, spanId=each, kind=kind)) for each, kind in ((SPAN, 3), (PARENT, 2)))
    assert client["api_action"].payload["action_id"] == server["api_action"].payload["action_id"]
    assert client["api_action"].payload["domain"] == "mcp"
    assert client["api_action"].payload["operation"] == "tools/call search"


def test_both_sides_of_an_http_call_tell_of_one_action() -> None:
    url = "https://user:hunter2@api.example/pay/1?token=x"
    of = {"http.request.method": "POST", "url.full": url, "http.response.status_code": 403}
    client = by_kind(read_span(of, kind="SPAN_KIND_CLIENT"))["api_action"].payload
    server = by_kind(read_span({"http.method": "POST"}, spanId=PARENT, parentSpanId=SPAN, kind=2))["api_action"].payload
    assert client["action_id"] == server["action_id"]
    assert (client["resource"], client["status"], client["outcome"]) == (
        "https://api.example/pay/1",
        "HTTP 403",
        "denied",
    )


def test_plumbing_keeps_the_way_open() -> None:
    below = read_span({}, parentSpanId=PARENT)
    assert kinds(below) == ["reasoning_step"]
    assert {f"span:{SPAN}", f"parent_span:{PARENT}"} <= set(seen(below)[0].header.correlation)
    assert kinds(read_span({})) == ["execution_control"]
    assert kinds(read_span({"input.value": "hello"})) == ["prompt"]


def test_a_retrieval_is_an_observation() -> None:
    found = by_kind(read_span({"openinference.span.kind": "RETRIEVER", "output.value": "[1]"}))["observation"]
    assert found.payload["source"] == "document"


def test_the_user_is_named_by_the_applications_word_and_nobody_by_default() -> None:
    imported = read_span(
        {"user.id": "u@x.org", **CHAT, "gen_ai.input.messages": MESSAGES}, resource={"service.name": "shop"}
    )
    assert isinstance(imported, Imported)
    header, payload = by_kind(imported)["prompt"]
    assert person(imported, header.principal) == {"issuer": "otel://shop", "subject": "u@x.org", "kind": "human"}
    assert payload["trigger_kind"] == "human"
    assert all(b"u@x.org" not in each.header + each.payload for each in imported.events)
    nobody = by_kind(read_span({**CHAT, "gen_ai.input.messages": MESSAGES}))["prompt"]
    assert nobody.header.principal is None
    assert nobody.payload["trigger_kind"] == "unknown"


@pytest.mark.parametrize(
    ("of", "resource", "agent"),
    [
        ({"gen_ai.agent.name": "joker"}, {"service.name": "shop", "service.namespace": "eu"}, "otel://eu/shop#joker"),
        ({"gen_ai.agent.id": "a b"}, {}, "otel://unknown_service#a%20b"),
        ({}, {"service.name": "shop"}, "otel://shop"),
        ({}, {"service.name": "unknown_service:python"}, None),
    ],
)
def test_an_agent_is_named_with_its_authority(of: dict[str, Any], resource: dict[str, Any], agent: str | None) -> None:
    assert seen(read_span(of, resource=resource))[0].header.agent_id == agent


def test_ids_and_times_are_read_however_they_are_written() -> None:
    def encoded(value: str) -> str:
        return base64.b64encode(bytes.fromhex(value)).decode()

    plain = read_span({})
    start = 1749650492598000128
    headers = [
        seen(each)[0].header
        for each in (
            plain,
            read_span({}, traceId=encoded(TRACE), spanId=encoded(SPAN)),
            read_span({}, traceId=TRACE.upper(), spanId=SPAN.upper()),
            read_span({}, startTimeUnixNano=start),
        )
    ]
    assert {each.event_id for each in headers} == {headers[0].event_id}
    assert {each.occurred_at for each in headers} == {start // 1000}


def test_snake_case_and_older_names_are_read() -> None:
    inner = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": PARENT,
        "name": "x",
        "start_time_unix_nano": 1749650492598000128,
    }
    documents = [
        {"resource_spans": [{"scope_spans": [{"spans": [inner]}]}]},
        {"resourceSpans": [{"instrumentationLibrarySpans": [{"spans": [inner]}]}]},
        {"batches": [{"scopeSpans": [{"spans": [inner]}]}]},
        {"trace": {"resourceSpans": [{"scopeSpans": [{"spans": [inner]}]}]}},
        [{"resourceSpans": [{"scopeSpans": [{"spans": [inner]}]}]}],
        inner,
    ]
    ids = {seen(read_all("otlp", each)[0])[0].header.event_id for each in documents}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"traceId": None}, "no_id"),
        ({"spanId": ""}, "no_id"),
        ({"traceId": "0" * 32}, "no_id"),
        ({"spanId": "zz"}, "no_id"),
        ({"spanId": 5}, "no_id"),
        ({"startTimeUnixNano": "0", "endTimeUnixNano": None}, "bad_time"),
        ({"startTimeUnixNano": "-5", "endTimeUnixNano": "x"}, "bad_time"),
        ({"startTimeUnixNano": True, "endTimeUnixNano": 1.5}, "bad_time"),
    ],
)
def test_a_span_that_is_none_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(read_span({}, **changes)) == reason


def test_a_start_that_is_missing_is_the_end() -> None:
    assert seen(read_span({}, startTimeUnixNano=None))[0].header.occurred_at == 1_749_650_499_588_999


def test_other_signals_are_counted() -> None:
    logs: Any = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}]}]}
    metrics: Any = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{}]}]}]}
    assert [reason_of(each) for each in read_all("otlp", [logs, metrics])] == ["not_a_trace"] * 3
    assert len(read_all("otlp", {**logs, **trace(span())})) == 3


def test_what_holds_no_spans_is_refused() -> None:
    assert [reason_of(each) for each in read_all("otlp", [{}, 5, {"resourceSpans": [7]}])] == ["not_a_record"] * 3
    assert [reason_of(each) for each in read_all("otlp", trace("x"))] == ["not_a_record"]  # type: ignore[arg-type]


def test_links_and_a_failed_status_are_told() -> None:
    links = [{"traceId": TRACE, "spanId": PARENT}, {"traceId": "x"}]
    events = [{"name": "exception", "attributes": attributes({"exception.type": "Timeout"})}]
    (found,) = seen(read_span(CHAT, links=links, status={"code": "STATUS_CODE_ERROR"}, events=events))
    assert f"linked_span:{TRACE}/{PARENT}" in found.header.correlation
    assert (found.payload["status"], found.payload["error_type"]) == ("failed", "Timeout")


def test_secrets_in_attributes_are_masked_in_every_content() -> None:
    headers = json.dumps({"headers": {"Authorization": "Bearer hunter2hunter2"}, "api_key": "hunter2"})
    imported = read_span(
        {**CHAT, "llm.invocation_parameters": headers, "input.value": headers, "db.password": "hunter2"}
    )
    assert not [each for each in texts(imported).values() if "hunter2" in each]


def test_conversations_that_name_a_person_are_pseudonyms() -> None:
    assert "conversation:c-1" in seen(read_span({"session.id": "c-1"}))[0].header.correlation
    (name,) = [
        each for each in seen(read_span({"session.id": "a@x.org"}))[0].header.correlation if "conversation" in each
    ]
    assert name.startswith("conversation:hmac:")


def test_values_of_every_type_are_read() -> None:
    of = {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": "6",
        "gen_ai.response.finish_reasons": ["stop"],
        **CHAT,
    }
    step = seen(read_span(of))[0].payload
    assert (step["input_tokens"], step["output_tokens"], step["finish_reasons"]) == (5, 6, ["stop"])
    nested = {**CHAT, "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]}
    assert said(read_span(nested)) == "hi"


def test_many_tool_calls_fit_or_are_refused() -> None:
    def calls(count: int) -> Any:
        parts = [{"type": "tool_call", "id": f"call_{number:040}"} for number in range(count)]
        return read_span({**CHAT, "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": parts}])})

    assert len(seen(calls(100))[0].header.correlation) == 102
    assert reason_of(calls(500)) == "too_large"
