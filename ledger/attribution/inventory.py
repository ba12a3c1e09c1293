"""The inventory of agents: what was registered of each, what was seen of it, how that changed, and what does not fit together.

An agent is known from registrations and from observation: named by events, standing in the `act` of a token, or the client that
got a token to act with. Pure: of the events given it makes records. A registration says what an agent is from when it takes
effect; how it stood at a time is asked for by the append time up to which events are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from ledger.attribution.answer import Party
from ledger.attribution.authority import party
from ledger.attribution.joins import agents_of, token_names
from ledger.attribution.json_form import rfc3339
from ledger.attribution.owning import in_force, last_words, owning, since
from ledger.attribution.subgraph import Index, KnownPerson, Node, Subgraph
from ledger.errors import InvalidEvent
from ledger.format import ids
from ledger.format.content import named_person
from ledger.format.kinds import AgentRegistration, Configuration, ReasoningStep, TokenIssuance
from ledger.wording import no_such

V = TypeVar("V")

REMARKS: Final[Mapping[str, str]] = {
    "never_registered": "It acted, or tokens name it, and nobody registered it: find out who runs it, and register or stop it.",
    "never_seen": "It is registered as active and was never seen: retire it, or find out why it does not record.",
    "owner_missing": "Its registration names no owner: nobody answers for it.",
    "owner_expired": "Every registration that names its owner has run out: register it anew under somebody, or retire it.",
    "owner_ambiguous": "Services register different people as its owner: settle who answers for it, and say so everywhere.",
    "owner_erased": "Its owner was erased: register it anew under somebody who answers for it.",
    "owner_unresolved": "Who its owner is has not arrived or does not verify.",
    "acted_while_not_active": "It acted after it was suspended or retired.",
    "registration_expired": "It acted after its registration expired: register it anew.",
    "shared_credential": "Another agent presented the same token, or got tokens as the same client: nobody can tell them apart.",
    "many_credentials": "It got tokens as several clients: revoking one does not stop it.",
    "model_unregistered": "It ran with a model that its registration does not name.",
    "version_unregistered": "It was configured as a version that its registration does not name.",
    "system_prompt_unregistered": "It was given a system prompt after its last registration, and not by who registered it.",
}
"""Every remark, and what it means to whoever answers for the agent; ``docs/questions.md`` prints it."""

STATES: Final = ("active", "suspended", "retired")
"""What an agent can be registered as."""

EVIDENCE: Final = 5
"""Event ids that a remark cites at most."""
HISTORY: Final = 100


class Remark(NamedTuple):
    """Something that does not fit. ``evidence`` are event ids, ``about`` names what it is about: a model, a client."""

    name: str
    about: tuple[str, ...]
    evidence: tuple[bytes, ...]


class Change(NamedTuple):
    """An entry of an agent's history: what a registration or configuration said anew. ``at`` is from when it held; ``people``
    are those whose digests stand in ``says``, by its names."""

    at: int
    append_time: int
    event_id: bytes
    kind: str
    service: str
    says: Mapping[str, Any]
    people: Mapping[str, Party]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent as of a time. What is not registered is None or empty; times are µs UTC. ``owners`` are several where services
    register different people, and ``owner`` is none of them then."""

    agent_id: str
    registered: bool
    seen_as: tuple[str, ...]
    name: str | None = None
    state: str | None = None
    owner: Party | None = None
    owners: tuple[Party, ...] = ()
    purpose: str | None = None
    provider: str | None = None
    model: str | None = None
    version: str | None = None
    scopes: tuple[str, ...] = ()
    risk_class: str | None = None
    client_ids: tuple[str, ...] = ()
    parent_agent: str | None = None
    expires_at: int | None = None
    configuration: Mapping[str, Any] | None = None
    credentials: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    last_seen: int | None = None
    history: tuple[Change, ...] = ()
    remarks: tuple[Remark, ...] = ()
    truncated: tuple[str, ...] = ()


class Sighted(NamedTuple):
    """What was fetched of one agent: ``events`` are its latest, ``tokens`` those that name it. ``truncated`` names those of which
    there are more than were looked at."""

    agent_id: str
    registrations: Sequence[Node]
    configurations: Sequence[Node]
    events: Sequence[Node]
    tokens: Sequence[Node]
    truncated: tuple[str, ...] = ()


