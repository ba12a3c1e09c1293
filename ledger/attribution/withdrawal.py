"""When a token or a grant stopped to hold, as far as it was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.attribution.joins import token_names
from ledger.attribution.subgraph import Index, Node
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
    """The earliest revocation of a token: its own, of its grant, or of one that it was exchanged from, if it took those along."""
    found = list(_revocations(index, _names(issued), fact.grant_id, _issuer(fact), _issued_at(issued, fact)))
    names, passed = _sources(issued), {*_names(issued)}
    for _ in range(EXCHANGES):
        names = [name for name in dict.fromkeys(names) if name not in passed]
        passed.update(names)
        before = [(node, node.fact) for name in names for node in index.answer_to(name, "token_issuance")]
        names = []
        for node, source in before[:STATEMENTS]:
            if isinstance(source, TokenIssuance):
                names += _sources(node)
                at = _issued_at(node, source)
                found += [
                    over
                    for over in _revocations(index, _names(node), source.grant_id, _issuer(source), at)
                    if isinstance(over.node.fact, TokenRevocation) and over.node.fact.derived_tokens == "revoked"
                ]
        if not names:
            break
    return min(found, key=lambda each: (each.since, each.node.ref), default=None)


def _names(issued: Node) -> list[str]:
    return token_names(issued.payload["token"]) if issued.payload is not None else []


def _sources(issued: Node) -> list[str]:
    return token_names(issued.payload["subject_token"]) if issued.payload is not None else []


def _issuer(fact: TokenIssuance) -> str | None:
    return fact.token.issuer if fact.token is not None else None


def _issued_at(issued: Node, fact: TokenIssuance) -> int:
    return fact.issued_at if fact.issued_at is not None else issued.at


def _revocations(
    index: Index, names: Iterable[str], grant: str | None, issuer: str | None, issued_at: int
) -> Iterable[Over]:
    revoked = [node for name in names for node in index.answer_to(name, "token_revocation")]
    revoked += [
        node
        for node in (index.answer_to(f"grant:{grant}", "token_revocation") if grant is not None else ())
        if isinstance(node.fact, TokenRevocation) and _is_of_grant(node.fact, issuer)
    ]
    for node in revoked:
        said = node.fact
        if isinstance(said, TokenRevocation) and (said.issued_before is None or issued_at < said.issued_before):
            yield Over(node.at if said.effective_at is None else said.effective_at, node)


def _is_of_grant(said: TokenRevocation, issuer: str | None) -> bool:
    return said.extent == "grant" and (said.issuer is None or issuer is None or said.issuer == issuer)


def grant_ended(index: Index, grant_id: str, at: int, *, until: int | None = None) -> Over | None:
    """Since when a grant had ended at ``at`` by the last word about it; None where it was given again up to ``until``."""
    said = [
        (node, node.fact)
        for node in index.answer_to(f"grant:{grant_id}", "grant")
        if isinstance(node.fact, Grant) and node.at <= (at if until is None else until)
    ]
    before = [each for each in said if each[0].at <= at]
    if not before or (said[-1][0] is not before[-1][0] and said[-1][1].action != "withdraw"):
        return None
    node, fact = before[-1]
    if fact.action == "withdraw":
        return Over(node.at, node)
    return Over(fact.expires_at, node) if fact.expires_at is not None and fact.expires_at <= at else None
