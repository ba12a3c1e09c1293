"""Which accounts that bear one action id are of one action: callers in several runs may use an id for actions of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.attribution.subgraph import Node
from ledger.format.event import RETRIES, SAME

NO_RUNS: Final[frozenset[bytes]] = frozenset()


def runs_apart(nodes: Sequence[Node]) -> frozenset[bytes]:
    """The runs whose callers used one action id for actions of their own; none where they are not shown to have.

    Shown by two runs that both tell the same phase of the same try, and of which none cites the other's: an id that is counted
    in each process, or left from an example, is soon met again.
    """
    calls = [(node, run) for node in nodes if (run := _calls_in(node)) is not None]
    runs = frozenset(run for _, run in calls)
    if len(runs) < 2:
        return NO_RUNS
    told = {(run, node.payload["phase"], node.payload["attempt"]) for node, run in calls if node.payload is not None}
    ids = {node.event_id: run for node, run in calls}
    cited = any(
        ids.get(cause.event_id, run) != run and cause.relation in _ONE_ACTION
        for node, run in calls
        for cause in node.header.causes
    )
    return runs if len({each[1:] for each in told}) < len(told) and not cited else NO_RUNS


def by_action(accounts: Iterable[Node]) -> list[list[Node]]:
    """Accounts, those together that tell of one action: by its id and, where callers in several runs used it for actions of their
    own, by run."""
    of_id: dict[object, list[Node]] = {}
    for node in accounts:
        of_id.setdefault(node.payload["action_id"] if node.payload is not None else node.ref, []).append(node)
    found: dict[tuple[object, bytes | None], list[Node]] = {}
    for action, alike in of_id.items():
        runs = runs_apart(alike)
        for node in alike:
            run = node.header.execution_id
            found.setdefault((action, run if run in runs else None), []).append(node)
    return list(found.values())


_ONE_ACTION: Final = SAME | {RETRIES}


def _calls_in(node: Node) -> bytes | None:
    """The run in which whoever called tells of an action."""
    called = node.kind == "api_action" and node.payload is not None and node.payload["observer"] == "agent"
    return node.header.execution_id if called else None


def of_one_action(node: Node, near: Sequence[Node], runs: frozenset[bytes]) -> list[Node]:
    """What bears an action's id and may be of the action that an event tells of, where callers in ``runs`` used it for several.

    What stands in one of the runs is of that one's. An account that says which one it is of is; another may be any caller's, and
    no caller is taken for one whose account it is. What policies and people said of the id is told of each.
    """
    own = node.header.execution_id
    said = [
        each
        for each in near
        if each.kind != "api_action" and (own not in runs or each.header.execution_id not in runs - {own})
    ]
    if own in runs:
        return [*said, *(each for each in near if each.kind == "api_action" and each.header.execution_id == own)]
    if any(cause.relation in SAME for cause in node.header.causes):
        return said
    return [*said, *(each for each in near if each.kind == "api_action" and each.header.execution_id in runs)]


__all__ = ["NO_RUNS", "by_action", "of_one_action", "runs_apart"]
