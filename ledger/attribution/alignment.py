"""Which step of one run is which step of another: by kind, operation, causal structure and order, never by a name alone.

The structure of a step is what it is and what led to it, back to the beginning of the run: two calls of one operation that came
about in two ways are two steps. First those of equal structure are aligned in their order. Between them, steps that are the
same thing and follow from the same aligned steps are one step whose causes changed. What is left and has its equal elsewhere in
the other run has moved. Where several would fit, the first in order is taken, and it is told how many there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from ledger.attribution.subgraph import Node

STEPS: Final = 500
"""Steps of a run that are compared: the cost grows with their square."""

OPERATION: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("trigger_kind",),
    "reasoning_step": ("operation",),
    "token_issuance": ("status", "grant_type", "audiences"),
    "policy_decision": ("action",),
    "api_action": ("operation", "phase", "observer", "target_system"),
    "oversight": ("action",),
    "observation": ("source", "operation"),
    "memory": ("action", "store", "key"),
    "handoff": ("direction", "protocol"),
    "execution_control": ("action",),
    "grant": ("action",),
    "trigger_registration": ("action", "trigger_kind"),
}
"""What of a payload says which operation a step is; everything else is how it went."""

_OUTSIDE: Final = -1
_T = TypeVar("_T")


class Step(NamedTuple):
    """A step of a run. ``causes``: relation and number of the step in the run, or -1 for one outside of it."""

    node: Node
    label: tuple[object, ...]
    causes: tuple[tuple[str, int], ...]
    structure: bytes


class Pair(NamedTuple):
    """One step in both runs, by their numbers. ``candidates``: how many steps of a run fit as well, 1 where it is certain."""

    a: int
    b: int
    moved: bool
    candidates: int


def steps_of(nodes: Sequence[Node]) -> list[Step]:
    """The steps of a run, causes before effects, and else in order of time. A cycle is broken at the earliest of it."""
    order = _causal_order(sorted(nodes, key=lambda node: (node.at, node.event_id, node.digest)))
    number = {node.ref: i for i, node in enumerate(order)}
    by_id: dict[bytes, list[Node]] = {}
    for node in order:
        by_id.setdefault(node.event_id, []).append(node)
    steps: list[Step] = []
    for node in order:
        label = (node.kind, *_operation(node))
        causes = tuple(
            sorted((relation, number[found.ref] if found else _OUTSIDE) for relation, found in _causes(node, by_id))
        )
        before = sorted((relation, steps[at].structure if 0 <= at < len(steps) else b"") for relation, at in causes)
        structure = blake2b(repr((label, before)).encode(), digest_size=16).digest()
        steps.append(Step(node, label, causes, structure))
    return steps


def align(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    """The pairs, in order of ``a``. Each step is in one pair at most."""
    found = dict(_common(a, b, lambda step: step.structure))
    anchors = [(-1, -1), *sorted(found.items()), (len(a), len(b))]
    for (a0, b0), (a1, b1) in pairwise(anchors):
        left, right = range(a0 + 1, a1), range(b0 + 1, b1)
        for i, j in _common([a[i] for i in left], [b[j] for j in right], lambda step: step.label):
            if _follow_alike(a, b, left[i], right[j], found):
                found[left[i]] = right[j]
    moved = _moved(a, b, found)
    structures = [Counter(step.structure for step in each) for each in (a, b)]
    labels = [Counter(step.label for step in each) for each in (a, b)]
    pairs = []
    for i, j in sorted((found | moved).items()):
        same = a[i].structure == b[j].structure
        counts = [each[a[i].structure] for each in structures] if same else [each[a[i].label] for each in labels]
        pairs.append(Pair(i, j, i in moved, max(counts)))
    return pairs


def _operation(node: Node) -> list[object]:
    payload = node.payload
    if payload is None:
        return []
    return [tuple(each) if isinstance(each := payload[name], list) else each for name in OPERATION.get(node.kind, ())]


def _causes(node: Node, by_id: Mapping[bytes, Sequence[Node]]) -> list[tuple[str, Node | None]]:
    """Relation and event of each cause; None where it is not of this run, or is another event than was cited."""
    found: list[tuple[str, Node | None]] = []
    for cause in node.header.causes:
        there = [each for each in by_id.get(cause.event_id, ()) if cause.digest in (None, each.digest)]
        found.append((cause.relation, there[0] if len(there) == 1 else None))
    return found


def _causal_order(nodes: Sequence[Node]) -> list[Node]:
    by_id: dict[bytes, list[Node]] = {}
    for node in nodes:
        by_id.setdefault(node.event_id, []).append(node)
    place = {node.ref: i for i, node in enumerate(nodes)}
    waiting = [
        len({found.ref for _, found in _causes(node, by_id) if found and found.ref != node.ref}) for node in nodes
    ]
    effects: dict[int, set[int]] = {}
    for i, node in enumerate(nodes):
        for _, found in _causes(node, by_id):
            if found is not None and found.ref != node.ref:
                effects.setdefault(place[found.ref], set()).add(i)
    ready = [i for i, count in enumerate(waiting) if count == 0]
    heapify(ready)
    done: set[int] = set()
    order: list[Node] = []
    earliest = 0
    while len(order) < len(nodes):
        if not ready:  # a cycle: nothing of it comes first, so its earliest does
            while earliest in done:
                earliest += 1
            ready.append(earliest)
        i = heappop(ready)
        if i in done:
            continue
        done.add(i)
        order.append(nodes[i])
        for effect in effects.get(i, ()):
            waiting[effect] -= 1
            if waiting[effect] == 0 and effect not in done:
                heappush(ready, effect)
    return order


def _common(a: Sequence[_T], b: Sequence[_T], key: Callable[[_T], object]) -> list[tuple[int, int]]:
    """A longest common subsequence, by numbers; of several the one that takes the earliest."""
    keys_a, keys_b = [key(each) for each in a], [key(each) for each in b]
    longest = [[0] * (len(keys_b) + 1) for _ in range(len(keys_a) + 1)]
    for i in range(len(keys_a) - 1, -1, -1):
        row, below, mine = longest[i], longest[i + 1], keys_a[i]
        for j in range(len(keys_b) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if mine == keys_b[j] else max(below[j], row[j + 1])
    pairs = []
    i = j = 0
    while i < len(keys_a) and j < len(keys_b):
        if keys_a[i] == keys_b[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _follow_alike(a: Sequence[Step], b: Sequence[Step], i: int, j: int, found: Mapping[int, int]) -> bool:
    """Whether two steps follow from one aligned step, or both begin something: the nearest aligned above them are looked at."""
    above_a, above_b = _aligned_above(a, i, set(found)), _aligned_above(b, j, set(found.values()))
    if not above_a and not above_b:
        return True
    return not {found[each] for each in above_a}.isdisjoint(above_b)


def _aligned_above(steps: Sequence[Step], at: int, aligned: set[int]) -> set[int]:
    above: set[int] = set()
    passed, frontier = {at}, [at]
    while frontier:
        for _, cause in steps[frontier.pop()].causes:
            if cause in aligned:
                above.add(cause)
            elif cause not in passed and cause != _OUTSIDE:
                passed.add(cause)
                frontier.append(cause)
    return above


def _moved(a: Sequence[Step], b: Sequence[Step], found: Mapping[int, int]) -> dict[int, int]:
    taken = set(found.values())
    free: dict[bytes, list[int]] = {}
    for j, step in enumerate(b):
        if j not in taken:
            free.setdefault(step.structure, []).append(j)
    return {i: free[step.structure].pop(0) for i, step in enumerate(a) if i not in found and free.get(step.structure)}
