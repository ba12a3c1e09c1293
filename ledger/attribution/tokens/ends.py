"""How a token or grant ended, or may have: expired, revoked, withdrawn, superseded; by its own or by what it came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ledger.attribution.answer import Grade
from ledger.attribution.grades import grade_of_claim, grade_of_claims, weakest
from ledger.attribution.index import Index
from ledger.attribution.joins import wide_names
from ledger.attribution.rules.case import SKEW
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.tokens.above import REFRESH, climb, names_of_token, statements_of
from ledger.attribution.tokens.values import End, Parent, Right
from ledger.attribution.withdrawal import given_again, grants_of, is_of, reaches
from ledger.format.kinds import Grant, TokenIssuance, TokenRevocation

GIVEN_AGAIN: Final = "given_again"
"""The effect of a withdrawal after which the grant was given again."""


_Revoked = tuple[int, Node, Right | None]
"""Since when, by which event, and with what else."""


def first_revocation(ends: Iterable[End]) -> int | None:
    """The earliest revocation or withdrawal that stands, also of what it came from: against it everything is timed."""
    standing = (each for each in ends if each.how in ("revoked", "withdrawn") and each.effect != GIVEN_AGAIN)
    return min((each.at for each in standing), default=None)


def ends_of(index: Index, names: Sequence[str], about: Sequence[Node], now: int) -> Iterator[End]:
    """Every end that is recorded or follows from what is, its own and those of what it came from."""
    told = set()
    for end in _own_ends(index, names, about, now):
        told.add(end.event_id)
        yield end
    tokens_of = {node.event_id: about for node in about}
    for parent, above in climb(index, names, about):
        said = statements_of(index, above)
        tokens = said if parent.right.kind == "token" else tokens_of.get(parent.stated_by, about)
        tokens_of.update((node.event_id, tokens) for node in said)
        for over, node, of in _parents_revocations(index, parent, above, tokens):
            if node.event_id in told:
                continue
            told.add(node.event_id)
            fact = node.fact
            withdrawn = isinstance(fact, Grant)
            own = tokens is about and isinstance(fact, TokenRevocation) and fact.extent == "grant"
            grade = weakest((parent.grade, grade_of_claim(node)))
            how = "withdrawn" if withdrawn else "revoked"
            yield _end(how, over, node, of or parent.right, "ends" if withdrawn or own else _along(fact), grade)


def _parents_revocations(
    index: Index, parent: Parent, above: Sequence[str], tokens: Sequence[Node]
) -> Iterator[_Revoked]:
    """Those of what it came from: of a token by its own issuer, of a grant by whoever issued what rests on it. ``tokens`` are its
    statements, or those of the tokens that were issued under the grant."""
    if parent.right.kind == "grant":
        return _revocations(index, above, tokens, parent.child.issuer)
    issuer = parent.right.issuer or next(filter(None, map(_issuer, tokens)), None)
    return _revocations(index, [*above, *wide_of(tokens)], tokens, issuer)


def _own_ends(index: Index, names: Sequence[str], about: Sequence[Node], now: int) -> Iterator[End]:
    issuers = sorted(filter(None, {_issuer(node) for node in about}))
    told = set()
    for issuer in issuers or (None,):
        for over, node, of in _revocations(index, [*names, *wide_of(about)], about, issuer):
            if node.ref in told:
                continue
            told.add(node.ref)
            how = "withdrawn" if isinstance(node.fact, Grant) else "revoked"
            effect = "unknown" if len(issuers) > 1 else _own_effect(names, about, node, over)
            yield _end(how, over, node, of, effect, grade_of_claim(node))
    for expires, nodes in expiries(about).items():
        if expires <= now:
            yield _end("expired", expires, nodes[0], None, "ends", grade_of_claims(nodes))
    yield from _superseded(index, names, about)


def _issuer(node: Node) -> str | None:
    fact = node.fact
    if isinstance(fact, TokenIssuance):
        return fact.token.issuer if fact.token is not None else None
    return fact.issuer if isinstance(fact, Grant) else None


def _own_effect(names: Sequence[str], about: Sequence[Node], node: Node, over: int) -> str:
    """A grant lives on where it was given again, and where its tokens of before a time alone were revoked."""
    grants = [(each.at, each.fact) for each in about if isinstance(each.fact, Grant)]
    if isinstance(node.fact, Grant):
        return GIVEN_AGAIN if any(at > over and fact.action == "give" for at, fact in grants) else "ends"
    of_grant = any(name.startswith("grant:") for name in names)
    return "kept" if of_grant and isinstance(said := node.fact, TokenRevocation) and said.issued_before else "ends"


def _end(how: str, at: int, node: Node, through: Right | None, effect: str, grade: Grade) -> End:
    reason = node.fact.reason if isinstance(node.fact, TokenRevocation) else None
    return End(how=how, at=at, through=through, effect=effect, event_id=node.event_id, reason=reason, grade=grade)


def _along(fact: object) -> str:
    said = fact.derived_tokens if isinstance(fact, TokenRevocation) else "unknown"
    return {"revoked": "ends", "kept": "kept"}.get(said, "unknown")


def expiries(about: Sequence[Node]) -> dict[int, list[Node]]:
    found: dict[int, list[Node]] = {}
    grants = [node for node in about if isinstance(node.fact, Grant) and node.fact.action != "withdraw"]
    for node in [*(each for each in about if isinstance(each.fact, TokenIssuance)), *grants[-1:]]:
        fact = node.fact
        if isinstance(fact, (TokenIssuance, Grant)) and fact.expires_at is not None:
            found.setdefault(fact.expires_at, []).append(node)
    return found


def wide_of(about: Iterable[Node]) -> list[str]:
    """The names of what revokes tokens together with others."""
    return [name for node in about if node.kind == "token_issuance" for name in wide_names(node.payload)]


def _revocations(index: Index, names: Sequence[str], about: Sequence[Node], issuer: str | None) -> Iterator[_Revoked]:
    """Since when, and by which event; and with what else it was revoked, where it was with a session, client or subject.

    One about tokens issued before a time counts where one was, or nobody says when."""
    issued = [
        fact.issued_at if fact.issued_at is not None else node.at
        for node in about
        if isinstance(fact := node.fact, TokenIssuance)
    ]
    seen: set[Ref] = set()
    for name in dict.fromkeys(names):
        for node in index.answers(name):
            if node.ref in seen:
                continue
            fact = node.fact
            if isinstance(fact, Grant) and fact.action == "withdraw":
                if not _taken_back(index, node, fact, issuer, issued):
                    yield node.at, node, None
            elif isinstance(fact, TokenRevocation) and is_of(fact, name, issuer):
                since = node.at if fact.effective_at is None else fact.effective_at
                made = min(issued, default=None)
                if made is not None and (made >= reaches(fact, since) or given_again(index, fact, issuer, since, made)):
                    continue
                yield since, node, _with(fact, name)
            else:
                continue
            seen.add(node.ref)


def _taken_back(index: Index, node: Node, fact: Grant, issuer: str | None, issued: Sequence[int]) -> bool:
    """Whether a withdrawal is of another issuer's grant, or the grant was given again before the tokens were issued."""
    said = grants_of(index, fact.grant_id, issuer)
    if all(each.ref != node.ref for each, _ in said):
        return True
    again = [each.at for each, given in said if given.action == "give" and each.at > node.at]
    return bool(issued and again) and min(again) <= min(issued) + SKEW


