"""The rule about whose token becomes whose: an exchange hands on the rights of the person whom the first token names."""

from __future__ import annotations

from ledger.attribution.answer import Party
from ledger.attribution.authority import knows, party
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.rules.case import SKEW, Case, Found, may_be_two
from ledger.attribution.rules.things import answering
from ledger.attribution.subgraph import Node
from ledger.attribution.withdrawal import EXCHANGES
from ledger.format.event import AUTHORIZED_BY
from ledger.format.kinds import Actor, Grant, TokenIssuance

_Issued = tuple[Node, TokenIssuance]


def person_exchanged(case: Case) -> Found:
    """A token of one person was obtained with that of another: two people of one issuer, not one in one login session.

    Whose rights these are has a word in it: a grant of theirs, one that nobody recorded, their own token as the actor's, or
    `may_act` of either token.
    """
    for node, fact in {node.ref: (node, node.fact) for node, _, _ in case.rights}.values():
        if not isinstance(fact, TokenIssuance) or fact.status != "issued" or node.importer:
            continue
        subject, source = party(case.names, fact.subject), _source(case, node)
        if subject is None or source is None or not _is_as_known(case, node, fact):
            continue
        given, parent = source
        before = party(case.names, parent.subject)
        one_login = fact.session is not None and fact.session == parent.session
        if before is None or one_login or not case.are_two(before, subject):
            continue
        if not _gave(case, node, fact, subject) and not _may_act(case, fact, parent, before, subject):
            name = f"token {fact.token.jti}" if fact.token is not None and fact.token.jti is not None else "the token"
            yield f"{name} is {subject.label}'s, and was obtained with a token of {before.label}", [given, node]


def may_be_anothers(index: Index, node: Node) -> bool:
    """Whether a token that an issuance may come from, however far back, is stated to be another person's."""
    fact = node.fact
    if not isinstance(fact, TokenIssuance) or node.importer or fact.subject is None or node.payload is None:
        return False
    subject = party(index, fact.subject)
    ahead, passed = token_names(node.payload["subject_token"]), set[str]()
    while subject is not None and ahead:
        passed.update(ahead)
        issued = answering(index, ahead, "token_issuance")
        if len(passed) > EXCHANGES:
            return True
        people = [party(index, each.fact.subject) for each in issued if isinstance(each.fact, TokenIssuance)]
        if any(each is not None and may_be_two(each, subject) for each in people):
            return True
        sources = [name for each in issued if each.payload for name in token_names(each.payload["subject_token"])]
        ahead = [name for name in dict.fromkeys(sources) if name not in passed]
    return False


def _issuances(case: Case, near: Node, field: str) -> list[_Issued]:
    """What sources state of a token that an issuance refers to, whoever knows best first."""
    names = token_names(near.payload[field] if near.payload is not None else None)
    found = [
        (each, each.fact)
        for name in names
        for each in case.names.near(name, near, "token_issuance")
        if isinstance(each.fact, TokenIssuance) and each.fact.status == "issued" and not each.importer
    ]
    return sorted({each[0].ref: each for each in found}.values(), key=lambda each: knows(each[0]))


def _is_as_known(case: Case, node: Node, fact: TokenIssuance) -> bool:
    """Whether nobody who knows as well or better names another subject of the same token."""
    known = [each for each in _issuances(case, node, "token") if knows(each[0])[:2] <= knows(node)[:2]]
    who = party(case.names, fact.subject)
    others = [party(case.names, other.subject) for _, other in known]
    return all(each is None or who is None or each.identity == who.identity for each in others)


def _source(case: Case, node: Node) -> _Issued | None:
    """The nearest token of the line of which somebody says whose it is; None where two are named."""
    passed = {node.ref}
    for _ in range(EXCHANGES):
        stated = [each for each in _issuances(case, node, "subject_token") if each[0].ref not in passed]
        if not stated:
            return None
        named = [each for each in stated if each[1].subject is not None]
        if named:
            best = [each for each in named if knows(each[0])[:2] == knows(named[0][0])[:2]]
            people = {who.identity for _, fact in best if (who := party(case.names, fact.subject)) is not None}
            return named[0] if len(people) == 1 else None
        node = stated[0][0]
        passed.add(node.ref)
    return None


def _gave(case: Case, node: Node, fact: TokenIssuance, subject: Party) -> bool:
    """Whether the person gave a grant for it, as far as is known, or was there with a token of their own."""
    cited = [edge.target.fact for edge in case.links.of(node, frozenset({AUTHORIZED_BY}))]
    for grant_id in {fact.grant_id, *(each.grant_id for each in cited if isinstance(each, Grant))} - {None}:
        said = [
            (each.at, each.fact)
            for each in case.names.answer_to(f"grant:{grant_id}", "grant")
            if isinstance(each.fact, Grant)
        ]
        last = {grant.issuer: grant for at, grant in said if at <= node.at + SKEW}
        grantors = [party(case.names, grant.grantor) for grant in last.values() if grant.action != "withdraw"]
        if not said or any(each is None or not case.are_two(each, subject) for each in grantors):
            return True
    actors = [party(case.names, actor.subject) for _, actor in _issuances(case, node, "actor_token")]
    return any(actor is not None and actor.identity == subject.identity for actor in actors)


def _may_act(case: Case, fact: TokenIssuance, parent: TokenIssuance, before: Party, subject: Party) -> bool:
    """Whether the new token names whoever asked for it as one who may act for its subject, or the old one its subject."""
    asked = {before.subject, fact.client_id} | {
        each.sub for each in (fact.act.chain[:1] if fact.act is not None else ())
    }
    return any(_means(case, each, asked - {None}, before) for each in fact.may_act) or any(
        _means(case, each, {subject.subject}, subject) for each in parent.may_act
    )


def _means(case: Case, actor: Actor, names: set[str | None], who: Party) -> bool:
    known = party(case.names, actor.person)
    return actor.sub in names or (known is not None and known.identity == who.identity)