Users = Mapping[str, Mapping[str, bytes]]
"""Of each credential the agents that used it, with an event of each."""


class Wanted(NamedTuple):
    """Which agents are asked for: all of it must fit. ``owner`` is `issuer#subject` or a digest in hex."""

    remark: str | None = None
    state: str | None = None
    owner: str | None = None

    def checked(self) -> Wanted:
        """Itself; raises ``InvalidEvent`` for what fits no agent whatever is registered."""
        if self.remark is not None and self.remark not in REMARKS:
            raise InvalidEvent(no_such("remark", self.remark, list(REMARKS)))
        if self.state is not None and self.state not in STATES:
            raise InvalidEvent(no_such("state", self.state, STATES))
        if self.owner is not None:
            named_person(self.owner)
        return self

    def fits(self, agent: Agent) -> bool:
        """Whether the agent is one of them."""
        names = {name for each in agent.owners for name in (each.digest.hex(), f"{each.issuer}#{each.subject}")}
        return (
            (self.remark is None or any(each.name == self.remark for each in agent.remarks))
            and (self.state is None or agent.state == self.state)
            and (self.owner is None or self.owner in names)
        )


def aliases(registrations: Iterable[Node]) -> dict[str, str]:
    """Under which names agents stand in tokens: client and subject names to agent ids. One that two claim is neither's."""
    found: dict[str, set[str]] = {}
    for node in registrations:
        fact = node.fact
        if node.effective and isinstance(fact, AgentRegistration):
            for name in (*fact.client_ids, f"#{fact.agent_id}"):
                found.setdefault(name, set()).add(fact.agent_id)
    return {name: next(iter(agents)) for name, agents in found.items() if len(agents) == 1}


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


def make_agent(
    sighted: Sighted, persons: Mapping[bytes, KnownPerson], known: Mapping[str, str], users: Users, at: int
) -> Agent:
    """The record of one agent at a time; ``users`` tells of its credentials who else used them.

    What takes effect only later is told in its history alone, and whoever let their registration run out owns it no more. Of each
    property the last registration counts that states one: a service that leaves it out takes back nothing that another says.
    """
    index = Index(Subgraph(asked=b"", nodes=(), persons=persons))
    registered = [
        (node, node.fact) for node in _held(sighted.registrations) if isinstance(node.fact, AgentRegistration)
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
        *_registration_remarks(registered, words, own, tokens, owners, at),
        *(
            [Remark("owner_ambiguous", _services(owning_), _evidence([node for node, _ in owning_]))]
            if len(owners) > 1
            else []
        ),
        *_credential_remarks(sighted.agent_id, made, users),
        *_unregistered(held, configured, own),
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
        configuration=_says(configured[-1][0]) if configured else None,
        credentials=tuple(sorted(each for each in made if each.startswith("client:"))),
        services=tuple(sorted({node.service for node in events})),
        last_seen=max(times, default=None),
        history=tuple(_history(index, [*registered, *configured])[-HISTORY:]),
        remarks=tuple(remarks),
        truncated=sighted.truncated,
    )


def _last_of(stated: Iterable[V | None]) -> V | None:
    return next((each for each in stated if each is not None), None)


def agent_json(agent: Agent) -> dict[str, Any]:
    """The record as JSON: ids as UUID text, digests in hex, times RFC 3339."""
    return {
        "agent_id": agent.agent_id,
        "registered": agent.registered,
        "seen_as": list(agent.seen_as),
        "last_seen": _time(agent.last_seen),
        "name": agent.name,
        "state": agent.state,
        "owner": None if agent.owner is None else _party(agent.owner),
        "owners": [_party(each) for each in agent.owners],
        "purpose": agent.purpose,
        "provider": agent.provider,
        "model": agent.model,
        "version": agent.version,
        "scopes": list(agent.scopes),
        "risk_class": agent.risk_class,
        "client_ids": list(agent.client_ids),
        "parent_agent": agent.parent_agent,
        "expires_at": _time(agent.expires_at),
        "configuration": agent.configuration,
        "credentials": list(agent.credentials),
        "services": list(agent.services),
        "remarks": [
            {
                "name": each.name,
                "says": REMARKS[each.name],
                "about": list(each.about),
                "evidence": [ids.text(event_id) for event_id in each.evidence],
            }
            for each in agent.remarks
        ],
        "truncated": list(agent.truncated),
    }


