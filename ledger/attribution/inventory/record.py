"""The record of an agent, made of the events that were fetched of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.inventory.agent import Agent
from ledger.attribution.inventory.history import HISTORY, history, said_by
from ledger.attribution.inventory.naming import Sighted, credentials_of, named_by
from ledger.attribution.inventory.registered import taking_effect
from ledger.attribution.inventory.remarks import (
    Users,
    credential_remarks,
    registration_remarks,
    several_owners,
    unregistered,
)
from ledger.attribution.owning import last_words, owning, since
from ledger.attribution.subgraph import KnownPerson, Node, Subgraph
from ledger.format.kinds import AgentRegistration, Configuration

V = TypeVar("V")


def make_agent(
    sighted: Sighted, persons: Mapping[bytes, KnownPerson], known: Mapping[str, str], users: Users, at: int
) -> Agent:
    """The record of one agent at a time; ``users`` tells of its credentials who else used them.

    What takes effect only later is told in its history alone, and whoever let their registration run out owns it no more. Of each
    property the last registration counts that states one: a service that leaves it out takes back nothing that another says.
    """
    index = Index(Subgraph(asked=b"", nodes=(), persons=persons))
    registered = [
        (node, node.fact) for node in taking_effect(sighted.registrations) if isinstance(node.fact, AgentRegistration)
    ]
    configured = [
        (node, node.fact) for node in _in_order(sighted.configurations) if isinstance(node.fact, Configuration)
    ]
    held = [each for each in registered if since(each[0]) <= at]
    words = last_words(held)
    said = [fact for _, fact in reversed(words)]
    last = said[0] if said else None
    events = [node for node in sighted.events if node.effective and node.header.agent_id == sighted.agent_id]
    tokens = [node for node in sighted.tokens if sighted.agent_id in named_by(node, known)]
    owning_ = owning(index, held, at)
    owners = tuple(who for _, fact in owning_ if (who := party(index, fact.owner)) is not None)
    made = credentials_of(sighted, known)
    own = [node for node in events if node.kind not in ("agent_registration", "configuration")]
    remarks = [
        *registration_remarks(registered, words, own, tokens, owners, at),
        *(several_owners(owning_) if len(owners) > 1 else ()),
        *credential_remarks(sighted.agent_id, made, users),
        *unregistered(held, configured, own),
    ]
    times = [node.at for node in (*own, *tokens)]
    return Agent(
        agent_id=sighted.agent_id,
        registered=bool(held),
        seen_as=tuple(name for name, seen in (("agent", own), ("token", tokens)) if seen),
        name=_last_of(each.name for each in said),
        state=last.state if last else None,
        owner=owners[0] if len(owners) == 1 else None,
        owners=owners,
        purpose=_last_of(each.purpose for each in said),
        provider=_last_of(each.provider for each in said),
        model=_last_of(each.model for each in said),
        version=_last_of(each.version for each in said),
        scopes=_last_of(each.scopes or None for each in said) or (),
        risk_class=_last_of(each.risk_class for each in said),
        client_ids=_last_of(each.client_ids or None for each in said) or (),
        parent_agent=_last_of(each.parent_agent for each in said),
        expires_at=last.expires_at if last else None,
        configuration=said_by(configured[-1][0]) if configured else None,
        credentials=tuple(sorted(each for each in made if each.startswith("client:"))),
        services=tuple(sorted({node.service for node in events})),
        last_seen=max(times, default=None),
        history=tuple(history(index, [*registered, *configured])[-HISTORY:]),
        remarks=tuple(remarks),
        truncated=sighted.truncated,
    )


def _last_of(stated: Iterable[V | None]) -> V | None:
    return next((each for each in stated if each is not None), None)


def _in_order(nodes: Iterable[Node]) -> list[Node]:
    return sorted((node for node in nodes if node.effective), key=lambda node: (node.at, node.event_id, node.digest))
