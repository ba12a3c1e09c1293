"""What it means that an event follows a name to which another one answers."""

from __future__ import annotations

from typing import Final

from ledger.attribution.joins import STARTS, token_names
from ledger.attribution.subgraph import Node
from ledger.format.event import (
    AUTHORIZED_BY,
    CONTINUES,
    INFORMED_BY,
    RESULT_OF,
    SAME_ACTION,
    SCHEDULED_BY,
    STARTED_BY,
    TO_TRIGGERS,
)

CALLS: Final = frozenset({"tool_call", "request"})
"""Correlations that make accounts those of one action, where no third action bears them."""
OF_ACTIONS: Final = CALLS | {"action"}
"""Namespaces of joins in which all accounts of one action are one candidate."""
STATED: Final = frozenset({"token", "token_digest", "decision", "oversight", "grant", "trigger"})
"""Namespaces of joins on an id that the event itself states as what it relied on; the others are circumstance."""
_TOKENS: Final = frozenset({"token", "token_digest"})
CIRCUMSTANCE: Final = frozenset({"run_start", "trace_start"})
"""Namespaces of joins on what began the run or trace that an event was in: they count only where nothing else leads on."""
_EARLIER: Final = CIRCUMSTANCE | {"memory", "bound", "trigger"}
"""Namespaces in which only an earlier event is a candidate."""
_AUTHORITY: Final = {
    "decision": "policy_decision",
    "oversight": "oversight",
    "bound": "oversight",
    "grant": "grant",
}


def namespace_of(name: str) -> str:
    """``token`` of ``token:…``, ``span`` of ``correlation:span:…``."""
    head, _, rest = name.partition(":")
    return rest.partition(":")[0] if head == "correlation" else head


def relation_of(node: Node, target: Node, namespace: str, name: str) -> str | None:
    """What following ``name`` from ``node`` to ``target`` means; None where it means nothing."""
    if namespace in _EARLIER and target.at > node.at:
        return None
    if namespace in _TOKENS:
        if target.kind != "token_issuance" or node.kind == "token_revocation":
            return None
        own = node.kind == "token_issuance" and node.payload and name in token_names(node.payload["token"])
        return SAME_ACTION if own else AUTHORIZED_BY
    if namespace in _AUTHORITY:
        return AUTHORIZED_BY if target.kind == _AUTHORITY[namespace] else None
    if namespace in ("run_start", "trace_start"):
        return STARTED_BY if _begins(target) else None
    if namespace == "trigger":
        return SCHEDULED_BY if target.kind == "trigger_registration" else None
    if namespace == "memory":
        return INFORMED_BY
    if namespace in ("task", "span"):
        return CONTINUES if _one_trace(node, target) else None
    return _of_action(node, target, namespace)


def _of_action(node: Node, target: Node, namespace: str) -> str | None:
    """Joins by action, tool call and request."""
    if target.kind == "api_action":
        if node.kind == "api_action":
            return SAME_ACTION
        return RESULT_OF if node.kind == "observation" else None
    if namespace == "tool_call":
        return CONTINUES if target.kind == "reasoning_step" else None
    if node.kind == "api_action" and target.kind in ("policy_decision", "oversight", "token_issuance"):
        return AUTHORIZED_BY
    return None


def _begins(target: Node) -> bool:
    if target.kind not in STARTS:
        return False
    payload = target.payload
    if target.kind == "execution_control":
        return payload is not None and payload["action"] == "start" and _tells_more(target)
    return not (target.kind == "handoff" and payload is not None and payload["direction"] == "sent")


def _tells_more(start: Node) -> bool:
    """Whether the start of a run names a person, or leads on to what it comes from: else it is no candidate."""
    header = start.header
    named = start.payload is not None and start.payload["by"] is not None
    causes = any(cause.relation in TO_TRIGGERS for cause in header.causes)
    return named or causes or any(each.startswith("parent_span:") for each in header.correlation)


def _one_trace(node: Node, target: Node) -> bool:
    """A span id is unique within its trace only."""
    one, other = traces_of(node), traces_of(target)
    return not one or not other or bool(one & other)


def traces_of(node: Node) -> set[str]:
    return {each for each in node.header.correlation if each.startswith("trace:")}


__all__ = ["CALLS", "CIRCUMSTANCE", "OF_ACTIONS", "STATED", "namespace_of", "relation_of", "traces_of"]
