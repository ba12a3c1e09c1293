"""Who relied on an approval, and how often it was used: counted here for answers, rules and replays alike.

An action is one use, whatever number of its accounts rely on the approval, and all of its accounts speak for it. What came to
nothing is no use: whoever tries again after a failure has the same consent still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ledger.attribution.answer import MoreUses
from ledger.attribution.index import Index
from ledger.attribution.meaning import CALLS, namespace_of
from ledger.attribution.one_action import by_action, runs_apart
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.surroundings import relied_on
from ledger.attribution.uniting import Sets, unite
from ledger.format.event import SAME
from ledger.format.kinds import ApiAction, Oversight

CALLED: Final = frozenset({"resource", "intermediary"})
"""Observers who got the call, and so know what became of it."""

Until = tuple[int, bytes, bytes] | None
"""A time, id and digest: what stands later is not known yet. None: all is."""


class Use(NamedTuple):
    """An action that relied on an approval: its accounts, in order of time, and those of them that say so.

    ``perhaps`` are accounts that say so too and are of this action or of another of the same id, and nobody knows which.
    """

    relying: Sequence[Node]
    accounts: Sequence[Node]
    perhaps: Sequence[Node] = ()

    def used_up(self, until: Until = None) -> bool:
        """Whether it relied on the approval by then and is not known to have come to nothing."""
        return bool(_known(self.relying, until)) and not _came_to_nothing(_known(self.accounts, until))


class Uses(NamedTuple):
    """The uses of an approval, the earliest first."""

    all: Sequence[Use]

    def of(self, group: Iterable[Node]) -> Use | None:
        """Which one is that of an action, by its accounts; the earliest, where it may be several."""
        own = {node.ref for node in group}
        sure = (use for use in self.all if not own.isdisjoint(node.ref for node in (*use.relying, *use.accounts)))
        unsure = (use for use in self.all if not own.isdisjoint(node.ref for node in use.perhaps))
        return next(sure, None) or next(unsure, None)

    def number(self, use: Use, until: Until = None) -> int:
        """Which use of the approval it is, or would be if it came to anything."""
        return 1 + sum(each.used_up(until) for each in self.all[: self.all.index(use)])

    def by(self, until: Until = None) -> list[Use]:
        """Those that used it up by then: so often was it used."""
        return [use for use in self.all if use.used_up(until)]


def uses_of(index: Index, approval: Node) -> Uses:
    """The actions known to have relied on an approval: they name it, or cite it or another statement of it as their authority."""
    relying = relying_on(index, approval)
    if not relying:
        return Uses(())
    actions = Actions(index, relying)
    own: dict[Ref, list[Node]] = {}
    for node in relying:
        own.setdefault(actions.of(node.ref), []).append(node)
    unsure = {root: may_be for root in own if (may_be := actions.may_be(root))}
    perhaps: dict[Ref, list[Node]] = {}
    for root, may_be in unsure.items():
        taken = [each for each in may_be if each in own and each not in unsure]
        for each in taken:
            perhaps.setdefault(each, []).extend(own[root])
        if taken:
            del own[root]
    found = [Use(nodes, actions.accounts(root), tuple(perhaps.get(root, ()))) for root, nodes in own.items()]
    return Uses(sorted(found, key=lambda use: _place(use.relying[0])))


class Actions:
    """The accounts of the actions that some events are accounts of, and of which action each of them is: by what they say, by
    the id of the action, by the call. Where callers in several runs used one id for actions of their own, an account is of
    that one's in whose run it stands; one that says nothing of it may be of any (``links``)."""

    def __init__(self, index: Index, accounts: Iterable[Node]) -> None:
        self._index = index
        self._citing = _citing(index)
        self._sets: Sets[Ref] = {}
        self._unsure: dict[Ref, list[Ref]] = {}
        self._ids: set[str] = set()
        self._called: dict[str, list[tuple[Node, set[Ref]]]] = {}
        self._met = {node.ref: node for node in accounts}
        ahead = deque(self._met.values())
        while ahead:
            for each in self._beside(ahead.popleft()):
                if each.ref not in self._met:
                    self._met[each.ref] = each
                    ahead.append(each)

    def of(self, ref: Ref) -> Ref:
        """The event that stands for the action of an account."""
        return min(self._sets.get(ref, (ref,)))

    def accounts(self, root: Ref) -> list[Node]:
        return sorted((self._met[ref] for ref in self._sets.get(root, (root,))), key=_place)

    def may_be(self, root: Ref) -> set[Ref]:
        """The actions of which one is that of accounts of which none says it; none where it is known."""
        named = [self._unsure.get(node.ref) for node in self.accounts(root)]
        found = {self.of(ref) for refs in named if refs for ref in refs}
        return found if None not in named and root not in found else set()

    def _beside(self, node: Node) -> Iterator[Node]:
        """What else is an account of the same action, or may be."""
        action = _action_of(node)
        if action not in self._ids:
            self._ids.add(action)
            yield from self._of_id(action)
        for cause in node.header.causes:
            for each in self._index.by_id.get(cause.event_id, ()) if cause.relation in SAME else ():
                if _is_account(each) and cause.digest in (None, each.digest):
                    yield self._united(each, node)
        for each in self._citing.get(node.ref, ()):
            yield self._united(each, node)
        for name in self._index.follows(node):
            if namespace_of(name) in CALLS:
                yield from self._of_call(node, name)

    def _of_call(self, node: Node, name: str) -> Iterable[Node]:
        """What one call tells of: one action, where no third bears it; else whoever was called tells of one of those of whoever
        called, and nobody knows which."""
        if name not in self._called:
            actions = by_action(self._index.answer_to(name, "api_action"))
            self._called[name] = [(alike[0], {each.ref for each in alike}) for alike in actions]
        others = [first for first, refs in self._called[name] if node.ref not in refs]
        if len(others) == 1 and _is_account(others[0]):
            yield self._united(others[0], node)
        elif others:
            nearer = [each for each in others if _is_account(each) and _nearness(each) < _nearness(node)]
            if nearer:
                self._unsure.setdefault(node.ref, []).extend(each.ref for each in nearer)
            yield from nearer

    def _of_id(self, action: str) -> Iterable[Node]:
        nodes = [each for each in self._index.answer_to(f"action:{action}", "api_action") if _is_account(each)]
        runs = runs_apart(nodes)
        first: dict[bytes | None, Node] = {}
        for node in nodes:
            run = node.header.execution_id if runs else None
            if not runs or run in runs:
                self._united(node, first.setdefault(run, node))
            elif not any(cause.relation in SAME for cause in node.header.causes):
                self._unsure[node.ref] = [each.ref for each in nodes if each.header.execution_id in runs]
                self._united(node, first.setdefault(None, node))
        return nodes

    def _united(self, node: Node, other: Node) -> Node:
        unite(self._sets, node.ref, other.ref)
        return node


