"""Whether what a policy or a person allowed is what was done: by whom, for whom, on what, which operation of which action.

Only what both sides state in one scheme of names is compared (``ledger.attribution.naming``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

from ledger.attribution.answer import Concerns
from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.naming import Thing, covers, same_agent, same_operation, same_thing
from ledger.attribution.observed import comparable
from ledger.attribution.rules.case import APPROVES, BY_ID, OVERRIDES, Case, Found, may_be_two
from ledger.attribution.rules.things import Told
from ledger.attribution.subgraph import Node
from ledger.format.event import AUTHORIZED_BY
from ledger.format.kinds import AgentRegistration, ApiAction, Oversight, PolicyDecision, TokenIssuance


def meant_for_another(case: Case) -> Found:
    """Took effect on a decision or approval that is about something else, while no other that it relies on is about this.

    A denial of something else allows nothing either, where nothing else that is cited does.
    """
    if not case.took_effect or not case.complete:
        return
    allowed = [(node, fact) for node, fact in case.decisions if fact.decision != "deny"]
    denied = [(node, fact) for node, fact in case.decisions if fact.decision == "deny" and not is_allowed(case)]
    for node, fact in (*allowed, *denied):
        accounts = relying(case, node)
        for says in _SAYS if accounts else ():
            fit, detail = says(case, node, fact)
            if fit is False and not any(says(case, *other)[0] for other in allowed):
                yield f"decision {fact.decision_id or ''} {detail}".replace("  ", " "), [node, *accounts]
                break
    approved = [(node, said) for node, said in case.oversights if said.action in APPROVES]
    for node, said in approved:
        accounts = relying(case, node)
        why = _other_approved(case, node, said) if accounts else None
        if why is not None and all(_other_approved(case, *other) for other in approved):
            yield f"approval {said.oversight_id} {why[0]}", [node, *accounts, *why[1]]


def may_be_for_another(index: Index, told: Told) -> bool:
    """Whether any decision or approval that may be cited is about something else than any account states."""
    for decision in told.decisions:
        if any(_is_of_another(index, decision, *each) for each in told.accounts):
            return True
    given = [each for each in told.oversights if each.action in APPROVES]
    return any(
        (said.operation is not None and same_operation(said.operation, fact.operation) is False)
        or (said.binding == "reference" and said.reference not in (None, fact.action_id))
        for said in given
        for _, fact, _ in told.accounts
    )


def _is_of_another(
    index: Index, decision: PolicyDecision, account: Node, fact: ApiAction, issued: Sequence[TokenIssuance]
) -> bool:
    if decision.action_id not in (None, fact.action_id):
        return True
    asked, doer = decision.subject_agent, account.header.agent_id
    if asked is not None and doer is not None and same_agent(asked, doer) is False:
        return True
    who = party(index, decision.subject)
    people = {account.header.principal, *(each.subject for each in issued)} - {decision.subject}
    if who is not None and any((other := party(index, each)) is not None and may_be_two(who, other) for each in people):
        return True
    if decision.resource is None or fact.resource is None:
        return False
    return _is_of_two(decision.resource_type, decision.resource, fact.resource_type, fact.resource)


@lru_cache(maxsize=4096)
def _is_of_two(type_: str | None, name: str, other_type: str | None, other: str) -> bool:
    return same_thing(Thing(type_, name), Thing(other_type, other)) is False


def is_allowed(case: Case, account: Node | None = None) -> bool:
    """Whether a policy allowed it, or a person overrode what one said; before what ``account`` tells of was over."""
    said = [node for node, fact in case.decisions if fact.decision != "deny"]
    said += [node for node, fact in case.oversights if fact.action in OVERRIDES]
    return any(is_meant_for_this(case, node) and (account is None or case.was_before(node, account)) for node in said)


def concerns(case: Case, node: Node) -> Concerns:
    """Whether what a policy or a person said is about what was done: shown by what both sides state, or by the word alone of an
    account that relies on it. Parameters of a form that cannot be compared, or other ones, show nothing here."""
    if not is_meant_for_this(case, node):
        return "another"
    match node.fact:
        case PolicyDecision(action_id=action) as fact:
            parameters = {fact.parameter_digest, fact.modified_parameter_digest}
            told: bool | None = action in case.actions or any(covers(*each) for each in _things(case, node, fact))
        case Oversight(operation=operation, reference=reference) as said:
            parameters = {said.bound_digest, said.edited_digest}
            done = {fact.operation for _, fact in case.accounts}
            told = reference in case.actions or _any_of(same_operation(operation, each) for each in done if operation)
        case _:
            return "not_comparable"
    if told or any(fact.parameter_digest in parameters - {None} for _, fact in case.accounts):
        return "this"
    return "named" if relying(case, node) else "not_comparable"


def is_of_others(case: Case, node: Node, parameters: bytes | None) -> bool:
    """Whether what was said is bound to parameters that no account states, as far as they can be compared."""
    said = [fact.parameter_digest for account, fact in case.accounts if comparable(account, node)]
    return parameters is not None and parameters not in said and any(each is not None for each in said)


def is_meant_for_this(case: Case, node: Node) -> bool:
    """Whether nothing that a decision or approval states shows that it is about something else."""
    if isinstance(node.fact, PolicyDecision):
        fact = node.fact
        return all(says(case, node, fact)[0] is not False for says in _SAYS)
    return not isinstance(node.fact, Oversight) or _other_approved(case, node, node.fact) is None


def relying(case: Case, said: Node) -> list[Node]:
    """The accounts that name a decision or approval, or cite it or another statement of it as what authorized them; not what only
    informed them."""
    return [
        account
        for account, fact in case.accounts
        if _names(fact, said)
        or any(
            edge.target.ref == said.ref and (edge.join is None or edge.join in BY_ID) and edge.relation == AUTHORIZED_BY
            for edge in case.links.out.get(account.ref, ())
        )
    ]


def _names(account: ApiAction, said: Node) -> bool:
    match said.fact:
        case PolicyDecision(decision_id=decision):
            return decision is not None and decision == account.decision_id
        case Oversight(oversight_id=oversight):
            return oversight in account.oversight_ids
    return False


_Says = Callable[[Case, Node, PolicyDecision], tuple[bool | None, str]]
"""Whether a decision is about this in one respect (None: nobody can tell), and if not, what it is about."""


def _action_of(case: Case, node: Node, fact: PolicyDecision) -> tuple[bool | None, str]:
    if fact.action_id is None or not _comparable(case, node):
        return None, ""
    return fact.action_id in case.actions, f"is about action {fact.action_id}"


def _subject_of(case: Case, node: Node, fact: PolicyDecision) -> tuple[bool | None, str]:
    """Whom it was for, whose token was presented, or who began it: a person may be meant as any of these."""
    who = party(case.names, fact.subject)
    if who is None:
        return None, ""
    accounts = _comparable(case, node)
    named = [party(case.names, account.header.principal) for account in accounts]
    tokens = [party(case.names, issued.subject) for account in accounts for _, issued in case.presented(account)]
    done_for = [each for each in (*named, *tokens) if each is not None]
    if not done_for:
        return None, ""
    people = [*done_for, *(each.who for each in case.began if each.who is not None)]
    if who.state == "named" and who.identity in {each.identity for each in people}:
        return True, ""
    if not all(case.are_two(who, each) for each in done_for):
        return None, ""
    labels = ", ".join(dict.fromkeys(each.label for each in done_for))
    return False, f"is about {who.label}, and it was for {labels}"


def _agent_of(case: Case, node: Node, fact: PolicyDecision) -> tuple[bool | None, str]:
    """The agent that did it, or one on the way to it: it may have been asked about whoever sent the other."""
    asked = fact.subject_agent
    if asked is None:
        return None, ""
    doers = dict.fromkeys(each.header.agent_id for each in _comparable(case, node) if each.header.agent_id is not None)
    if not doers:
        return None, ""
    agents = dict.fromkeys(each.header.agent_id for each in case.told if each.header.agent_id is not None)
    names = {name for agent in agents for name in (agent, *_registered(case, agent))}
    for _, token in case.tokens:
        names.update(
            each
            for actor in (token.act.chain if token.act else ())
            for each in (actor.sub or "", f"{actor.iss}#{actor.sub}")
        )
    if asked in names:
        return True, ""
    told_apart = all(same_agent(asked, doer) is False for doer in doers)
    return False if told_apart else None, f"is about agent {asked}, and {', '.join(doers)} did it"


def _registered(case: Case, agent: str) -> Iterable[str]:
    for node in case.names.answer_to(f"agent:{agent}", "agent_registration"):
        if isinstance(fact := node.fact, AgentRegistration):
            yield from (fact.agent_id, *fact.client_ids, *((fact.parent_agent,) if fact.parent_agent else ()))


def _thing_of(case: Case, node: Node, fact: PolicyDecision) -> tuple[bool | None, str]:
    both = _things(case, node, fact)
    fit = _any_of(same_thing(asked, done) for asked, done in both)
    return (
        fit,
        f"is about {fact.resource}, and it was done to {', '.join(dict.fromkeys(done.name for _, done in both))}",
    )


def _things(case: Case, node: Node, fact: PolicyDecision) -> list[tuple[Thing, Thing]]:
    """What a decision is about, with each thing that it was done to by an account that can be compared."""
    if fact.resource is None:
        return []
    asked = Thing(fact.resource_type, fact.resource)
    said = [each.fact for each in _comparable(case, node) if isinstance(each.fact, ApiAction)]
    done = dict.fromkeys(Thing(each.resource_type, each.resource) for each in said if each.resource is not None)
    return [(asked, each) for each in done]


_SAYS: Final[tuple[_Says, ...]] = (_action_of, _subject_of, _agent_of, _thing_of)


def _other_approved(case: Case, node: Node, said: Oversight) -> tuple[str, list[Node]] | None:
    """What else an approval is about, and the events that show it."""
    if not _comparable(case, node):
        return None
    done = list(dict.fromkeys(fact.operation for _, fact in case.accounts))
    if said.operation is not None and _any_of(same_operation(said.operation, each) for each in done) is False:
        return f"is about {said.operation}, and {', '.join(done)} was done", []
    if said.binding != "reference" or said.reference is None or said.reference in case.actions:
        return None
    others = case.names.answer_to(f"action:{said.reference}", "api_action")
    return (f"is about action {said.reference}", others[:1]) if others else None


def _any_of(fits: Iterable[bool | None]) -> bool | None:
    """One that fits is enough; that none does is known where some can be compared."""
    known = {*fits}
    return True if True in known else False if False in known else None


def _comparable(case: Case, said: Node) -> list[Node]:
    """The accounts whose names are of one form with a decision's or approval's: an importer has the form of its log."""
    return [account for account, _ in case.accounts if comparable(account, said)]


__all__ = ["concerns", "is_allowed", "is_meant_for_this", "is_of_others", "meant_for_another", "relying"]
