"""The inventory of agents from the store: which there are, and what of each is looked at. Judged in ``attribution.inventory``.

Bounded, and it says so: ``agents`` of a tenant, its latest tokens, of each agent its latest events. Every row is verified.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.inventory.agent import Agent
from ledger.attribution.inventory.naming import Sighted, aliases, credentials_of, named_by, names_in
from ledger.attribution.inventory.record import make_agent
from ledger.attribution.joins import key_of, names_of
from ledger.attribution.subgraph import Node, Ref
from ledger.errors import NotFound
from ledger.store.absent import by_then
from ledger.store.connect import translated
from ledger.store.nodes import Reading, query_events, query_file
from ledger.store.persons import persons_named

Connection = psycopg.Connection[Any]

AGENTS: Final = 10_000
"""Agents of a tenant that are listed."""
REGISTRATIONS: Final = 5000
TOKENS: Final = 2000
"""Latest tokens of a tenant in which agents are looked for that nothing else names."""
EVENTS: Final = 40
"""Latest events of an agent, tokens that name it, and its registrations and configurations, that are looked at."""
SCAN: Final = 500
"""Agents looked at for one page of those that are asked for."""
CREDENTIALS: Final = 200
"""Tokens of a page whose other users are looked for."""
PLACE: Final = 256
"""Characters of JSON that say where a page ended."""
_HEAD: Final = 16
_BATCH: Final = 100
_LAST: Final = "f" * 32


class Agents(NamedTuple):
    """A page in order of agent id. ``next`` is where the next one goes on; ``truncated`` names limits that were hit."""

    agents: Sequence[Agent]
    next: str | None
    truncated: tuple[str, ...]


class _Asking:
    """One question: its connection, and the registrations that were read. ``complete``: they are all of the tenant's."""

    complete = False

    def __init__(self, connection: Connection, reading: Reading, tenant: str, as_of: int | None, now: int) -> None:
        self.connection, self.reading, self.tenant, self.as_of = connection, reading, tenant, as_of
        self.at = now if as_of is None else as_of
        self.registrations: dict[Ref, Node] = {}

    def nodes(self, file: str, **given: object) -> list[Node]:
        query = query_events(file, self.as_of is not None)
        given = {"tenant": self.tenant, "as_of": self.as_of, **given}
        rows = {row[:2]: row for row in self.connection.execute(query, given, binary=True) if row[1] is not None}
        return self.reading.nodes(self.connection, self.tenant, list(rows.values()))

    def answering(self, names: Iterable[str], each: int) -> dict[str, list[Node]]:
        """The effective events that answer to each name, its latest."""
        wanted = dict.fromkeys(names)
        keys = [key_of(self.tenant, name) for name in wanted]
        found: dict[str, list[Node]] = {name: [] for name in wanted}
        for node in self.nodes("lineage_keys.sql", keys=keys, candidates=each, near=_LAST) if keys else ():
            for name in names_of(node.header, node.payload)[0] if node.effective else ():
                if name in found:
                    found[name].append(node)
        return found

    def known_as(self, names: Collection[str]) -> dict[str, str]:
        """Under which of the names, and of those met before, an agent stands in tokens. Whoever else claims one is looked for: it
        is the same whichever agents are asked for."""
        if not self.complete:
            subjects = [name.partition("#")[2] for name in names]
            claims = self.answering([f"agent:{each}" for each in (*names, *filter(None, subjects))], EVENTS)
            self.registrations |= {node.ref: node for found in claims.values() for node in found}
        return aliases(self.registrations.values())

    def listed(self, kind: str, most: int) -> list[Node]:
        """The latest effective events of a kind that is listed, the latest first."""
        (found,) = self.answering([f"listed:{kind}"], most).values()
        return sorted(found, key=lambda node: node.ref, reverse=True)


def list_agents(
    connection: Connection,
    reading: Reading,
    tenant: str,
    *,
    wanted: Callable[[Agent], bool] = lambda _: True,
    after: str = "",
    limit: int = 50,
    now: int,
    as_of: int | None = None,
) -> Agents:
    """Those of the tenant's agents that are wanted as they stand at ``now``, after the page that ended in ``after``, in order of
    agent id."""
    with translated():
        asking = _Asking(connection, reading, tenant, as_of, now)
        query, given = query_file("inventory_agents.sql"), {"tenant": tenant, "agents": AGENTS + 1}
        seen = [name for (name,) in connection.execute(query, given)]
        listed = asking.listed("agent_registration", REGISTRATIONS + 1)
        tokens = asking.listed("token_issuance", TOKENS + 1)
        counted = {"agents": (seen, AGENTS), "registrations": (listed, REGISTRATIONS), "tokens": (tokens, TOKENS)}
        cut = [name for name, (those, most) in counted.items() if len(those) > most]
        listed, tokens = listed[:REGISTRATIONS], tokens[:TOKENS]
        asking.registrations = {node.ref: node for node in listed}
        asking.complete = "registrations" not in cut
        known = asking.known_as([each for node in tokens for each in names_in(node)])
        names = {*seen[:AGENTS], *(str(node.payload["agent_id"]) for node in listed if node.payload)}
        names |= {each for node in tokens for each in named_by(node, known)}
        ordered = _ordered(names, after)
        found: list[Agent] = []
        looked = 0
        while looked < min(len(ordered), SCAN) and len(found) <= limit:
            part = ordered[looked : looked + _BATCH]
            made = _agents(asking, part)
            # Names of columns are hints: one that no verified event or registration bears is no agent.
            found += [each for each in made if _is_known(each) and wanted(each)]
            looked += len(part)
    shown = found[:limit]
    if len(found) > limit:
        return Agents(shown, _place(shown[-1].agent_id), tuple(cut))
    more = looked < len(ordered)
    return Agents(shown, _place(ordered[looked - 1]) if more else None, tuple([*cut, "scan"] if more else cut))


