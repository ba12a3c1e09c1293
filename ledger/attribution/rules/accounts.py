"""Rules about accounts of one thing by several observers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.json_form import rfc3339
from ledger.attribution.rules.case import APPROVES, SKEW, Case, Found, may_be_two
from ledger.attribution.rules.things import Told, answering
from ledger.attribution.subgraph import Node
from ledger.attribution.surroundings import account_names, idempotency_names
from ledger.attribution.undoing import maybe_undone, undone
from ledger.format.kinds import ApiAction, Oversight, PolicyDecision, TokenIssuance

_Said = Sequence[tuple[Node, ApiAction]]


def accounts_disagree(case: Case) -> Found:
    """Of one attempt: on how it ended, what it did, with what parameters, for whom, or when. An account of no stated attempt
    disagrees where it does with each of them, whichever it is of."""
    tries = {fact.attempt for _, fact in case.accounts if fact.attempt is not None}
    numbered = [[each for each in case.accounts if each[1].attempt == one] for one in sorted(tries)]
    loose = [each for each in case.accounts if each[1].attempt is None]
    if len(tries) < 2:
        yield from _disagreement(case, case.accounts)
        return
    found = [each for said in numbered for each in _disagreement(case, said)]
    yield from found
    if loose and not found:
        yield from _of_every_try(case, numbered, loose)


def _of_every_try(case: Case, tries: Sequence[_Said], loose: _Said) -> Found:
    """In what accounts of no stated try disagree with every try: all of them, and one of them by itself, for of the others each
    may be of another try."""
    together = [list(_disagreement(case, [*said, *loose])) for said in tries]
    alone = any(all(any(_disagreement(case, [*said, one])) for said in tries) for one in loose)
    if alone and all(together):
        yield from together[0]


def _disagreement(case: Case, said: _Said) -> Found:
    yield from _outcomes(said)
    yield from _activities(said)
    yield from _parameters(case, said)
    yield from _subjects(case, said)
    yield from _times(said)


def may_disagree(index: Index, told: Told) -> bool:
    """Whether any two accounts that may be of one thing do not agree."""
    if len(told.accounts) < 2:
        return False
    said = [(node, fact) for node, fact, _ in told.accounts]
    seen = [fact for _, fact in said if fact.observer != "agent"]
    called = [fact for _, fact in said if fact.observer == "agent"]
    done = any(fact.outcome == "success" or fact.effect in ("partial", "full") for _, fact in said)
    failed = any(fact.outcome in ("denied", "failure") or fact.effect == "none" for _, fact in said)
    wrote = any(fact.activity in ("update", "delete") for fact in seen)
    return (
        (bool(seen) and done and failed)
        or (wrote and any(fact.activity == "read" for fact in called))
        or len({fact.parameter_digest for _, fact in said} - {None}) > 1
        or (bool(seen) and (_may_be_of_two(index, said) or _may_be_apart(said)))
    )


def _may_be_of_two(index: Index, said: _Said) -> bool:
    people = {node.header.principal for node, _ in said}
    named = [who for each in people if (who := party(index, each)) is not None] if len(people) > 1 else []
    return any(may_be_two(*each) for each in combinations(named, 2))


def _may_be_apart(said: _Said) -> bool:
    """Whether who was called was done with it before it was called, or got it after it was done."""
    received = [node for node, fact in said if fact.observer == "resource"]
    called = [(node.at, fact) for node, fact in said if fact.observer == "agent"]
    return any(
        _end(node) < at - SKEW or (fact.ended_at is not None and node.at > fact.ended_at + SKEW)
        for node in received
        for at, fact in called
    )


def _outcomes(said: _Said) -> Found:
    """Who called has it done, and all who were called that it was not; or all that they say of it is that it was not, and all
    who were called that it was."""
    known = [(node, fact) for node, fact in said if fact.outcome in ("success", "denied", "failure")]
    received = [(node, fact) for node, fact in known if fact.observer == "resource"]
    denied = [node for node, fact in received if fact.outcome != "success"]
    claimed = [node for node, fact in known if fact.observer != "resource" and fact.outcome == "success"]
    if denied and claimed and len(denied) == len(received):
        yield (
            f"{_services(claimed)} says that it succeeded, {_services(denied)}, which was called, that it did not",
            [*claimed, *denied],
        )
    yield from _undone(said)


def _undone(said: _Said) -> Found:
    """A caller that got no answer knows nothing of it, and one that a gate refused says what it was told."""
    called = [(node, fact) for node, fact in said if fact.observer == "agent" and _tells_how_it_ended(node, fact)]
    others = [(node, fact) for node, fact in said if fact.observer != "agent" and _tells_how_it_ended(node, fact)]
    received = [each for each in others if each[1].observer == "resource"] or others
    if not called or not received or any(fact.outcome == "denied" for _, fact in others):
        return
    not_done = all(
        fact.outcome == "denied" or (fact.outcome != "success" and fact.effect == "none") for _, fact in called
    )
    is_done = all(
        fact.effect in ("partial", "full") or (fact.outcome == "success" and fact.effect is None)
        for _, fact in received
    )
    in_vain = all(fact.effect == "none" for _, fact in called) and all(
        fact.effect == "full" and fact.activity != "read" for _, fact in received
    )
    if (not_done and is_done) or in_vain:
        callers, done = [node for node, _ in called], [node for node, _ in received]
        yield f"{_services(callers)} says that nothing was done, {_services(done)} that it was", [*callers, *done]


def _tells_how_it_ended(node: Node, fact: ApiAction) -> bool:
    return not node.importer and (fact.outcome is not None or fact.effect is not None)


def _activities(said: _Said) -> Found:
    """Read, by the caller's word, and deleted or changed by that of who was called. Not created: a search may be a POST."""
    own = [(node, fact) for node, fact in said if not node.importer and fact.activity is not None]
    called = [(node, fact) for node, fact in own if fact.observer == "agent"]
    wrote = [
        (node, fact) for node, fact in own if fact.observer == "resource" and fact.activity in ("update", "delete")
    ]
    if called and wrote and all(fact.activity == "read" for _, fact in called):
        reader, (writer, fact) = called[0][0], wrote[0]
        yield (
            f"{reader.service} says that it read, {writer.service} that it was told to {fact.activity}",
            [reader, writer],
        )


