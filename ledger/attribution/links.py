"""The links of a subgraph: causes that were found, joins on names, and causes that are missing, each with its grade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.attribution.answer import Grade, Link, Trigger
from ledger.attribution.grades import are_independent, grade_of_cause
from ledger.attribution.index import Index
from ledger.attribution.meaning import CIRCUMSTANCE, OF_ACTIONS, STATED, namespace_of, relation_of, traces_of
from ledger.attribution.one_action import NO_RUNS, by_action, of_one_action, runs_apart
from ledger.attribution.subgraph import Node, Ref, Subgraph
from ledger.attribution.uniting import Sets, unite, united
from ledger.format.event import INFORMED_BY, RELATIONS, SAME, TO_TRIGGERS, Cause


class Edge(NamedTuple):
    """A link whose both ends are there. ``join`` is the namespace of a joined one, ``candidates`` how many events fitted."""

    source: Node
    target: Node
    relation: str
    grade: Grade
    join: str | None = None
    candidates: int = 1

    @property
    def link(self) -> Link:
        source, target, relation, grade, join, candidates = self
        return Link(*source.ref, *target.ref, relation, grade, join, candidates)


Right = tuple[Node, Grade, int]
"""What authorized an action, with the grade and the candidates of the surest way to it."""


class Missing(NamedTuple):
    """A cause that is stated and leads nowhere. ``why``: dangling_cause, cause_mismatch, archived, limit_reached, or, where it is
    there and without effect, as ``without_effect`` tells."""

    node: Node
    cause: Cause
    why: str


class Kept:
    """What a walk found out about links, and what triggers say, once: the parts of one whole share it."""

    __slots__ = ("ends", "grades", "index", "leads", "led", "triggers")

    def __init__(self, whole: Index) -> None:
        self.index = whole
        self.led: frozenset[Ref] | None = None
        self.leads: dict[Ref, list[Edge]] = {}
        self.ends: dict[Ref, str | None] = {}
        self.grades: dict[Ref, Grade] = {}
        self.triggers: dict[tuple[object, ...], Trigger] = {}


class Links:
    """Every link of a subgraph, by the event it starts from; ``accounts`` groups the accounts of one thing, ``rights`` is what
    was found to have authorized them."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.kept = Kept(index)
        self.rights: dict[tuple[Ref, ...], list[Right]] = {}
        self.out: dict[Ref, list[Edge]] = {}
        self.missing: dict[Ref, list[Missing]] = {}
        self._unsure: set[tuple[Ref, Ref]] = set()
        for nodes in index.by_id.values():
            for node in nodes:
                if node.effective:
                    self.out[node.ref] = self._causes(node)
        for nodes in index.by_id.values():
            for node in nodes:
                if node.effective:
                    self.out[node.ref] += self._joins(node)
        self.accounts = _groups(edge for edges in self.out.values() for edge in edges if not self.is_unsure(edge))
        self._corroborate()
        self._into: dict[Ref, list[Edge]] = {}
        self._accounts_of: dict[bytes, list[bytes]] = {}
        self._caused: set[Ref] = set()
        for ref, edges in self.out.items():
            for edge in edges:
                if edge.relation in SAME and not self.is_unsure(edge):
                    self._into.setdefault(edge.target.ref, []).append(edge)
                    self._accounts_of.setdefault(edge.target.event_id, []).append(ref.event_id)
                if edge.join is None and edge.relation in TO_TRIGGERS:
                    self._caused.add(self.group(edge.source)[0].ref)

    def edges(self) -> Iterable[Edge]:
        return (
            edge
            for nodes in self.index.by_id.values()
            for node in nodes
            if node.effective
            for edge in self.out.get(node.ref, ())
        )

    def within(self, graph: Subgraph, above: frozenset[bytes], beside: frozenset[bytes]) -> Links | None:
        """The links of a part that holds whatever its events lead to, as they would be if the part were all there is; None where
        another account of one of its events stands outside, without which they are others.

        The part is ``graph``: all events of the ids ``above`` and of those nearby. These lead out of the part here. Nothing walks
        from them.
        """
        accounts = self._accounts_of
        if any(each not in above for event_id in above if event_id in accounts for each in accounts[event_id]):
            return None
        part = Links.__new__(Links)  # as copy.copy, which costs five times as much
        vars(part).update(vars(self))
        part.index = self.index.part(
            graph, (each for ids in (above, beside) for each in ids if each in self.index.by_id)
        )
        part.rights = {}
        return part

    def of(self, node: Node, relations: frozenset[str]) -> list[Edge]:
        edges = self.out.get(node.ref)
        return [edge for edge in edges if edge.relation in relations] if edges else []

    def group(self, node: Node) -> list[Node]:
        """All accounts of the same thing, ``node`` among them, in order of time."""
        return self.accounts.get(node.ref) or [node]

    def same_into(self, node: Node) -> list[Edge]:
        """The links by which other accounts of the same thing lead to this one."""
        return self._into.get(node.ref, [])

    def is_caused(self, node: Node) -> bool:
        """Whether a stated cause leads on from an account of the same thing."""
        return self.group(node)[0].ref in self._caused

    def _causes(self, node: Node) -> list[Edge]:
        edges: list[Edge] = []
        for cause in node.header.causes:
            relation = cause.relation if cause.relation in RELATIONS else INFORMED_BY
            found = self.index.by_id.get(cause.event_id, [])
            fits = [each for each in found if cause.digest is None or each.digest == cause.digest]
            edges += [
                Edge(node, each, relation, grade_of_cause(node, cause, each), None, len(fits))
                for each in fits
                if each.effective and each.ref != node.ref
            ]
            known = any(each.effective for each in fits)
            if not known and (found or self.index.graph.upwards) and node.ref not in self.index.graph.nearby:
                self.missing.setdefault(node.ref, []).append(Missing(node, cause, self._why(cause, found, fits)))
        return edges

    def _why(self, cause: Cause, found: list[Node], fits: list[Node]) -> str:
        graph = self.index.graph
        if fits:
            return without_effect(fits)
        if found:
            return "cause_mismatch"
        if cause.event_id in graph.archived:
            return "archived"
        return "limit_reached" if cause.event_id in graph.cut else "dangling_cause"

    def _joins(self, node: Node) -> list[Edge]:
        followed = self._followed(node)
        if not followed:
            return []
        stated = {(edge.target.ref, edge.relation in TO_TRIGGERS): edge.grade for edge in self.out[node.ref]}
        edges: dict[Ref, Edge] = {}
        for namespace, name in followed:
            fitting: dict[str, list[Node]] = {}
            near = self.index.near(name, node)
            runs = runs_apart(near) if namespace == "action" else NO_RUNS
            for target in of_one_action(node, near, runs) if runs else near:
                relation = relation_of(node, target, namespace, name) if target.ref != node.ref else None
                if relation is None:
                    continue
                if relation in fitting:
                    fitting[relation].append(target)
                else:
                    fitting[relation] = [target]
            for relation, targets in fitting.items():
                leads = relation in TO_TRIGGERS
                fitted = self._fitted(node, targets) if namespace in OF_ACTIONS and len(targets) > 1 else {}
                for target in targets:
                    ref = target.ref
                    if (ref, leads) not in stated and ref not in edges:
                        edge = _joined(node, target, relation, namespace, fitted.get(ref, len(targets)))
                        # A cause of another sense names the same event: then it is known which one is meant.
                        cited = stated.get((ref, not leads))
                        edges[ref] = edge._replace(grade=cited, candidates=1) if cited else edge
                        if runs and relation in SAME and target.header.execution_id != node.header.execution_id:
                            self._unsure.add((node.ref, ref))
        return list(edges.values())

    def _fitted(self, node: Node, targets: Sequence[Node]) -> Mapping[Ref, int]:
        """Among how many each target was found by an action's id or a call: the accounts of one action are one, and those of an
        account's own no others. Nothing where not all were looked at."""
        if len(targets) > self.index.graph.limits.candidates or any(each.kind != "api_action" for each in targets):
            return {}
        is_account = node.kind == "api_action"
        actions = by_action([node, *targets] if is_account else targets)
        own = next((alike for alike in actions if is_account and node.ref in {each.ref for each in alike}), None)
        return {each.ref: 1 if alike is own else len(actions) - is_account for alike in actions for each in alike}

    def is_unsure(self, edge: Edge) -> bool:
        """Whether an account was joined to those of several actions of one id: it is of one of them, and nobody knows which."""
        return bool(self._unsure) and edge.join is not None and (edge.source.ref, edge.target.ref) in self._unsure

    def _followed(self, node: Node) -> list[tuple[str, str]]:
        """The names that an event follows and anything but itself answers to, each after its namespace. The surer join of one
        event to another stands for it: circumstance comes last."""
        sure: list[tuple[str, str]] = []
        circumstance: list[tuple[str, str]] = []
        for name in self.index.follows(node):
            answers = self.index.answers(name)
            if len(answers) > 1 or (len(answers) == 1 and answers[0] is not node):
                namespace = namespace_of(name)
                (circumstance if namespace in CIRCUMSTANCE else sure).append((namespace, name))
        return sure + circumstance

    def _corroborate(self) -> None:
        """Raises links that accounts of one thing state alike by the keys of two services."""
        alike: dict[tuple[Ref, Ref], list[Edge]] = {}
        for ref, group in self.accounts.items():
            for edge in self.out[ref]:
                if edge.relation not in SAME and (edge.join is None or edge.join in STATED):
                    alike.setdefault((group[0].ref, edge.target.ref), []).append(edge)
        raised = {
            id(edge): edge
            for edges in alike.values()
            if are_independent([each.source for each in edges])
            for edge in edges
        }
        for ref in {edge.source.ref for edge in raised.values()}:
            edges = self.out[ref]
            edges[:] = [edge._replace(grade="corroborated") if id(edge) in raised else edge for edge in edges]


