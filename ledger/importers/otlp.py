"""OTLP traces: what each span becomes. To a first depth in the dialects of ``otlp_roles``.

The main event of a span answers to its ``span:`` name and follows its ``parent_span:``; what else the span tells (the prompt
of a model call, the result of a tool) hangs on it by causes. A span that is only plumbing becomes an event too, so that the
way from a tool call to the prompt above it has no holes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal
from urllib.parse import quote

from ledger.format.content import Person
from ledger.format.event import RESULT_OF, STARTED_BY
from ledger.format.kinds import ApiAction, ExecutionControl, Observation, Prompt, ReasoningStep
from ledger.importers.account import Refusal
from ledger.importers.draft import Draft, Imported, Publication, refusal_of
from ledger.importers.json_text import Json, Refused, clean, digest_of, dumps, text
from ledger.importers.messages import decoded
from ledger.importers.otlp_fields import Fields
from ledger.importers.otlp_roles import Role, role_of
from ledger.importers.otlp_span import Found, Span, read_span
from ledger.importers.redaction import redact

MEDIA_TYPE: Final = "application/vnd.answerable.otlp-span+json"


def read_record(publication: Publication, found: Found) -> Imported | Refusal:
    """What one span becomes. Never raises, whatever the span."""
    try:
        return _read(publication, found)
    except Refused as error:
        return refusal_of(error)


def _read(publication: Publication, found: Found) -> Imported:
    if not isinstance(found.span, dict):
        raise Refused("not_a_record", "a span that is no object")
    cleaned = redact(clean(list(found)), publication.derivation.masked)
    span = read_span(Found(*cleaned))
    draft = Draft(publication, f"otlp\0{span.trace}\0{span.span}".encode(), span.start)
    draft.execution_id = bytes.fromhex(span.trace)
    fields = Fields(span)
    _describe_agent(draft, fields)
    _MAKERS[role_of(span)](draft, span, fields)
    original = dict(zip(("span", "resource", "scope", "schema_url"), cleaned, strict=True))
    return draft.finish(MEDIA_TYPE, dumps({name: held for name, held in original.items() if held is not None}))


def _describe_agent(draft: Draft, fields: Fields) -> None:
    """The agent by its own word under its service; the user by the application's word, so never more than asserted."""
    service = fields.service
    authority = f"otel://{quote(service or 'unknown_service', safe='/')}"
    if agent := fields.agent:
        draft.agent_id = f"{authority}#{quote(agent, safe='')}"
    elif service:
        draft.agent_id = authority
    draft.agent_instance = fields.instance
    if user := fields.user:
        draft.principal = draft.person(Person(issuer=authority, subject=user))


def _names(draft: Draft, span: Span, fields: Fields, *more: str, main: bool = True) -> list[str]:
    """The correlations of an event of ``span``; ``main`` for the one that stands for it."""
    names = [f"trace:{span.trace}"]
    if main:
        names.append(f"span:{span.span}")
    if span.parent:
        names.append(f"parent_span:{span.parent}")
    if conversation := fields.conversation:
        personal = "@" in conversation or " " in conversation
        names.append(f"conversation:{draft.derivation.pseudonym(conversation) if personal else conversation}")
    if main:
        names += [f"linked_span:{each}" for each in span.links]
    return [*names, *more]


def _call_name(span: Span, call: str) -> str:
    """A tool call by its id; by trace as well where the id is too short to be the only one of its kind."""
    return f"tool_call:{call}" if len(call) >= 8 else f"tool_call:{span.trace}/{call}"


def _prompt(draft: Draft, said: str, span: Span, fields: Fields) -> Prompt:
    """Every span below repeats what was asked: in one trace the same words are one content, so that they are told from others."""
    structured = said.lstrip()[:1] in ("{", "[")
    return Prompt(
        trigger_kind="human" if fields.user else "unknown",
        trust="unknown",
        text=draft.content(
            "application/json" if structured else "text/plain", said, within=f"otlp\0{span.trace}".encode()
        ),
    )


def _model(draft: Draft, span: Span, fields: Fields) -> None:
    said = fields.newest_input
    if said is not None:
        draft.event("prompt", _prompt(draft, said, span, fields), correlation=_names(draft, span, fields, main=False))
    calls = [_call_name(span, each) for each in fields.calls]
    draft.event(
        "main",
        _step(draft, span, fields, fields.operation or "chat"),
        because=[("prompt", STARTED_BY)] if said is not None else [],
        correlation=_names(draft, span, fields, *calls, *(f"tool_result:{each}" for each in fields.answers)),
    )


def _step(draft: Draft, span: Span, fields: Fields, operation: str) -> ReasoningStep:
    fitting = draft.derivation.fitting
    reasoning, given, answered = fields.reasoning, fields.input, fields.output
    return ReasoningStep(
        operation=fitting(operation),
        provider=_optional(draft, fields.provider),
        request_model=_optional(draft, fields.request_model),
        response_model=_optional(draft, fields.response_model),
        response_id=_optional(draft, fields.response_id),
        status="failed" if span.failed else "completed" if span.end is not None else "unknown",
        error_type=_optional(draft, fields.error_type),
        finish_reasons=tuple(fitting(each) for each in fields.finish_reasons),
        visibility="full" if reasoning else "withheld",
        reasoning=draft.content("text/plain", reasoning) if reasoning else None,
        input=draft.content("application/json", given) if given else None,
        output=draft.content("application/json", answered) if answered else None,
        input_tokens=fields.input_tokens,
        output_tokens=fields.output_tokens,
        ended_at=span.end,
    )


