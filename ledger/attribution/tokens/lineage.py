"""The lineage of a token or a grant: what it came from, what came of it, what was done with it, and how it ended.

Pure: made from events that were fetched and verified (``ledger.store.token_lineage``). What several statements say differently
of one token is shown by claim, never chosen from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.attribution.answer import Actor
from ledger.attribution.authority import party, token_text
from ledger.attribution.grades import grade_of_claim
from ledger.attribution.index import Index
from ledger.attribution.rules.case import SKEW
from ledger.attribution.subgraph import Node
from ledger.attribution.tokens.above import all_names, climb, names_of_token, right_of, statements_of
from ledger.attribution.tokens.ends import ends_of, expiries, first_revocation
from ledger.attribution.tokens.happenings import happening_of
from ledger.attribution.tokens.values import Disagreement, End, Fetched, Right, Statement, TokenLineage
from ledger.format.kinds import Grant, TokenIssuance
from ledger.wording import counted


def judge_lineage(fetched: Fetched) -> TokenLineage:
    """The lineage; a token that no statement is about has its uses and its end all the same."""
    asked, index = fetched.asked, fetched.index
    names = all_names(asked, statements_of(index, asked.names))
    about = statements_of(index, names)
    parents = tuple(parent for parent, _ in climb(index, names, about))
    ends = tuple(sorted(ends_of(index, names, about, fetched.now), key=lambda each: (each.at, each.event_id)))
    revoked = first_revocation(ends)
    state = _state(about, ends, fetched.now)
    return TokenLineage(
        asked=asked.right,
        state=state,
        sentence=_sentence(asked.right, about, ends, fetched),
        statements=tuple(_statement(index, node) for node in about),
        disagreements=tuple(_disagreements(index, about)),
        parents=parents,
        siblings=tuple(_siblings(index, names, about)),
        ends=ends,
        revoked_at=revoked,
        tolerance_seconds=SKEW // 1_000_000,
        counted=fetched.counted,
        happenings=tuple(happening_of(node, set(names), revoked) for node in fetched.page),
        truncated=fetched.truncated,
        as_of=fetched.now,
    )


def _siblings(index: Index, names: Sequence[str], about: Sequence[Node]) -> Iterator[Right]:
    """Other tokens issued under the same grant, as far as they were looked at."""
    own = set(names)
    seen: set[Right] = set()
    for grant in dict.fromkeys(
        fact.grant_id for node in about if isinstance(fact := node.fact, TokenIssuance) and fact.grant_id is not None
    ):
        for node in index.answer_to(f"grant_use:{grant}", "token_issuance"):
            fact = node.fact
            if isinstance(fact, TokenIssuance) and fact.token is not None and not own & set(names_of_token(fact.token)):
                right = right_of(fact.token)
                if right not in seen:
                    seen.add(right)
                    yield right


def _statement(index: Index, node: Node) -> Statement:
    fact = node.fact
    issued = fact if isinstance(fact, TokenIssuance) else None
    grant = fact if isinstance(fact, Grant) else None
    subject = issued.subject if issued else grant.grantor if grant else None
    chain = issued.act.chain if issued and issued.act is not None else ()
    grade = grade_of_claim(node)
    return Statement(
        event_id=node.event_id,
        digest=node.digest,
        at=node.at,
        kind=node.kind,
        action=issued.status if issued else grant.action if grant else "",
        service=node.service,
        agent_id=node.header.agent_id,
        subject=party(index, subject),
        client_id=issued.client_id if issued else grant.delegate if grant else None,
        grant_id=issued.grant_id if issued else grant.parent_grant_id if grant else None,
        grant_type=issued.grant_type if issued else grant.method if grant else None,
        scopes=fact.scopes if isinstance(fact, (TokenIssuance, Grant)) else (),
        audiences=fact.audiences if isinstance(fact, (TokenIssuance, Grant)) else (),
        actors=tuple(
            Actor(
                event_id=node.event_id,
                position=position,
                iss=actor.iss,
                sub=actor.sub,
                person=party(index, actor.person),
                grade=grade,
            )
            for position, actor in enumerate(chain)
        ),
        issued_at=issued.issued_at if issued else node.at,
        expires_at=fact.expires_at if isinstance(fact, (TokenIssuance, Grant)) else None,
        session=issued.session if issued else None,
        verification=issued.verification if issued else None,
        observer=issued.observer if issued else None,
        grade=grade,
    )


def _disagreements(index: Index, about: Sequence[Node]) -> Iterator[Disagreement]:
    """Claims that statements of one token give different values, and the issuers of grants that bear one id. One that says
    nothing of a claim disagrees with nobody."""
    said: dict[str, dict[str, list[Node]]] = {}
    for node in about:
        fact = node.fact
        if isinstance(fact, Grant) and fact.issuer is not None:
            said.setdefault("issuer", {}).setdefault(fact.issuer, []).append(node)
        if not isinstance(fact, TokenIssuance):
            continue
        who = party(index, fact.subject)
        values = {
            "subject": None if who is None else " ".join(who.identity),
            "client_id": fact.client_id,
            "scopes": " ".join(sorted(fact.scopes)) or None,
            "audiences": " ".join(sorted(fact.audiences)) or None,
            "grant_id": fact.grant_id,
            "issued_at": None if fact.issued_at is None else str(fact.issued_at),
            "expires_at": None if fact.expires_at is None else str(fact.expires_at),
            "subject_token": token_text(fact.subject_token),
        }
        for claim, value in values.items():
            if value is not None:
                said.setdefault(claim, {}).setdefault(value, []).append(node)
    for claim, by_value in said.items():
        if len(by_value) > 1:
            evidence = tuple(dict.fromkeys(node.event_id for nodes in by_value.values() for node in nodes))
            yield Disagreement(claim=claim, values=tuple(sorted(by_value)), evidence=evidence)


def _state(about: Sequence[Node], ends: Sequence[End], now: int) -> str:
    """The end that came first of those that hold; valid only where an expiry in the future is stated."""
    held = [each for each in ends if each.effect == "ends" and each.at <= now]
    if held:
        return min(held, key=lambda each: (each.at, each.event_id)).how
    if any(each.how == "superseded" for each in ends):
        return "superseded"
    return "valid" if any(expires > now for expires in expiries(about)) else "unknown"


def _sentence(asked: Right, about: Sequence[Node], ends: Sequence[End], fetched: Fetched) -> str:
    what = f"{asked.kind} {asked.id}" + (f" of {asked.issuer}" if asked.issuer else "")
    state = _state(about, ends, fetched.now)
    said = {
        "valid": "is valid as far as is recorded",
        "unknown": "has no recorded end",
        "expired": "has expired",
        "revoked": "was revoked",
        "withdrawn": "was withdrawn",
        "superseded": "was superseded by a refreshed one",
    }[state]
    count = fetched.counted
    most = "at least " if count.truncated else ""
    sentence = f"{what} {said}; {most}{count.rights} obtained with it, used by {most}{counted(count.uses, 'event')}"
    if first_revocation(ends) is not None:
        after = f"{most}{count.rights_after} obtained, used by {most}{counted(count.uses_after, 'event')}"
        sentence += f"; after the revocation {after}"
    return sentence if about else sentence + "; nobody recorded that it was issued"
