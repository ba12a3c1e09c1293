"""Which step of one run is which step of another: by kind, operation, causal structure and order, never by a name alone.

The structure of a step is what it is and what led to it, back to the beginning of the run: two calls of one operation that came
about in two ways are two steps. First those of equal structure are aligned, wherever they stand: of several the one that follows
from the same aligned steps and says the same, else that follows from them, else that says the same. Those that are not in the
order of the others have moved. Between the others, steps that are the same thing and follow from the same aligned steps are one
step whose causes changed. Where several would fit, the first in order is taken, and it is told how many there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Final, NamedTuple

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
_NOWHERE: Final = -2


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


def align(a: Sequence[Step], b: Sequence[Step], says: tuple[Sequence[str], Sequence[str]]) -> list[Pair]:
    """The pairs, in order of ``a``. Each step is in one pair at most. ``says`` is what each step of each run says."""
    found: dict[int, int] = {}
    alike: dict[int, int] = {}
    for left, right in _of_one_structure(a, b):
        for causes, content in ((True, True), (True, False), (False, True), (False, False)):
            free_a, free_b = [i for i in left if i not in found], list(right)
            keys_a = [(_from(a[i], found) if causes else (), says[0][i] if content else "") for i in free_a]
            keys_b = [(b[j].causes if causes else (), says[1][j] if content else "") for j in free_b]
            counts = Counter(keys_a), Counter(keys_b)
            for at, to in _equal(keys_a, keys_b):
                found[free_a[at]] = free_b[to]
                alike[free_a[at]] = max(each[keys_a[at]] for each in counts)
                right.remove(free_b[to])
    kept = _in_order(found)
    labels = [Counter(step.label for step in each) for each in (a, b)]
    for content in (True, False):
        anchors = [(-1, -1), *((i, found[i]) for i in sorted(kept)), (len(a), len(b))]
        taken = set(found.values())
        for (a0, b0), (a1, b1) in pairwise(anchors):
            left = [i for i in range(a0 + 1, a1) if i not in found]
            right = [j for j in range(b0 + 1, b1) if j not in taken]
            words_a = [(a[i].label, says[0][i] if content else "") for i in left]
            words_b = [(b[j].label, says[1][j] if content else "") for j in right]
            for at, to in _common(words_a, words_b):
                i, j = left[at], right[to]
                if _follow_alike(a, b, i, j, found):
                    found[i] = j
                    kept.add(i)
                    alike[i] = max(each[a[i].label] for each in labels)
    return [Pair(i, j, i not in kept, alike[i]) for i, j in sorted(found.items())]


def _of_one_structure(a: Sequence[Step], b: Sequence[Step]) -> list[tuple[list[int], list[int]]]:
    """The steps of each structure that both runs have, causes before effects."""
    members: dict[bytes, tuple[list[int], list[int]]] = {}
    for side, steps in enumerate((a, b)):
        for at, step in enumerate(steps):
            members.setdefault(step.structure, ([], []))[side].append(at)
    return [each for each in members.values() if all(each)]


def _equal(keys_a: Sequence[object], keys_b: Sequence[object]) -> list[tuple[int, int]]:
    """The places of equal keys, the first with the first."""
    free: dict[object, list[int]] = {}
    for place, key in enumerate(keys_b):
        free.setdefault(key, []).append(place)
    return [(place, free[key].pop(0)) for place, key in enumerate(keys_a) if free.get(key)]


def _from(step: Step, found: Mapping[int, int]) -> tuple[tuple[str, int], ...]:
    """The causes of a step, by the numbers that they have in the other run."""
    return tuple(sorted((relation, at if at == _OUTSIDE else found.get(at, _NOWHERE)) for relation, at in step.causes))


def _in_order(found: Mapping[int, int]) -> set[int]:
    """The most steps that stand in one order in both runs; of several the earliest."""
    most: dict[int, int] = {}
    for i in sorted(found, reverse=True):
        most[i] = 1 + max((most[after] for after in most if found[after] > found[i]), default=0)
    kept: list[int] = []
    left = max(most.values(), default=0)
    for i in sorted(found):
        if most[i] == left and (not kept or found[i] > found[kept[-1]]):
            kept.append(i)
            left -= 1
    return set(kept)


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


def _common(keys_a: Sequence[object], keys_b: Sequence[object]) -> list[tuple[int, int]]:
    """A longest common subsequence, by numbers; of several the one that takes the earliest."""
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
