"""Statements that cannot both be in order. Each rule is a row of data and a pure function that returns what it found.

A rule accuses only where the events themselves state both sides: what is not known is no contradiction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ledger.attribution.answer import Contradiction, Grade, rfc3339
from ledger.attribution.authority import uses_of
from ledger.attribution.joins import token_names
from ledger.attribution.links import Links
from ledger.attribution.subgraph import Index, Node
from ledger.format.event import TO_TRIGGERS
from ledger.format.kinds import (
    AgentRegistration,
    ApiAction,
    Oversight,
    PolicyDecision,
    TokenIssuance,
    TokenRevocation,
)

SKEW: Final = 60 * 1_000_000
"""µs by which clocks of two services may differ before a rule about time speaks."""

Found = Iterator[tuple[str, Sequence[Node]]]
"""A detail and its evidence."""


class Case(NamedTuple):
    """What the rules look at: the accounts of one action, and what authorized it."""

    links: Links
    group: Sequence[Node]
    rights: Sequence[tuple[Node, Grade, int]]

    @property
    def names(self) -> Index:
        return self.links.index

    @property
    def accounts(self) -> list[tuple[Node, ApiAction]]:
        return [(node, node.fact) for node in self.group if isinstance(node.fact, ApiAction)]

    @property
    def took_effect(self) -> list[Node]:
        """The accounts that say that the action was carried out, wholly or in part."""
        return [node for node, fact in self.accounts if fact.outcome == "success" or fact.effect in ("partial", "full")]

    @property
    def tokens(self) -> list[tuple[Node, TokenIssuance]]:
        """The tokens presented, not those that they were exchanged from."""
        presented = {
            name
            for node in self.group
            if node.kind == "api_action" and node.payload is not None
            for name in token_names(node.payload["token"])
        }
        return [
            (node, node.fact)
            for name in sorted(presented)
            for node in self.names.answer_to(name, "token_issuance")
            if isinstance(node.fact, TokenIssuance)
        ]

    def cited(self, kind: str) -> list[Node]:
        """What of ``kind`` the accounts themselves cite, by cause or by its id; nothing that circumstance alone joins."""
        named = {
            edge.target.ref: edge.target
            for node in self.group
            for edge in self.links.out.get(node.ref, ())
            if edge.target.kind == kind
            and edge.relation not in TO_TRIGGERS
            and (edge.join in ("decision", "oversight", "action") or edge.join is None)
        }
        return list(named.values())


def _approval_reused(case: Case) -> Found:
    action = next((fact.action_id for _, fact in case.accounts), None)
    for approval in case.cited("oversight"):
        fact = approval.fact
        if not isinstance(fact, Oversight) or fact.uses_allowed is None or action is None:
            continue
        uses = uses_of(case.names, fact.oversight_id)
        number = list(uses).index(action) + 1 if action in uses else 0
        if number > fact.uses_allowed:
            detail = f"approval {fact.oversight_id} allows {_times(fact.uses_allowed)}, and this is use {number}"
            yield detail, [approval, *(nodes[0] for nodes in uses.values())]


def _after_deny(case: Case) -> Found:
    for node in case.cited("policy_decision"):
        fact = node.fact
        if isinstance(fact, PolicyDecision) and fact.decision == "deny" and case.took_effect:
            version = f" version {fact.policy_version}" if fact.policy_version else ""
            yield f"policy {fact.policy_id or fact.engine or ''}{version} denied it", [node, *case.took_effect]
    for node in case.cited("oversight"):
        oversight = node.fact
        if isinstance(oversight, Oversight) and oversight.action in ("deny", "stop") and case.took_effect:
            yield f"a person said {oversight.action} ({oversight.oversight_id})", [node, *case.took_effect]


def _other_than_approved(case: Case) -> Found:
    for node in case.cited("oversight"):
        fact = node.fact
        if (
            not isinstance(fact, Oversight)
            or fact.binding != "digest"
            or fact.action not in ("approve", "edit", "override")
        ):
            continue
        allowed = fact.edited_digest or fact.bound_digest
        cites = [(each, said) for each, said in case.accounts if fact.oversight_id in said.oversight_ids]
        differ = [
            each for each, said in cites if said.parameter_digest is not None and said.parameter_digest != allowed
        ]
        if allowed is not None and differ:
            yield f"approval {fact.oversight_id} is bound to other parameters", [node, *differ]


def _other_than_decided(case: Case) -> Found:
    for node in case.cited("policy_decision"):
        fact = node.fact
        if not isinstance(fact, PolicyDecision) or fact.decision == "deny":
            continue
        decided = fact.modified_parameter_digest if fact.decision == "modify" else fact.parameter_digest
        named = [
            (each, said)
            for each, said in case.accounts
            if fact.action_id == said.action_id
            or (fact.decision_id is not None and fact.decision_id == said.decision_id)
        ]
        differ = [
            each for each, said in named if said.parameter_digest is not None and said.parameter_digest != decided
        ]
        if decided is not None and differ:
            yield f"decision {fact.decision_id or ''} was about other parameters".replace("  ", " "), [node, *differ]


_SCOPE: Final = frozenset({"insufficient_scope", "invalid_scope", "wrong_scope", "missing_scope"})
_AUDIENCE: Final = frozenset({"invalid_audience", "wrong_audience", "invalid_target"})


def _refused_for(case: Case, errors: frozenset[str]) -> list[Node]:
    """Accounts of whoever received the call that say that it was refused for one of ``errors``."""
    return [
        node
        for node, fact in case.accounts
        if fact.observer in ("resource", "intermediary")
        and fact.outcome == "denied"
        and errors & {fact.error_type, fact.status}
    ]


def _scope_missing(case: Case) -> Found:
    if refused := _refused_for(case, _SCOPE):
        tokens = case.tokens
        scopes = " ".join(dict.fromkeys(scope for _, fact in tokens for scope in fact.scopes))
        yield (
            f"the token's scope ({scopes or 'none known'}) does not allow it",
            [*refused, *(node for node, _ in tokens)],
        )


def _other_audience(case: Case) -> Found:
    tokens = case.tokens
    audiences = ", ".join(dict.fromkeys(each for _, fact in tokens for each in fact.audiences))
    if refused := _refused_for(case, _AUDIENCE):
        yield f"the token is for {audiences or 'another audience'}", [*refused, *(node for node, _ in tokens)]
    known = {each for nodes in case.names.by_id.values() for node in nodes for each in _audiences(node)}
    for node, fact in tokens:
        wrong = [
            each
            for each, said in case.accounts
            if said.target_system in known and fact.audiences and said.target_system not in fact.audiences
        ]
        if wrong and case.took_effect:
            yield f"the token is for {audiences}, and was used elsewhere", [node, *wrong]


def _audiences(node: Node) -> tuple[str, ...]:
    return node.fact.audiences if isinstance(node.fact, TokenIssuance) else ()


def _expired_token(case: Case) -> Found:
    for node, fact in case.tokens:
        ends = fact.expires_at
        late = [
            each for each, said in case.accounts if ends is not None and each.at > ends + SKEW and _presents(said, fact)
        ]
        if ends is not None and late:
            yield f"the token had expired at {rfc3339(ends)}", [node, *late]


def _presents(said: ApiAction, fact: TokenIssuance) -> bool:
    """A later account may be of the outcome alone: only one that names the token says that it was presented then."""
    return said.token is not None and fact.token is not None and said.phase != "completed"


def _revoked_token(case: Case) -> Found:
    for name in {name for node, _ in case.tokens if node.payload for name in token_names(node.payload["token"])}:
        for node in case.names.answer_to(name, "token_revocation"):
            fact = node.fact
            if not isinstance(fact, TokenRevocation) or fact.extent != "token":
                continue
            since = node.at if fact.effective_at is None else fact.effective_at
            late = [each for each, said in case.accounts if said.phase != "completed" and each.at > since + SKEW]
            if late:
                yield f"the token was revoked at {rfc3339(since)}", [node, *late]


def _decision_missing(case: Case) -> Found:
    graph = case.names.graph
    for node, fact in case.accounts:
        if fact.decision_id is None or graph.cut:
            continue
        answered = case.names.answer_to(f"decision:{fact.decision_id}", "policy_decision")
        if not answered and node in case.took_effect:
            yield f"it relies on decision {fact.decision_id}, which nobody recorded", [node]


_APPROVAL: Final = frozenset({"approval", "human_approval", "require_approval", "approve"})


def _obligation_unmet(case: Case) -> Found:
    for node in case.cited("policy_decision"):
        fact = node.fact
        if isinstance(fact, PolicyDecision) and fact.decision != "deny" and _APPROVAL & set(fact.obligations):
            approved = [each for each in case.cited("oversight") if isinstance(each.fact, Oversight)]
            if not approved and case.took_effect and not case.names.graph.cut:
                yield "the decision holds only with an approval, and none is cited", [node, *case.took_effect]


def _actor_mismatch(case: Case) -> Found:
    """The agent that signed is registered under other clients than the token's current actor."""
    for node, said in case.accounts:
        agent = node.header.agent_id
        if agent is None or said.observer != "agent" or said.token is None:
            continue
        registered = [
            (each, each.fact)
            for each in case.names.answer_to(f"agent:{agent}", "agent_registration")
            if isinstance(each.fact, AgentRegistration) and each.at <= node.at + SKEW
        ]
        names = {agent, agent.rpartition("#")[2]}
        names |= {
            name for _, fact in registered for client in fact.client_ids for name in (client, client.rpartition("#")[2])
        }
        for issued, token in case.tokens:
            if token.act is None or token.act.malformed or not token.act.chain or not registered:
                continue
            actor = token.act.chain[0]
            if actor.sub is not None and not {actor.sub, f"{actor.iss}#{actor.sub}"} & names:
                yield (
                    f"the token's actor is {actor.sub}, the agent is {agent}",
                    [issued, node, *(each for each, _ in registered)],
                )