WITHOUT_EFFECT: Final = frozenset({"row_changed", "unauthorized_kind", "untrusted_key"})
"""Why an event that is there counts for nothing."""


def without_effect(nodes: Iterable[Node]) -> str:
    """Why events that are there count for nothing: the store's rows are not what was signed, or their keys may not say so."""
    findings = {name for node in nodes for name in node.findings}
    if "row_changed" in findings:
        return "row_changed"
    return "unauthorized_kind" if "unauthorized_kind" in findings else "untrusted_key"


def _joined(node: Node, target: Node, relation: str, namespace: str, candidates: int) -> Edge:
    """What the event itself states, without a digest, is asserted: its own action, and its parent in a trace of that name."""
    own_word = relation in SAME and namespace == "action" and node.author == target.author
    parent = namespace == "span" and candidates == 1 and bool(traces_of(node) & traces_of(target))
    return Edge(node, target, relation, "asserted" if own_word or parent else "inferred", namespace, candidates)


def _groups(edges: Iterable[Edge]) -> dict[Ref, list[Node]]:
    """Events joined by ``same_action`` or ``completes``: accounts of one thing. An ambiguous join unites nothing."""
    nodes: dict[Ref, Node] = {}
    sets: Sets[Ref] = {}
    for edge in edges:
        if edge.relation not in SAME or (edge.candidates > 1 and edge.join not in (None, "action")):
            continue
        source, target = edge[:2]
        one, other = source.ref, target.ref
        nodes[one], nodes[other] = source, target
        unite(sets, one, other)
    groups: dict[Ref, list[Node]] = {}
    for refs in united(sets):
        group = sorted(map(nodes.__getitem__, refs), key=lambda node: (node.at, node.event_id, node.digest))
        for each in refs:
            groups[each] = group
    return groups


__all__ = ["WITHOUT_EFFECT", "Edge", "Links", "Missing", "Right", "without_effect"]