def history_json(agent: Agent) -> list[dict[str, Any]]:
    """What registrations and configurations said anew, the earliest first."""
    return [
        {
            "from": rfc3339(each.at),
            "append_time": rfc3339(each.append_time),
            "event_id": ids.text(each.event_id),
            "kind": each.kind,
            "service": each.service,
            "says": each.says,
        }
        for each in agent.history
    ]


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _party(who: Party) -> dict[str, Any]:
    return {
        "digest": who.digest.hex(),
        "state": who.state,
        "issuer": who.issuer,
        "subject": who.subject,
        "name": who.name,
        "kind": who.kind,
    }


_Registered = Sequence[tuple[Node, AgentRegistration]]


def _registration_remarks(
    registered: _Registered,
    words: _Registered,
    own: Sequence[Node],
    tokens: Sequence[Node],
    owners: Sequence[Party],
    at: int,
) -> Iterable[Remark]:
    """``words`` are the last that each service said of it."""
    seen = [*own, *tokens]
    if not words:
        if seen:
            yield Remark("never_registered", (), _evidence(seen))
        return
    node, last = words[-1]
    if not seen and last.state == "active":
        yield Remark("never_seen", (), (node.event_id,))
    owner = owners[0] if owners else None
    if last.state != "retired" and (owner is None or owner.state not in ("named", "erased_since")):
        over = [each for each, fact in words if fact.owner is not None and not in_force((each, fact), at)]
        missing = "owner_expired" if over else "owner_missing"
        by = over[-1] if owner is None and over else node
        yield Remark(f"owner_{owner.state}" if owner else missing, (), (by.event_id,))
    late = [(each, *held) for each in own if (held := _held_at(registered, each.at)) is not None]
    stopped = [(each, by, fact) for each, by, fact in late if fact.state != "active"]
    if stopped:
        states = tuple(sorted({fact.state for _, _, fact in stopped}))
        yield Remark("acted_while_not_active", states, _evidence([stopped[0][1], *(each for each, _, _ in stopped)]))
    expired = [
        (each, by) for each, by, fact in late if not in_force((by, fact), each.at) and not _holds(registered, each.at)
    ]
    if expired:
        yield Remark("registration_expired", (), _evidence([expired[0][1], *(each for each, _ in expired)]))


def _services(registered: _Registered) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.service for node, _ in registered))


def _credential_remarks(agent: str, made: Mapping[str, bytes], users: Users) -> Iterable[Remark]:
    shared = {name: users[name] for name in made if set(users.get(name, ())) - {agent}}
    if shared:
        others = sorted({each for of in shared.values() for each in of} - {agent})
        ids_ = [made[name] for name in shared] + [
            of[each] for of in shared.values() for each in sorted(of) if each != agent
        ]
        yield Remark("shared_credential", tuple(others), tuple(dict.fromkeys(ids_))[:EVIDENCE])
    clients = sorted(each for each in made if each.startswith("client:"))
    if len(clients) > 1:
        evidence = tuple(dict.fromkeys(made[each] for each in clients))[:EVIDENCE]
        yield Remark("many_credentials", tuple(each.removeprefix("client:") for each in clients), evidence)


