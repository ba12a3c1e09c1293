"""What people allowed or refused in a run, and what they were asked and did not say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.json_form import rfc3339
from ledger.attribution.links import Links
from ledger.attribution.replay.values import ApprovalState, Change, Place, place_of
from ledger.attribution.rules.case import APPROVES
from ledger.attribution.rules.policies import DEMANDS_APPROVAL
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.uses import Use, Uses, uses_of
from ledger.format.kinds import ApiAction, Oversight, PolicyDecision

_REFUSES: Final = frozenset({"deny", "stop"})

Standing = Literal["asked", "open", "used_up", "overused", "expired", "denied", "said"]


@dataclass
class Said:
    """What a person said, and how it was used. ``execution`` is the run; ``enters`` is from when it concerns the run."""

    node: Node
    fact: Oversight
    index: Index
    uses: Uses
    execution: bytes | None
    enters: Place

    def state(self, place: Place) -> ApprovalState:
        """As of a place in the run."""
        fact, used = self.fact, self.uses.by(place)
        return ApprovalState(
            oversight_id=fact.oversight_id,
            event_id=self.node.event_id,
            action=fact.action,
            by=party(self.index, fact.by),
            at=self.node.at,
            binding=fact.binding,
            bound=_bound(fact),
            state=self._standing(place, len(used)),
            uses_allowed=fact.uses_allowed,
            uses=len(used),
            last_used_by=used[-1].relying[0].event_id if used else None,
            expires_at=fact.expires_at,
        )

    def _standing(self, place: Place, used: int) -> Standing:
        fact = self.fact
        if fact.action not in APPROVES:
            return "denied" if fact.action in _REFUSES else "said"
        if fact.uses_allowed is not None and used > fact.uses_allowed:
            return "overused"
        if fact.uses_allowed is not None and used == fact.uses_allowed:
            return "used_up"
        return "expired" if fact.expires_at is not None and fact.expires_at <= place.at else "open"

    def happenings(self) -> Iterator[tuple[Place, Change]]:
        """That it was given, each use, and its end."""
        fact = self.fact
        who = party(self.index, fact.by)
        by = f"{fact.action} by {who.label}" if who is not None else fact.action
        yield self.enters, self._change(_given_as(fact), self.node, f"{by}, {bound_to(fact.binding, _bound(fact))}")
        for use in self.uses.all:
            yield from self._used(use)
        if fact.expires_at is not None and fact.action in APPROVES and fact.expires_at >= self.node.at:
            yield (
                Place(fact.expires_at),
                Change(what="approval", how="expired", name=fact.oversight_id, at=fact.expires_at, event_id=None),
            )

    def _used(self, use: Use) -> Iterator[tuple[Place, Change]]:
        """That it was used; that this came to nothing, as its accounts say; and that it was tried again."""
        first = place_of(use.relying[0])
        held: bool | None = None
        for node in use.accounts:
            place = place_of(node)
            if place < first or use.used_up(place) == held:
                continue
            met, held = held, use.used_up(place)
            which = self._which(use, max(place, self.enters), node)
            nothing = "" if held else ", which came to nothing and used nothing up"
            yield (
                max(place, self.enters),
                self._change("used" if held or met is None else "unused", node, which + nothing),
            )

    def _which(self, use: Use, place: Place, node: Node) -> str:
        ends, allowed = self.fact.expires_at, self.fact.uses_allowed
        of = f" of {allowed} allowed" if allowed is not None else ""
        late = f", expired since {rfc3339(ends)}" if ends is not None and ends <= node.at else ""
        elsewhere = "" if node.header.execution_id == self.execution else ", outside of this run"
        return f"use {self.uses.number(use, place)}{of}{late}{elsewhere}"

    def _change(self, how: str, node: Node, detail: str) -> Change:
        return Change(
            what="approval",
            how=how,
            name=self.fact.oversight_id,
            at=node.at,
            event_id=node.event_id,
            detail=detail,
        )


@dataclass
class Asked:
    """An approval that a decision demands. ``met`` is when somebody gave it, None where nobody did."""

    node: Node
    fact: PolicyDecision
    enters: Place
    met: Place | None

    @property
    def name(self) -> str:
        return self.fact.decision_id or self.fact.action

    def state(self, place: Place) -> ApprovalState | None:
        """As of a place in the run; None where it was met by then."""
        if self.met is not None and self.met <= place:
            return None
        return ApprovalState(
            oversight_id=None,
            event_id=self.node.event_id,
            action=self.fact.action,
            by=None,
            at=self.node.at,
            binding=None,
            bound=self.fact.parameter_digest.hex() if self.fact.parameter_digest is not None else self.fact.action_id,
            state="asked",
            uses_allowed=None,
            uses=0,
            last_used_by=None,
            expires_at=self.fact.expires_at,
        )

    def happenings(self) -> Iterator[tuple[Place, Change]]:
        """That it was asked."""
        detail = f"{self.fact.action} holds only with one: {', '.join(self.fact.obligations)}"
        node = self.node
        yield (
            self.enters,
            Change(what="approval", how="asked", name=self.name, at=node.at, event_id=node.event_id, detail=detail),
        )


def approvals_of(links: Links, run: Sequence[Node]) -> tuple[list[Said], list[Asked]]:
    """What people said that concerns the run, and what was asked of them, each in order.

    It concerns the run from when it was said, if it was said in it or about an event of it; else from the first step that relies
    on it, so that what is told of a step follows from nothing later.
    """
    own = frozenset(node.ref for node in run)
    reached = _reached(links, run)
    execution = next((node.header.execution_id for node in run), None)
    said: list[Said] = []
    asked: list[tuple[Node, PolicyDecision, Place]] = []
    for node in (each for nodes in links.index.by_id.values() for each in nodes if each.effective):
        fact = node.fact
        if not isinstance(fact, Oversight | PolicyDecision):
            continue
        action = fact.reference if isinstance(fact, Oversight) else fact.action_id
        enters = _enters(links, node, own, [reached.get(node.ref), reached.get(action)])
        if enters is None:
            continue
        if isinstance(fact, Oversight):
            said.append(Said(node, fact, links.index, uses_of(links.index, node), execution, enters))
        elif DEMANDS_APPROVAL & set(fact.obligations) and fact.decision != "deny":
            asked.append((node, fact, enters))
    said.sort(key=lambda each: each.enters)
    asked.sort(key=lambda each: each[2])
    return said, [Asked(node, fact, enters, _met(node, fact, said)) for node, fact, enters in asked]


def _reached(links: Links, run: Sequence[Node]) -> dict[Ref | str | None, Place]:
    """The first step that leads to an event, or is of an action."""
    found: dict[Ref | str | None, Place] = {}
    for node in run:
        for edge in links.out.get(node.ref, ()):
            found.setdefault(edge.target.ref, place_of(node))
        if isinstance(node.fact, ApiAction):
            found.setdefault(node.fact.action_id, place_of(node))
    return found


def _enters(links: Links, node: Node, own: frozenset[Ref], reached: Sequence[Place | None]) -> Place | None:
    """From when a word concerns the run; None where it does not."""
    cites = any(edge.target.ref in own and edge.join is None for edge in links.out.get(node.ref, ()))
    if node.ref in own or cites:
        return place_of(node)
    first = min((each for each in reached if each is not None), default=None)
    return None if first is None else max(first, place_of(node))


def _met(decision: Node, fact: PolicyDecision, said: Sequence[Said]) -> Place | None:
    """When somebody said yes or no to what was asked: to these parameters, this action, or by citing the decision."""
    for each in said:
        cites = any(cause.event_id == decision.event_id for cause in each.node.header.causes)
        bound = fact.parameter_digest is not None and each.fact.bound_digest == fact.parameter_digest
        named = each.fact.reference is not None and each.fact.reference in (fact.action_id, fact.decision_id)
        using = (node.fact for use in each.uses.all for node in use.relying)
        relied = any(isinstance(use, ApiAction) and use.action_id == fact.action_id for use in using)
        if cites or bound or named or relied:
            return each.enters
    return None


def _given_as(fact: Oversight) -> str:
    return "given" if fact.action in APPROVES else "denied" if fact.action in _REFUSES else "said"


def _bound(fact: Oversight) -> str | None:
    """What it is bound to."""
    if fact.binding == "digest":
        digest = fact.edited_digest or fact.bound_digest
        return digest.hex() if digest is not None else None
    return fact.reference if fact.binding == "reference" else fact.operation


def bound_to(binding: str | None, bound: str | None) -> str:
    """For people: what a word of a person is bound to."""
    if binding == "digest":
        return f"bound to the parameters {(bound or '')[:12]}"
    if binding == "reference":
        return f"bound to {bound or 'nothing that is named'}, not to parameters"
    return f"standing, for {bound}" if bound else "standing, for whatever it is used for"
