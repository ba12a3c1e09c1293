"""Rules about what came before what. Clocks differ, so each allows for ``SKEW``."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.attribution.index import Index
from ledger.attribution.json_form import rfc3339
from ledger.attribution.links import Edge
from ledger.attribution.rules.case import APPROVES, SKEW, Case, Found, ended
from ledger.attribution.rules.things import answering
from ledger.attribution.subgraph import Node
from ledger.format.event import CONTINUES, SAME, SCHEDULED_BY, STARTED_BY
from ledger.format.kinds import ApiAction, ExecutionControl, Oversight, Prompt

_BEGINS: Final = frozenset({STARTED_BY, SCHEDULED_BY, CONTINUES})
_WAS: Final = {"end": "had ended", "suspend": "had been suspended", "stop": "had been stopped"}
_OF_A_RUN: Final = frozenset({"prompt", "reasoning_step", "handoff", "api_action"})


def effect_before_cause(case: Case) -> Found:
    """An event that was over before a cause that it states began; of two services the worst case.

    What lasts, and does not say until when, may have come to its cause midway, but for what began it. Accounts of one thing
    are of one time, whichever names the other. A log that was imported has the clocks of many machines.
    """
    worst: dict[tuple[str, str], list[tuple[int, Edge]]] = {}
    for node in {each.ref: each for each in (*case.told, *(node for node, _, _ in case.rights))}.values():
        for edge in case.links.out.get(node.ref, ()) if not node.importer else ():
            if edge.join is not None or edge.relation in SAME or edge.target.importer:
                continue
            until = _until(node) if edge.relation not in _BEGINS else node.at
            if until is not None and edge.target.at > until + SKEW:
                pair = node.service, edge.target.service
                worst.setdefault(pair, []).append((edge.target.at - until, edge))
    for found in worst.values():
        apart, edge = max(found, key=lambda each: (each[0], each[1].source.ref))
        more = f", and so of {len(found) - 1} more" if len(found) > 1 else ""
        clocks = f"the clocks of {edge.source.service} and {edge.target.service}"
        apart_by = f"{apart // 1_000_000} s before the {edge.target.kind} that it comes from{more}"
        yield f"by {clocks} the {edge.source.kind} was over {apart_by}", [edge.target, edge.source]


def may_precede(index: Index, node: Node) -> bool:
    """Whether an event may have been over before one that it states as its cause."""
    if node.importer:
        return False
    until = _until(node)
    for cause in node.header.causes:
        over = node.at if cause.relation in _BEGINS else until
        if over is None or cause.relation in SAME:
            continue
        if any(each.at > over + SKEW and not each.importer for each in index.by_id.get(cause.event_id, ())):
            return True
    return False


def _until(node: Node) -> int | None:
    """When an event was over; None where it lasts and does not say."""
    if node.kind == "reasoning_step" or node.payload is None:
        return None
    if node.kind == "api_action" and isinstance(node.fact, ApiAction):
        return ended(node) if node.fact.ended_at is not None or node.fact.phase == "intended" else None
    return node.at


def run_ended(case: Case) -> Found:
    """Acted, prompted or was steered in a run that was over, stopped or suspended, and that nobody resumed: the first event
    after each end."""
    seen: set[bytes] = set()
    for node in sorted(case.told, key=lambda each: (each.at, each.event_id)):
        run = node.header.execution_id
        if run is None or run in seen or node.importer or node.kind not in _OF_A_RUN:
            continue
        if isinstance(node.fact, ApiAction) and not case.tells_the_start(node):
            continue
        if (end := _end(case, run, node)) is not None:
            seen.add(run)
            yield (
                f"its run {_WAS[_state(end)]} at {rfc3339(end.at)}, and the {node.kind} came at {rfc3339(node.at)}",
                [end, node],
            )


def may_be_late(index: Index, node: Node) -> bool:
    """Whether an event may have come after the end of its run."""
    run = node.header.execution_id
    if run is None or node.importer or node.kind not in _OF_A_RUN:
        return False
    return any(
        each.at < node.at - SKEW and _state(each) not in ("start", "resume")
        for each in answering(index, [f"run_state:{run.hex()}"])
    )


def _end(case: Case, run: bytes, node: Node) -> Node | None:
    """What ended, stopped or suspended a run, where it was the last word about it when ``node`` came. A start or a resumption as
    late as the clocks allow undoes it."""
    state = f"run_state:{run.hex()}"
    said = [
        each
        for kind in ("execution_control", "oversight")
        for each in case.names.answer_to(state, kind)
        if each.at <= node.at + SKEW and _is_about(each, run, node)
    ]
    last = max(said, key=lambda each: (each.at, each.event_id), default=None)
    if last is None or _state(last) in ("start", "resume") or last.at >= node.at - SKEW:
        return None
    return None if _state(last) == "suspend" and _taken_up(case, last, node) else last


def _state(node: Node) -> str:
    return node.fact.action if isinstance(node.fact, ExecutionControl | Oversight) else ""


def _is_about(said: Node, run: bytes, node: Node) -> bool:
    """Whether a word about a run is about an event of it. A person's stop is of the run that it stands in, of one operation where
    it names one, and of no more than it is bound to."""
    stop = said.fact
    if not isinstance(stop, Oversight):
        return isinstance(stop, ExecutionControl)
    of_run = stop.binding == "standing" or (
        stop.binding == "reference" and stop.reference in (run.hex(), str(UUID(bytes=run)))
    )
    return of_run and stop.operation in (None, node.fact.operation if isinstance(node.fact, ApiAction) else None)


def _taken_up(case: Case, suspended: Node, node: Node) -> bool:
    """Whether a person let a suspended run go on, though nobody recorded that it was resumed: they approved, or wrote in it."""
    approved = any(
        said.action in APPROVES and each.at >= suspended.at - SKEW and case.was_before(each, node)
        for each, said in case.oversights
    )
    return approved or any(
        isinstance(each.fact, Prompt)
        and each.fact.trigger_kind == "human"
        and suspended.at - SKEW <= each.at <= node.at + SKEW
        for each in case.told
        if each.header.execution_id == suspended.header.execution_id
    )
