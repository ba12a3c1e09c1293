"""When a token or a grant stopped to hold, as far as it was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final, NamedTuple

from ledger.attribution.index import Index
from ledger.attribution.joins import token_names, wide_names
from ledger.attribution.subgraph import Node
from ledger.format.kinds import Grant, TokenIssuance, TokenRevocation

EXCHANGES: Final = 16
"""How many exchanges back a token's line is read."""
STATEMENTS: Final = 16
"""How many statements about the tokens of one step of that line are read."""


class Over(NamedTuple):
    """Since when (µs UTC) something does not hold any more, and the event that says so."""

    since: int
    node: Node


def token_revoked(index: Index, issued: Node, fact: TokenIssuance) -> Over | None:
    """The earliest revocation of a token: its own, of its grant, session, client or subject, or of one that it was exchanged
    from, if it took those along."""
    found = list(_revocations(index, issued, fact))
    names, passed = _sources(issued), {*_names(issued)}
    for _ in range(EXCHANGES):
        names = [name for name in dict.fromkeys(names) if name not in passed]
        passed.update(names)
        found += [over for over in revoked_by_name(index, names) if _takes_along(over)]
        before = [(node, node.fact) for name in names for node in index.answer_to(name, "token_issuance")]
        names = []
        for node, source in before[:STATEMENTS]:
            if isinstance(source, TokenIssuance):
                names += _sources(node)
                found += [over for over in _revocations(index, node, source) if _takes_along(over)]
        if not names:
            break
    return min(found, key=lambda each: (each.since, each.node.ref), default=None)


def revoked_by_name(index: Index, names: Iterable[str]) -> Iterable[Over]:
    """The revocations of tokens that nobody recorded as issued, by these names, whenever that was."""
    for name in names:
        for node in () if index.answer_to(name, "token_issuance") else index.answer_to(name, "token_revocation"):
            if isinstance(said := node.fact, TokenRevocation):
                since = node.at if said.effective_at is None else said.effective_at
                if reaches(said, since) == inf:
                    yield Over(since, node)


def _takes_along(over: Over) -> bool:
    """Whether a revocation ended what had been obtained with the token too."""
    return isinstance(over.node.fact, TokenRevocation) and over.node.fact.derived_tokens == "revoked"


def _names(issued: Node) -> list[str]:
    return token_names(issued.payload["token"]) if issued.payload is not None else []


def _sources(issued: Node) -> list[str]:
    return token_names(issued.payload["subject_token"]) if issued.payload is not None else []


def _issuer(fact: TokenIssuance) -> str | None:
    return fact.token.issuer if fact.token is not None else None


def _issued_at(issued: Node, fact: TokenIssuance) -> int:
    return fact.issued_at if fact.issued_at is not None else issued.at


def _revocations(index: Index, issued: Node, fact: TokenIssuance) -> Iterable[Over]:
    names = _names(issued) + wide_names(issued.payload) + ([] if fact.grant_id is None else [f"grant:{fact.grant_id}"])
    for name in names:
        for node in index.answer_to(name, "token_revocation"):
            said = node.fact
            if isinstance(said, TokenRevocation) and is_of(said, name, _issuer(fact)):
                since = node.at if said.effective_at is None else said.effective_at
                at = _issued_at(issued, fact)
                if at < reaches(said, since) and not given_again(index, said, _issuer(fact), since, at):
                    yield Over(since, node)


def reaches(said: TokenRevocation, since: int) -> float:
    """Before when a token was issued that a revocation ends. All tokens of a client or subject are those that there are: one
    that is got afterwards is no part of it, while nothing is to come of a grant or session that is over."""
    if said.issued_before is not None:
        return said.issued_before
    return since if said.extent in ("client", "subject") else inf


def given_again(index: Index, said: TokenRevocation, issuer: str | None, since: int, at: int) -> bool:
    """Whether the grant whose tokens were revoked was given anew before a token was issued at ``at``."""
    if said.extent != "grant" or said.grant_id is None:
        return False
    given = (node.at for node, fact in grants_of(index, said.grant_id, issuer) if fact.action == "give")
    return any(since < each <= at for each in given)


def is_of(said: TokenRevocation, name: str, issuer: str | None) -> bool:
    """Whether a revocation that answers to a name is of what bears it: whatever its extent of the token that it names; of a grant
    only where that is its extent, for which grant a token is of may be said of one token too. Ids of grants, sessions and clients
    are those of one issuer, as far as both say whose."""
    if name.startswith(_OF_TOKENS):
        return True
    return (said.extent == "grant" or not name.startswith("grant:")) and one_issuer(said.issuer, issuer)


def one_issuer(one: str | None, other: str | None) -> bool:
    """Whether two things may be of one issuer, as far as it is said."""
    return one is None or other is None or one == other


_OF_TOKENS: Final = ("token:", "token_digest:")


def grant_ended(
    index: Index, grant_id: str, at: int, *, issuer: str | None = None, until: int | None = None
) -> Over | None:
    """Since when a grant had ended at ``at`` by the last word about it; None where it was given again up to ``until``, and where
    two issuers have grants of that id and none of them is ``issuer``."""
    said = [
        (node, fact) for node, fact in grants_of(index, grant_id, issuer) if node.at <= (at if until is None else until)
    ]
    before = [each for each in said if each[0].at <= at]
    if not before or (said[-1][0] is not before[-1][0] and said[-1][1].action != "withdraw"):
        return None
    node, fact = before[-1]
    if fact.action == "withdraw":
        return Over(node.at, node)
    return Over(fact.expires_at, node) if fact.expires_at is not None and fact.expires_at <= at else None


def grants_of(index: Index, grant_id: str, issuer: str | None) -> list[tuple[Node, Grant]]:
    """What was said of a grant, in order of time. An id is one issuer's: where two use it, of ``issuer``'s grant, or of none."""
    said = [(node, node.fact) for node in index.answer_to(f"grant:{grant_id}", "grant") if isinstance(node.fact, Grant)]
    issuers = {fact.issuer for _, fact in said} - {None}
    return said if len(issuers) < 2 else [each for each in said if each[1].issuer == issuer]
