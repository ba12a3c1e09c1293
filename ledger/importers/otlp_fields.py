"""The facts of a span by what they mean, whatever its dialect calls them. Each is read when it is asked for."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, Literal
from urllib.parse import urlsplit

from ledger.importers.json_text import Json, dumps, items, table, text
from ledger.importers.messages import Message, decoded, first_input, messages_of, newest_input, unflatten
from ledger.importers.otlp_names import (
    ARGUMENTS,
    CONVERSATIONS,
    DETAILS,
    EVENT_ROLES,
    FLAT_INPUTS,
    FLAT_OUTPUTS,
    INPUTS,
    OUTPUTS,
    RESULTS,
    USERS,
)
from ledger.importers.otlp_span import Span

_USER: Final = re.compile(r"\A([a-zA-Z0-9+.\-]+://)[^/@]*@")


class Fields:
    """Reads one span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._own = span.attributes

    @cached_property
    def inputs(self) -> list[Message]:
        """What the model or agent was given, in order."""
        if found := self._flattened(FLAT_INPUTS):
            return found
        for name in INPUTS:
            if found := messages_of(self._own.get(name)):
                return found
        return self._from_events()

    @cached_property
    def outputs(self) -> list[Message]:
        """What it answered."""
        found = self._flattened(FLAT_OUTPUTS)
        for name in OUTPUTS:
            found = found or messages_of(self._own.get(name))
        calls = tuple(
            call
            for each in items(decoded(self._own.get("ai.response.toolCalls") or self._own.get("ai.result.toolCalls")))
            if (call := text(table(each).get("toolCallId")))
        )
        return [*found, Message("assistant", "", "", calls, ())] if calls else found

    @property
    def newest_input(self) -> str | None:
        """What a user said to a model in this very call. Text that is no message counts only at the root."""
        if self.inputs:
            return newest_input(self.inputs)
        given = decoded(self._own.get("llm.prompts") or self._own.get("gen_ai.prompt") or self._own.get("ai.prompt"))
        if said := text((items(given)[-1:] or [given])[0]):
            return said
        plain = self._text(*INPUTS)
        return plain if plain and self._span.parent is None and isinstance(decoded(plain), str) else None

    @property
    def first_input(self) -> str | None:
        """What an agent or a root was asked for: the user's words if they can be told, else the input whole."""
        return first_input(self.inputs) or (None if self.inputs else self._text(*INPUTS))

    @property
    def calls(self) -> list[str]:
        """Ids of the tool calls that the answer asks for."""
        return list(dict.fromkeys(call for each in self.outputs if each.role == "assistant" for call in each.calls))

    @property
    def answers(self) -> list[str]:
        """Ids of the tool calls whose results came with this input."""
        found: list[str] = []
        for each in reversed(self.inputs):
            if each.role == "assistant" and not each.answers:
                break
            found += each.answers
        return list(dict.fromkeys(reversed(found)))

    @property
    def reasoning(self) -> str:
        return "\n".join(each.reasoning for each in self.outputs if each.reasoning)

    @property
    def input(self) -> str | None:
        return self._text(*INPUTS) or self._flat_text(FLAT_INPUTS)

    @property
    def output(self) -> str | None:
        return self._text(*OUTPUTS) or self._flat_text(FLAT_OUTPUTS)

    @property
    def arguments(self) -> str | None:
        return self._text(*ARGUMENTS)

    @property
    def result(self) -> str | None:
        return self._text(*RESULTS)

    @property
    def operation(self) -> str | None:
        named = self._plain("gen_ai.operation.name", "ai.operationId", "llm.request.type")
        kind = self._plain(
            "openinference.span.kind", "traceloop.span.kind", "langsmith.span.kind", "langfuse.observation.type"
        )
        return named or ({"llm": "chat", "generation": "chat"}.get(kind.lower(), kind.lower()) if kind else None)

    @property
    def provider(self) -> str | None:
        return self._plain("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")

    @property
    def request_model(self) -> str | None:
        return self._plain(
            "gen_ai.request.model",
            "llm.request.model",
            "llm.model_name",
            "ai.model.id",
            "langfuse.observation.model.name",
            "model_name",
        )

    @property
    def response_model(self) -> str | None:
        return self._plain("gen_ai.response.model", "llm.response.model", "ai.response.model")

    @property
    def response_id(self) -> str | None:
        return self._plain("gen_ai.response.id", "ai.response.id")

    @property
    def finish_reasons(self) -> list[str]:
        held = decoded(self._own.get("gen_ai.response.finish_reasons") or self._own.get("ai.response.finishReason"))
        listed = items(held) or [held]
        return [each for each in listed[:32] if text(each)]

    @property
    def input_tokens(self) -> int | None:
        return self._count(
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "ai.usage.promptTokens",
            "ai.usage.inputTokens",
        )

    @property
    def output_tokens(self) -> int | None:
        return self._count(
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "ai.usage.completionTokens",
            "ai.usage.outputTokens",
        )

    @property
    def tool(self) -> str | None:
        named = self._plain("gen_ai.tool.name", "tool.name", "ai.toolCall.name")
        return (
            named or text(table(decoded(self._own.get("output.value"))).get("name")) if self.call_id or named else None
        )

    @cached_property
    def call_id(self) -> str | None:
        named = self._plain(
            "gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool.call.id", "langsmith.metadata.tool_call_id"
        )
        output = table(decoded(self._own.get("output.value") or self._own.get("langfuse.observation.output")))
        return named or text(output.get("tool_call_id"))

    @property
    def service(self) -> str | None:
        """The service by its own name; what an SDK puts where none was set is no name."""
        named = text(self._span.resource.get("service.name"))
        if named is None or named.startswith("unknown_service"):
            return None
        namespace = text(self._span.resource.get("service.namespace"))
        return f"{namespace}/{named}" if namespace else named

    @property
    def instance(self) -> str | None:
        return text(self._span.resource.get("service.instance.id"))

    @property
    def agent(self) -> str | None:
        return self._plain("gen_ai.agent.name", "gen_ai.agent.id", "agent_name", "agent.name", "graph.node.id")

    @property
    def user(self) -> str | None:
        return self._plain(*USERS)

    @property
    def conversation(self) -> str | None:
        return self._plain(*CONVERSATIONS)

    @property
    def environment(self) -> str | None:
        held = self._span.resource
        return text(held.get("deployment.environment.name")) or text(held.get("deployment.environment"))

    @property
    def error_type(self) -> str | None:
        if named := self._plain("error.type", "exception.type"):
            return named
        raised = (text(held.get("exception.type")) for name, held in self._span.events if name == "exception")
        return next(filter(None, raised), "error") if self._span.failed else None

    @property
    def status(self) -> str | None:
        code = self._own.get("http.response.status_code", self._own.get("http.status_code"))
        if isinstance(code, int | str) and not isinstance(code, bool):
            return f"HTTP {code}"
        return self._plain("rpc.grpc.status_code", "rpc.response.status_code")

    @property
    def outcome(self) -> Literal["success", "failure", "denied", "unknown"]:
        if self.status in ("HTTP 401", "HTTP 403"):
            return "denied"
        if self._span.failed or (self.status or "").startswith(("HTTP 4", "HTTP 5")):
            return "failure"
        return "success" if self._span.end is not None else "unknown"

    @property
    def url(self) -> str | None:
        """Where a call went, without query and user."""
        whole = self._plain("url.full", "http.url", "mcp.resource.uri")
        if whole is None:
            return self._plain("url.template", "http.route", "url.path")
        try:
            parts = urlsplit(_USER.sub(r"\1", whole))
        except ValueError:
            return None
        return parts._replace(query="", fragment="").geturl() or None

    @property
    def target(self) -> str | None:
        return self._plain(
            "server.address",
            "net.peer.name",
            "http.host",
            "rpc.service",
            "messaging.destination.name",
            "db.namespace",
            "db.name",
        )

    @property
    def call_operation(self) -> str | None:
        if method := self._plain("http.request.method", "http.method"):
            route = self._plain("url.template", "http.route")
            return f"{method} {route}" if route else method
        if method := self._plain("rpc.method"):
            return f"{self._plain('rpc.service') or 'rpc'}/{method}"
        return self._plain("db.operation.name", "db.operation", "messaging.operation.name", "messaging.operation.type")

    def _flattened(self, prefixes: tuple[str, ...]) -> list[Message]:
        for prefix in prefixes:
            if found := messages_of(unflatten(self._own, prefix)):
                return found
        return []

    def _from_events(self) -> list[Message]:
        """Messages in span events, as conventions before 1.37 had them, and details after it."""
        found: list[Message] = []
        for name, held in self._span.events:
            if role := EVENT_ROLES.get(name):
                found += messages_of({"role": role, **held})
            elif name in DETAILS:
                found += messages_of(held.get("gen_ai.input.messages") or held.get("gen_ai.prompt"))
        return found

    def _plain(self, *names: str) -> str | None:
        return next((value for name in names if (value := text(self._own.get(name)))), None)

    def _text(self, *names: str) -> str | None:
        """The first of these attributes that says something, as text."""
        for name in names:
            value = self._own.get(name)
            if isinstance(value, str) and value.strip():
                return value
            if isinstance(value, dict | list) and value:
                return dumps(value)
        return None

    def _flat_text(self, prefixes: tuple[str, ...]) -> str | None:
        held = next((held for prefix in prefixes if (held := unflatten(self._own, prefix))), None)
        return None if held is None else dumps(held)

    def _count(self, *names: str) -> int | None:
        for name in names:
            value: Json = self._own.get(name)
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
                return value
        return None
