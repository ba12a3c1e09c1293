"""What the events found by the walk say as triggers: who, how, when, and for a schedule or webhook who set it up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ledger.attribution.answer import Grade, Party, Trigger
from ledger.attribution.authority import authenticated, knows, party
from ledger.attribution.grades import grade_of_claim, weakest
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.links import Links
from ledger.attribution.subgraph import Node
from ledger.attribution.walk import Found, Walk
from ledger.format.event import AUTHORIZED_BY, SCHEDULED_BY, STEERED_BY
from ledger.format.kinds import (
    ApiAction,
    ExecutionControl,
    Handoff,
    Oversight,
    Prompt,
    TokenIssuance,
    TriggerRegistration,
)

_UNATTENDED = ("schedule", "webhook", "queue")


def read_triggers(links: Links, walk: Walk) -> tuple[Trigger, ...]:
    """The triggers in order of time. A registration that only tells who set a schedule up is part of what fired it."""
    prompts = [_read(links, found) for found in walk.found if found.node.kind != "trigger_registration"]
    told = {_trigger_id(node) for trigger in prompts if trigger.set_up for node in links.index.by_id[trigger.set_up]}
    told |= {found.node.fact.trigger_id or "" for found in walk.found if isinstance(found.node.fact, Prompt)}
    others = [
        _read(links, found)
        for found in walk.found
        if found.node.kind == "trigger_registration" and _trigger_id(found.node) not in told
    ]
    return tuple(sorted((*prompts, *others), key=lambda each: (each.at, each.event_id)))


def beginnings(triggers: Sequence[Trigger]) -> list[Trigger]:
    """The triggers that say how it began: not who steered it later, nor what stands behind a timer that fired."""
    began = [each for each in triggers if each.role != "steered" and not each.earlier]
    return began or [each for each in triggers if each.role != "steered"] or list(triggers)


def _read(links: Links, found: Found) -> Trigger:
    """One trigger. Events of a run come from it alike, and are asked about together: of the way nothing else is told."""
    told = links.kept.triggers
    key = found.node.ref, found.grade, found.candidates, _role(found), _is_earlier(found)
    known = told.get(key)
    if known is None:
        known = told[key] = _of(links, found)
    return known


def _of(links: Links, found: Found) -> Trigger:
    node, fact, index = found.node, found.node.fact, links.index
    if isinstance(fact, TriggerRegistration):
        named = index.answer_to(f"trigger:{fact.trigger_id}", "trigger_registration")
        who, owner, set_up = _set_up(index, node if fact.action != "remove" else _last_set_up(named, node.at))
        return _trigger(found, "scheduled", fact.trigger_kind, who, owner=owner, set_up=set_up)
    if isinstance(fact, Handoff):
        return _trigger(
            found,
            "external",
            "agent",
            party(index, node.header.principal),
            peer_ledger=fact.peer_ledger,
            peer_event=fact.peer_event_id,
            channel=fact.protocol,
        )
    if isinstance(fact, ExecutionControl):
        return _trigger(found, "initiated", "unknown", party(index, fact.by))
    if isinstance(fact, Oversight):
        return _trigger(found, "steered", "human", party(index, fact.by), how=authenticated(fact.authentication))
    return _of_prompt(links, found, fact if isinstance(fact, Prompt) else None)


def _of_prompt(links: Links, found: Found, fact: Prompt | None) -> Trigger:
    """A prompt; ``fact`` None where its payload was erased, and then only its header speaks."""
    index, kind = links.index, fact.trigger_kind if fact else "unknown"
    who, owner, set_up = party(index, found.node.header.principal), None, None
    if who is None and (by_token := sender_by_token(links, found.node)) is not None and by_token.verified:
        who, found = by_token.who, found._replace(grade=weakest((found.grade, by_token.grade)))
    if kind in _UNATTENDED:
        by, owner, set_up = _set_up(index, _registration(links, found.node))
        who = by or who
    return _trigger(
        found,
        "scheduled" if kind in _UNATTENDED else _role(found),
        kind,
        who,
        owner=owner,
        set_up=set_up,
        channel=fact.channel if fact else None,
        trust=fact.trust if fact else None,
        how=authenticated(fact.authentication) if fact else (),
    )


def _trigger_id(node: Node) -> str | bytes:
    """Which schedule or webhook a registration is about: what changed it is part of what fired, and no trigger of its own."""
    return node.fact.trigger_id if isinstance(node.fact, TriggerRegistration) else node.event_id


class Sender(NamedTuple):
    """Whom the token that came with a prompt names. ``verified``: somebody says that it was made or checked."""

    who: Party
    verified: bool
    grade: Grade


_CHECKED: Final = frozenset({"issuer", "signature", "introspection"})


def sender_by_token(links: Links, prompt: Node) -> Sender | None:
    """The subject of the token by which a sender was authenticated: of several statements, as whoever knows best says."""
    stated = [
        (edge, edge.target.fact)
        for edge in links.of(prompt, frozenset({AUTHORIZED_BY}))
        if isinstance(edge.target.fact, TokenIssuance) and edge.target.fact.status != "refused"
    ]
    for edge, fact in sorted(stated, key=lambda each: knows(each[0].target)):
        if (who := party(links.index, fact.subject)) is not None:
            return Sender(who, fact.verification in _CHECKED, edge.grade)
    return None


def _registration(links: Links, prompt: Node) -> Node | None:
    """What was last registered, before it fired, about the schedule or webhook that a prompt names."""
    return _last_set_up((edge.target for edge in links.of(prompt, frozenset({SCHEDULED_BY}))), prompt.at)


def _last_set_up(registered: Iterable[Node], at: int) -> Node | None:
    """The last registration up to a time. Who removed a schedule did not set it up, though it fires on."""
    found = [
        each
        for each in registered
        if each.kind == "trigger_registration"
        and each.at <= at
        and not (isinstance(each.fact, TriggerRegistration) and each.fact.action == "remove")
    ]
    return max(found, key=lambda node: (node.at, node.event_id), default=None)


def _set_up(index: Index, registered: Node | None) -> tuple[Party | None, Party | None, Node | None]:
    """By whom, and for whom; and the registration itself."""
    fact = registered.fact if registered is not None else None
    if not isinstance(fact, TriggerRegistration):
        return None, None, registered
    return party(index, fact.by), party(index, fact.owner), registered


def _role(found: Found) -> str:
    """By the last link that led to it; in an imported trace, by what stands above it."""
    if found.within or (found.way and found.way[-1].relation == STEERED_BY):
        return "steered"
    return "scheduled" if found.way and found.way[-1].relation == SCHEDULED_BY else "initiated"


def _is_earlier(found: Found) -> bool:
    """Whether the way to it leads through what fired by itself."""
    fired = any(_is_unattended(edge.source) for edge in found.way)
    return fired or any(edge.relation == SCHEDULED_BY for edge in found.way[:-1])


def _is_unattended(node: Node) -> bool:
    return isinstance(node.fact, Prompt) and node.fact.trigger_kind in _UNATTENDED


def _trigger(
    found: Found,
    role: str,
    kind: str,
    who: Party | None,
    *,
    owner: Party | None = None,
    set_up: Node | None = None,
    channel: str | None = None,
    trust: str | None = None,
    how: tuple[str, ...] = (),
    peer_ledger: str | None = None,
    peer_event: bytes | None = None,
) -> Trigger:
    node = found.node
    return Trigger(
        event_id=node.event_id,
        digest=node.digest,
        role=role,
        trigger_kind=kind,
        at=node.at,
        service=node.service,
        agent_id=node.header.agent_id,
        who=who,
        owner=owner,
        set_up=set_up.event_id if set_up else None,
        channel=channel,
        trust=trust,
        authenticated=how,
        peer_ledger=peer_ledger,
        peer_event=peer_event,
        earlier=_is_earlier(found),
        grade=found.grade,
        candidates=found.candidates,
    )


def direct_trigger(
    links: Links, group: Sequence[Node], rights: Sequence[tuple[Node, Grade, int]]
) -> tuple[Trigger, ...]:
    """A principal who called by themselves: only in an imported audit log, and only where nothing else set it going.

    What services record of their own has a prompt to cite, so there a principal is never taken for the trigger. Where the
    call used an issued credential, it leads to whoever obtained the first one of its line; else to whom the log names.
    """
    if not group or not all(node.importer for node in group) or any(links.missing.get(node.ref) for node in group):
        return ()
    issued = [each for each in rights if isinstance(each[0].fact, TokenIssuance) and each[0].importer]
    firsts = [each for each in issued if not _is_exchanged(links.index, each[0])]
    calls = [(node, grade_of_claim(node), 1) for node in group]
    callers = [
        Found(node, (), weakest((grade, grade_of_claim(node))), count)
        for node, grade, count in firsts or calls
        if _is_caller(node)
    ]
    people: dict[tuple[str, ...], Trigger] = {}
    for each in callers:
        if (who := party(links.index, each.node.header.principal)) is not None:
            people.setdefault(who.identity, _trigger(each, "direct", "unknown", who))
    return tuple(people.values())


def _is_caller(node: Node) -> bool:
    """Whether an imported event names the principal who called: by themselves, or for whom the credential used was made."""
    fact = node.fact
    if not isinstance(fact, (ApiAction, TokenIssuance)) or node.header.principal is None:
        return False
    credential = fact.token if isinstance(fact, ApiAction) else fact.subject_token
    return node.header.agent_id is None or credential is not None


def _is_exchanged(index: Index, node: Node) -> bool:
    """Whether the credential that a credential was obtained with was itself seen to be issued."""
    names = token_names(node.payload["subject_token"]) if node.payload is not None else []
    return any(each.ref != node.ref for name in names for each in index.answer_to(name, "token_issuance"))
