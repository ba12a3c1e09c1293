"""Rules about what came before what. Clocks differ, so each allows for ``SKEW``."""

from __future__ import annotations

from typing import Final

from ledger.attribution.json_form import rfc3339
from ledger.attribution.links import SAME, Edge
from ledger.attribution.rules.case import SKEW, Case, Found, ended, is_of_the_attempt
from ledger.attribution.subgraph import Node
from ledger.format.event import CONTINUES, SCHEDULED_BY, STARTED_BY
from ledger.format.kinds import ApiAction, ExecutionControl

_BEGINS: Final = frozenset({STARTED_BY, SCHEDULED_BY, CONTINUES})
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


def _until(node: Node) -> int | None:
    """When an event was over; None where it lasts and does not say."""
    if isinstance(node.fact, ApiAction):
        return ended(node) if node.fact.ended_at is not None or node.fact.phase == "intended" else None
    return None if node.kind == "reasoning_step" or node.payload is None else node.at


def run_ended(case: Case) -> Found:
    """Acted, prompted or was steered in a run that was over and that nobody resumed: the first event after each end."""
    seen: set[bytes] = set()
    for node in sorted(case.told, key=lambda each: (each.at, each.event_id)):
        run = node.header.execution_id
        if run is None or run in seen or node.importer or node.kind not in _OF_A_RUN:
            continue
        if isinstance(node.fact, ApiAction) and not _tells_the_start(case, node, node.fact):
            continue
        if (end := _end(case, run, node.at)) is not None:
            seen.add(run)
            yield f"its run had ended at {rfc3339(end.at)}, and the {node.kind} came at {rfc3339(node.at)}", [end, node]


def _tells_the_start(case: Case, node: Node, fact: ApiAction) -> bool:
    """Whether an account says when its action began: the outcome of an attempt that is recorded comes whenever it comes."""
    if is_of_the_attempt(fact):
        return True
    others = (each.fact for each in case.links.group(node))
    attempted = any(isinstance(each, ApiAction) and is_of_the_attempt(each) for each in others)
    return case.complete and not attempted


def _end(case: Case, run: bytes, at: int) -> Node | None:
    """The end of a run, where it was its last word at ``at``. A start or a resumption as late as the clocks allow undoes it."""
    said = [
        (each, each.fact)
        for each in case.names.answer_to(f"run_state:{run.hex()}", "execution_control")
        if isinstance(each.fact, ExecutionControl) and each.at <= at + SKEW
    ]
    if not said or said[-1][1].action != "end" or said[-1][0].at >= at - SKEW:
        return None
    return said[-1][0]