def _agent(draft: Draft, span: Span, fields: Fields) -> None:
    """An agent that was given something to do begins with a prompt; the prompt then stands for the span."""
    if (said := fields.first_input) is not None:
        draft.event("main", _prompt(draft, said, span, fields), correlation=_names(draft, span, fields))
        return
    _plumbing(draft, span, fields)


def _plumbing(draft: Draft, span: Span, fields: Fields) -> None:
    """What is nothing else: at the root the run begins with it, below it is a step."""
    if span.parent is not None:
        step = _step(draft, span, fields, fields.operation or "chain")
        draft.event("main", step, correlation=_names(draft, span, fields))
    elif (said := fields.first_input) is not None:
        draft.event("main", _prompt(draft, said, span, fields), correlation=_names(draft, span, fields))
    else:
        begun = ExecutionControl(
            action="start",
            name=draft.derivation.fitting(span.name),
            conversation=None,
            environment=_optional(draft, fields.environment),
            reason=_optional(draft, fields.error_type),
        )
        draft.event("main", begun, correlation=_names(draft, span, fields))


def _tool(draft: Draft, span: Span, fields: Fields) -> None:
    call = fields.call_id
    action = _action(
        draft, span, fields, call or f"span:{span.trace}/{span.span}", operation=fields.tool or span.name, domain=None
    )
    draft.event("main", action, correlation=_names(draft, span, fields, *([_call_name(span, call)] if call else [])))
    _result(draft, span, fields, action, "tool")


def _mcp(draft: Draft, span: Span, fields: Fields) -> None:
    """Client and server of one request give accounts of one action: they share the session's id and the request's."""
    attributes = span.attributes
    method = text(attributes.get("mcp.method.name")) or "mcp"
    session, request = text(attributes.get("mcp.session.id")), _plain(attributes.get("jsonrpc.request.id"))
    call = fields.call_id
    shared = f"mcp:{session}/{request}" if session and request else call or _shared_span(span)
    target = fields.tool or text(attributes.get("mcp.resource.uri")) or text(attributes.get("gen_ai.prompt.name"))
    action = _action(draft, span, fields, shared, operation=f"{method} {target}" if target else method, domain="mcp")
    more = [f"mcp_session:{session}"] if session else []
    more += [f"mcp_request:{session}/{request}"] if session and request else []
    more += [_call_name(span, call)] if call else []
    draft.event("main", action, correlation=_names(draft, span, fields, *more))
    _result(draft, span, fields, action, "tool")


def _call(draft: Draft, span: Span, fields: Fields) -> None:
    action = _action(
        draft, span, fields, _shared_span(span), operation=fields.call_operation or span.name, domain="api"
    )
    draft.event("main", action, correlation=_names(draft, span, fields))


def _retrieval(draft: Draft, span: Span, fields: Fields) -> None:
    seen = Observation(
        source="document",
        dataset=_optional(draft, text(span.attributes.get("gen_ai.data_source.id"))),
        trust="unknown",
        operation=draft.derivation.fitting(fields.tool or span.name),
        status="failure" if span.failed else "success",
        result=draft.content("application/json", fields.output) if fields.output else None,
    )
    draft.event("main", seen, correlation=_names(draft, span, fields))


def _action(
    draft: Draft, span: Span, fields: Fields, action_id: str, *, operation: str, domain: Literal["api", "mcp"] | None
) -> ApiAction:
    arguments, result = fields.arguments, fields.result
    return ApiAction(
        action_id=draft.derivation.fitting(action_id),
        phase="completed" if span.end is not None else "unknown",
        operation=draft.derivation.fitting(operation),
        resource=_optional(draft, fields.url),
        target_system=_optional(draft, fields.target),
        domain=domain,
        parameter_digest=None if arguments is None else digest_of(decoded(arguments)),
        arguments=draft.content("application/json", arguments) if arguments else None,
        result=draft.content("application/json", result) if result else None,
        outcome=fields.outcome,
        status=_optional(draft, fields.status),
        error_type=_optional(draft, fields.error_type),
        observer="importer",
        ended_at=span.end,
    )


def _result(draft: Draft, span: Span, fields: Fields, action: ApiAction, source: Literal["tool"]) -> None:
    """What the tool gave back, as an observation of whoever reads it: it may mislead, and nobody vouched for it."""
    if action.result is None:
        return
    seen = Observation(
        source=source,
        uri=action.resource,
        trust="unknown",
        operation=action.operation,
        action_id=action.action_id,
        status="failure" if span.failed else "success",
        result=action.result,
    )
    names = _names(draft, span, fields, main=False)
    draft.event("result", seen, because=[("main", RESULT_OF)], correlation=names, occurred_at=span.end)


def _shared_span(span: Span) -> str:
    """A server's span is the other side of the client's, which is its parent: one action, two observers."""
    shared = span.parent if span.kind in ("server", "consumer") and span.parent else span.span
    return f"span:{span.trace}/{shared}"


def _optional(draft: Draft, value: str | None) -> str | None:
    return None if value is None else draft.derivation.fitting(value)


def _plain(value: Json) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


_MAKERS: Final[Mapping[Role, Callable[[Draft, Span, Fields], None]]] = {
    "model": _model,
    "agent": _agent,
    "tool": _tool,
    "mcp": _mcp,
    "retrieval": _retrieval,
    "call": _call,
    "plumbing": _plumbing,
}
"""By role. ``Role`` is closed: each has its maker."""
