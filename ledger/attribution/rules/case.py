"""What the rules look at: the accounts of one action, what began it, and what authorized it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.attribution.answer import Grade, Party, Trigger
from ledger.attribution.authority import party
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.links import Links
from ledger.attribution.naming import agents_named
from ledger.attribution.once import once
from ledger.attribution.rules.marks import marks_of
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.uses import CALLED
from ledger.format.event import AUTHORIZED_BY, RETRIES, TO_TRIGGERS
from ledger.format.kinds import ApiAction, Oversight, PolicyDecision, TokenIssuance

SKEW: Final = 60 * 1_000_000
"""µs by which clocks of two services may differ before a rule about time speaks."""

Found = Iterator[tuple[str, Sequence[Node]]]
"""A detail and its evidence."""

APPROVES: Final = frozenset({"approve", "edit", "override"})
"""What a person says who lets it happen."""

OVERRIDES: Final = frozenset({"override"})
"""What a person says who sets a policy's denial aside."""

BY_ID: Final = frozenset({"decision", "oversight"})
"""Joins on the id of what an account names, or cites another statement of."""
_AUTHORIZED: Final = frozenset({AUTHORIZED_BY})


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one answer gives to its rules, each part of it read once: so it has no slots.

    ``triggers`` are the events that began it, ``way`` all between them and the action, ``began`` what was read in them;
    ``rights`` all that authorized it, with grade and candidates; ``house`` what an organisation asks beyond what events state."""

    links: Links
    group: Sequence[Node]
    triggers: Sequence[Node]
    rights: Sequence[tuple[Node, Grade, int]]
    way: Sequence[Node] = ()
    began: Sequence[Trigger] = ()
    house: HouseRules = NO_RULES

    _presented: dict[Ref, list[tuple[Node, TokenIssuance]]] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> Index:
        return self.links.index

    @property
    def complete(self) -> bool:
        """Whether nothing that was looked for was left out by a limit: only then does absence say something."""
        return not self.names.graph.cut

    @once
    def marks(self) -> int:
        """The marks that any event fetched bears: they tell which rules may find something."""
        borne, known = 0, self.names.marks
        for node in self.names.graph.nodes:
            marks = known.get(node.ref)
            if marks is None:
                marks = known[node.ref] = marks_of(node)
            borne |= marks
        return borne

    @once
    def accounts(self) -> list[tuple[Node, ApiAction]]:
        return [(node, node.fact) for node in self.group if isinstance(node.fact, ApiAction)]

    @once
    def told(self) -> list[Node]:
        """The accounts, and all on the way to what began it, each once."""
        return list({node.ref: node for node in (*self.group, *self.way, *self.triggers)}.values())

    @once
    def actions(self) -> set[str]:
        """Every id of the action, of those on the way to it, and of the tries before it."""
        tried, ahead = {node.ref: node for node in self.told}, list(self.group)
        while ahead:
            edges = [edge for node in ahead for edge in self.links.out.get(node.ref, ()) if edge.relation == RETRIES]
            ahead = [edge.target for edge in edges if edge.target.ref not in tried]
            tried.update((node.ref, node) for node in ahead)
        return {node.fact.action_id for node in tried.values() if isinstance(node.fact, ApiAction)}

    @once
    def took_effect(self) -> list[Node]:
        """The accounts that say that the action was carried out, wholly or in part."""
        return [node for node, fact in self.accounts if fact.outcome == "success" or fact.effect in ("partial", "full")]

    @once
    def tokens(self) -> list[tuple[Node, TokenIssuance]]:
        """The issuances of the tokens presented, not of those that they were exchanged from."""
        found = {node.ref: (node, fact) for each, _ in self.accounts for node, fact in self.presented(each)}
        return list(found.values())

    def presented(self, account: Node) -> list[tuple[Node, TokenIssuance]]:
        """The issuances of the token that one account says was presented, by whoever states one; of many the nearest. One that
        names none presented what it cites."""
        if account.ref not in self._presented:
            named = account.payload["token"] if account.payload is not None else None
            self._presented[account.ref] = [
                (node, node.fact)
                for name in token_names(named) or self._cited_tokens(account)
                for node in self.names.near(name, account, "token_issuance")
                if isinstance(node.fact, TokenIssuance)
            ]
        return self._presented[account.ref]

    def _cited_tokens(self, account: Node) -> list[str]:
        """The names of the tokens that an account cites as what authorized it, without those that another was made from."""
        edges = self.links.of(account, _AUTHORIZED)
        cited = [edge.target.payload for edge in edges if edge.join is None and edge.target.kind == "token_issuance"]
        issued = [payload for payload in cited if payload is not None]
        sources = {name for each in issued for name in token_names(each["subject_token"])}
        names = {name: None for each in issued for name in token_names(each["token"])}
        return [name for name in names if name not in sources]

    @once
    def decisions(self) -> list[tuple[Node, PolicyDecision]]:
        """The decisions that the accounts cite."""
        return [(node, node.fact) for node in self.cited() if isinstance(node.fact, PolicyDecision)]

    @once
    def oversights(self) -> list[tuple[Node, Oversight]]:
        """What people said that the accounts cite."""
        return [(node, node.fact) for node in self.cited() if isinstance(node.fact, Oversight)]

    def cited(self, *accounts: Node) -> list[Node]:
        """What the accounts (or those given) cite as authority, by cause or by its id; nothing that circumstance alone joins."""
        named = {
            edge.target.ref: edge.target
            for node in accounts or self.group
            for edge in self.links.out.get(node.ref, ())
            if edge.relation not in TO_TRIGGERS and (edge.join is None or edge.join in BY_ID or edge.join == "action")
        }
        return list(named.values())

    def by_cause(self, account: Node, cited: Node) -> bool:
        """Whether an account states ``cited`` as a cause, so that it was there before."""
        return any(edge.target.ref == cited.ref and edge.join is None for edge in self.links.out.get(account.ref, ()))

    def was_before(self, said: Node, account: Node) -> bool:
        """Whether something was said before what an account tells of was over. It was, by whatever clock, where the account cites
        it by its digest, or the attempt does."""
        citing = [account, *(node for node, fact in self.accounts if fact.phase == "intended")]
        return all(said.at <= over + SKEW for over in self._over(account)) or any(
            cause.event_id == said.event_id and cause.digest == said.digest
            for node in citing
            for cause in node.header.causes
        )

    def _over(self, account: Node) -> list[int]:
        """When what an account tells of was over; an attempt that does not say is over with its effect."""
        fact = account.fact
        begun = isinstance(fact, ApiAction) and fact.phase == "intended" and fact.ended_at is None
        if not begun or account in self.took_effect:
            return [ended(account)]
        return [ended(node) for node in self.took_effect if _attempt(node) in (None, _attempt(account))]

    def was_in_time(self, said: Node) -> bool:
        """Whether something was said before any account of the effect was over: only then it allowed all of it."""
        return all(self.was_before(said, account) for account in self.took_effect)

    def registrations(self, who: Party | None) -> list[Node]:
        """What registers somebody as an agent, under the name by which they are known."""
        if who is None or who.state != "named":
            return []
        names = agents_named(who.issuer or "", who.subject or "")
        found = {
            node.ref: node for name in names for node in self.names.answer_to(f"agent:{name}", "agent_registration")
        }
        return list(found.values())

    def is_no_person(self, who: Party | None) -> bool:
        """Whether somebody is known to be a workload, or is registered as an agent."""
        return who is not None and who.state == "named" and (who.kind == "workload" or bool(self.registrations(who)))

    def are_two(self, one: Party, other: Party) -> bool:
        """Whether two people are shown to be meant: both human, under two subjects of one issuer, and not of one name.

        An issuer may call a person otherwise at each client (pairwise subjects, OpenID Connect Core §8.1; RFC 9068 §6), and no
        token says whether it does. So two subjects are two people where both have a name, where both stand in tokens for one
        client, or where the house rules say that this issuer calls a person the same everywhere.
        """
        if not may_be_two(one, other):
            return False
        named = one.name is not None and other.name is not None
        return named or one.issuer in self.house.public_subjects or not self._got(one).isdisjoint(self._got(other))

    def _got(self, who: Party) -> frozenset[str]:
        return self._clients.get(who.identity, frozenset())

    @once
    def _clients(self) -> Mapping[tuple[str, ...], frozenset[str]]:
        """The clients that got tokens in which somebody is called so, by whom they are called."""
        found: dict[tuple[str, ...], frozenset[str]] = {}
        for node in self.names.graph.nodes:
            fact = node.fact if node.effective and node.kind == "token_issuance" else None
            if isinstance(fact, TokenIssuance) and fact.client_id and (who := party(self.names, fact.subject)):
                found[who.identity] = found.get(who.identity, frozenset()) | {fact.client_id}
        return found

    def was_refused(self, account: Node) -> bool:
        """Whether the call that an account tells of was refused, with the token that it presented: by the word of whoever was
        called, where they tell how it ended. Another try, or the same with another token, is another call."""
        mine = _attempt(account), _token_of(account)
        call = [(node, fact) for node, fact in self.accounts if _one_call(mine, (fact.attempt, _token_of(node)))]
        told = [fact for _, fact in call if fact.outcome is not None]
        said = [fact for fact in told if fact.observer in CALLED] or told
        return bool(said) and all(fact.outcome == "denied" and fact.effect in (None, "none") for fact in said)

    @once
    def not_refused(self) -> list[Node]:
        """The accounts of calls that were not refused: an agent may well find out by trying that its token, its approval or what
        was decided is over, and get another."""
        return [account for account, _ in self.accounts if not self.was_refused(account)]

    def tells_the_start(self, account: Node) -> bool:
        """Whether an account says when its action began: where an attempt is recorded, its outcome comes whenever it comes."""
        if _is_of_the_attempt(account):
            return True
        return self.complete and not any(map(_is_of_the_attempt, self.links.group(account)))


def ended(account: Node) -> int:
    """When an action was over, as far as its account tells."""
    fact = account.fact
    return fact.ended_at if isinstance(fact, ApiAction) and fact.ended_at is not None else account.at


def _attempt(account: Node) -> int | None:
    return account.fact.attempt if isinstance(account.fact, ApiAction) else None


def may_be_two(one: Party, other: Party) -> bool:
    """Whether two people may be meant: both human, under two subjects of one issuer, and not of one name."""
    human = one.kind == other.kind == "human"
    two = human and one.issuer is not None and one.issuer == other.issuer and one.subject != other.subject
    return two and one.label != other.label


def _token_of(account: Node) -> tuple[str, ...] | None:
    """The names of the token that an account says was presented; None where it names none."""
    named = account.payload["token"] if account.payload is not None else None
    return tuple(token_names(named)) or None


def _one_call(*calls: tuple[int | None, tuple[str, ...] | None]) -> bool:
    """Whether two accounts may be of one call: nothing that both state of try and token differs."""
    (attempt, token), (other, presented) = calls
    same_token = token is None or presented is None or not set(token).isdisjoint(presented)
    return same_token and (None in (attempt, other) or attempt == other)


def _is_of_the_attempt(node: Node) -> bool:
    """Whether an event is an account of an action that was written when the call was made."""
    return isinstance(node.fact, ApiAction) and node.fact.phase != "completed"
