"""Rules about the tokens presented, and the grants that they rest on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from ledger.attribution.answer import Party
from ledger.attribution.authority import knows, party, token_text
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.json_form import rfc3339
from ledger.attribution.naming import is_for, same_name
from ledger.attribution.rules.case import SKEW, Case, Found, ended, may_be_two
from ledger.attribution.rules.things import MANY, Told, answering
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.withdrawal import Over, grant_ended, revoked_by_name, token_revoked
from ledger.format.kinds import AgentRegistration, ApiAction, Grant, TokenIssuance

_SCOPE: Final = frozenset({"insufficient_scope", "invalid_scope", "wrong_scope", "missing_scope"})
_AUDIENCE: Final = frozenset({"invalid_audience", "wrong_audience", "invalid_target"})


def _refused_for(case: Case, errors: frozenset[str]) -> list[Node]:
    """Accounts of whoever received the call that say that it was refused for one of ``errors``."""
    return [node for node, fact in case.accounts if _is_refused_for(fact, errors)]


def _is_refused_for(fact: ApiAction, errors: frozenset[str]) -> bool:
    if fact.outcome != "denied" or fact.observer not in ("resource", "intermediary"):
        return False
    return bool(errors & {fact.error_type, fact.status})


def may_lack_scope(told: Told) -> bool:
    return any(_is_refused_for(fact, _SCOPE) for _, fact, _ in told.accounts)


def may_have_strayed(told: Told, known: Collection[str]) -> bool:
    """Whether an account says so, or of a token that it may have presented somebody states another audience than who was called,
    who is one of ``known``."""
    return any(
        _is_refused_for(fact, _AUDIENCE)
        or (
            (called := fact.target_system) is not None
            and any(each.audiences and not _is_for(each.audiences, called) for each in issued)
            and (
                called in known
                or ("://" in called and (len(known) > MANY or any(is_for(each, called) for each in known)))
            )
        )
        for _, fact, issued in told.accounts
    )


def may_be_late(account: Node, issued: Iterable[TokenIssuance]) -> bool:
    return any(each.expires_at is not None and account.at > each.expires_at + SKEW for each in issued)


def may_be_early(account: Node, issued: Iterable[TokenIssuance]) -> bool:
    begins = [each.issued_at if each.not_before is None else each.not_before for each in issued]
    return any(begin is not None and ended(account) < begin - SKEW for begin in begins)


def may_be_over(grant: Node, latest: int) -> bool:
    """Whether a grant may be over when something was done, the ``latest`` of all then."""
    fact = grant.fact if grant.kind == "grant" else None
    if not isinstance(fact, Grant):
        return False
    return fact.action == "withdraw" or (fact.expires_at is not None and fact.expires_at <= latest)


def may_be_anothers(index: Index, said: Node, issued: Iterable[TokenIssuance]) -> bool:
    """Whether an event is said to be for another person than a token that it may have presented."""
    who = party(index, said.header.principal) if not said.importer else None
    if who is None:
        return False
    subjects = [party(index, each.subject) for each in issued]
    return any(each is not None and may_be_two(who, each) for each in subjects)


def may_be_other_actors(index: Index, told: Told) -> bool:
    """Whether any registration of an agent by itself has not the actor of a token that it may have presented: there may have been
    no other one yet."""
    for account, said, issued in told.accounts:
        agent = account.header.agent_id
        if agent is None or said.observer != "agent" or not issued:
            continue
        for each in answering(index, [f"agent:{agent}"], "agent_registration"):
            names = {agent, *(each.fact.client_ids if isinstance(each.fact, AgentRegistration) else ())}
            if any(_is_of_none(token, names) for token in issued):
                return True
    return False


def _is_of_none(token: TokenIssuance, names: set[str]) -> bool:
    """Whether a token names who acts with it, and by none of these names."""
    if token.act is None or token.act.malformed or not token.act.chain:
        return False
    actor = token.act.chain[0]
    if actor.sub is None:
        return False
    called, known = {actor.sub, f"{actor.iss}#{actor.sub}"}, {*names, *map(_local, names)}
    return called.isdisjoint(known) and not any(same_name(actor.sub, each) for each in known)


def scope_missing(case: Case) -> Found:
    if refused := _refused_for(case, _SCOPE):
        tokens = case.tokens
        scopes = " ".join(dict.fromkeys(scope for _, fact in tokens for scope in fact.scopes))
        yield (
            f"the token's scope ({scopes or 'none known'}) does not allow it",
            [*refused, *(node for node, _ in tokens)],
        )


def other_audience(case: Case) -> Found:
    """Whoever was called refused it as for somebody else; or took it, being one whom tokens here name and this one does not."""
    if refused := _refused_for(case, _AUDIENCE):
        named = ", ".join(dict.fromkeys(each for _, fact in case.tokens for each in fact.audiences))
        yield f"the token is for {named or 'another audience'}", [*refused, *(node for node, _ in case.tokens)]
        return
    elsewhere = [
        (account, said.target_system, stated)
        for account, said in case.accounts
        if (stated := case.presented(account))
        and said.target_system is not None
        and all(fact.audiences and not _is_for(fact.audiences, said.target_system) for _, fact in stated)
    ]
    if not elsewhere or not case.took_effect:
        return
    known = {each for node in case.names.graph.nodes if node.effective for each in audiences(node)}
    wrong: dict[Ref, tuple[Node, list[Node]]] = {}
    for account, target, stated in elsewhere:
        for node, _ in stated if any(same_name(each, target) for each in known) else ():
            wrong.setdefault(node.ref, (node, []))[1].append(account)
    for node, accounts in wrong.values():
        yield f"the token is for {', '.join(audiences(node))}, and was used elsewhere", [node, *accounts]


def _is_for(audiences: tuple[str, ...], called: str) -> bool:
    return any(is_for(each, called) for each in audiences)


def audiences(node: Node) -> tuple[str, ...]:
    return node.fact.audiences if isinstance(node.fact, TokenIssuance) else ()


def expired_token(case: Case) -> Found:
    """By the latest end that anybody states of the token. Whoever was called and refused it looked at the time."""
    for account in case.not_refused:
        ends = [(fact.expires_at, node) for node, fact in case.presented(account) if fact.expires_at is not None]
        last, issued = max(ends, key=lambda each: each[0], default=(None, account))
        if last is not None and case.tells_the_start(account) and account.at > last + SKEW:
            yield f"the token had expired at {rfc3339(last)}", [issued, account]


def token_not_yet_valid(case: Case) -> Found:
    """By the earliest beginning that anybody states of the token; over before that, so that no clock excuses it."""
    for account in case.not_refused:
        begins = [
            (begin, node)
            for node, fact in case.presented(account)
            if (begin := fact.issued_at if fact.not_before is None else fact.not_before) is not None
        ]
        first, issued = min(begins, key=lambda each: each[0], default=(None, account))
        if first is not None and ended(account) < first - SKEW:
            yield (
                f"the token was good from {rfc3339(first)}, and was presented by {rfc3339(ended(account))}",
                [issued, account],
            )


def revoked_token(case: Case) -> Found:
    """Presented, or another obtained with it, after it was revoked. What was exchanged from it before may still be good, and
    where it was refused its holder was stopped. Whoever revokes a token by its name need not have recorded that it was issued."""
    for account in case.not_refused:
        for was, stated in _revoked(case, account):
            if case.tells_the_start(account) and account.at > was.since + SKEW:
                yield f"the token was revoked at {rfc3339(was.since)}", [was.node, *stated, account]
                break
    for node, _ in _issued(case):
        for how, was, stated in _made_with_revoked(case, node):
            if was_made(case, node) > was.since + SKEW:
                yield f"the token was {how} that was revoked at {rfc3339(was.since)}", [was.node, *stated, node]


def _revoked(case: Case, account: Node) -> Iterator[tuple[Over, list[Node]]]:
    """The ends of the token that one account says was presented, each with the issuances by which it is of that token: one may
    name it by jti and digest, and another by the digest alone and with the session that was revoked."""
    stated = case.presented(account)
    for issued, fact in stated:
        if (over := token_revoked(case.names, issued, fact)) is not None:
            yield over, [issued]
    known = {issued.ref for issued, _ in stated}
    for issued, _ in stated:
        for alike, fact in made(case, issued):
            if alike.ref not in known and (over := token_revoked(case.names, alike, fact)) is not None:
                yield over, [issued, alike]
    for over in revoked_by_name(case.names, _named_in(account, "token")):
        yield over, []


def _made_with_revoked(case: Case, node: Node) -> Iterator[tuple[str, Over, list[Node]]]:
    """The ends of the tokens that one was obtained with: how it was, and the issuance by which each is of that token."""
    for field, how in _OBTAINED.items():
        names, told = _named_in(node, field), set[Ref]()
        for name in names:
            for source in case.names.near(name, node, "token_issuance"):
                if not isinstance(parent := source.fact, TokenIssuance):
                    continue
                if (over := token_revoked(case.names, source, parent)) is not None:
                    told.add(over.node.ref)
                    yield how, over, [source]
        for over in revoked_by_name(case.names, names):
            if over.node.ref not in told:
                yield how, over, []


def _named_in(node: Node, field: str) -> list[str]:
    return token_names(node.payload[field] if node.payload is not None else None)


_OBTAINED: Final = {"subject_token": "exchanged from one", "actor_token": "got with an actor's"}


def was_made(case: Case, issued: Node) -> int:
    """When a token was made, by the earliest that anybody states: who is shown it tells of it later."""
    return min(each.at if fact.issued_at is None else fact.issued_at for each, fact in made(case, issued))


def made(case: Case, issued: Node) -> list[tuple[Node, TokenIssuance]]:
    """All that is stated of a token that was given out, by one statement of it: that one first."""
    names = token_names(issued.payload["token"] if issued.payload is not None else None)
    alike = [each for name in names for each in case.names.near(name, issued, "token_issuance")]
    return [
        (each, fact)
        for each in (issued, *alike)
        if isinstance(fact := each.fact, TokenIssuance) and fact.status != "refused"
    ]


def refused_token(case: Case) -> Found:
    """Presented with success, though its issuer had refused it and did not think better of it.

    By the word of whoever was called, where they tell of it.
    """
    received = [node for node, fact in case.accounts if fact.observer == "resource"]
    for account in case.took_effect:
        if received and account not in received:
            continue
        stated = case.presented(account)
        for node, fact in stated:
            own = fact.observer == "issuer" and fact.status == "refused" and not node.importer
            given = any(other.status == "issued" and each.service == node.service for each, other in stated)
            if own and not given and case.was_before(node, account):
                yield (
                    f"token {token_text(fact.token)} was presented, which its issuer had refused to give out",
                    [node, account],
                )


def _issued(case: Case) -> Iterator[tuple[Node, TokenIssuance]]:
    for node, _, _ in case.rights:
        if isinstance(node.fact, TokenIssuance) and node.fact.status != "refused":
            yield node, node.fact


def ended_grant(case: Case) -> Found:
    """Acted under a grant that had been withdrawn, or was over. Where it was refused, whoever was called had heard of it."""
    grants = {node.fact.grant_id for node, _, _ in case.rights if isinstance(node.fact, Grant)}
    for grant in sorted(grants):
        for account in case.not_refused:
            at = account.at
            if not case.tells_the_start(account):
                continue
            over = grant_ended(case.names, grant, at - SKEW, issuer=_issuer_of(case, grant), until=at + SKEW)
            if over is not None:
                yield f"grant {grant} had ended at {rfc3339(over.since)}", [over.node, account]
                break


def _issuer_of(case: Case, grant_id: str) -> str | None:
    """Whose tokens were issued under a grant: None where nobody's, or two issuers'."""
    issued = [fact.token for node, fact in _issued(case) if fact.grant_id == grant_id]
    issuers = {token.issuer for token in issued if token is not None}
    return issuers.pop() if len(issuers) == 1 else None


def actor_mismatch(case: Case) -> Found:
    """The agent that signed is registered under other clients than the current actor of the token that it presented."""
    for account, said in case.accounts:
        agent = account.header.agent_id
        if agent is None or said.observer != "agent":
            continue
        registered = [
            (each, each.fact)
            for each in case.names.answer_to(f"agent:{agent}", "agent_registration")
            if isinstance(each.fact, AgentRegistration)
        ]
        known = any(each.at <= account.at + SKEW for each, _ in registered)
        names = {name for _, fact in registered for name in (agent, *fact.client_ids)}
        for issued, token, rivals in _best_known(case.presented(account), lambda fact: fact.act):
            if known and token.act is not None and all(_is_of_none(each, names) for each in (token, *rivals)):
                yield (
                    f"the token's actor is {token.act.chain[0].sub}, the agent is {agent}",
                    [issued, account, *(each for each, _ in registered)],
                )


def _local(name: str) -> str:
    return name.rpartition("#")[2]


def other_person(case: Case) -> Found:
    """Somebody said to act for one person with the token of another: two people of one issuer, as far as is shown.

    Not by an importer's word: one log may name one caller in two ways.
    """
    for said in [node for node in (*case.group, *case.triggers) if not node.importer]:
        who = party(case.names, said.header.principal) if said.kind in ("api_action", "prompt") else None
        for issued, fact, rivals in (
            _best_known(case.presented(said), lambda fact: fact.subject) if who is not None else ()
        ):
            subject = party(case.names, fact.subject)
            if who is None or subject is None or not case.are_two(who, subject):
                continue
            if not any(_is_named(case, who, each) for each in rivals):
                yield f"it was for {who.label}, the token is {subject.label}'s", [said, issued]


def _is_named(case: Case, who: Party, token: TokenIssuance) -> bool:
    subject = party(case.names, token.subject)
    return subject is not None and subject.identity == who.identity


def _best_known(
    stated: Sequence[tuple[Node, TokenIssuance]], told: Callable[[TokenIssuance], object]
) -> Iterator[tuple[Node, TokenIssuance, list[TokenIssuance]]]:
    """Of what is stated of a token, that of who knows best of those who tell a thing of it; each with what others say of the same
    token who know it as well."""
    for node, fact in stated:
        names = _names(node)
        alike = [
            (each, other)
            for each, other in stated
            if each.ref != node.ref and told(other) is not None and not names.isdisjoint(_names(each))
        ]
        if told(fact) is not None and all(knows(node)[:2] <= knows(each)[:2] for each, _ in alike):
            yield node, fact, [other for each, other in alike if knows(each)[:2] == knows(node)[:2]]


def _names(issued: Node) -> set[str]:
    return set(token_names(issued.payload["token"])) if issued.payload is not None else set()
