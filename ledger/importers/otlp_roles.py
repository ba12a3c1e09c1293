"""What a span is, across dialects: OpenTelemetry GenAI and MCP, OpenInference, LangSmith, Langfuse, Traceloop, Vercel, Logfire.

A table a dialect, tried in order; a source's own word for the kind of a span comes before what its attributes suggest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from ledger.importers.json_text import Json, table, text
from ledger.importers.messages import decoded
from ledger.importers.otlp_span import Attributes, Span

Role = Literal["model", "agent", "tool", "mcp", "retrieval", "call", "plumbing"]

_OPERATIONS: Final[Mapping[str, Role]] = {
    "chat": "model", "generate_content": "model", "text_completion": "model", "completion": "model", "responses": "model",
    "embeddings": "model", "invoke_agent": "agent", "create_agent": "agent", "invoke_workflow": "agent",
    "execute_tool": "tool", "retrieval": "retrieval",
}  # fmt: skip
_WORDS: Final[Mapping[str, Role]] = {
    "llm": "model", "generation": "model", "chat_model": "model", "completion": "model", "embedding": "model",
    "guardrail": "model", "evaluator": "model", "prompt": "plumbing", "agent": "agent", "workflow": "agent", "tool": "tool",
    "function": "tool", "retriever": "retrieval", "reranker": "retrieval", "chain": "plumbing", "task": "plumbing",
    "span": "plumbing", "unknown": "plumbing",
}  # fmt: skip
_WORD_ATTRIBUTES: Final = (
    "openinference.span.kind", "traceloop.span.kind", "langsmith.span.kind", "langfuse.observation.type", "mlflow.spanType",
    "llm.request.type", "weave.op.kind", "span.kind.ai",
)  # fmt: skip
_MODEL_MARKS: Final = (
    "gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model", "ai.model.id",
    "langfuse.observation.model.name",
)  # fmt: skip
_TOOL_MARKS: Final = ("gen_ai.tool.call.id", "gen_ai.tool.name", "tool.name", "ai.toolCall.name", "ai.toolCall.id")
_AGENT_MARKS: Final = ("gen_ai.agent.name", "gen_ai.agent.id", "agent_name", "agent.name")
_CALL_MARKS: Final = (
    "http.request.method", "http.method", "rpc.system", "rpc.system.name", "db.system", "db.system.name", "messaging.system",
    "faas.invoked_name",
)  # fmt: skip


def role_of(span: Span) -> Role:
    """What the span is; ``plumbing`` where nothing tells."""
    attributes = span.attributes
    if "mcp.method.name" in attributes:
        return "mcp"
    if (named := _OPERATIONS.get(_word(attributes.get("gen_ai.operation.name")))) is not None:
        return named
    for name in _WORD_ATTRIBUTES:
        if (named := _WORDS.get(_word(attributes.get(name)))) is not None and named != "plumbing":
            return named
    if (operation := text(attributes.get("ai.operationId"))) is not None:
        return _of_vercel(operation)
    return _of_marks(span)


def _of_vercel(operation: str) -> Role:
    if operation == "ai.toolCall":
        return "tool"
    return "model" if operation.endswith((".doGenerate", ".doStream", ".doEmbed")) else "agent"


def _of_marks(span: Span) -> Role:
    attributes = span.attributes
    if any(name in attributes for name in _TOOL_MARKS) or _answers_a_tool_call(attributes):
        return "tool"
    if any(name in attributes for name in _MODEL_MARKS):
        return "model"
    if any(name in attributes for name in _AGENT_MARKS):
        return "agent"
    if any(name in attributes for name in _CALL_MARKS) and span.kind in ("client", "server", "producer", "consumer"):
        return "call"
    return "plumbing"


def _answers_a_tool_call(attributes: Attributes) -> bool:
    """LangChain's tools give back a message of type tool, whatever the exporter made of the span."""
    output = table(decoded(attributes.get("output.value") or attributes.get("langfuse.observation.output")))
    return output.get("type") == "tool" and text(output.get("tool_call_id")) is not None


def _word(value: Json) -> str:
    return value.lower() if isinstance(value, str) else ""
