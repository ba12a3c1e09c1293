"""The tokens that a run holds: those it presented, those it was given, and those that these were exchanged from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ledger.attribution.authority import token_text
from ledger.attribution.index import Index
from ledger.attribution.joins import token_names
from ledger.attribution.json_form import rfc3339
from ledger.attribution.links import Links
from ledger.attribution.replay.values import Change, Place, TokenState, place_of
from ledger.attribution.subgraph import Node, Ref
from ledger.attribution.withdrawal import EXCHANGES, Over, token_revoked
from ledger.format.kinds import ApiAction, TokenIssuance, TokenReference


@dataclass
class HeldToken:
    """A token under all its names. ``enters`` is when the run got it, by what is known; ``uses`` are in order,
    each where it is known."""

    name: str
    issued: list[Node] = field(default_factory=list)
    uses: list[tuple[Place, Node]] = field(default_factory=list)
    enters: Place | None = None
    over: Over | None = None
    expires: int | None = None
    places: list[Place] = field(default_factory=list)

    def state(self, place: Place) -> TokenState:
        """As of a place in the run."""
        fact = _fact(self.issued)
        used = bisect_right(self.places, place)
        last = self.uses[used - 1][1] if used else None
        state, ended_at, ended_by = self._end(fact, place)
        return TokenState(
            token=self.name,
            event_id=self.issued[0].event_id if self.issued else None,
            exchanged_from=token_text(fact.subject_token) if fact is not None else None,
            issued_at=_issued_at(self.issued[0]) if self.issued else None,
            expires_at=self.expires,
            state=state,
            ended_at=ended_at,
            ended_by=ended_by,
            uses=used,
            last_use=last.at if last is not None else None,
            last_used_by=last.event_id if last is not None else None,
        )

    def _end(
        self, fact: TokenIssuance | None, place: Place
    ) -> tuple[Literal["alive", "not_yet_valid", "expired", "revoked", "unknown"], int | None, bytes | None]:
        if self.over is not None and self.over.since <= place.at:
            return "revoked", self.over.since, self.over.node.event_id
        if self.expires is not None and self.expires <= place.at:
            return "expired", self.expires, None
        if fact is None:
            return "unknown", None, None
        early = fact.not_before is not None and fact.not_before > place.at
        return ("not_yet_valid" if early else "alive"), None, None

    def happenings(self) -> Iterator[tuple[Place, Change]]:
        """Everything that became of it since the run has it."""
        enters = self.enters or Place(0)
        fact = _fact(self.issued)
        if fact is not None and self.issued:
            how = "exchanged" if fact.subject_token is not None else "issued"
            source = f"from {token_text(fact.subject_token)}" if fact.subject_token is not None else ""
            scopes = " ".join(fact.scopes)
            until = f"until {rfc3339(self.expires)}" if self.expires is not None else ""
            yield enters, self._change(how, self.issued[0], " ".join(each for each in (source, scopes, until) if each))
        for number, (place, node) in enumerate(self.uses, 1):
            state, ended_at, _ = self._end(fact, place_of(node))
            late = f", {state} since {rfc3339(ended_at)}" if ended_at is not None else ""
            early = ", not valid yet" if state == "not_yet_valid" else ""
            yield place, self._change("used", node, f"use {number} in this run{late}{early}")
        if self.expires is not None and Place(self.expires) >= enters:
            change = Change(what="token", how="expired", name=self.name, at=self.expires, event_id=None)
            yield Place(self.expires), change
        if self.over is not None:
            revoked = self._change("revoked", self.over.node, "")
            yield max(Place(self.over.since), enters), revoked

    def _change(self, how: str, node: Node, detail: str) -> Change:
        at = self.over.since if how == "revoked" and self.over is not None else node.at
        return Change(what="token", how=how, name=self.name, at=at, event_id=node.event_id, detail=detail)


def held_tokens(links: Links, run: Sequence[Node]) -> list[HeldToken]:
    """The tokens of a run, in the order in which it got them. ``run`` are its events known so far, in order."""
    index = links.index
    own = {node.ref for node in run}
    found: dict[str, HeldToken] = {}
    for node in run:
        for reference in _presented(node):
            token = _token(index, found, reference)
            if token is not None and not any(_one_call(node, use) for _, use in token.uses):
                token.uses.append((place_of(node), node))
                token.enters = min(token.enters or place_of(node), place_of(node))
    for node in (each for nodes in index.by_id.values() for each in nodes):
        if node.kind == "token_issuance" and (node.ref in own or _given_to(links, node, own)):
            _given(index, found, node, place_of(node))
    _given_by_exchange(index, found)
    tokens = list({id(each): each for each in found.values()}.values())
    for token in tokens:
        token.uses.sort(key=lambda each: each[0])
        token.places = [place for place, _ in token.uses]
        _judge(index, token)
    return sorted(tokens, key=lambda each: (each.enters or Place(0), each.name))


def _one_call(one: Node, other: Node) -> bool:
    """Whether two events tell of one presentation of a token: the attempt, and its outcome."""
    a, b = one.fact, other.fact
    return (
        isinstance(a, ApiAction) and isinstance(b, ApiAction) and (a.action_id, a.attempt) == (b.action_id, b.attempt)
    )


def _given_by_exchange(index: Index, found: dict[str, HeldToken]) -> None:
    """A token that the run presented, and that was exchanged from one that it held, was got by that exchange: known when it is
    presented, so that what is told of a step follows from nothing later."""
    given: set[Ref] = set()
    for _ in range(EXCHANGES):
        held = {id(each): each for each in found.values()}.values()
        new = [
            (node, token.enters or place_of(node))
            for token in held
            for node in token.issued
            if node.ref not in given and any(name in found for name in _sources(node))
        ]
        if not new:
            return
        for node, place in new:
            given.add(node.ref)
            _given(index, found, node, place)


def _sources(issued: Node) -> list[str]:
    payload = issued.payload or {}
    return [*token_names(payload.get("subject_token")), *token_names(payload.get("actor_token"))]


def _given_to(links: Links, issued: Node, own: set[Ref]) -> bool:
    """Whether an event of the run led to an issuance, by a link that the issuance states."""
    return issued.effective and any(
        edge.target.ref in own and edge.join is None for edge in links.out.get(issued.ref, ())
    )


def _given(index: Index, found: dict[str, HeldToken], node: Node, place: Place) -> None:
    """The run got the token of an issuance, for those that it was made of."""
    fact = node.fact
    if not isinstance(fact, TokenIssuance) or fact.status == "refused" or not node.effective:
        return
    payload = node.payload or {}
    token = _token(index, found, payload.get("token"))
    if token is None:
        return
    token.enters = min(token.enters or place, place)
    for source in (payload.get("subject_token"), payload.get("actor_token")):
        parent = _token(index, found, source)
        if parent is not None and parent is not token:
            if all(each.ref != node.ref for _, each in parent.uses):
                parent.uses.append((place, node))
            parent.enters = min(parent.enters or place, place)


def _presented(node: Node) -> list[object]:
    if node.payload is None or not node.effective or node.kind in ("token_issuance", "token_revocation"):
        return []
    reference = node.payload.get("token")
    return [reference] if reference is not None else []


def _token(index: Index, found: dict[str, HeldToken], reference: object) -> HeldToken | None:
    """The token that a reference means, joined with whatever is stated to have two of its names."""
    if not isinstance(reference, Mapping):
        return None
    names = dict.fromkeys(token_names(reference))
    issued: dict[object, Node] = {}
    for _ in range(2):  # an issuance may state a further name of it
        for name in list(names):
            for node in index.answer_to(name, "token_issuance"):
                issued[node.ref] = node
                names.update(dict.fromkeys(token_names((node.payload or {}).get("token"))))
    known = next((found[name] for name in names if name in found), None)
    token = known or HeldToken(_text(reference))
    token.issued = sorted({each.ref: each for each in (*token.issued, *issued.values())}.values(), key=_issued_first)
    found.update(dict.fromkeys(names, token))
    return token if names else None


def _issued_first(node: Node) -> tuple[bool, Place]:
    fact = node.fact
    return not (isinstance(fact, TokenIssuance) and fact.verification == "issuer"), place_of(node)


def _text(reference: Mapping[str, object]) -> str:
    issuer, jti, digest = reference.get("issuer"), reference.get("jti"), reference.get("digest")
    made = TokenReference(
        issuer=issuer if isinstance(issuer, str) else None,
        jti=jti if isinstance(jti, str) else None,
        digest=digest if isinstance(digest, bytes) else None,
    )
    return token_text(made) or "a token without a name"


def _fact(issued: Sequence[Node]) -> TokenIssuance | None:
    """What the surest of the statements says."""
    return next((node.fact for node in issued if isinstance(node.fact, TokenIssuance)), None)


def _issued_at(node: Node) -> int:
    fact = node.fact
    return fact.issued_at if isinstance(fact, TokenIssuance) and fact.issued_at is not None else node.at


def _judge(index: Index, token: HeldToken) -> None:
    facts = [(node, node.fact) for node in token.issued if isinstance(node.fact, TokenIssuance)]
    overs = [over for node, fact in facts if (over := token_revoked(index, node, fact)) is not None]
    token.over = min(overs, key=lambda each: (each.since, each.node.ref), default=None)
    token.expires = min((fact.expires_at for _, fact in facts if fact.expires_at is not None), default=None)