def _parameters(case: Case, said: _Said) -> Found:
    """A policy or a person may have changed them on the way. What an importer read stands in the form of some log."""
    digests: dict[bytes, Node] = {}
    for node, fact in said:
        if fact.parameter_digest is not None and not node.importer:
            digests.setdefault(fact.parameter_digest, node)
    changes = [(fact.parameter_digest, fact.modified_parameter_digest) for _, fact in case.decisions]
    changes += [(fact.bound_digest, fact.edited_digest) for _, fact in case.oversights]
    explained = any(None not in change and set(digests) <= set(change) for change in changes)
    if len(digests) > 1 and not explained:
        yield "the accounts state different parameters", list(digests.values())


def _subjects(case: Case, said: _Said) -> Found:
    """Whom the caller and whoever was called say that it was for: two people of one issuer. A service may name itself."""
    named = [
        (node, fact, who)
        for node, fact in said
        if not node.importer and (who := party(case.names, node.header.principal)) is not None
    ]
    for (one, by, who), (other, seen_by, whom) in combinations(named, 2):
        if by.observer != seen_by.observer and case.are_two(who, whom):
            yield f"{one.service} says that it was for {who.label}, {other.service} that for {whom.label}", [one, other]
            return


def _times(said: _Said) -> Found:
    """Received before it was called, or done, by the caller's word, before it was received.

    Where tries are not numbered, the first call counts.
    """
    called = [
        node for node, fact in said if fact.observer == "agent" and fact.phase == "intended" and not node.importer
    ]
    received = [node for node, fact in said if fact.observer == "resource" and not node.importer]
    if called and (early := [node for node in received if _end(node) < called[0].at - SKEW]):
        done_at, called_at = rfc3339(_end(early[0])), rfc3339(called[0].at)
        detail = f"{early[0].service} was done with it at {done_at}, {called[0].service} called at {called_at}"
        yield detail, [*early, *called]
    done = [
        (node, fact.ended_at)
        for node, fact in said
        if fact.observer == "agent" and fact.effect == "full" and fact.ended_at is not None and not node.importer
    ]
    if len(done) == 1 and received and all(node.at > done[0][1] + SKEW for node in received):
        (node, at), first = done[0], min(received, key=lambda each: each.at)
        yield (
            f"{node.service} says that it was wholly done at {rfc3339(at)}, {first.service} got it at {rfc3339(first.at)}",
            [node, first],
        )


def _end(node: Node) -> int:
    return node.fact.ended_at if isinstance(node.fact, ApiAction) and node.fact.ended_at is not None else node.at


def vouched_and_denied(case: Case) -> Found:
    """One service states that a thing was allowed, another that the same thing was refused: by its own id, at its own word."""
    for node, fact in case.decisions:
        if fact.decision_id is not None:
            alike = case.names.answer_to(f"decision:{fact.decision_id}", "policy_decision")
            yes = [each for each in alike if isinstance(each.fact, PolicyDecision) and each.fact.decision != "deny"]
            no = [each for each in alike if isinstance(each.fact, PolicyDecision) and each.fact.decision == "deny"]
            yield from _opposed(node, f"decision {fact.decision_id}", yes, no)
    for node, said in case.oversights:
        alike = case.names.answer_to(f"oversight:{said.oversight_id}", "oversight")
        yes = [each for each in alike if isinstance(each.fact, Oversight) and each.fact.action in APPROVES]
        no = [each for each in alike if isinstance(each.fact, Oversight) and each.fact.action in ("deny", "stop")]
        yield from _opposed(node, f"approval {said.oversight_id}", yes, no)
    for node, issued in case.tokens:
        names = token_names(node.payload["token"] if node.payload is not None else None)
        alike = [each for name in names for each in case.names.near(name, node, "token_issuance")]
        yes = [each for each in alike if isinstance(each.fact, TokenIssuance) and each.fact.status == "issued"]
        no = [each for each in alike if isinstance(each.fact, TokenIssuance) and each.fact.status == "refused"]
        yield from _opposed(node, f"token {issued.token.jti or ''}".rstrip() if issued.token else "the token", yes, no)
    yield from _past_the_gate(case)