def _place(agent_id: str) -> str:
    """Where a page ends, never longer than a cursor can carry: an agent's id; of a long one how it begins, and its digest."""
    if len(json.dumps(agent_id)) <= PLACE:
        return agent_id
    return f"{agent_id[:_HEAD]}\0{_digest(agent_id)}"


def _digest(agent_id: str) -> str:
    return blake2b(agent_id.encode(), digest_size=16).hexdigest()


def _ordered(names: Iterable[str], after: str) -> list[str]:
    """The names after a place, in order; after how its name begins, where it is none of them any more."""
    head, _, digest = after.partition("\0")
    ordered = sorted(each for each in names if each > head)
    if not digest:
        return ordered
    long = (i for i, each in enumerate(ordered, 1) if each.startswith(head) and _digest(each) == digest)
    return ordered[next(long, 0) :]


def agent_by_id(
    connection: Connection, reading: Reading, tenant: str, agent_id: str, *, now: int, as_of: int | None = None
) -> Agent:
    """One agent with its history, by its id or by a name under which it stands in tokens; raises ``NotFound``."""
    with translated():
        asking = _Asking(connection, reading, tenant, as_of, now)
        (agent,) = _agents(asking, [asking.known_as([agent_id]).get(agent_id, agent_id)])
    if not _is_known(agent):
        raise NotFound(f"this ledger knows no agent {agent_id!r}{by_then(as_of)}")
    return agent


def _is_known(agent: Agent) -> bool:
    """Whether it is registered, perhaps from later on, or was seen."""
    return agent.registered or bool(agent.seen_as) or any(each.kind == "agent_registration" for each in agent.history)


def _agents(asking: _Asking, agents: Sequence[str]) -> list[Agent]:
    registered = asking.answering([f"agent:{each}" for each in agents], EVENTS + 1)
    configured = asking.answering([f"configured:{each}" for each in agents], EVENTS + 1)
    known = asking.known_as([each for found in registered.values() for node in found for each in names_in(node)])
    in_tokens = {each: {each, f"#{each}"} for each in agents}
    for name, agent in known.items():
        if agent in in_tokens:
            in_tokens[agent].add(name)
    tokens = asking.answering([f"named:{name}" for of in in_tokens.values() for name in of], EVENTS + 1)
    known = asking.known_as([each for found in tokens.values() for node in found for each in names_in(node)])
    events: dict[str, list[Node]] = {}
    for node in asking.nodes("inventory_seen.sql", names=list(agents), each=EVENTS + 1):
        if node.header.agent_id is not None:
            events.setdefault(node.header.agent_id, []).append(node)
    sighted = [
        _sighted(
            agent,
            registered[f"agent:{agent}"],
            configured[f"configured:{agent}"],
            events.get(agent, []),
            [tokens[f"named:{name}"] for name in in_tokens[agent]],
        )
        for agent in agents
    ]
    users = _users(asking, sighted, known)
    people = {
        node.payload["owner"]
        for each in sighted
        for node in each.registrations
        if node.payload is not None and node.payload["owner"] is not None
    }
    persons = persons_named(asking.connection, asking.reading, asking.tenant, people, as_of=asking.as_of)
    return [make_agent(each, persons, known, users, asking.at) for each in sighted]


def _sighted(
    agent: str,
    registered: Sequence[Node],
    configured: Sequence[Node],
    events: Sequence[Node],
    tokens: Sequence[Sequence[Node]],
) -> Sighted:
    """The latest of each, and of which there are more."""
    named = list({node.ref: node for each in tokens for node in _latest(each)}.values())
    counted = {
        "registrations": len(registered),
        "configurations": len(configured),
        "events": len(events),
        "tokens": max(map(len, tokens), default=0),
    }
    return Sighted(
        agent,
        [node for node in _latest(registered) if node.payload and node.payload["agent_id"] == agent],
        _latest(configured),
        _latest(events),
        named,
        tuple(name for name, found in counted.items() if found > EVENTS),
    )


def _latest(nodes: Sequence[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.ref)[-EVENTS:]


def _users(asking: _Asking, sighted: Sequence[Sighted], known: dict[str, str]) -> dict[str, dict[str, bytes]]:
    """Who used each credential of these agents: as which agents tokens were presented, and for which a client got any."""
    users: dict[str, dict[str, bytes]] = {}
    presented: list[str] = []
    clients: list[str] = []
    for each in sighted:
        for name, event_id in credentials_of(each, known).items():
            users.setdefault(name, {}).setdefault(each.agent_id, event_id)
            (clients if name.startswith("client:") else presented).append(name)
    by_token = asking.answering([f"token_use:{name}" for name in presented[:CREDENTIALS]], EVENTS)
    by_client = asking.answering([f"named:{name.removeprefix('client:')}" for name in clients[:CREDENTIALS]], EVENTS)
    known = asking.known_as([each for found in by_client.values() for node in found for each in names_in(node)])
    for use in (node for found in by_token.values() for node in found):
        if (agent := use.header.agent_id) is not None:
            for name in credentials_of(Sighted(agent, (), (), [use], ()), known):
                users.setdefault(name, {}).setdefault(agent, use.event_id)
    for issued in (node for found in by_client.values() for node in found):
        for agent in named_by(issued, known):
            for name in credentials_of(Sighted(agent, (), (), (), [issued]), known):
                users.setdefault(name, {}).setdefault(agent, issued.event_id)
    return users
