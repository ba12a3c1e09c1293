"""When a token or a grant stopped to hold, as far as it was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.attribution.joins import token_names
from ledger.attribution.subgraph import Index, Node
from ledger.format.kinds import Grant, TokenIssuance, TokenRevocation

EXCHANGES: Final = 16
"""How many exchanges back a token's line is read."""


class Over(NamedTuple):
    """Since when (µs UTC) something does not hold any more, and the event that says so."""

    since: int
    node: Node


def token_revoked(index: Index, issued: Node, fact: TokenIssuance) -> Over | None:
    """The earliest revocation of a token: its own, of its grant, or of one that it was exchanged from, if it took those along."""
    found = list(_revocations(index, issued, fact))
    line = [issued]
    for _ in range(EXCHANGES):
        sources = _sources(index, line)
        line = [node for node in sources if node.ref != issued.ref]
        found += [
            over
            for node in line
            if isinstance(node.fact, TokenIssuance)
            for over in _revocations(index, node, node.fact)
            if isinstance(over.node.fact, TokenRevocation) and over.node.fact.derived_tokens == "revoked"
        ]
        if not line:
            break
    return min(found, key=lambda each: (each.since, each.node.ref), default=None)


def _sources(index: Index, line: Iterable[Node]) -> list[Node]:
    found = {
        source.ref: source
        for node in line
        for name in token_names(node.payload["subject_token"] if node.payload is not None else None)
        for source in index.answer_to(name, "token_issuance")
    }
    return list(found.values())


def _revocations(index: Index, issued: Node, fact: TokenIssuance) -> Iterable[Over]:
    named = [*token_names(issued.payload["token"] if issued.payload is not None else None)]
    issued_at = fact.issued_at if fact.issued_at is not None else issued.at
    for name in (*named, f"grant:{fact.grant_id}"):
        for node in index.answer_to(name, "token_revocation"):
            said = node.fact
            if not isinstance(said, TokenRevocation) or (name not in named and not _is_of_grant(said, fact)):
                continue
            if said.issued_before is None or issued_at < said.issued_before:
                yield Over(node.at if said.effective_at is None else said.effective_at, node)


def _is_of_grant(said: TokenRevocation, fact: TokenIssuance) -> bool:
    issuer = fact.token.issuer if fact.token is not None else None
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