def _opposed(asked: Node, what: str, yes: list[Node], no: list[Node]) -> Found:
    """The first two that differ, of which one is the event that is asked about."""
    both = [(one, other) for one in yes for other in no if one.service != other.service]
    for one, other in [pair for pair in both if asked.ref in (pair[0].ref, pair[1].ref)][:1]:
        yield f"{one.service} says that {what} was given, {other.service} that it was refused", [one, other]


def _past_the_gate(case: Case) -> Found:
    """Whoever stood between refused it, each time it was asked, and whoever was called by another service did it. Who asks for
    credentials, or for patience, refuses nothing: such a gate may record no more of the try that it lets through."""
    between = [(node, fact) for node, fact in case.accounts if fact.observer == "intermediary" and not node.importer]
    refused = [node for node, fact in between if fact.outcome == "denied" and not _asks_again(fact)]
    if not refused or len(refused) < sum(fact.outcome is not None for _, fact in between):
        return
    done = [
        node
        for node, fact in case.accounts
        if fact.observer == "resource" and fact.outcome == "success" and not node.importer
    ]
    tries = {fact.attempt for node, fact in case.accounts if node in (*refused, *done)}
    if len(tries) == 1 and (by := [node for node in done if node.service not in {each.service for each in refused}]):
        yield f"{_services(refused)} refused it, {_services(by)} carried it out", [*refused, *by]


_AGAIN: Final = re.compile(r"(?<!\d)(401|407|429)(?!\d)|UNAUTHENTICATED|RESOURCE_EXHAUSTED")
"""Statuses that ask to come again: with credentials (RFC 9110 §15.5.2, §15.5.8), or later (RFC 6585 §4); and those of gRPC."""


def _asks_again(fact: ApiAction) -> bool:
    return fact.status is not None and _AGAIN.search(fact.status) is not None


def completed_twice(case: Case) -> Found:
    """Whoever was called states twice that the whole effect of one operation took place under one key: by two actions or
    attempts. A caller knows only what it was answered.

    The first is in order. An answer given again has no effect of its own, and says so (`effect`: none); what was undone counts no
    more.
    """
    told: set[tuple[str, str]] = set()
    for account, said in case.accounts:
        if said.idempotency_key is None or said.effect != "full" or said.observer != "resource" or account.importer:
            continue
        first = _first_under(case, account, said)
        key = account.service, said.idempotency_key
        if first is not None and key not in told:
            told.add(key)
            again = f"{account.service} carried out {said.operation} a second time under idempotency key {said.idempotency_key}"
            crowded = not case.names.graph.crowded.isdisjoint((*account_names(first), *account_names(account)))
            unread = maybe_undone(case.names, [first, account])
            yield again + (_MORE if crowded else UNREAD if unread else ""), [first, account]


_MORE: Final = "; more cites one of them than is looked at, and may have undone it"
UNREAD: Final = "; what cites one of them as undone cannot be read, and may have undone it"


def may_be_second(index: Index, told: Told) -> bool:
    """Whether an account is of the whole effect of what the same service may have carried out before under the same key."""
    for account, said, _ in told.accounts:
        if said.idempotency_key is None or said.effect != "full" or said.observer != "resource" or account.importer:
            continue
        if any(
            isinstance(fact := each.fact, ApiAction)
            and (fact.effect, fact.observer, each.service) == ("full", "resource", account.service)
            and (fact.action_id, fact.attempt) != (said.action_id, said.attempt)
            for each in answering(index, idempotency_names(said), "api_action")
        ):
            return True
    return False


def _first_under(case: Case, account: Node, said: ApiAction) -> Node | None:
    """The earliest completion by the same service under the same key that stands still, where it is of another action or attempt
    and the account's own stands too. A key is its client's: where two people used it, it is two keys."""
    alike = [
        (each, each.fact)
        for name in idempotency_names(said)
        for each in case.names.answer_to(name, "api_action")
        if isinstance(each.fact, ApiAction) and each.fact.observer == "resource" and each.service == account.service
    ]
    who = party(case.names, account.header.principal)
    full = [
        (each, fact)
        for each, fact in alike
        if fact.effect == "full"
        and fact.operation == said.operation
        and not ((other := party(case.names, each.header.principal)) and who and case.are_two(who, other))
    ]
    gone = undone(case.names, [each for each, _ in full]) if len(full) > 1 else ()
    first, fact = next(((each, fact) for each, fact in full if each.ref not in gone), (account, said))
    stands = account.ref not in gone
    return first if stands and (fact.action_id, fact.attempt) != (said.action_id, said.attempt) else None


def _services(nodes: Iterable[Node]) -> str:
    return ", ".join(dict.fromkeys(node.service for node in nodes))
