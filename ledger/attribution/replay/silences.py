"""What was to be heard in a run and was not: gaps between steps, outcomes, causes, decisions, approvals and ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ledger.attribution.json_form import rfc3339
from ledger.attribution.links import Links
from ledger.attribution.replay.values import Promise, Silence
from ledger.attribution.subgraph import Node, Ref
from ledger.format import ids
from ledger.format.kinds import ApiAction, ExecutionControl, ReasoningStep

SILENCE: Final = 600
"""Seconds between two steps that are told where their chain promised nothing, or more."""
_SECOND: Final = 1_000_000


def gap(before: Node, node: Node, promise: Promise | None, silence: int) -> Silence | None:
    """The time between two steps, where it is longer than ``silence`` seconds or than the seal of the first promised."""
    since, seconds = _until(before), (node.at - _until(before)) / _SECOND
    within = promise.within if promise is not None else None
    if seconds <= (silence if within is None else min(silence, within)):
        return None
    return Silence(
        what="gap", since=since, ended_at=node.at, detail=f"{seconds:.0f} s without a step; {_heard(before, promise)}"
    )


def _heard(node: Node, promise: Promise | None) -> str:
    """Whether the service was there in the meantime, as far as its chain tells."""
    if promise is None or promise.within is None or promise.due is None:
        return f"{node.service} promises nothing of when it is heard again"
    if promise.heard is None:
        return f"{node.service} promised to be heard within {promise.within} s, and never was"
    if promise.heard > promise.due:
        late = (promise.heard - promise.due) / _SECOND
        return f"{node.service} promised to be heard within {promise.within} s, and was {late:.0f} s late"
    return f"{node.service} was heard within the {promise.within} s that it promises: nothing happened, or it was not recorded"


def _until(node: Node) -> int:
    """When a step was over, as far as it says."""
    fact = node.fact
    ended = fact.ended_at if isinstance(fact, ApiAction | ReasoningStep) else None
    return max(node.at, ended) if ended is not None else node.at


def missing_of(links: Links, node: Node) -> Iterator[Silence]:
    """What a step says that there is, and that nobody recorded."""
    for each in links.missing.get(node.ref, ()):
        if each.why == "limit_reached":
            continue
        detail = f"{each.cause.relation} {ids.text(each.cause.event_id)}: {each.why.replace('_', ' ')}"
        yield Silence(what="cause_missing", since=node.at, ended_at=None, detail=detail)
    fact = node.fact
    if not isinstance(fact, ApiAction) or not node.effective:
        return
    group = [each.fact for each in links.group(node)]
    if fact.phase != "completed" and not any(isinstance(each, ApiAction) and _over(each) for each in group):
        detail = f"the attempt {fact.action_id} has no outcome, by whoever saw it"
        yield Silence(what="attempt_without_outcome", since=node.at, ended_at=None, detail=detail)
    decision = fact.decision_id
    if decision is not None and not links.index.answer_to(f"decision:{decision}", "policy_decision"):
        yield Silence(
            what="decision_missing", since=node.at, ended_at=None, detail=f"nobody recorded the decision {decision}"
        )
    for approval in fact.oversight_ids:
        if not links.index.answer_to(f"oversight:{approval}", "oversight"):
            yield Silence(
                what="approval_missing", since=node.at, ended_at=None, detail=f"nobody recorded the approval {approval}"
            )


def _over(fact: ApiAction) -> bool:
    return fact.phase == "completed" or fact.outcome is not None


def at_the_end(
    links: Links, execution: bytes, steps: Sequence[Node], promises: Mapping[Ref, Promise], now: int
) -> Iterator[Silence]:
    """What was to follow the last step: the end of a run whose start was recorded, and what its chain promised."""
    last = steps[-1]
    said = [
        node.fact
        for node in links.index.answer_to(f"run_state:{execution.hex()}", "execution_control")
        if isinstance(node.fact, ExecutionControl)
    ]
    if any(each.action == "start" for each in said) and said[-1].action != "end":
        yield Silence(
            what="run_without_end",
            since=_until(last),
            ended_at=None,
            detail="its start was recorded, and its end was not",
        )
    promise = promises.get(last.ref)
    if promise is not None and promise.due is not None and promise.heard is None and promise.due < now:
        detail = f"{last.service} promised to be heard by {rfc3339(promise.due)}, and was not"
        yield Silence(what="chain_silent", since=promise.due, ended_at=None, detail=detail)