def _unregistered(
    registered: _Registered, configured: Sequence[tuple[Node, Configuration]], own: Sequence[Node]
) -> Iterable[Remark]:
    ran: list[tuple[Node, str]] = []
    for node in own:
        if isinstance(node.fact, ReasoningStep):
            ran += [(node, each) for each in [node.fact.request_model or node.fact.response_model] if each]
    ran += [(node, fact.model) for node, fact in configured if fact.model is not None]
    versions = [(node, fact.software_version) for node, fact in configured if fact.software_version is not None]
    yield from _other_than("model_unregistered", ran, registered, "model")
    yield from _other_than("version_unregistered", versions, registered, "version")
    if registered:
        last, _ = registered[-1]
        known = {
            fact.system_prompt_digest
            for node, fact in configured
            if node.at <= since(last) or node.service in {each.service for each, _ in registered}
        }
        new = [
            (node, fact.system_prompt_digest)
            for node, fact in configured
            if fact.system_prompt_digest is not None and fact.system_prompt_digest not in known
        ]
        if new:
            about = tuple(dict.fromkeys(digest.hex() for _, digest in new))
            yield Remark("system_prompt_unregistered", about, _evidence([last, *(node for node, _ in new)]))


def _other_than(name: str, ran: Sequence[tuple[Node, str]], registered: _Registered, field: str) -> Iterable[Remark]:
    """Values other than the registration in force then named. A dated name of a model is that model."""
    found: list[tuple[Node, Node, str]] = []
    for node, value in ran:
        stated = _stated_at(registered, node.at, field)
        if stated is not None and value != stated[1] and not value.startswith(f"{stated[1]}-"):
            found.append((stated[0], node, value))
    if found:
        about = tuple(dict.fromkeys(value for _, _, value in found))
        yield Remark(name, about, _evidence([found[0][0], *(node for _, node, _ in found)]))


def _holds(registered: _Registered, at: int) -> bool:
    """Whether the last registration of any service was in force."""
    return any(in_force(each, at) for each in last_words([each for each in registered if since(each[0]) <= at]))


def _stated_at(registered: _Registered, at: int, field: str) -> tuple[Node, str] | None:
    """The last registration that stated something, of those that were the last of their service."""
    words = last_words([each for each in registered if since(each[0]) <= at])
    said = ((node, getattr(fact, field)) for node, fact in reversed(words))
    return next((each for each in said if each[1] is not None), None)


def _held_at(registered: _Registered, at: int) -> tuple[Node, AgentRegistration] | None:
    held = [each for each in registered if since(each[0]) <= at]
    return held[-1] if held else None


def _held(nodes: Iterable[Node]) -> list[Node]:
    """The registrations that count, in the order in which they take effect."""
    return sorted(
        (node for node in nodes if node.effective), key=lambda node: (since(node), node.event_id, node.digest)
    )


def _in_order(nodes: Iterable[Node]) -> list[Node]:
    return sorted((node for node in nodes if node.effective), key=lambda node: (node.at, node.event_id, node.digest))


def _history(index: Index, entries: Iterable[tuple[Node, AgentRegistration | Configuration]]) -> list[Change]:
    """What each said that the one before of its kind by the same service did not."""
    before: dict[tuple[str, str], Mapping[str, Any]] = {}
    changes = []
    for node, fact in sorted(entries, key=lambda each: (since(each[0]), each[0].event_id, each[0].digest)):
        says = _says(node)
        whose = node.kind, node.service
        held = before.get(whose, {})
        anew = {name: value for name, value in says.items() if name not in held or held[name] != value}
        if whose not in before:
            anew = {name: value for name, value in anew.items() if value not in (None, [])}
        before[whose] = says
        changes.append(
            Change(
                since(node), node.append_time, node.event_id, node.kind, node.service, anew, _people(index, fact, anew)
            )
        )
    return changes


def _people(index: Index, fact: AgentRegistration | Configuration, anew: Mapping[str, Any]) -> Mapping[str, Party]:
    if not isinstance(fact, AgentRegistration):
        return {}
    found = {name: party(index, digest) for name, digest in (("by", fact.by), ("owner", fact.owner)) if name in anew}
    return {name: who for name, who in found.items() if who is not None}


def _says(node: Node) -> Mapping[str, Any]:
    """What a registration or configuration says, its digests in hex. People and texts stay digests."""
    return {name: _plain(value) for name, value in (node.payload or {}).items() if name != "agent_id"}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: _plain(held) for name, held in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _evidence(nodes: Sequence[Node]) -> tuple[bytes, ...]:
    """The first, and of the others the latest."""
    first, *others = dict.fromkeys(node.event_id for node in nodes)
    return (first, *others[-(EVIDENCE - 1) :])
