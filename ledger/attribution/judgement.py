"""What the sentinel keeps of an answer: how an event of consequence is attributed, and what contradicts it since when.

It adds no judgement of its own: class, reasons, grades and contradictions are those of the answer. All of it follows from the
events as they stand with their append times: what was judged before, and in which order, does not enter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ledger.attribution.answer import Contradiction, Party, Trigger
from ledger.attribution.contradictions import Rule, asked, contradictions
from ledger.attribution.explain import Verdict, case_of, class_of, judge
from ledger.attribution.grades import weakest
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.index import Index
from ledger.attribution.links import Links
from ledger.attribution.path import read_owners
from ledger.attribution.pool import Extent, Pool
from ledger.attribution.rules.case import Case
from ledger.attribution.rules.clashes import clashes_of
from ledger.attribution.subgraph import Node, Subgraph
from ledger.attribution.triggers import beginnings
from ledger.format.kinds import ApiAction

KINDS: Final = ("api_action", "handoff", "memory", "token_issuance")
"""The kinds that are judged: what acts on the world, on what others will read, or gives rights to do so. Prompts, reasoning,
observations, decisions and approvals are what an attribution is made of."""

MOMENTS: Final = 16
"""How many append times after that of an action's first account to come, the latest, are looked at for when a contradiction began
and ended."""


class Accusation(NamedTuple):
    """A contradiction with its time: the append times of the records that made it true and, where one did, untrue."""

    rule: str
    severity: str
    detail: str
    closes: str
    evidence: tuple[bytes, ...]
    opened_at: int
    closed_at: int | None = None


class Judgement(NamedTuple):
    """How an event is attributed. ``action`` is the first account of the thing that it is an account of, its own id where it is
    the only one: equal for all of them. ``reason`` is the first one that the answer gives, ``grade`` that of the trigger which
    gives the class, the weakest where several do. ``who`` is a pseudonym: the digest under which the trigger names a person.

    ``responsible``: a person answers for it: whoever triggered it or set it up, or a registered owner. ``unresolved`` are the
    digests of people whose names may still come.
    """

    event_id: bytes
    action: bytes
    kind: str
    class_: str
    reason: str | None
    grade: str | None
    who: bytes | None
    responsible: bool
    agent: str | None
    service: str
    system: str | None
    resource: str | None
    occurred_at: int
    unresolved: tuple[bytes, ...]
    accusations: tuple[Accusation, ...]


class Bench:
    """Judges events of one pool. Their links are made once for all, where no question sees others than it would alone."""

    def __init__(self, pool: Pool, house: HouseRules = NO_RULES) -> None:
        self._pool, self._house = pool, house
        self.whole = Links(Index(pool.whole(), pool.names))
        self._clashes = clashes_of(self.whole.index)
        self._parts: dict[Extent, Links] = {}

    def judge(self, event_id: bytes) -> Judgement:
        """The judgement of one event; raises ``Overfull`` where it has to be asked alone, ``KeyError`` where it is not there."""
        links = self.links(event_id)
        verdict = judge(event_id, links, self._house)
        accusations = self._history(event_id, verdict) if _is_first(event_id, verdict) else ()
        return judgement_of(event_id, links, verdict, accusations)

    def links(self, event_id: bytes) -> Links:
        """The links that its answer would be made from alone."""
        extent = self._pool.extent(event_id)
        links = self._parts.get(extent)
        if links is None:
            graph = self._pool.part(event_id, extent)
            links = self.whole.within(graph, *extent) or Links(Index(graph, self._pool.names))
            self._parts[extent] = links
        return links

    def _history(self, event_id: bytes, verdict: Verdict) -> tuple[Accusation, ...]:
        """What contradicts an event, from when on and until when: the answer at each append time at which it may have changed."""
        case = verdict.case
        nodes = case.names.graph.nodes
        rules = self.rules(event_id, case)
        if not rules:
            return ()
        first = min(node.append_time for node in (*verdict.asked, *verdict.group))
        moments = sorted({node.append_time for node in nodes if node.append_time > first})[-MOMENTS:]
        held: dict[str, Accusation] = {}
        over: list[Accusation] = []
        for moment in (first, *moments):
            last = moment == (moments[-1] if moments else first)
            cases = [case] if last else [self._before(each, moment) for each in _there(verdict, moment)]
            found = [each for before in cases for each in contradictions(before, rules)]
            now = {each.rule: each for each in reversed(found)}
            over += [each._replace(closed_at=moment) for rule, each in held.items() if rule not in now]
            held = {
                rule: _accusation(each, held[rule].opened_at if rule in held else moment) for rule, each in now.items()
            }
        return tuple(sorted((*over, *held.values()), key=lambda each: (each.opened_at, each.rule)))

    def rules(self, event_id: bytes, case: Case, /) -> tuple[Rule, ...]:
        """The rules that may find something about an event, now or at any earlier time."""
        return asked(case.marks, self._clashes.met(event_id, case.names.graph.nodes, self._house))

    def _before(self, event_id: bytes, moment: int) -> Case:
        before = self._pool.part_as_of(event_id, moment)
        return case_of(event_id, Links(Index(before, self._pool.names)), self._house)


def judge_alone(graph: Subgraph, house: HouseRules = NO_RULES) -> Judgement:
    """The judgement of an event that meets a limit: of the answer alone; when its contradictions began is when their evidence
    was complete."""
    links = Links(Index(graph))
    verdict = judge(graph.asked, links, house)
    came: dict[bytes, int] = {}
    for node in graph.nodes:
        came[node.event_id] = min(node.append_time, came.get(node.event_id, node.append_time))
    found = contradictions(verdict.case) if _is_first(graph.asked, verdict) else ()
    firsts = {each.rule: each for each in reversed(found)}
    accusations = tuple(
        _accusation(each, max(came[event] for event in (graph.asked, *each.evidence) if event in came))
        for _, each in sorted(firsts.items())
    )
    return judgement_of(graph.asked, links, verdict, accusations)


def judgement_of(event_id: bytes, links: Links, verdict: Verdict, accusations: tuple[Accusation, ...]) -> Judgement:
    """The row of a verdict."""
    asked = min(verdict.asked, key=lambda node: (not node.effective, node.digest))
    accounts = verdict.group or verdict.asked
    fact = asked.fact if isinstance(asked.fact, ApiAction) else None
    given = list(_givers(verdict))
    agent = next((node.header.agent_id for node in (asked, *accounts) if node.header.agent_id is not None), None)
    untold = verdict.class_ in ("unattributed", "archived")
    return Judgement(
        event_id=event_id,
        action=accounts[0].event_id,
        kind=asked.kind,
        class_=verdict.class_,
        reason=verdict.reasons[0] if untold and verdict.reasons else None,
        grade=weakest([each.grade for each in given]) if given else None,
        who=next((each.who.digest for each in given if each.who is not None), None),
        responsible=_is_known(each for trigger in given for each in (trigger.who, trigger.owner))
        or _is_known(_owners(links, agent, accounts)),
        agent=agent,
        service=asked.service,
        system=fact.target_system if fact is not None else None,
        resource=fact.resource if fact is not None else None,
        occurred_at=asked.at,
        unresolved=links.index.unresolved,
        accusations=accusations,
    )


def _is_known(people: Iterable[Party | None]) -> bool:
    return any(each is not None and each.state == "named" for each in people)


def _owners(links: Links, agent: str | None, accounts: Sequence[Node]) -> Iterator[Party | None]:
    """Whoever was accountable for the agent when it last acted."""
    own = [node for node in accounts if node.header.agent_id == agent] if agent is not None else []
    if own and f"agent:{agent}" in links.index.answering:
        yield from (each.owner for each in read_owners(links.index, own, ()))


def _there(verdict: Verdict, moment: int) -> Sequence[bytes]:
    """Of which events to ask as of an append time: of the one asked about, or, where it had not come yet, of all accounts of its
    action that had."""
    came = [node.event_id for node in verdict.asked if node.append_time <= moment]
    return came[:1] or list(dict.fromkeys(node.event_id for node in verdict.group if node.append_time <= moment))


def _is_first(event_id: bytes, verdict: Verdict) -> bool:
    """Whether the event is the first account of its action: what contradicts an action is said once."""
    return bool(verdict.group) and verdict.group[0].event_id == event_id


def _givers(verdict: Verdict) -> Iterator[Trigger]:
    """The triggers that give a verdict its class, in order of time; of an unattributed one all."""
    for trigger in beginnings(verdict.triggers):
        if verdict.class_ in ("unattributed", "archived") or class_of(trigger) == verdict.class_:
            yield trigger


def _accusation(found: Contradiction, opened_at: int) -> Accusation:
    return Accusation(found.rule, found.severity, found.detail, found.closes, found.evidence[:16], opened_at)


__all__ = ["KINDS", "Accusation", "Bench", "Judgement", "judge_alone", "judgement_of"]
