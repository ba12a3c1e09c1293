"""What surrounds events and is looked at beside them: by name, or by the ids that an account cites."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from ledger.attribution.index import Named
from ledger.attribution.joins import idempotency_name, names_of, statement_names
from ledger.attribution.meaning import CALLS
from ledger.attribution.naming import agents_named
from ledger.attribution.subgraph import KnownPerson, Node, Ref, rights_cited, undone_by
from ledger.format.event import AUTHORIZED_BY, SAME
from ledger.format.kinds import ApiAction, Oversight

ACCOUNTS: Final = 3
"""How often other accounts of an action are looked for, each time those of the accounts found."""


def accounts_cited(node: Node) -> list[bytes]:
    """The ids of which an account of an action says that they are the same: whatever action id it has itself."""
    if node.kind != "api_action" or not node.effective:
        return []
    return [cause.event_id for cause in node.header.causes if cause.relation in SAME]


def accounts_alike(ids: Collection[bytes], nodes: Iterable[Node]) -> frozenset[bytes]:
    """The actions among ``ids``, and of ``nodes`` all that have the action id of one, or tell of one call with it, and so on."""
    bearing: dict[str, list[tuple[bytes, frozenset[str]]]] = {}
    ahead: list[frozenset[str]] = []
    found: set[bytes] = set()
    for node in nodes:
        if names := names_alike(node):
            for name in names:
                bearing.setdefault(name, []).append((node.event_id, names))
            if node.event_id in ids:
                found.add(node.event_id)
                ahead.append(names)
    while ahead:
        for name in ahead.pop():
            for event_id, names in bearing.pop(name, ()):
                found.add(event_id)
                ahead.append(names)
    return frozenset(found)


def names_alike(node: Node) -> frozenset[str]:
    """What accounts of one action have in common: its id, or the names of the call."""
    fact = node.fact if node.header.kind == "api_action" else None
    return calls_named(node) | {f"action:{fact.action_id}"} if isinstance(fact, ApiAction) else _NO_NAMES


def calls_named(node: Node) -> frozenset[str]:
    """The names of the calls that an event was part of."""
    found = [f"correlation:{each}" for each in node.header.correlation if each.startswith(_OF_CALLS)]
    return frozenset(found) if found else _NO_NAMES


_NO_NAMES: Final[frozenset[str]] = frozenset()
_OF_CALLS: Final = tuple(f"{each}:" for each in CALLS)


def statements_of(nodes: Iterable[Node]) -> dict[bytes, list[str]]:
    """What the events of an id are statements of, by the id: tokens, grants, decisions, approvals."""
    found: dict[bytes, list[str]] = {}
    for node in nodes:
        if node.effective and (names := statement_names(node.kind, node.payload)):
            found.setdefault(node.event_id, []).extend(names)
    return found


def _cited(node: Node, statements: Mapping[bytes, Sequence[str]], known: Named | None) -> list[str]:
    """The names of what an event cites as its authority and does not name, so that nothing led to other statements of it."""
    names: list[str] = []
    for event_id, _, relation in node.header.causes:
        if relation == AUTHORIZED_BY and event_id in statements:
            names += statements[event_id]
    if not names or not node.effective:
        return []
    follows = (known or names_of(node.header, node.payload))[1]
    return [name for name in names if name not in follows]


def surrounding(
    nodes: Iterable[Node],
    asked: Collection[bytes],
    persons: Mapping[bytes, KnownPerson],
    statements: Mapping[bytes, Sequence[str]] | None = None,
    named: Mapping[Ref, Named] | None = None,
) -> list[str]:
    """The names of what is looked at beside events: registrations of the agents that they name and of whoever approved, other
    uses of an approval and the action that it refers to, other statements of what they cite as their authority, what became of a
    schedule and of what took something back, starts and ends of their runs; and what else was done under the idempotency keys of
    the actions asked about.

    ``persons`` are the approvers, as far as they are known; ``statements`` those of all events that are known, where these are
    not all; ``named`` the names of those that were read before."""
    names: list[str] = []
    known = list(nodes)
    statements = statements_of(known) if statements is None else statements
    actions = {node.fact.action_id for node in known if node.event_id in asked and isinstance(node.fact, ApiAction)}
    for node in known:
        header, payload = node.header, node.payload
        kind = header.kind
        if header.execution_id is not None:
            names.append(f"run_state:{header.execution_id.hex()}")
        if actions:
            names += repeated(node, actions)
        if header.causes and statements:
            names += _cited(node, statements, named.get(node.ref) if named is not None else None)
        if header.agent_id is not None:
            names.append(f"agent:{header.agent_id}")
        if kind == "api_action" and undone_by(node):
            names += account_names(node)
        if payload is None:
            continue
        if kind == "token_issuance" and payload["act"] is not None:
            for actor in payload["act"]["chain"]:
                if actor["sub"] is not None:
                    names += [f"agent:{actor['sub']}", f"agent:{actor['iss']}#{actor['sub']}"]
        elif kind == "trigger_registration":
            names.append(f"trigger:{payload['trigger_id']}")
        elif kind == "oversight":
            names.append(f"oversight_use:{payload['oversight_id']}")
            names += relied_on([node.event_id])
            names += _approver(payload["by"], persons)
            if payload["binding"] == "reference":
                names.append(f"action:{payload['reference']}")
    return names


RELIED: Final = "relied:"
"""Begins what stands for a name here, and is none in the store: an event, for the actions that cite it as their authority, or as
an account of the same."""


def relied_on(ids: Iterable[bytes]) -> list[str]:
    return [f"{RELIED}{each.hex()}" for each in ids]


def uses_among(names: Iterable[str]) -> set[str]:
    """Of the names that surround events those to which the uses of approvals answer."""
    return {each for each in names if each.startswith(("oversight_use:", RELIED))}


def reused(nodes: Iterable[Node], own: Collection[str] | None = None) -> set[str]:
    """The names to which the uses of those approvals answer that several actions may rely on: of what came of these it depends
    which use another is. ``own`` are the names of the action asked about, for which approvals that refer to it count too; without
    it only those count that allow so many uses, by which somebody may be accused."""
    names: dict[str, str] = {}
    wanted: set[str] = set()
    several: set[str] = set()
    relying: list[tuple[ApiAction, Node]] = []
    for node in nodes:
        fact = node.fact if node.effective and node.kind in ("api_action", "oversight") else None
        if isinstance(fact, Oversight):
            names |= dict.fromkeys(
                (f"oversight_use:{fact.oversight_id}", *relied_on([node.event_id])), fact.oversight_id
            )
            if own is not None or fact.uses_allowed is not None:
                wanted.add(fact.oversight_id)
            if own and f"action:{fact.reference}" in own:
                several.add(fact.oversight_id)
        elif isinstance(fact, ApiAction):
            relying.append((fact, node))
    actions: dict[str, set[str]] = {}
    runs: dict[str, set[bytes | None]] = {}
    for fact, node in relying if wanted else ():
        for name in names.keys() & _uses(node):
            actions.setdefault(names[name], set()).add(fact.action_id)
            runs.setdefault(names[name], {None}).add(node.header.execution_id)
    several |= {each for each in wanted if len(actions.get(each, ())) > 1 or len(runs.get(each, ())) > 2}
    return {name for name, oversight in names.items() if oversight in several}


def in_doubt(names: Collection[str], nodes: Iterable[Node]) -> set[str]:
    """The names to which those answer of which it depends on compensations what was done twice: of ``names`` the idempotency keys
    under which several actions stand, and what was taken back."""
    keys = {each for each in names if each.startswith("idempotency:")}
    actions: dict[str, set[str]] = {}
    taken_back: set[bytes] = set()
    for node in nodes:
        taken_back.update(undone_by(node))
        if keys and isinstance(node.fact, ApiAction) and node.effective:
            for name in keys.intersection(idempotency_names(node.fact)):
                actions.setdefault(name, set()).add(node.fact.action_id)
    return {*relied_on(taken_back), *(name for name, several in actions.items() if len(several) > 1)}


def idempotency_names(fact: ApiAction) -> list[str]:
    """The name of what an action shall do once, where it says so."""
    return [] if fact.idempotency_key is None else [idempotency_name(fact.target_system, fact.idempotency_key)]


def own_names(event_id: bytes, nodes: Collection[Node]) -> set[str]:
    """The names to which all accounts of the action of an event answer, as far as they are among ``nodes``."""
    told = [(node, names) for node in nodes if (names := account_names(node))]
    own = {name for node, names in told if node.event_id == event_id for name in names}
    if not own:
        return own
    ahead = [({*names, *relied_on(accounts_cited(node))}, names) for node, names in told]
    found = len(own) + 1
    while len(own) != found:
        found = len(own)
        own.update(name for alike, names in ahead if not own.isdisjoint(alike) for name in names)
    return own


def account_names(node: Node) -> list[str]:
    """The names to which the other accounts of an action answer: its id, itself, and those of the call."""
    alike = names_alike(node) if node.effective else _NO_NAMES
    return [*sorted(alike), *relied_on([node.event_id])] if alike else []


def names_answered(node: Node) -> list[str]:
    """The names of uses of approvals, and of accounts, to which an event answers."""
    if not node.effective:
        return []
    cited = relied_on(cause.event_id for cause in node.header.causes) if node.kind == "api_action" else []
    return [*names_of(node.header, node.payload)[0], *cited]


def accounts_beside(looked: Collection[str], nodes: Iterable[Node]) -> set[str]:
    """The names of the other accounts of those actions among ``nodes`` that answer to a name that was ``looked`` for, without
    these: what became of an action tells whether it used an approval up or took another back, whichever of its accounts names
    that."""
    found: set[str] = set()
    looked_for = frozenset(looked)
    for node in nodes:
        own = account_names(node)
        if own and not (looked_for.isdisjoint(own) and looked_for.isdisjoint(_led_by(node))):
            found.update(own)
    return found.difference(looked)


def _led_by(node: Node) -> set[str]:
    """By which names an action is found: as a use of an approval, as an account, as what took another back, as one that stands
    under the same idempotency key."""
    keys = idempotency_names(node.fact) if isinstance(node.fact, ApiAction) else ()
    return {*_uses(node), *relied_on(undone_by(node)), *keys}


def _uses(node: Node) -> set[str]:
    """By which names an action uses an approval, or is an account of one that does."""
    fact = node.fact
    named = fact.oversight_ids if isinstance(fact, ApiAction) else ()
    cited = relied_on((*rights_cited(node), *accounts_cited(node)))
    return {*(f"oversight_use:{each}" for each in named), *cited}


def approvers(nodes: Iterable[Node]) -> set[bytes]:
    """By whose digests something was approved or denied."""
    said = (node.payload["by"] for node in nodes if node.kind == "oversight" and node.payload is not None)
    return {each for each in said if each is not None}


def _approver(digest: bytes | None, persons: Mapping[bytes, KnownPerson]) -> list[str]:
    """The names of what would register an approver as an agent."""
    known = persons.get(digest) if digest is not None else None
    if known is None or known.person is None:
        return []
    return [f"agent:{each}" for each in agents_named(known.person.issuer, known.person.subject)]


def beside_cited(names: Iterable[str], nodes: Iterable[Node], persons: Mapping[bytes, KnownPerson]) -> set[str]:
    """The names of what stands beside those approvals among ``nodes`` of which another statement was cited (``names`` has
    theirs): who relies on them, and the registrations of whoever gave them."""
    wanted = {name for name in names if name.startswith("oversight:")}
    alike = (node for node in nodes if node.kind == "oversight" and node.effective) if wanted else ()
    return {
        each
        for node in alike
        if not wanted.isdisjoint(statement_names(node.kind, node.payload))
        for each in (*relied_on([node.event_id]), *_approver(node.payload["by"] if node.payload else None, persons))
    }


def repeated(node: Node, actions: Collection[str]) -> list[str]:
    """The name under which an account of one of ``actions`` may have been carried out before."""
    fact = node.fact if actions and node.kind == "api_action" else None
    return idempotency_names(fact) if isinstance(fact, ApiAction) and fact.action_id in actions else []


__all__ = [
    "ACCOUNTS",
    "RELIED",
    "account_names",
    "accounts_alike",
    "accounts_beside",
    "accounts_cited",
    "approvers",
    "beside_cited",
    "calls_named",
    "idempotency_names",
    "in_doubt",
    "names_alike",
    "names_answered",
    "own_names",
    "relied_on",
    "repeated",
    "reused",
    "statements_of",
    "surrounding",
    "uses_among",
]
