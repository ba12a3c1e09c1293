"""What a token or grant was obtained with, step by step, as the events about each state it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ledger.attribution.answer import Grade
from ledger.attribution.authority import party, token_text
from ledger.attribution.grades import grade_of_claim, weakest
from ledger.attribution.index import Index
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.tokens.values import Asked, Parent, Right
from ledger.format.kinds import Grant, TokenIssuance, TokenReference

REFRESH: Final = "refresh_token"
"""The OAuth grant type by which one token takes the place of another (RFC 6749 §6)."""


def statements_of(index: Index, names: Iterable[str]) -> list[Node]:
    """The issuances of a token, or what was said of a grant, each once, in order of time."""
    found: dict[Ref, Node] = {}
    for name in names:
        for kind in ("token_issuance", "grant"):
            found.update((node.ref, node) for node in index.answer_to(name, kind))
    return sorted(found.values(), key=lambda node: (node.at, node.event_id, node.digest))


def all_names(asked: Asked, about: Iterable[Node]) -> list[str]:
    """Every name of what was asked about, as its own statements give them: whoever knows both jti and digest joins the two."""
    names = dict.fromkeys(asked.names)
    for node in about:
        if isinstance(fact := node.fact, TokenIssuance) and fact.token is not None:
            names.update(dict.fromkeys(names_of_token(fact.token)))
    return list(names)


def names_of_token(token: TokenReference | None) -> list[str]:
    """As ``joins.token_names``, of a typed reference."""
    if token is None:
        return []
    return Asked(token.issuer, token.jti, token.digest).names


def sources_of(node: Node) -> list[tuple[str, list[str], Right]]:
    """What a right was obtained with: how, the names that its own statements answer to, and which it is."""
    fact = node.fact
    found: list[tuple[str, list[str], Right]] = []
    if isinstance(fact, TokenIssuance):
        for how, token in (("exchanged", fact.subject_token), ("acted", fact.actor_token)):
            if token is not None:
                refreshed = how == "exchanged" and fact.grant_type == REFRESH
                found.append(("refreshed" if refreshed else how, names_of_token(token), right_of(token)))
        if fact.grant_id is not None:
            found.append(("granted", [f"grant:{fact.grant_id}"], Right("grant", None, fact.grant_id)))
    if isinstance(fact, Grant) and fact.parent_grant_id is not None:
        parent = Right("grant", None, fact.parent_grant_id)
        found.append(("delegated", [f"grant:{fact.parent_grant_id}"], parent))
    return found


def right_of(token: TokenReference) -> Right:
    return Right("token", token.issuer, token_text(token) or "")


def climb(index: Index, names: Sequence[str], about: Sequence[Node]) -> Iterator[tuple[Parent, list[str]]]:
    """Every right above, each once, the nearest first, with the names that it answers to."""
    passed = set(names)
    level: list[tuple[Node, Grade]] = [(node, "corroborated") for node in about]
    depth = 0
    while level:
        depth += 1
        above: list[tuple[Node, Grade]] = []
        for node, so_far in level:
            for how, source_names, right in sources_of(node):
                if passed.intersection(source_names) or not source_names:
                    continue
                said = statements_of(index, source_names)
                known = list(dict.fromkeys([*source_names, *all_names(Asked(), said)]))
                passed.update(known)
                grade = weakest((so_far, grade_of_claim(node)))
                yield _parent(index, depth, how, right, node, said, grade), known
                above += [(each, grade) for each in said]
        level = above


def _parent(index: Index, depth: int, how: str, right: Right, node: Node, said: Sequence[Node], grade: Grade) -> Parent:
    first = said[0] if said else None
    own = node.fact
    child = Right("grant", None, own.grant_id) if isinstance(own, Grant) else None
    if isinstance(own, TokenIssuance) and own.token is not None:
        child = right_of(own.token)
    fact = first.fact if first is not None else None
    digest = fact.subject if isinstance(fact, TokenIssuance) else fact.grantor if isinstance(fact, Grant) else None
    return Parent(
        depth=depth,
        right=right,
        how=how,
        child=child or right,
        stated_by=node.event_id,
        event_id=first.event_id if first is not None else None,
        subject=party(index, digest),
        grade=grade,
        candidates=max(1, len({subject_key(index, each) for each in said})),
    )


def subject_key(index: Index, node: Node) -> tuple[str, ...]:
    fact = node.fact
    digest = fact.subject if isinstance(fact, TokenIssuance) else fact.grantor if isinstance(fact, Grant) else None
    who = party(index, digest)
    return who.identity if who is not None else ()
