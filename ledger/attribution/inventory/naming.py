"""Under which names an agent stands in tokens, and under which credentials it acted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ledger.attribution.joins import agents_of, token_names
from ledger.attribution.subgraph import Node
from ledger.format.kinds import AgentRegistration, TokenIssuance


class Sighted(NamedTuple):
    """What was fetched of one agent: ``events`` are its latest, ``tokens`` those that name it. ``truncated`` names those of which
    there are more than were looked at."""

    agent_id: str
    registrations: Sequence[Node]
    configurations: Sequence[Node]
    events: Sequence[Node]
    tokens: Sequence[Node]
    truncated: tuple[str, ...] = ()


def aliases(registrations: Iterable[Node]) -> dict[str, str]:
    """Under which names agents stand in tokens: client and subject names to agent ids. One that two claim is neither's."""
    found: dict[str, set[str]] = {}
    for node in registrations:
        fact = node.fact
        if node.effective and isinstance(fact, AgentRegistration):
            for name in (*fact.client_ids, f"#{fact.agent_id}"):
                found.setdefault(name, set()).add(fact.agent_id)
    return {name: next(iter(agents)) for name, agents in found.items() if len(agents) == 1}


def names_in(node: Node) -> Sequence[str]:
    """The names under which agents stand in a token, or which a registration claims for its agent."""
    if isinstance(node.fact, AgentRegistration):
        return (node.fact.agent_id, *node.fact.client_ids)
    return agents_of(node.payload) if isinstance(node.fact, TokenIssuance) and node.payload is not None else ()


def named_by(token: Node, known: Mapping[str, str]) -> list[str]:
    """The agents that a token names. A client is one only where it acts for itself or for somebody: no person's own app is."""
    fact = token.fact
    if not token.effective or not isinstance(fact, TokenIssuance) or token.payload is None:
        return []
    names = agents_of(token.payload)
    acts = fact.act is not None and bool(fact.act.chain)
    if not acts and fact.subject is not None and fact.grant_type != "client_credentials":
        names = [each for each in names if each in known]
    return list(dict.fromkeys(agent_named(each, known) for each in names))


def agent_named(name: str, known: Mapping[str, str]) -> str:
    """The agent registered under a name of a token; else the name, without an issuer where the subject is a URI by itself."""
    subject = name.partition("#")[2]
    if name in known:
        return known[name]
    if f"#{subject}" in known:
        return known[f"#{subject}"]
    return subject if "://" in subject or name.startswith("#") else name


def credentials_of(sighted: Sighted, known: Mapping[str, str]) -> dict[str, bytes]:
    """Under what an agent acted, each with an event: clients that got its tokens, and tokens that it presented."""
    found: dict[str, bytes] = {}
    for node in sighted.tokens:
        fact = node.fact
        if isinstance(fact, TokenIssuance) and fact.client_id is not None and sighted.agent_id in named_by(node, known):
            issuer = fact.token.issuer if fact.token is not None else None
            acting = fact.act.chain[0] if fact.act is not None and fact.act.chain else None
            current = acting is None or agent_named(f"{acting.iss or ''}#{acting.sub}", known) == sighted.agent_id
            if current:  # only who acts now holds the token: those before gave theirs away
                found.setdefault(f"client:{issuer or ''}#{fact.client_id}", node.event_id)
    for node in sighted.events:
        if node.effective and node.payload is not None and node.kind in ("api_action", "prompt", "handoff"):
            for name in token_names(node.payload["token"])[:1]:
                if node.kind != "api_action" or node.payload["observer"] == "agent":
                    found.setdefault(name, node.event_id)
    return found
