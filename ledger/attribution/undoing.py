"""What was undone: which tries of which actions a compensation took back.

A compensation cites the account that whoever made it knows, which need not be that of whoever was called; and it may have come
to nothing itself. So it is asked of all accounts of both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from ledger.attribution.index import Index
from ledger.attribution.subgraph import Node, Ref, undone_by
from ledger.attribution.uses import CALLED, Actions
from ledger.format.event import COMPENSATES
from ledger.format.kinds import ApiAction


def undone(index: Index, accounts: Collection[Node]) -> frozenset[Ref]:
    """Those of ``accounts`` whose try was taken back, or may have been, where it is not known of which of several they tell.

    What took one back may have been taken back itself: then it undoes nothing. Of two that take back each other, by ids alone,
    neither is known to be gone.
    """
    cited = [(node, target) for node, target in _takings_back(index) if node.payload is not None]
    if not cited:
        return _NONE
    actions = Actions(index, [*accounts, *(each for pair in cited for each in pair)])
    told = {node.ref: actions.accounts(actions.of(node.ref)) for node, _ in cited}
    takers = list({each.ref: each for alike in told.values() for each in alike}.values())

    def standing(gone: frozenset[Ref]) -> list[Node]:
        """What is taken back, where some accounts count no more."""
        return [
            target for node, target in cited if _took_effect(each for each in told[node.ref] if each.ref not in gone)
        ]

    at_most = standing(_NONE)
    while True:
        at_least = standing(_taken_back(actions, takers, at_most))
        fewer = standing(_taken_back(actions, takers, at_least))
        if len(fewer) == len(at_most):  # fewer are never others
            return _taken_back(actions, accounts, fewer)
        at_most = fewer


def maybe_undone(index: Index, accounts: Collection[Node]) -> bool:
    """Whether something cites one of ``accounts`` as what it takes back that cannot be read: erased, or in a newer schema."""
    targets = [target for node, target in _takings_back(index) if node.payload is None]
    return bool(targets) and bool(_taken_back(Actions(index, [*accounts, *targets]), accounts, targets))


def _takings_back(index: Index) -> Iterator[tuple[Node, Node]]:
    """What takes something back, each time with an account of that."""
    for nodes in index.by_id.values():
        for node in nodes:
            for target in _cited(index, node) if undone_by(node) else ():
                yield node, target


def _taken_back(actions: Actions, accounts: Iterable[Node], targets: Collection[Node]) -> frozenset[Ref]:
    of_targets = [(target, _of(actions, target)) for target in targets]
    return frozenset(
        account.ref
        for account in accounts
        for target, of in of_targets
        if _may_be_one_try(account, target) and not _of(actions, account).isdisjoint(of)
    )


def _cited(index: Index, node: Node) -> Iterable[Node]:
    return [
        each
        for cause in node.header.causes
        if cause.relation == COMPENSATES
        for each in index.by_id.get(cause.event_id, ())
        if each.effective and each.ref != node.ref and cause.digest in (None, each.digest)
        if isinstance(each.fact, ApiAction)
    ]


def _of(actions: Actions, account: Node) -> set[Ref]:
    """The actions that an account may be of."""
    root = actions.of(account.ref)
    return actions.may_be(root) | {root}


def _may_be_one_try(one: Node, other: Node) -> bool:
    first, second = (each.fact.attempt if isinstance(each.fact, ApiAction) else None for each in (one, other))
    return first is None or second is None or first == second


def _took_effect(accounts: Iterable[Node]) -> bool:
    """Whether a compensation was wholly carried out, by the word of whoever was called, where they tell."""
    facts = [node.fact for node in accounts if isinstance(node.fact, ApiAction)]
    told = [each for each in facts if each.outcome is not None or each.effect is not None]
    said = [each for each in told if each.observer in CALLED] or told
    return any(each.effect == "full" or (each.effect, each.outcome) == (None, "success") for each in said)


_NONE: Final[frozenset[Ref]] = frozenset()


__all__ = ["maybe_undone", "undone"]
