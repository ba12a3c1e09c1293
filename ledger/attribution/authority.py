"""Whose rights were used, by whom, and what policies and people said about it: apart from what triggered it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ledger.attribution.answer import Actor, Authority, Grade, Party
from ledger.attribution.grades import grade_of_claim, grade_of_claims, weakest
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.links import Edge, Links
from ledger.attribution.subgraph import KnownPerson, Node, Ref
from ledger.attribution.withdrawal import token_revoked
from ledger.format.event import AUTHORIZED_BY
from ledger.format.kinds import (
    Authentication,
    Grant,
    TokenIssuance,
    TokenReference,
)

_RIGHTS: Final = frozenset({"token_issuance", "grant"})
_AUTHORIZED: Final = frozenset({AUTHORIZED_BY})


def party(index: Index, digest: bytes | None) -> Party | None:
    """The person behind a digest, as far as is known."""
    if digest is None:
        return None
    met = index.parties.get(digest)
    if met is None and (known := index.person(digest)) is not None:
        met = index.parties[digest] = _party(known)
    return met


def _party(known: KnownPerson) -> Party:
    person = known.person
    if person is None:
        return Party(digest=known.digest, state=known.state)
    return Party(
        digest=known.digest,
        state=known.state,
        issuer=person.issuer,
        subject=person.subject,
        name=person.name,
        kind=person.kind,
    )


def authorizing(links: Links, group: Sequence[Node]) -> list[tuple[Node, Grade, int]]:
    """What authorized the accounts in ``group``, and what that rests on in turn: the surest way to each, with its candidates."""
    best: dict[Ref, tuple[Node, Grade, int]] = {}
    frontier = [(node, grade_of_claim(node), 1) for node in group if node.kind in _RIGHTS]
    best.update((node.ref, (node, grade, count)) for node, grade, count in frontier)
    steps: list[tuple[Node, Grade, int]] = [(node, "corroborated", 1) for node in group]
    accounts, nearby = {node.ref for node in group}, links.index.graph.nearby
    for _ in range(links.index.graph.limits.depth):
        found: dict[Ref, tuple[Node, Grade, int]] = {}
        for source, so_far, count in steps:
            for edge in _rights_of(links, source, source.ref in accounts):
                grade, most = weakest((so_far, edge.grade)), max(count, edge.candidates)
                if edge.target.ref not in best and edge.target.ref not in found:
                    found[edge.target.ref] = (edge.target, grade, most)
        best.update(found)
        steps = [each for ref, each in found.items() if each[0].kind in _RIGHTS and ref not in nearby]
        if not steps:
            break
    return list(best.values())


def _rights_of(links: Links, source: Node, of_group: bool) -> Iterable[Edge]:
    """An exchanged token leads to the token and grant before it; a decision or an approval only speaks for what cites it."""
    edges = sorted(links.of(source, _AUTHORIZED), key=lambda edge: edge.join is not None)
    return [edge for edge in edges if of_group or edge.target.kind in _RIGHTS]


def read_authority(
    index: Index, group: Sequence[Node], rights: Sequence[tuple[Node, Grade, int]]
) -> tuple[Authority, ...]:
    """Tokens, the grants they rest on, and on whose behalf the accounts themselves say that they acted."""
    given: dict[tuple[str, str | None], list[tuple[Node, Grade, int]]] = {}
    issued: dict[str, list[tuple[Node, Grade, int]]] = {}
    for node, grade, count in rights:
        fact = node.fact
        if isinstance(fact, TokenIssuance) and fact.status != "refused":
            issued.setdefault(_token_key(node), []).append((node, grade, count))
        elif isinstance(fact, Grant):
            given.setdefault((fact.grant_id, fact.issuer), []).append((node, grade, count))
    tokens = [each for statements in issued.values() for each in _of_token(index, statements)]
    at = max((node.at for node in group), default=0)
    alike = Counter(grant_id for grant_id, _ in given)
    grants = [_of_grant(index, said, at, alike[grant_id]) for (grant_id, _), said in given.items()]
    return (*tokens, *grants, *_of_principals(index, group))


def _token_key(node: Node) -> str:
    names = token_names(node.payload["token"]) if node.payload is not None else []
    return names[0] if names else node.event_id.hex()


def _of_token(index: Index, statements: list[tuple[Node, Grade, int]]) -> Iterable[Authority]:
    """One token, by the statement of whoever knows best, and by those of equal standing that name another person; a second
    party's statement corroborates a subject."""
    ordered = sorted(statements, key=lambda each: knows(each[0]))
    first = ordered[0][0]
    yield _by_statement(index, ordered[0], statements)
    told = {_subject(index, first)}
    for each in ordered[1:]:
        if None not in told and knows(each[0])[:2] == knows(first)[:2]:
            who = _subject(index, each[0])
            if who is not None and who not in told:
                told.add(who)
                yield _by_statement(index, each, statements)


def _subject(index: Index, node: Node) -> tuple[str, ...] | None:
    """Whom a statement of a token names, as far as that is known: nobody without a name is shown to be another."""
    who = party(index, node.fact.subject) if isinstance(node.fact, TokenIssuance) else None
    return who.identity if who is not None and who.state == "named" else None


