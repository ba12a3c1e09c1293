"""From the accounts of what was asked about, up to what set it going: breadth first, bounded, surest links first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from ledger.attribution.answer import Grade
from ledger.attribution.grades import RANK, grade_of_claim, grade_of_claims, weakest
from ledger.attribution.links import Edge, Links
from ledger.attribution.meaning import CIRCUMSTANCE
from ledger.attribution.subgraph import Node, Ref
from ledger.format.event import INFORMED_BY, RELATIONS, SAME, TO_TRIGGERS


class Found(NamedTuple):
    """A trigger and the way to it, from the event asked about upwards. ``candidates`` is the most that any link of it had;
    ``within`` says that it was read from a trace in which another trigger stands above it: it steered what was under way."""

    node: Node
    way: tuple[Edge, ...]
    grade: Grade
    candidates: int
    within: bool = False


class Walk(NamedTuple):
    """What a search found; ``ends`` are events where it ended without a trigger, each with a reason; ``seen`` all it passed;
    ``led`` the groups of accounts, by their first, from which more than circumstance leads on."""

    found: tuple[Found, ...]
    ends: tuple[tuple[Node, str], ...]
    seen: tuple[Node, ...]
    led: frozenset[Ref]


_LEADS: Final = SAME | TO_TRIGGERS


def find_triggers(links: Links, starts: Sequence[Node]) -> Walk:
    """The triggers above ``starts``. Each is graded by its own word, or that of both sides, and the weakest
    link of its surest way."""
    found: dict[Ref, Found] = {}
    seen: dict[Ref, Node] = {}
    led = led_on(links)
    leads = _leads(links, led)
    way: _Way = {}
    ahead = (RANK[edge.grade] for node in starts for edge in leads(node))
    refused = max(ahead, default=RANK["corroborated"])  # no surer links lead anywhere
    for least in (RANK["corroborated"], RANK["sealed"], RANK["asserted"], RANK["inferred"]):
        if refused < least:  # the same again
            continue
        way, refused = _search(links, leads, starts, least)
        for ref, (node, _, _) in way.items():
            seen[ref] = node
            if ref not in found and is_trigger(node):
                edges = _way_to(way, ref)
                grade = weakest([*(edge.grade for edge in edges), _grade_of(links, node)])
                found[ref] = Found(node, edges, grade, max((edge.candidates for edge in edges), default=1))
    ends = [(node, reason) for node, _, depth in way.values() if (reason := _end(links, leads, node, depth))]
    origins = (_origin(links, leads, one, words=place < WORDS) for place, one in enumerate(found.values()))
    kept = [each for each in origins if each is not None]
    return Walk(tuple(kept), tuple(ends), tuple(seen.values()), led)


def _grade_of(links: Links, node: Node) -> Grade:
    """What a trigger says of itself, found once: events of a run come from it alike."""
    grades = links.kept.grades
    if node.ref not in grades:
        grades[node.ref] = _grade_of_trigger(links, node)
    return grades[node.ref]


def _grade_of_trigger(links: Links, node: Node) -> Grade:
    """Corroborated where both sides of one prompt name the same person."""
    who = links.index.person(node.header.principal)
    if who is None or who.person is None:
        return grade_of_claim(node)
    known = ((each, links.index.person(each.header.principal)) for each in links.group(node))
    return grade_of_claims(
        each
        for each, other in known
        if other is not None
        and other.person is not None
        and (other.person.issuer, other.person.subject) == (who.person.issuer, who.person.subject)
    )


WORDS: Final = 64
"""Triggers of an answer whose words are held against those above; more, nobody reads, and each costs a search."""


def _origin(links: Links, leads: _Leads, found: Found, *, words: bool) -> Found | None:
    """A trigger, unless another one stands above it from which it comes: as what an agent asked for, or as the same words,
    which every span of an imported trace repeats."""
    node = found.node
    if is_origin(node) and not node.importer:
        return found
    above = _above(links, leads, node)
    nearest = next(above, None)
    if nearest is None:
        return found
    if not is_origin(node) or (words and any(_same_words(node, each) for each in chain([nearest], above))):
        return None
    return found._replace(within=True)


def _same_words(one: Node, other: Node) -> bool:
    words = [node.payload["text"] for node in (one, other) if node.kind == "prompt" and node.payload is not None]
    return len(words) == 2 and words[0] is not None and words[0] == words[1]


def leads_up(links: Links, node: Node, led: Container[Ref] | None = None) -> list[Edge]:
    """The links from ``node`` towards triggers, and across to other accounts of the same thing, both ways.

    Joins count where no cause leads on, circumstance only for groups of accounts not in ``led``; None: for no group.
    """
    out, into = links.of(node, _LEADS), links.same_into(node)
    if not out and not into:
        return []
    joins = not links.is_caused(node)
    circumstance = led is not None and links.group(node)[0].ref not in led
    counting = [
        edge
        for edge in out
        if edge.join is None or edge.relation in SAME or (joins and (circumstance or edge.join not in CIRCUMSTANCE))
    ]
    return [*counting, *(edge._replace(source=node, target=edge.source) for edge in into)]


def is_idle(links: Links, edge: Edge, led: Container[Ref]) -> bool:
    """Whether a link is one of circumstance that does not count, because more leads on from its event."""
    if edge.join not in CIRCUMSTANCE:
        return False
    return links.group(edge.source)[0].ref in led or links.is_caused(edge.source)


def comes_from(links: Links, event_id: bytes) -> set[Ref]:
    """The events that one comes from, itself and the other accounts of it among them: by every link that counts, whatever it
    means, and those of no effect that it cites. What was looked up beside them, such as what else began in the same trace, is
    not; a row that cannot be read is, for what it leads to is not known.
    """
    led = led_on(links)
    starts = [
        *links.index.by_id.get(event_id, []),
        *(each for each in links.index.graph.nodes if "row_changed" in each.findings),
    ]
    reached = {node.ref for node in starts}
    queue = deque(starts)
    while queue:
        node = queue.popleft()
        above = [edge.target for edge in links.out.get(node.ref, ()) if not is_idle(links, edge, led)]
        above += [edge.source for edge in links.same_into(node)]
        above += [
            each for gone in links.missing.get(node.ref, ()) for each in links.index.by_id.get(gone.cause.event_id, ())
        ]
        queue.extend(each for each in above if each.ref not in reached)
        reached.update(each.ref for each in above)
    return reached


_Leads = Callable[[Node], list[Edge]]


def _leads(links: Links, led: Container[Ref]) -> _Leads:
    """``leads_up`` of each event, found once: every search asks again."""
    found = links.kept.leads

    def leads(node: Node) -> list[Edge]:
        edges = found.get(node.ref)
        if edges is None:
            edges = found[node.ref] = leads_up(links, node, led)
        return edges

    return leads


def led_on(links: Links) -> frozenset[Ref]:
    """The groups of accounts, by their first, from which more than circumstance leads to a trigger."""
    if links.kept.led is None:
        links.kept.led = _led_on(links)
    return links.kept.led


def _led_on(links: Links) -> frozenset[Ref]:
    below: dict[Ref, set[Ref]] = {}
    triggers: dict[Ref, None] = {}
    for node in (each for nodes in links.kept.index.by_id.values() for each in nodes if each.effective):
        own = links.group(node)[0].ref
        if is_trigger(node):
            triggers[own] = None
        edges = leads_up(links, node)
        if not any(edge.join in CIRCUMSTANCE for edge in links.out[node.ref]):
            links.kept.leads[node.ref] = edges  # whatever is led on
        for edge in edges:
            if (above := links.group(edge.target)[0].ref) != own:
                below.setdefault(above, set()).add(own)
    led: set[Ref] = set()
    queue = deque(triggers)
    while queue:
        for each in below.pop(queue.popleft(), ()):
            led.add(each)
            queue.append(each)
    return frozenset(led)


def is_trigger(node: Node) -> bool:
    """Whether ``node`` set something going. An erased prompt is still a prompt."""
    kind = node.header.kind
    if kind not in _MAY_TRIGGER:
        return False
    payload = node.payload
    if kind == "handoff":
        return payload is not None and payload["direction"] == "received"
    if kind == "execution_control":
        return payload is not None and payload["action"] == "start" and payload["by"] is not None
    return kind != "oversight" or is_edit(node)


_MAY_TRIGGER: Final = frozenset({"handoff", "execution_control", "prompt", "trigger_registration", "oversight"})


def is_edit(node: Node) -> bool:
    """Whether a person changed what was going to be done: from there on they steered it. A review steers nothing."""
    return node.kind == "oversight" and node.payload is not None and node.payload["action"] in ("edit", "override")


def is_origin(node: Node) -> bool:
    """Whether a trigger needs nothing above it: what another agent, or the agent itself, asked for has a trigger of its own."""
    if node.kind == "prompt":
        return node.payload is None or node.payload["trigger_kind"] not in ("agent", "self")
    return node.kind == "trigger_registration" or is_edit(node)


def cycles(links: Links, relations: frozenset[str] = RELATIONS) -> Iterator[Node]:
    """An event of each cycle that causes make by id. Joins and accounts of one thing are no causes."""
    done: set[Ref] = set()
    for start in [each for nodes in links.index.by_id.values() for each in nodes]:
        on_way: dict[Ref, None] = {}
        stack: list[tuple[Node, Iterator[Node]]] = []
        node: Node | None = start if start.header.causes and start.ref not in done else None
        while node is not None or stack:
            if node is not None:
                done.add(node.ref)
                on_way[node.ref] = None
                stack.append((node, _caused_by(links, node, relations)))
            current, rest = stack[-1]
            node = next(rest, None)
            if node is None:
                stack.pop()
                del on_way[current.ref]
            elif node.ref in on_way:
                yield node
                node = None
            elif node.ref in done or not node.header.causes:
                node = None


def _caused_by(links: Links, node: Node, relations: frozenset[str]) -> Iterator[Node]:
    for edge in links.out.get(node.ref, ()):
        if edge.join is None and edge.relation in relations:
            yield edge.target
    for cause in node.header.causes:
        relation = cause.relation if cause.relation in RELATIONS else INFORMED_BY
        if cause.event_id == node.event_id and cause.digest in (None, node.digest) and relation in relations:
            yield node


_Way = dict[Ref, tuple[Node, Edge | None, int]]
"""By event: the event, the link that led to it, and how many links from the start."""


def _search(links: Links, leads: _Leads, starts: Iterable[Node], least: int) -> tuple[_Way, int]:
    """What links of a grade that is not below ``least`` lead to, and the best grade among those that it did not follow."""
    refused, most = -1, links.index.graph.limits.depth
    way: _Way = {node.ref: (node, None, 0) for node in starts}
    queue = list(way.values())
    for node, _, depth in queue:  # which grows
        if depth == most:
            continue
        for edge in leads(node):
            ref = edge.target.ref
            if ref in way:
                continue
            if (rank := RANK[edge.grade]) < least:
                refused = max(refused, rank)
                continue
            reached = way[ref] = (edge.target, edge, depth + 1)
            queue.append(reached)
    return way, refused


def _way_to(way: _Way, ref: Ref) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    while (edge := way[ref][1]) is not None:
        edges.append(edge)
        ref = edge.source.ref
    return tuple(reversed(edges))


def _above(links: Links, leads: _Leads, node: Node) -> Iterator[Node]:
    """The other triggers above a trigger, the nearest first, looked for as they are asked for."""
    passed = {node.ref}
    queue = deque([(node, 0)])
    while queue:
        current, depth = queue.popleft()
        if depth == links.index.graph.limits.depth:
            continue
        for edge in leads(current):
            if edge.target.ref not in passed:
                passed.add(edge.target.ref)
                queue.append((edge.target, depth + 1))
                if is_trigger(edge.target):
                    yield edge.target


def _end(links: Links, leads: _Leads, node: Node, depth: int) -> str | None:
    """Why the search ended at ``node``; None where it went on or needs not."""
    if depth == links.index.graph.limits.depth:
        needs = not (is_trigger(node) and is_origin(node)) or any(edge.relation in TO_TRIGGERS for edge in leads(node))
        return "limit_reached" if needs else None
    ends = links.kept.ends
    if node.ref not in ends:
        ends[node.ref] = None if is_trigger(node) and is_origin(node) else _short_of(links, leads, node)
    return ends[node.ref]


def _short_of(links: Links, leads: _Leads, node: Node) -> str | None:
    """Why nothing that leads to triggers goes on from an event which is none; None where something does."""
    group = links.group(node)
    for each in group:
        for missing in links.missing.get(each.ref, ()):
            if missing.cause.relation in TO_TRIGGERS:
                return missing.why
    if any(edge.relation in TO_TRIGGERS for each in group for edge in leads(each)):
        return None
    return "no_trigger"
