"""Rules about what is handed down: nothing may grow on the way from a person to the last agent."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from ledger.attribution.authority import knows
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.json_form import rfc3339
from ledger.attribution.naming import covers_scope, is_for
from ledger.attribution.rules.case import SKEW, Case, Found
from ledger.attribution.rules.things import answering
from ledger.attribution.rules.tokens import made, was_made
from ledger.attribution.subgraph import Node
from ledger.format.kinds import Grant, TokenIssuance

_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_OF_OPENID: Final = frozenset({"openid", "offline_access"})
"""Scopes that ask for a form of answer and no right on a resource (OpenID Connect Core §3.1.2.1, §11)."""


def delegation_wider(case: Case) -> Found:
    """A token against its grant and the token that it was exchanged from, and a grant against the one it is derived from.

    Only an exchange hands down: a refresh token outlives its tokens, and an assumed role has rights of its own. An exchange may
    well be for another audience, so audiences are compared with those of grants alone; and there scopes have other names.
    """
    for node, _, _ in case.rights:
        fact = node.fact
        if node.importer:
            continue
        if isinstance(fact, TokenIssuance) and fact.status == "issued":
            yield from _than_grant(case, node, fact, fact.grant_id, {fact.client_id, _issuer(fact)})
            yield from _than_token(case, node, fact)
        elif isinstance(fact, Grant) and fact.action != "withdraw":
            yield from _than_grant(case, node, fact, fact.parent_grant_id, {fact.delegate})


def _issuer(fact: TokenIssuance) -> str | None:
    return fact.token.issuer if fact.token is not None else None


def may_be_wider(index: Index, node: Node) -> bool:
    """Whether a token or grant goes beyond anything that is stated of the grant or token that it may be derived from."""
    fact = node.fact
    if node.importer:
        return False
    if isinstance(fact, TokenIssuance):
        grant_id, own = fact.grant_id, {fact.client_id, _issuer(fact)}
        names = token_names(node.payload["subject_token"]) if node.payload is not None else []
        sources = answering(index, names, "token_issuance") if fact.grant_type == _EXCHANGE else []
        if any(isinstance(each.fact, TokenIssuance) and _beyond_token(fact, each.fact) for each in sources):
            return True
    elif isinstance(fact, Grant):
        grant_id, own = fact.parent_grant_id, {fact.delegate}
    else:
        return False
    given = answering(index, [f"grant:{grant_id}"], "grant") if grant_id is not None else []
    return any(isinstance(each.fact, Grant) and _beyond_grant(fact, each.fact, own) for each in given)


def _than_grant(
    case: Case, node: Node, fact: TokenIssuance | Grant, grant_id: str | None, own: set[str | None]
) -> Found:
    """Against the grant as it stood then. That a token is for its own client is no widening: it is how an agent is called."""
    given = _as_of(case, grant_id, node) if grant_id is not None else []
    beyond = [_beyond_grant(fact, grant, own) for _, grant in given]
    if beyond and all(beyond) and given[-1][0].ref != node.ref:
        yield f"{_named(fact)} goes beyond grant {grant_id}: {'; '.join(beyond[-1])}", [given[-1][0], node]


def _beyond_grant(fact: TokenIssuance | Grant, grant: Grant, own: set[str | None]) -> list[str]:
    beyond = [*_scopes(fact.scopes, grant.scopes), *_later(fact.expires_at, grant.expires_at)]
    more = {each for each in fact.audiences if not any(is_for(given, each) for given in grant.audiences)}
    if grant.audiences and more:
        own = {*own, grant.delegate}
        if more := more - own - {each.rpartition("#")[2] for each in own if each is not None}:
            beyond.append(f"audience {' '.join(sorted(more))}")
    return beyond


def _as_of(case: Case, grant_id: str, node: Node) -> list[tuple[Node, Grant]]:
    """The givings and changes of a grant of which each may have held when ``node`` was made, as far as clocks differ; none where
    it was withdrawn, or two issuers use that id. A token of which nobody says when it was made may be as old as the grant."""
    first, last = _made_within(case, node)
    said = [
        (each, each.fact)
        for each in case.names.answer_to(f"grant:{grant_id}", "grant")
        if isinstance(each.fact, Grant) and not each.importer and each.at <= last + SKEW
    ]
    if not said or len({fact.issuer for _, fact in said}) > 1 or said[-1][1].action == "withdraw":
        return []
    held = max((place for place, (each, _) in enumerate(said) if each.at < first - SKEW), default=0)
    return [(each, fact) for each, fact in said[held:] if fact.action != "withdraw"]


def _made_within(case: Case, node: Node) -> tuple[float, int]:
    """From when to when a grant was given or a token made, by the earliest that anybody states."""
    if not isinstance(node.fact, TokenIssuance):
        return node.at, node.at
    at = was_made(case, node)
    tells = any(fact.issued_at is not None or fact.observer == "issuer" for _, fact in made(case, node))
    return (at if tells else -inf), at


def _than_token(case: Case, node: Node, fact: TokenIssuance) -> Found:
    names = token_names(node.payload["subject_token"] if node.payload is not None else None)
    stated = [
        (each, each.fact)
        for name in names
        for each in case.names.near(name, node, "token_issuance")
        if isinstance(each.fact, TokenIssuance) and each.fact.status == "issued" and not each.importer
    ]
    if fact.grant_type != _EXCHANGE or not stated:
        return
    stated.sort(key=lambda each: knows(each[0]))
    best = [each for each in stated if knows(each[0])[:2] == knows(stated[0][0])[:2]]
    beyond = [_beyond_token(fact, parent) for _, parent in best]
    if all(beyond):
        yield (
            f"{_named(fact)} goes beyond the token that it was exchanged from: {'; '.join(beyond[0])}",
            [best[0][0], node],
        )


def _beyond_token(fact: TokenIssuance, parent: TokenIssuance) -> list[str]:
    elsewhere = fact.audiences and parent.audiences and not _is_for_any(fact.audiences, parent.audiences)
    scopes = () if elsewhere else _scopes(fact.scopes, parent.scopes)
    return [*scopes, *_later(fact.expires_at, parent.expires_at), *_actors(fact, parent)]


def _is_for_any(audiences: tuple[str, ...], of_parent: tuple[str, ...]) -> bool:
    return any(is_for(given, each) for given in of_parent for each in audiences)


def _named(fact: TokenIssuance | Grant) -> str:
    if isinstance(fact, Grant):
        return f"grant {fact.grant_id}"
    return f"token {fact.token.jti}" if fact.token is not None and fact.token.jti is not None else "the token"


def _scopes(own: tuple[str, ...], of_parent: tuple[str, ...]) -> Iterator[str]:
    asked = {*own} - {*of_parent} - _OF_OPENID
    more = [each for each in sorted(asked) if not any(covers_scope(given, each) for given in of_parent)]
    if of_parent and more:
        yield f"scope {' '.join(more)}"


def _later(own: int | None, of_parent: int | None) -> Iterator[str]:
    if own is not None and of_parent is not None and own > of_parent + SKEW:
        yield f"good until {rfc3339(own)}, not {rfc3339(of_parent)}"


def _actors(fact: TokenIssuance, parent: TokenIssuance) -> Iterator[str]:
    """An exchange adds the party that asks, and keeps those before it; who may ask, `may_act` says (RFC 8693 §4.1, §4.4)."""
    act, before = fact.act, parent.act
    if act is None or act.malformed or act.truncated or not act.chain:
        return
    current = act.chain[0]
    if parent.may_act and not any(
        each.sub == current.sub and (None in (each.iss, current.iss) or each.iss == current.iss)
        for each in parent.may_act
    ):
        yield f"actor {current.sub}, whom may_act does not name"
    if before is not None and not before.malformed and not before.truncated:
        if len(act.chain) > len(before.chain) + 1:
            yield f"{len(act.chain)} actors after {len(before.chain)}"
        elif len(act.chain) == len(before.chain) + 1 and act.chain[1:] != before.chain:
            yield "other earlier actors"
