"""What an event is to a token or grant that it came of: something obtained with it, a use, or an end."""

from __future__ import annotations

from ledger.attribution.grades import grade_of_claim, weakest
from ledger.attribution.rights import OBTAINED, steps_of
from ledger.attribution.rules.case import SKEW
from ledger.attribution.subgraph import Node
from ledger.attribution.tokens.above import names_of_token, right_of, sources_of
from ledger.attribution.tokens.values import Happening, Right
from ledger.format.kinds import ApiAction, Grant, TokenIssuance, TokenRevocation


def happening_of(node: Node, own: set[str], revoked: int | None) -> Happening:
    part, how, right, source, direct = _role(node, own)
    fact = node.fact
    action = fact if isinstance(fact, ApiAction) else None
    issued = fact if isinstance(fact, TokenIssuance) else None
    grade = grade_of_claim(node)
    return Happening(
        event_id=node.event_id,
        digest=node.digest,
        at=node.at,
        kind=node.kind,
        part=part,
        how=how,
        right=right,
        source=source,
        direct=direct,
        timing=_timing(node.at, revoked),
        service=node.service,
        agent_id=node.header.agent_id,
        execution_id=node.header.execution_id,
        what=action.operation if action else None,
        outcome=action.outcome if action else issued.status if issued else None,
        scopes=fact.scopes if isinstance(fact, (TokenIssuance, Grant)) else (),
        expires_at=fact.expires_at if isinstance(fact, (TokenIssuance, Grant)) else None,
        grade=None if part == "unreadable" else grade if direct else weakest((grade, "inferred")),
        findings=node.findings,
    )


def _timing(at: int, revoked: int | None) -> str | None:
    if revoked is None:
        return None
    return "within_tolerance" if abs(at - revoked) <= SKEW else "after" if at > revoked else "before"


_Role = tuple[str, str | None, Right | None, Right | None, bool]


def _role(node: Node, own: set[str]) -> _Role:
    """What an event is to what was asked about: part, how, which right came of it, which was used, and whether that is it."""
    fact = node.fact
    if fact is None or not node.effective:
        return "unreadable", None, None, None, False
    if isinstance(fact, TokenRevocation):
        token = right_of(fact.token) if fact.token is not None else None
        names = names_of_token(fact.token) + ([f"grant:{fact.grant_id}"] if fact.grant_id is not None else [])
        grant = Right("grant", fact.issuer, fact.grant_id) if fact.grant_id is not None else None
        return "ended", "revoked", grant if fact.extent == "grant" and grant else token, None, bool(own & set(names))
    if isinstance(fact, Grant):
        return _of_grant(fact, own)
    obtained = any(step.how in OBTAINED for step in steps_of(node.header, node.payload))
    if isinstance(fact, TokenIssuance):
        sources = sources_of(node)
        how, _, source = next(
            (each for each in sources if own & set(each[1])), sources[0] if sources else ("", [], None)
        )
        right = right_of(fact.token) if fact.token is not None else None
        part = "derived" if obtained else "used" if sources else "given"
        return part, how or None, right, source, any(own & set(each[1]) for each in sources)
    token, grant_id = getattr(fact, "token", None), getattr(fact, "grant_id", None)
    names = names_of_token(token) + ([f"grant:{grant_id}"] if grant_id is not None else [])
    source = right_of(token) if token is not None else Right("grant", None, grant_id) if grant_id is not None else None
    if source is None:
        return "unreadable", None, None, None, False
    return "used", None, None, source, bool(own & set(names))


def _of_grant(fact: Grant, own: set[str]) -> _Role:
    right = Right("grant", fact.issuer, fact.grant_id)
    if f"grant:{fact.grant_id}" in own:
        return "ended" if fact.action == "withdraw" else "given", fact.action, right, None, True
    parent = Right("grant", None, fact.parent_grant_id) if fact.parent_grant_id is not None else None
    part = "ended" if fact.action == "withdraw" else "derived"
    return (
        part,
        "delegated" if part == "derived" else fact.action,
        right,
        parent,
        f"grant:{fact.parent_grant_id}" in own,
    )
