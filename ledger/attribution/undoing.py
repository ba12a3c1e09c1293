"""What was undone: which tries of which actions a compensation took back.

A compensation cites the account that whoever made it knows, which need not be that of whoever was called; and it may have come
to nothing itself. So it is asked of all accounts of both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from ledger.attribution.subgraph import Index, Node, Ref, undone_by
from ledger.attribution.uses import CALLED, Actions
from ledger.format.event import COMPENSATES
from ledger.format.kinds import ApiAction


def undone(index: Index, accounts: Collection[Node]) -> frozenset[Ref]:
    """Those of ``accounts`` whose try was taken back, or may have been, where it is not known of which of several they tell."""
    cited = [
        (node, target)
        for nodes in index.by_id.values()
        for node in nodes
        if undone_by(node)
        for target in _cited(index, node)
    ]
    if not cited:
        return _NONE
    actions = Actions(index, [*accounts, *(each for pair in cited for each in pair)])
    taken_back = [target for node, target in cited if _took_effect(actions.accounts(actions.of(node.ref)))]
    return frozenset(
        account.ref
        for account in accounts
        for target in taken_back
        if _may_be_one_try(account, target) and not _of(actions, account).isdisjoint(_of(actions, target))
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


__all__ = ["undone"]
