"""Who triggered an event, worked out a second time: networkx over plain facts, sharing no code with the ledger or its SQL.

It knows less than the ledger: prompts, hand-offs, reasoning and actions, causes, and runs that events are in; no tokens, no
accounts of one action. What it knows it takes from the design's words, by way of all paths instead of one search.

Between two ways that are equally sure and equally long nothing says which one is told. Where they differ in something that an
answer shows, ``exact`` is False, and only what does not depend on it can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import networkx

LEADING = {"started_by", "steered_by", "scheduled_by", "continues"}
SEALED, ASSERTED, INFERRED = 2, 1, 0
GRADES = ("inferred", "asserted", "sealed")


class Cite(NamedTuple):
    """A stated cause, by id and perhaps digest."""

    id: bytes
    digest: bytes | None
    relation: str


class Fact(NamedTuple):
    """An event. ``kind``: human, schedule, agent (prompts), handoff, step or action; ``who`` is a key of the people."""

    id: bytes
    digest: bytes
    kind: str
    at: int
    who: str | None
    run: int | None
    cites: tuple[Cite, ...]
    erased: bool

    @property
    def begins(self) -> bool:
        return self.kind not in ("step", "action")

    @property
    def is_trigger(self) -> bool:
        return self.begins and not (self.kind == "handoff" and self.erased)

    @property
    def is_origin(self) -> bool:
        return self.begins and (self.kind in ("human", "schedule") or (self.kind == "agent" and self.erased))

    @property
    def follows_run(self) -> bool:
        return self.run is not None and not self.begins and not any(cite.relation in LEADING for cite in self.cites)


class Person(NamedTuple):
    state: str
    identity: str


class Told(NamedTuple):
    """A trigger: by which event, how surely, in which roles it may be told (one, where the answer is ``exact``)."""

    id: bytes
    grade: str
    roles: frozenset[str]


class Expected(NamedTuple):
    triggers: frozenset[Told]
    class_: str
    reasons: frozenset[str]
    exact: bool


class Way(NamedTuple):
    candidates: int
    role: str
    earlier: bool


class Oracle:
    """What can be known from the facts of one tenant."""

    def __init__(self, facts: Iterable[Fact], people: dict[str, Person]) -> None:
        self.facts = {fact.digest: fact for fact in facts}
        self.people = people
        self.by_id: dict[bytes, list[Fact]] = {}
        for fact in self.facts.values():
            self.by_id.setdefault(fact.id, []).append(fact)
        self.leads = networkx.MultiDiGraph()
        self.leads.add_nodes_from(self.facts)
        for fact in self.facts.values():
            self._state(fact)
            self._join(fact)

    def _state(self, fact: Fact) -> None:
        for cite in fact.cites:
            fits = self._fitting(cite)
            for target in fits:
                if target is not fact and cite.relation in LEADING:
                    rank = SEALED if cite.digest is not None else ASSERTED
                    self.leads.add_edge(
                        fact.digest, target.digest, rank=rank, count=len(fits), relation=cite.relation, joined=False
                    )

    def _join(self, fact: Fact) -> None:
        if not fact.follows_run:
            return
        targets = [each for each in self.facts.values() if each.run == fact.run and each.begins and each.at <= fact.at]
        for target in targets:
            cited = [cite for cite in fact.cites if target in self._fitting(cite)]
            rank = (SEALED if cited[0].digest is not None else ASSERTED) if cited else INFERRED
            count = 1 if cited else len(targets)
            self.leads.add_edge(fact.digest, target.digest, rank=rank, count=count, relation="started_by", joined=True)

    def _fitting(self, cite: Cite) -> list[Fact]:
        return [each for each in self.by_id.get(cite.id, []) if cite.digest in (None, each.digest)]

    def above(self, asked: bytes) -> set[bytes]:
        """The ids of everything that an answer about an id needs."""
        graph = networkx.DiGraph()
        graph.add_node(asked)
        for fact in self.facts.values():
            graph.add_edges_from((fact.id, cite.id) for cite in fact.cites)
            if fact.follows_run:
                graph.add_edges_from(
                    (fact.id, each.id) for each in self.facts.values() if each.run == fact.run and each.begins
                )
        return (networkx.descendants(graph, asked) | {asked}) & set(self.by_id)

    def below(self, asked: bytes) -> set[bytes]:
        """The ids of everything that states, in turn, to come from an id."""
        graph = networkx.DiGraph()
        graph.add_node(asked)
        for fact in self.facts.values():
            graph.add_edges_from((cite.id, fact.id) for cite in fact.cites)
        return (networkx.descendants(graph, asked) | {asked}) & set(self.by_id)

    def answer(self, asked: bytes) -> Expected:
        starts = self.by_id[asked]
        ways = self._ways(starts)
        seen = self._reached(starts, INFERRED)
        exact = all(len(options) == 1 for _, options in ways.values())
        picked = {digest: next(iter(options)) for digest, (_, options) in ways.items()}
        reasons = self._reasons(starts, seen, picked)
        class_ = self._class(picked, reasons)
        shown = reasons if class_ == "unattributed" else reasons & {"principal_unresolved", "ambiguous_join"}
        told = frozenset(
            Told(self.facts[digest].id, GRADES[grade], frozenset(way.role for way in options))
            for digest, (grade, options) in ways.items()
        )
        return Expected(told, class_, frozenset(shown), exact)

    def _reached(self, starts: Sequence[Fact], least: int) -> set[bytes]:
        graph = self._surer(least)
        return {each for fact in starts for each in (networkx.descendants(graph, fact.digest) | {fact.digest})}

    def _surer(self, least: int) -> networkx.MultiDiGraph:
        graph = networkx.MultiDiGraph()
        graph.add_nodes_from(self.facts)
        graph.add_edges_from(edge for edge in self.leads.edges(data=True) if edge[2]["rank"] >= least)
        return graph

    def _ways(self, starts: Sequence[Fact]) -> dict[bytes, tuple[int, set[Way]]]:
        """Triggers that stand for themselves, with the grade and everything that the surest, shortest ways to each may tell."""
        found: dict[bytes, tuple[int, set[Way]]] = {}
        for least in (SEALED, ASSERTED, INFERRED):
            graph = self._surer(least)
            graph.add_edges_from(("asked", fact.digest) for fact in starts)
            for digest in networkx.descendants(graph, "asked"):
                fact = self.facts[digest]
                if fact.is_trigger and digest not in found:
                    paths = networkx.all_shortest_paths(graph, "asked", digest)
                    found[digest] = (
                        least,
                        {way for path in set(map(tuple, paths)) for way in self._told(graph, path[1:])},
                    )
        return {digest: told for digest, told in found.items() if self._stands(self.facts[digest])}

    def _stands(self, fact: Fact) -> bool:
        """What another agent asked for, or handed over, has a trigger of its own, if one is there."""
        above = networkx.descendants(self.leads, fact.digest) - {fact.digest}
        return fact.is_origin or not any(self.facts[each].is_trigger for each in above)

    def _told(self, graph: networkx.MultiDiGraph, path: Sequence[bytes]) -> set[Way]:
        options = {(1, "", False)}
        for source, target in pairwise(path):
            fired = self.facts[source].kind == "schedule" and not self.facts[source].erased
            options = {
                (max(count, edge["count"]), edge["relation"], earlier or fired or last == "scheduled_by")
                for count, last, earlier in options
                for edge in graph.get_edge_data(source, target).values()
            }
        return {Way(count, self._role(self.facts[path[-1]], last), earlier) for count, last, earlier in options}

    def _role(self, fact: Fact, last: str) -> str:
        if fact.kind == "handoff":
            return "external"
        if fact.kind == "schedule" and not fact.erased:
            return "scheduled"
        return {"steered_by": "steered", "scheduled_by": "scheduled"}.get(last, "initiated")

    def _identity(self, digest: bytes) -> str | None:
        who = self.facts[digest].who
        return self.people[who].identity if who is not None else None

    def _reasons(self, starts: Sequence[Fact], seen: set[bytes], triggers: dict[bytes, Way]) -> set[str]:
        reasons = set()
        apart = [frozenset(map(self._identity, self._ways([each]))) for each in starts]
        if len(set(apart)) > 1:
            reasons.add("duplicate_event_id")
        unsure = {self._identity(digest) for digest, way in triggers.items() if way.candidates > 1}
        if len(unsure) > 1:
            reasons.add("ambiguous_join")
        for digest, way in triggers.items():
            who = self.facts[digest].who
            if who is None and way.role not in ("external", "scheduled"):
                reasons.add("no_subject")
            if who is not None and self.people[who].state == "unresolved":
                reasons.add("principal_unresolved")
        if not triggers:
            reasons |= self._ends(seen) or {"no_trigger"}
        return reasons

    def _ends(self, seen: set[bytes]) -> set[str]:
        """Why nothing was found."""
        reasons = set()
        for fact in (self.facts[digest] for digest in seen):
            if not (fact.is_trigger and fact.is_origin):
                lost = [cite for cite in fact.cites if cite.relation in LEADING and not self._fitting(cite)]
                reasons |= {"cause_mismatch" if cite.id in self.by_id else "dangling_cause" for cite in lost[:1]}
            if fact.erased:
                reasons.add("payload_erased")
            if any(
                cite.id == fact.id and cite.digest in (None, fact.digest)
                for cite in fact.cites
                if cite.relation in LEADING
            ):
                reasons.add("cycle")
        stated = networkx.DiGraph(
            (one, other)
            for one, other, edge in self.leads.edges(data=True)
            if not edge["joined"] and {one, other} <= seen
        )
        return reasons | ({"cycle"} if not networkx.is_directed_acyclic_graph(stated) else set())

    def _class(self, triggers: dict[bytes, Way], reasons: set[str]) -> str:
        if "duplicate_event_id" in reasons:
            return "unattributed"
        unsteered = {digest: way for digest, way in triggers.items() if way.role != "steered"}
        began = {digest: way for digest, way in unsteered.items() if not way.earlier} or unsteered or triggers
        if "ambiguous_join" in reasons and all(way.candidates > 1 for way in began.values()):
            return "unattributed"
        given = {self._class_of(self.facts[digest].who, way.role) for digest, way in began.items()}
        order = ("attributed", "unattended", "external", "erased_principal")
        return next((each for each in order if each in given), "unattributed")

    def _class_of(self, who: str | None, role: str) -> str:
        state = self.people[who].state if who is not None else None
        if role == "external":
            return "external"
        if state == "erased":
            return "erased_principal"
        if role == "scheduled":
            return "unattended"
        return "attributed" if state == "named" else "unattributed"