def _nearness(account: Node) -> int:
    """How near an observer stands to whoever called; whoever read it in a log may have been any."""
    observer = account.fact.observer if isinstance(account.fact, ApiAction) else None
    return {"agent": 0, "importer": 0, "resource": 1}.get(observer or "", 2)


def _citing(index: Index) -> dict[Ref, list[Node]]:
    """What says of itself that it is an account of the same as another event."""
    found: dict[Ref, list[Node]] = {}
    for nodes in index.by_id.values():
        for node in nodes:
            for cause in node.header.causes if _is_account(node) else ():
                for each in index.by_id.get(cause.event_id, ()) if cause.relation in SAME else ():
                    if cause.digest in (None, each.digest):
                        found.setdefault(each.ref, []).append(node)
    return found


def _is_account(node: Node) -> bool:
    return node.kind == "api_action" and node.effective and node.payload is not None


def _action_of(node: Node) -> str:
    assert node.payload is not None  # noqa: S101 - by construction
    return str(node.payload["action_id"])


def _place(node: Node) -> tuple[int, bytes, bytes]:
    return node.at, node.ref.event_id, node.ref.digest


def _known(nodes: Sequence[Node], until: Until) -> Sequence[Node]:
    return nodes if until is None else [node for node in nodes if _place(node) <= until]


