"""What events that stand beside each other must say for a rule to speak, found once for all questions of a pool.

Each clash is a necessary condition, as a mark is (``rules.marks``), and stays one whatever is left out: a rule whose clash is
nowhere finds nothing in any part of the events, nor in what was there of it at an earlier time. So a rule is asked of a whole
pool once, of two events each, and not of each action at each moment.

Accounts may be of one thing where anything can join them, now or at an earlier time: more than ``Links`` groups. Where these are
many, every clash is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Final, NamedTuple, ParamSpec

from ledger.attribution.house import HouseRules
from ledger.attribution.index import Index
from ledger.attribution.rules import accounts, approvals, bindings, delegations, exchanges, order, policies, tokens
from ledger.attribution.rules.things import Many, presented, things_of, told_of
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.surroundings import ACCOUNTS
from ledger.format.kinds import ApiAction

P = ParamSpec("P")

MEANT_FOR_ANOTHER: Final = 1
OTHER_DECIDED: Final = 1 << 1
DECISION_OVER: Final = 1 << 2
DECISION_MISSING: Final = 1 << 3
OTHER_APPROVED: Final = 1 << 4
APPROVAL_OVER: Final = 1 << 5
TOKEN_OVER: Final = 1 << 6
TOKEN_EARLY: Final = 1 << 7
TOKEN_STRAYED: Final = 1 << 8
SCOPELESS: Final = 1 << 9
OTHER_PERSON: Final = 1 << 10
OTHER_ACTOR: Final = 1 << 11
DISAGREE: Final = 1 << 12
TWICE: Final = 1 << 13
BEFORE_CAUSE: Final = 1 << 14
RUN_OVER: Final = 1 << 15
WIDER: Final = 1 << 16
EXCHANGED: Final = 1 << 17
GRANT_OVER: Final = 1 << 18
REUSED: Final = 1 << 19
BY_AGENT: Final = 1 << 20
ALONE: Final = 1 << 21
UNDECIDED: Final = 1 << 22
ANY: Final = (1 << 23) - 1
"""Every clash: where too much would have to be looked at."""


class Clashes(NamedTuple):
    """The clashes of events by themselves, and those of the accounts of what an event may be one of, by its id."""

    of_event: dict[Ref, int]
    of_thing: dict[bytes, int]

    def met(self, event_id: bytes, nodes: Sequence[Node], house: HouseRules) -> int:
        """Those that an answer about an event made of ``nodes`` may meet."""
        found = self.of_thing.get(event_id, 0)
        for node in nodes:
            found |= self.of_event.get(node.ref, 0)
        if found & GRANT_OVER:  # a pool may be of many hours
            latest = _latest(nodes)
            found &= ANY if any(tokens.may_be_over(node, latest) for node in nodes) else ~GRANT_OVER
        return found | (ALONE if house.another_person else 0) | (UNDECIDED if house.decision else 0)


def clashes_of(index: Index) -> Clashes:
    """All clashes of a whole pool."""
    kinds: dict[str, list[Node]] = {}
    of_event: dict[Ref, int] = {}
    for nodes in index.by_id.values():
        for node in nodes:
            if node.effective:
                kinds.setdefault(node.header.kind, []).append(node)
                if found := _in_time(index, node):
                    of_event[node.ref] = found
    latest = _latest(kinds.get("api_action", ()))
    for node in (node for kind in _LOOKED_AT for node in kinds.get(kind, ())):
        if found := _of_event(index, node, latest):
            of_event[node.ref] = found | of_event.get(node.ref, 0)
    audiences = {each for node in kinds.get("token_issuance", ()) for each in tokens.audiences(node)}
    of_thing: dict[bytes, int] = {}
    for ids, told in things_of(index):
        if found := _of_thing(index, ids, told, audiences):
            of_thing |= dict.fromkeys(ids, found)
    return Clashes(of_event, of_thing)


def _latest(nodes: Iterable[Node]) -> int:
    return max((node.at for node in nodes if node.kind == "api_action"), default=0)


_LOOKED_AT: Final = ("prompt", "token_issuance", "grant", "oversight")


def _assuming(find: Callable[P, int]) -> Callable[P, int]:
    """Every clash, where too much would have to be looked at."""

    @wraps(find)
    def found(*args: P.args, **given: P.kwargs) -> int:
        try:
            return find(*args, **given)
        except Many:
            return ANY

    return found


@_assuming
def _in_time(index: Index, node: Node) -> int:
    early = node.header.causes and order.may_precede(index, node)
    late = node.header.execution_id is not None and order.may_be_late(index, node)
    return (BEFORE_CAUSE if early else 0) | (RUN_OVER if late else 0)


@_assuming
def _of_event(index: Index, node: Node, latest: int) -> int:
    match node.kind:
        case "prompt":
            return OTHER_PERSON if tokens.may_be_anothers(index, node, presented(index, node)) else 0
        case "oversight":
            reused, by_agent = approvals.may_be_reused(index, node), approvals.may_be_no_persons(index, node)
            return (REUSED if reused else 0) | (BY_AGENT if by_agent else 0)
    wider, anothers = delegations.may_be_wider(index, node), exchanges.may_be_anothers(index, node)
    over = tokens.may_be_over(node, latest)
    return (WIDER if wider else 0) | (EXCHANGED if anothers else 0) | (GRANT_OVER if over else 0)


@_assuming
def _of_thing(
    index: Index, ids: Sequence[bytes], accounts_: Sequence[tuple[Node, ApiAction]], audiences: set[str]
) -> int:
    told = told_of(index, ids, accounts_)
    found = bindings.may_be_for_another(index, told)
    clash = MEANT_FOR_ANOTHER if found else 0
    clash |= DECISION_MISSING if len(told.ids) > ACCOUNTS or policies.may_be_missing(index, told) else 0
    clash |= OTHER_PERSON if any(tokens.may_be_anothers(index, node, of) for node, _, of in told.accounts) else 0
    clash |= OTHER_ACTOR if tokens.may_be_other_actors(index, told) else 0
    clash |= REUSED if approvals.may_be_done_again(told) else 0
    clash |= SCOPELESS if tokens.may_lack_scope(told) else 0
    clash |= TOKEN_STRAYED if tokens.may_have_strayed(told, audiences) else 0
    clash |= TWICE if accounts.may_be_second(index, told) else 0
    clash |= DISAGREE if accounts.may_disagree(index, told) else 0
    for node, said, issued in told.accounts:
        clash |= TOKEN_OVER if tokens.may_be_late(node, issued) else 0
        clash |= TOKEN_EARLY if tokens.may_be_early(node, issued) else 0
        for decision in told.decisions:
            clash |= OTHER_DECIDED if policies.may_differ(said, decision) else 0
            clash |= DECISION_OVER if policies.may_be_late(node, decision) else 0
        for approval in told.oversights:
            clash |= OTHER_APPROVED if approvals.may_differ(said, approval) else 0
            clash |= APPROVAL_OVER if approvals.may_be_late(node, approval) else 0
    return clash


__all__ = ["Clashes", "clashes_of"]