def _by_statement(index: Index, by: tuple[Node, Grade, int], statements: list[tuple[Node, Grade, int]]) -> Authority:
    """One token as one statement has it."""
    node, grade, count = by
    fact = node.fact
    assert isinstance(fact, TokenIssuance)  # noqa: S101 - by construction
    subject = party(index, fact.subject)
    revoked = token_revoked(index, node, fact)
    alike = [each for each, _, _ in statements if _same_subject(index, each, subject)]
    exchanged = next(
        (
            source.event_id
            for name in token_names(node.payload["subject_token"] if node.payload else None)
            for source in index.answer_to(name, "token_issuance")
            if source.ref != node.ref
        ),
        None,
    )
    return Authority(
        source="token",
        event_id=node.event_id,
        subject=subject,
        issuer=fact.token.issuer if fact.token else None,
        token=token_text(fact.token),
        grant_id=fact.grant_id,
        client_id=fact.client_id,
        scopes=fact.scopes,
        audiences=fact.audiences,
        issued_at=fact.issued_at,
        expires_at=fact.expires_at,
        revoked_at=revoked.since if revoked is not None else None,
        verification=fact.verification,
        exchanged_from=exchanged,
        grade=weakest((grade, grade_of_claims(alike or [node]))),
        candidates=count,
    )


def _same_subject(index: Index, node: Node, subject: Party | None) -> bool:
    fact = node.fact
    other = party(index, fact.subject) if isinstance(fact, TokenIssuance) else None
    return (other.identity if other else None) == (subject.identity if subject else None)


_VERIFIED: Final = ("issuer", "signature", "introspection", "unknown", "none")


def knows(node: Node) -> tuple[bool, int, int]:
    """Orders statements of one token: sources before importers, the issuer first."""
    fact = node.fact
    verified = fact.verification if isinstance(fact, TokenIssuance) else "none"
    return node.importer, _VERIFIED.index(verified) if verified in _VERIFIED else len(_VERIFIED), node.at


def token_text(token: TokenReference | None) -> str | None:
    """How a token is shown: by its jti, else by its digest."""
    if token is None:
        return None
    return token.jti if token.jti is not None else token.digest.hex() if token.digest is not None else None


def _of_grant(index: Index, said: list[tuple[Node, Grade, int]], at: int, candidates: int) -> Authority:
    """One grant as it stood at ``at``: by the last giving or change before it. ``candidates``: grants of that id."""
    given = sorted(
        ((node, grade) for node, grade, _ in said),
        key=lambda each: (_gives(each[0]), each[0].at <= at, each[0].at if each[0].at <= at else -each[0].at),
    )
    node, grade = given[-1]
    fact = node.fact
    assert isinstance(fact, Grant)  # noqa: S101 - by construction
    withdrawn = [each.at for each, _ in given if not _gives(each) and each.at >= node.at]
    return Authority(
        source="grant",
        event_id=node.event_id,
        subject=party(index, fact.grantor),
        issuer=fact.issuer,
        grant_id=fact.grant_id,
        client_id=fact.delegate,
        scopes=fact.scopes,
        audiences=fact.audiences,
        issued_at=node.at,
        expires_at=fact.expires_at,
        revoked_at=min(withdrawn, default=None),
        verification=fact.method,
        grade=weakest((grade, grade_of_claim(node))),
        candidates=candidates,
    )


def _gives(node: Node) -> bool:
    return isinstance(node.fact, Grant) and node.fact.action != "withdraw"


def _of_principals(index: Index, group: Sequence[Node]) -> list[Authority]:
    stated: dict[tuple[str, ...], list[Node]] = {}
    parties: dict[tuple[str, ...], Party] = {}
    for node in group:
        if (who := party(index, node.header.principal)) is not None:
            stated.setdefault(who.identity, []).append(node)
            parties.setdefault(who.identity, who)
    return [
        Authority(
            source="principal", event_id=nodes[0].event_id, subject=parties[identity], grade=grade_of_claims(nodes)
        )
        for identity, nodes in stated.items()
    ]


def read_actors(index: Index, rights: Sequence[tuple[Node, Grade, int]]) -> tuple[Actor, ...]:
    """The actors of the tokens presented (RFC 8693 `act`), the current one first."""
    found: dict[tuple[int, str | None, str | None], Actor] = {}
    for node, grade, _ in sorted(rights, key=lambda each: knows(each[0])):
        fact = node.fact
        if not isinstance(fact, TokenIssuance) or fact.act is None:
            continue
        for position, actor in enumerate(fact.act.chain):
            found.setdefault(
                (position, actor.iss, actor.sub),
                Actor(
                    event_id=node.event_id,
                    position=position,
                    iss=actor.iss,
                    sub=actor.sub,
                    person=party(index, actor.person),
                    grade=weakest((grade, grade_of_claim(node))),
                ),
            )
    return tuple(sorted(found.values(), key=lambda actor: actor.position))


def authenticated(how: Authentication | None) -> tuple[str, ...]:
    """How somebody was authenticated, in words: acr and methods."""
    if how is None:
        return ()
    return tuple(each for each in (how.acr, *how.amr) if each) or ("by " + (how.issuer or "an unnamed issuer"),)


__all__ = [
    "authenticated",
    "authorizing",
    "knows",
    "party",
    "read_actors",
    "read_authority",
    "token_text",
]