def _accounts_disagree(case: Case) -> Found:
    said = [(node, fact) for node, fact in case.accounts if fact.outcome in ("success", "denied", "failure")]
    denied = [node for node, fact in said if fact.observer == "resource" and fact.outcome != "success"]
    claimed = [node for node, fact in said if fact.observer != "resource" and fact.outcome == "success"]
    if denied and claimed and not any(fact.observer == "resource" and fact.outcome == "success" for _, fact in said):
        yield "one account says that it succeeded, the other that it did not", [*claimed, *denied]
    digests: dict[bytes, Node] = {}
    for node, fact in case.accounts:
        if fact.parameter_digest is not None:
            digests.setdefault(fact.parameter_digest, node)
    if len(digests) > 1:
        yield "the accounts state different parameters", list(digests.values())


def _times(uses: int) -> str:
    return "one use" if uses == 1 else f"{uses} uses"


class Rule(NamedTuple):
    name: str
    meaning: str
    find: Callable[[Case], Found]


RULES: Final = (
    Rule("approval_reused", "an approval was used more often than it allows", _approval_reused),
    Rule("acted_after_deny", "it took effect although a policy or a person said no", _after_deny),
    Rule("other_than_approved", "its parameters are not those that were approved", _other_than_approved),
    Rule("other_than_decided", "its parameters are not those that the policy decided about", _other_than_decided),
    Rule("scope_missing", "the token presented lacks the scope", _scope_missing),
    Rule("other_audience", "the token presented is for somebody else", _other_audience),
    Rule("expired_token", "the token presented had expired", _expired_token),
    Rule("revoked_token", "the token presented had been revoked", _revoked_token),
    Rule("decision_missing", "it took effect on a decision that nobody recorded", _decision_missing),
    Rule("obligation_unmet", "it took effect without the approval that the decision demands", _obligation_unmet),
    Rule("actor_mismatch", "the token's current actor is not the agent that used it", _actor_mismatch),
    Rule("accounts_disagree", "two accounts of one action do not agree", _accounts_disagree),
)
"""Every rule: its name, what it means, and how it is found."""


def contradictions(case: Case) -> tuple[Contradiction, ...]:
    """What the rules find, in their order."""
    return tuple(
        Contradiction(rule=rule.name, detail=detail, evidence=tuple(dict.fromkeys(node.event_id for node in evidence)))
        for rule in RULES
        for detail, evidence in rule.find(case)
    )
