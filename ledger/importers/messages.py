"""Messages between people, models and tools, in the shapes that exporters give them, read into one.

OpenTelemetry parts, OpenAI chat and responses, Anthropic blocks, Gemini contents, LangChain, Pydantic AI, OpenInference and
Traceloop's flattened attributes. What is in none of these shapes gives no messages; nothing raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ledger.importers.json_text import Json, Refused, items, parse, table, text

_ROLES: Final = {
    "human": "user", "ai": "assistant", "model": "assistant", "developer": "system", "function": "tool", "bot": "assistant",
    "user": "user", "assistant": "assistant", "system": "system", "tool": "tool", "AIMessage": "assistant",
    "HumanMessage": "user", "SystemMessage": "system", "ToolMessage": "tool", "AIMessageChunk": "assistant", "chat": "user",
}  # fmt: skip
_CALLS: Final = frozenset({"tool_call", "tool_use", "function_call", "tool-call", "server_tool_use", "mcp_call"})
_RESPONSES: Final = frozenset({"tool_call_response", "tool_result", "function_call_output", "tool-result"})
_REASONING: Final = frozenset({"reasoning", "thinking", "redacted_thinking"})
_MESSAGES: Final = 2000
_DEPTH: Final = 8


class Message(NamedTuple):
    """``calls`` are the ids of tool calls that it asks for, ``answers`` of those whose result it brings."""

    role: str
    text: str
    reasoning: str
    calls: tuple[str, ...]
    answers: tuple[str, ...]


def messages_of(value: Json) -> list[Message]:
    """The messages in an attribute's value: JSON in text, or a structure."""
    return _collect(decoded(value), "", _DEPTH)[:_MESSAGES]


def decoded(value: Json) -> Json:
    """``value``, or what it says where it is JSON in text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse(value)
        except Refused:
            return value
    return value


def newest_input(messages: list[Message]) -> str | None:
    """What the user said, where nothing was said after it but by the system: a new input, not the history of one."""
    for each in reversed(messages):
        if each.role == "user" and each.text:
            return each.text
        if each.role in ("assistant", "tool"):
            return None
    return None


def first_input(messages: list[Message]) -> str | None:
    """The last thing that the user said before the first answer."""
    found = None
    for each in messages:
        if each.role == "user" and each.text:
            found = each.text
        elif each.role == "assistant" and found:
            break
    return found


def unflatten(attributes: Mapping[str, Json], prefix: str) -> Json:
    """The structure in attributes such as ``llm.input_messages.0.message.role``, under ``prefix``; None if there are none."""
    root: dict[str, Json] = {}
    for name, value in attributes.items():
        if name.startswith(prefix + "."):
            parts = name[len(prefix) + 1 :].split(".")
            if len(parts) <= 12:
                _place(root, parts, value)
    return _lists(root, 14) if root else None


def _place(root: dict[str, Json], parts: list[str], value: Json) -> None:
    here = root
    for part in parts[:-1]:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            return
        here = below
    here.setdefault(parts[-1], value)


def _lists(value: Json, depth: int) -> Json:
    if not isinstance(value, dict) or depth == 0:
        return value
    if value and all(name.isascii() and name.isdigit() and len(name) < 6 for name in value):
        return [_lists(value[name], depth - 1) for name in sorted(value, key=int)]
    return {name: _lists(held, depth - 1) for name, held in value.items()}


def _collect(value: Json, role: str, depth: int) -> list[Message]:
    if depth == 0:
        return []
    if isinstance(value, list):
        return [found for each in value[:_MESSAGES] for found in _collect(each, role, depth - 1)]
    outer = table(value)
    if not outer:
        return []
    if isinstance(inner := outer.get("message"), dict):
        return _collect(inner, role, depth - 1)
    named = text(outer.get("role")) or text(outer.get("type")) or text(outer.get("author"))
    if named in _CALLS or named in _RESPONSES or named in _REASONING:
        return [_of_part(outer, named)]
    known = _ROLES.get(named or "", role)
    if known and any(name in outer for name in ("content", "contents", "parts", "tool_calls", "text", "function_call")):
        return [_of_message(outer, known)]
    for name in (
        "messages",
        "choices",
        "output",
        "contents",
        "input",
        "new_message",
        "content",
        "generations",
        "all_messages",
    ):
        if isinstance(inner := outer.get(name), dict | list):
            return _collect(
                inner, role or ("assistant" if name in ("choices", "output", "generations") else ""), depth - 1
            )
    return []


def _of_part(part: Mapping[str, Json], kind: str) -> Message:
    """An item of the Responses API, which stands where a message would."""
    call = text(part.get("call_id")) or text(part.get("id")) or text(part.get("tool_use_id"))
    calls = (call,) if call and kind in _CALLS else ()
    answers = (call,) if call and kind in _RESPONSES else ()
    reasoning = _plain(part.get("summary") or part.get("content") or part.get("text"), 4) if kind in _REASONING else ""
    return Message("tool" if kind in _RESPONSES else "assistant", "", reasoning, calls, answers)


def _of_message(message: Mapping[str, Json], role: str) -> Message:
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[str] = []
    answers: list[str] = []
    if isinstance(content := message.get("content"), str):
        texts.append(content)
    if role == "tool" and (answered := text(message.get("tool_call_id"))):
        answers.append(answered)
    held = [each for name in ("content", "contents", "parts") for each in _listed(message.get(name))]
    for each in held[:_MESSAGES]:
        _read_part(each, texts, reasoning, calls, answers)
    for source in (message.get("tool_calls"), table(message.get("additional_kwargs")).get("tool_calls")):
        for each in items(source)[:_MESSAGES]:
            inner = table(table(each).get("tool_call")) or table(each)
            if (call := text(inner.get("id"))) and call not in calls:
                calls.append(call)
    if not texts and (plain := text(message.get("text"))):
        texts.append(plain)
    if said := text(message.get("reasoning_content")) or text(message.get("reasoning")):
        reasoning.append(said)
    return Message(
        role, "\n".join(filter(None, texts)), "\n".join(filter(None, reasoning)), tuple(calls), tuple(answers)
    )


def _listed(value: Json) -> list[Json]:
    return [value] if isinstance(value, dict) else items(value)


def _read_part(part: Json, texts: list[str], reasoning: list[str], calls: list[str], answers: list[str]) -> None:
    if isinstance(part, str):
        texts.append(part)
        return
    inner = table(table(part).get("message_content")) or table(part)
    kind = text(inner.get("type")) or ""
    call = (
        text(inner.get("id"))
        or text(inner.get("tool_call_id"))
        or text(inner.get("toolCallId"))
        or text(inner.get("call_id"))
    )
    if kind in _CALLS or "function_call" in inner or "functionCall" in inner:
        call = call or text(table(inner.get("function_call") or inner.get("functionCall")).get("id"))
        if call:
            calls.append(call)
    elif kind in _RESPONSES or "function_response" in inner or "functionResponse" in inner:
        call = text(inner.get("tool_use_id")) or call
        call = call or text(table(inner.get("function_response") or inner.get("functionResponse")).get("id"))
        if call:
            answers.append(call)
    elif kind in _REASONING:
        reasoning.append(
            _plain(inner.get("content") or inner.get("text") or inner.get("thinking") or inner.get("summary"), 4)
        )
    else:
        texts.append(_plain(inner.get("text") or inner.get("content"), 4))


def _plain(value: Json, depth: int) -> str:
    """The text in a value, however it is wrapped."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_plain(each, depth - 1) for each in value[:_MESSAGES])))
    inner = table(value)
    return _plain(inner.get("text") or inner.get("content") or inner.get("value") or "", depth - 1)