def _with(fact: TokenRevocation, name: str) -> Right | None:
    if not name.startswith("revoked:"):
        return None
    return Right(fact.extent, fact.issuer, name.partition("\0")[2])


def _superseded(index: Index, names: Sequence[str], about: Sequence[Node]) -> Iterator[End]:
    """By what was refreshed with it; or, for the same client and audience, by what was refreshed under its grant later."""
    own = {node.ref for node in about}
    tokens = [(node, node.fact) for node in about if isinstance(node.fact, TokenIssuance)]
    for name in names:
        for node in index.answer_to(f"token_use:{name}", "token_issuance"):
            fact = node.fact
            if (
                node.ref in own
                or not isinstance(fact, TokenIssuance)
                or (fact.grant_type, fact.status) != (REFRESH, "issued")
            ):
                continue
            if set(names_of_token(fact.subject_token)) & set(names):
                yield _end("superseded", node.at, node, None, "unknown", grade_of_claim(node))
    for grant in dict.fromkeys(fact.grant_id for _, fact in tokens if fact.grant_id is not None):
        later = [
            node
            for node in index.answer_to(f"grant_use:{grant}", "token_issuance")
            if node.ref not in own and isinstance(node.fact, TokenIssuance) and node.fact.grant_type == REFRESH
            if any(_takes_place(node, node.fact, one, fact) for one, fact in tokens)
        ]
        yield from (_end("superseded", node.at, node, None, "unknown", "inferred") for node in later[:1])


def _takes_place(later: Node, fact: TokenIssuance, one: Node, before: TokenIssuance) -> bool:
    names = set(names_of_token(before.token))
    if later.at <= one.at or fact.grant_id != before.grant_id or names & set(names_of_token(fact.token)):
        return False
    if names & set(names_of_token(fact.subject_token)):  # told already
        return False
    same = (fact.client_id, sorted(fact.audiences)) == (before.client_id, sorted(before.audiences))
    return same and fact.status != "refused"
