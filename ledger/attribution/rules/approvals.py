"""Rules about what people allowed."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.attribution.authority import party
from ledger.attribution.index import Index
from ledger.attribution.json_form import rfc3339
from ledger.attribution.naming import agents_named
from ledger.attribution.observed import comparable
from ledger.attribution.rules.accounts import UNREAD
from ledger.attribution.rules.case import APPROVES, BY_ID, SKEW, Case, Found
from ledger.attribution.rules.things import Told, answering
from ledger.attribution.subgraph import Node
from ledger.attribution.undoing import maybe_undone, undone
from ledger.attribution.uses import Use, Uses, may_be_used_by, more_uses, uses_of
from ledger.format.kinds import ApiAction, Oversight


def approval_reused(case: Case) -> Found:
    """An approval that allows so many uses was used by more actions; the latest of them are the ones too many. So is one
    action that whoever was called carried out wholly in more tries than are left."""
    tries = _tries_done(case)
    for approval, fact, allowed, uses, use in _counted(case):
        if not use.used_up():
            continue
        number, allows = uses.number(use), f"approval {fact.oversight_id} allows {_times(allowed)}"
        if number > allowed:
            this = f"this is use {number}{_or_later(case, approval)}"
            yield f"{allows}, and {this}", [approval, *(each.relying[0] for each in uses.by())]
        elif number - 1 + len(tries) > allowed:
            many = f"{tries[0].service} carried this out {len(tries)} times"
            maybe = UNREAD if maybe_undone(case.names, tries) else ""
            yield f"{allows}, and {many}{maybe}", [approval, *tries]


def approval_spent(case: Case) -> Found:
    """An action that came to nothing relied on an approval that others had used as often as it allows."""
    for approval, fact, allowed, uses, use in _counted(case):
        number, allows = uses.number(use), f"approval {fact.oversight_id} allows {_times(allowed)}"
        if number > allowed and not use.used_up():
            this = f"this would be use {number}{_or_later(case, approval)}"
            before = [each.relying[0] for each in uses.all[: uses.all.index(use)] if each.used_up()]
            yield f"{allows}, and {this}", [approval, *before, use.relying[0]]


def _counted(case: Case) -> Iterator[tuple[Node, Oversight, int, Uses, Use]]:
    """The approvals that allow so many uses, how many, all that there were, and that of the action."""
    for approval, fact in case.oversights:
        if fact.uses_allowed is not None:
            uses = uses_of(case.names, approval)
            if (use := uses.of(case.group)) is not None:
                yield approval, fact, fact.uses_allowed, uses, use


def _or_later(case: Case, approval: Node) -> str:
    return " or a later one" if more_uses(case.names, approval) in ("earlier", "both") else ""


def _tries_done(case: Case) -> list[Node]:
    """Of the service that wholly carried it out most often, by its own word, the tries in which it did; without those that were
    undone."""
    full = [(node, fact) for node, fact in case.accounts if fact.observer == "resource" and fact.effect == "full"]
    gone = undone(case.names, [node for node, _ in full]) if len(full) > 1 else ()
    done: dict[str, dict[int, Node]] = {}
    for node, fact in full:
        if fact.attempt is not None and not node.importer and node.ref not in gone:
            done.setdefault(node.service, {}).setdefault(fact.attempt, node)
    return list(max(done.values(), key=len, default={}).values())


def may_be_reused(index: Index, approval: Node) -> bool:
    """Whether more actions may have relied on an approval than it allows."""
    fact = approval.fact
    if not isinstance(fact, Oversight) or fact.uses_allowed is None:
        return False
    answering(index, [f"oversight_use:{fact.oversight_id}", f"oversight:{fact.oversight_id}"])  # not too many
    return may_be_used_by(index, approval) > fact.uses_allowed


def may_be_done_again(told: Told) -> bool:
    """Whether whoever was called may have wholly carried a thing out in more than one try."""
    tries = [(node.service, fact.attempt) for node, fact, _ in told.accounts if fact.effect == "full"]
    return len({each for each in tries if each[1] is not None}) > 1


def may_be_no_persons(index: Index, approval: Node) -> bool:
    """Whether an approval is by a workload, or by whom anybody registered as an agent."""
    fact = approval.fact
    who = party(index, fact.by) if isinstance(fact, Oversight) and fact.action in APPROVES else None
    if who is None or who.state != "named":
        return False
    names = [f"agent:{each}" for each in agents_named(who.issuer or "", who.subject or "")]
    return who.kind == "workload" or bool(answering(index, names, "agent_registration"))


def may_be_late(account: Node, approval: Oversight) -> bool:
    ends = approval.expires_at if approval.action in APPROVES else None
    return ends is not None and account.at > ends + SKEW


def may_differ(account: ApiAction, approval: Oversight) -> bool:
    """Whether an account states other parameters than an approval is bound to."""
    if approval.binding != "digest" or approval.action not in APPROVES:
        return False
    bound = approval.edited_digest or approval.bound_digest
    return bound is not None and account.parameter_digest not in (None, bound)


def approval_expired(case: Case) -> Found:
    for approval, fact in case.oversights:
        ends = fact.expires_at
        if ends is None or fact.action not in APPROVES:
            continue
        late = [
            node
            for node, _ in _relying(case, approval, fact)
            if case.tells_the_start(node) and node.at > ends + SKEW and node in case.not_refused
        ]
        if late:
            yield f"approval {fact.oversight_id} had expired at {rfc3339(ends)}", [approval, *late]


def other_than_approved(case: Case) -> Found:
    for approval, fact in case.oversights:
        if fact.binding != "digest" or fact.action not in APPROVES:
            continue
        differ = [
            node
            for node, said in _relying(case, approval, fact)
            if said.parameter_digest is not None
            and node in case.not_refused
            and (allowed := _with_edits(case, fact, node))
            and said.parameter_digest not in allowed | _by_others(case, fact, node)
            and comparable(node, approval)
        ]
        if differ:
            yield f"approval {fact.oversight_id} is bound to other parameters", [approval, *differ]


def agent_approved(case: Case) -> Found:
    """Whoever approved is a workload, or is registered as an agent under the name that is given for the approver."""
    for approval, fact in case.oversights:
        who = party(case.names, fact.by)
        if fact.action in APPROVES and who is not None and case.is_no_person(who):
            relying = _relying(case, approval, fact) or case.accounts
            yield (
                f"approval {fact.oversight_id} was given by {who.label}, which is no person",
                [approval, *case.registrations(who)[:1], *(node for node, _ in relying)],
            )


def _with_edits(case: Case, fact: Oversight, account: Node) -> set[bytes]:
    """The parameters that an approval allows, and those to which a person then changed them before it was over."""
    allowed = {digest for digest in (fact.edited_digest or fact.bound_digest,) if digest is not None}
    for node, other in sorted(case.oversights, key=lambda each: each[0].at):
        edits = other.edited_digest if other.bound_digest in allowed and other.action in APPROVES else None
        if edits is not None and case.was_before(node, account):
            allowed.add(edits)
    return allowed


def _by_others(case: Case, fact: Oversight, account: Node) -> set[bytes]:
    """The parameters that other statements of the same approval allow, but for those from which an edit then led away."""
    alike = [
        other for _, other in case.oversights if other.oversight_id == fact.oversight_id and other.binding == "digest"
    ]
    allowed = [_with_edits(case, other, account) for other in alike if other.action in APPROVES]
    edited = {other.bound_digest for other in alike if other.action in APPROVES and other.edited_digest is not None}
    return set[bytes]().union(*allowed) - edited


def _relying(case: Case, approval: Node, fact: Oversight) -> list[tuple[Node, ApiAction]]:
    """The accounts that rely on an approval: they name it or cite it, or another statement of it."""
    return [
        (node, said)
        for node, said in case.accounts
        if fact.oversight_id in said.oversight_ids
        or any(
            edge.target.ref == approval.ref and (edge.join is None or edge.join in BY_ID)
            for edge in case.links.out.get(node.ref, ())
        )
    ]


def _times(uses: int) -> str:
    return "one use" if uses == 1 else f"{uses} uses"