def _came_to_nothing(accounts: Iterable[Node]) -> bool:
    """Whether every try did, by the word of whoever was called, where they tell: of one that nobody tells of it is not known."""
    facts = [node.fact for node in accounts if isinstance(node.fact, ApiAction)]
    tries = {fact.attempt for fact in facts} - {None} or {None}
    return bool(facts) and all(_was_nothing([fact for fact in facts if fact.attempt in (None, one)]) for one in tries)


def _was_nothing(facts: Iterable[ApiAction]) -> bool:
    told = [each for each in facts if each.outcome is not None or each.effect is not None]
    said = [each for each in told if each.observer in CALLED] or told
    return bool(said) and all(each.effect == "none" or (each.effect, each.outcome) == (None, "denied") for each in said)


def relying_on(index: Index, approval: Node) -> list[Node]:
    """The accounts that rely on an approval, in order of time."""
    found = {node.ref: node for nodes in _using(index, approval) for node in nodes if _is_account(node)}
    return sorted(found.values(), key=_place)


def more_uses(index: Index, approval: Node) -> MoreUses | None:
    """Whether more relied on an approval than is looked at, before or after what was asked about. Where too much else cites it
    for all to be looked at, it may be so on either side."""
    limits, asked = index.graph.limits, index.graph.asked
    if not index.graph.crowded.isdisjoint(relied_on(each.event_id for each in _said(index, approval))):
        return "both"
    most = limits.uses(approval.fact.uses_allowed if isinstance(approval.fact, Oversight) else None)
    used = [{node.event_id for node in nodes} for nodes in _using(index, approval)]
    earlier = any(sum(each < asked for each in ids) > most for ids in used)
    later = any(sum(each > asked for each in ids) > most for ids in used)
    return "both" if earlier and later else "earlier" if earlier else "later" if later else None


def _using(index: Index, approval: Node) -> Iterator[Sequence[Node]]:
    """Who relies on an approval: who names it; and who cites it, or another statement of it."""
    if isinstance(fact := approval.fact, Oversight):
        yield index.answer_to(f"oversight_use:{fact.oversight_id}", "api_action")
    for each in _said(index, approval):
        yield index.relying_on(each)


def _said(index: Index, approval: Node) -> Iterable[Node]:
    """The statements of an approval."""
    fact = approval.fact if isinstance(approval.fact, Oversight) else None
    others = index.answer_to(f"oversight:{fact.oversight_id}", "oversight") if fact is not None else ()
    return {node.ref: node for node in (approval, *others)}.values()


def taken_by_others(index: Index, group: Sequence[Node], approval: Node) -> bool:
    """Whether all actions that are known to rely on an approval are others than the one of ``group``."""
    uses = uses_of(index, approval)
    return bool(uses.all) and uses.of(group) is None


def may_be_used_by(index: Index, approval: Node) -> int:
    """How many actions may have relied on an approval at the most, whatever is left out of what is known: what answers to one
    action id is of one action, unless callers in two runs used it."""
    of_id: dict[str, int] = {}
    for node in relying_on(index, approval):
        of_id[_action_of(node)] = of_id.get(_action_of(node), 0) + 1
    return sum(many if many > 1 and _may_be_apart(index, action) else 1 for action, many in of_id.items())


def _may_be_apart(index: Index, action: str) -> bool:
    runs = {node.header.execution_id for node in index.answer_to(f"action:{action}", "api_action")}
    return len(runs - {None}) > 1


__all__ = [
    "CALLED",
    "Actions",
    "Use",
    "Uses",
    "may_be_used_by",
    "more_uses",
    "relying_on",
    "taken_by_others",
    "uses_of",
]
