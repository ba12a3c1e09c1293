"""How tokens lived against what they were for: lifetime, first and last use, how long they outlived their task; scopes granted
against scopes used. Per agent, client or grant, over the tokens issued in a window.

An action states no scope. A scope counts as used only where it is literally the operation of a use, or the action that an
allowing decision named by a use was asked about; uses that tell no scope so are counted as not stating one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, NamedTuple, TypeVar

from ledger.attribution.answer import Grade
from ledger.attribution.authority import knows
from ledger.attribution.grades import grade_of_claim
from ledger.attribution.index import Index
from ledger.attribution.subgraph import Node
from ledger.attribution.tokens.above import names_of_token, right_of
from ledger.attribution.tokens.values import Right
from ledger.attribution.withdrawal import EXCHANGES, grants_of, token_revoked
from ledger.format.kinds import ApiAction, ExecutionControl, Grant, PolicyDecision, TokenIssuance, TokenReference

V = TypeVar("V")
_Issued = tuple[Node, TokenIssuance]
By = Literal["agent", "client", "grant"]
SECOND: Final = 1_000_000
WORST: Final = 20
"""Tokens that are named one by one: those that outlived their task the longest."""


class UsesOf(NamedTuple):
    """Uses of one token: how many by ids, and those of them that were fetched and verified, the first and the last among them."""

    many: int
    seen: Sequence[Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLife:
    """One token. ``task_ended`` is when the run that it was issued in ended, or where nobody says in which, the runs that it was
    used in; ``outlived_seconds`` how long it was good after that, until it expired or was revoked, None where either is not
    known. ``uses_after_task`` counts among the uses looked at. ``scopes`` are its own, or those of its grant where it states
    none."""

    event_id: bytes
    right: Right
    agent_id: str | None
    client_id: str | None
    grant_id: str | None
    issued_at: int
    first_use: int | None
    last_use: int | None
    expires_at: int | None
    revoked_at: int | None
    uses: int
    task_ended: int | None
    outlived_seconds: int | None
    uses_after_task: int
    scopes: tuple[str, ...]
    scopes_used: tuple[str, ...]
    not_stated: int
    looked_at: int
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds over the tokens of which they are known, ``of`` so many."""

    of: int
    median: int | None
    most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGroup:
    """The tokens of one agent, client or grant; ``name`` None: not stated.

    ``scopes_unused`` are those of ``scopes_granted`` that no use looked at states. While ``not_stated`` uses state no scope at
    all, an unused scope may have been used by one of them.
    """

    name: str | None
    tokens: int
    never_used: int
    uses: int
    lifetime: Figures
    to_first_use: Figures
    last_use_to_expiry: Figures
    outlived: Figures
    uses_after_task: int
    scopes_granted: tuple[str, ...]
    scopes_used: tuple[str, ...]
    scopes_unused: tuple[str, ...]
    operations: tuple[str, ...]
    looked_at: int
    not_stated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens issued in a window, looked at up to ``looked_until``: see ``truncated``. Uses are counted whenever they were."""

    by: str
    since: int
    looked_until: int
    tokens: int
    groups: tuple[UsageGroup, ...]
    outlived_longest: tuple[TokenLife, ...]
    truncated: tuple[str, ...]
    as_of: int


OPERATIONS: Final = 50
"""Operations of a group that are named."""


def judge_usage(
    index: Index,
    issued: Sequence[Node],
    uses: Mapping[str, UsesOf],
    *,
    by: By,
    since: int,
    until: int,
    truncated: Iterable[str],
    now: int,
) -> TokenUsage:
    """The usage of the tokens whose issuances are ``issued``; ``uses`` are by the names of tokens. Several statements of one
    token are one token, of which each may know what others do not; whoever knows it best comes first."""
    known = list(_lives(index, issued, uses))
    lives = [life for life, _ in known]
    groups: dict[str | None, list[_Lived]] = {}
    for each in known:
        groups.setdefault(_name(each[0], by), []).append(each)
    outlived = sorted(
        (life for life in lives if life.outlived_seconds is not None and life.outlived_seconds > 0),
        key=lambda life: (-(life.outlived_seconds or 0), life.event_id),
    )
    return TokenUsage(
        by=by,
        since=since,
        looked_until=until,
        tokens=len(lives),
        groups=tuple(
            _group(index, name, groups[name], by)
            for name in sorted(groups, key=lambda name: (name is None, name or ""))
        ),
        outlived_longest=tuple(outlived[:WORST]),
        truncated=tuple(sorted(set(truncated))),
        as_of=now,
    )


_Lived = tuple[TokenLife, UsesOf]


def _lives(index: Index, issued: Sequence[Node], uses: Mapping[str, UsesOf]) -> Iterator[_Lived]:
    known: set[str] = set()
    for node in sorted(issued, key=lambda each: (each.at, each.event_id, each.digest)):
        fact = node.fact
        if not isinstance(fact, TokenIssuance) or fact.token is None or not node.effective or fact.status == "refused":
            continue
        stated = _stated(index, node, fact.token)
        names = dict.fromkeys(name for _, each in stated for name in names_of_token(each.token))
        if known.isdisjoint(names):
            used = _uses_of(names, uses)
            yield _life(index, stated, used), used
        known.update(names)


def _stated(index: Index, node: Node, token: TokenReference) -> list[_Issued]:
    """What is stated of a token that was issued, by whoever knows it best first. One statement may know what another does not:
    its issuer how long it is good, whoever asked for it in which run, and both jti and digest, by which others know it."""
    found, passed, ahead = {node.ref: node}, set[str](), names_of_token(token)
    while ahead:
        passed.update(ahead)
        alike = [each for name in ahead for each in index.answer_to(name, "token_issuance")]
        found.update((each.ref, each) for each in alike)
        names = [name for each in alike for name in token_named(each)]
        ahead = [name for name in dict.fromkeys(names) if name not in passed]
    stated = [(each, each.fact) for each in found.values() if isinstance(each.fact, TokenIssuance)]
    return sorted((each for each in stated if each[1].status != "refused"), key=lambda each: knows(each[0]))


def token_named(issued: Node) -> list[str]:
    """The names of the token that an issuance is a statement of, where one was issued."""
    fact = issued.fact if issued.effective else None
    return names_of_token(fact.token) if isinstance(fact, TokenIssuance) and fact.status != "refused" else []


def _uses_of(names: Iterable[str], uses: Mapping[str, UsesOf]) -> UsesOf:
    found = [uses[name] for name in names if name in uses]
    seen = {node.ref: node for each in found for node in each.seen}
    return UsesOf(sum(each.many for each in found), sorted(seen.values(), key=lambda node: (node.at, node.event_id)))


def _life(index: Index, stated: Sequence[_Issued], uses: UsesOf) -> TokenLife:
    (node, best), facts = stated[0], [fact for _, fact in stated]
    assert best.token is not None  # noqa: S101 - whoever calls has looked
    named = {each.header.agent_id for each, _ in stated} - {None} or {each.header.agent_id for each in uses.seen} - {
        None
    }
    grant = _first(fact.grant_id for fact in facts)
    issued_at = _first(fact.issued_at for fact in facts) or min(each.at for each, _ in stated)
    expires_at = _first(fact.expires_at for fact in facts)
    revoked_at = _revoked(index, stated, issued_at)
    good_until = min((each for each in (expires_at, revoked_at) if each is not None), default=None)
    in_runs = [each for each, _ in stated if each.header.execution_id is not None]
    ended = _task_ended(index, in_runs or uses.seen)
    scopes = next((fact.scopes for fact in facts if fact.scopes), ())
    allowed = scopes or _granted(index, grant, best.token.issuer)
    said = [_scopes_stated(index, each, allowed) for each in uses.seen]
    return TokenLife(
        event_id=node.event_id,
        right=right_of(best.token),
        agent_id=named.pop() if len(named) == 1 else None,
        client_id=_first(fact.client_id for fact in facts),
        grant_id=grant,
        issued_at=issued_at,
        first_use=uses.seen[0].at if uses.seen else None,
        last_use=uses.seen[-1].at if uses.seen else None,
        expires_at=expires_at,
        revoked_at=revoked_at,
        uses=uses.many,
        task_ended=ended,
        outlived_seconds=None if ended is None or good_until is None else max(good_until - ended, 0) // SECOND,
        uses_after_task=sum(1 for each in uses.seen if ended is not None and each.at > ended),
        scopes=allowed,
        scopes_used=tuple(sorted(set().union(*said))),
        not_stated=sum(1 for each in said if not each),
        looked_at=len(uses.seen),
        grade=grade_of_claim(node),
    )


def _first(stated: Iterable[V | None]) -> V | None:
    return next((each for each in stated if each is not None), None)


def _revoked(index: Index, stated: Sequence[_Issued], issued_at: int) -> int | None:
    """When it was revoked, alone or with others, or its grant withdrawn, or that of a token which it was obtained with."""
    found = [over.since for node, fact in stated if (over := token_revoked(index, node, fact)) is not None]
    for fact in _line(index, stated):
        issuer = fact.token.issuer if fact.token is not None else None
        said = grants_of(index, fact.grant_id, issuer) if fact.grant_id is not None else ()
        found += [node.at for node, each in said if each.action == "withdraw" and node.at >= issued_at]
    return min(found, default=None)


def _line(index: Index, stated: Sequence[_Issued]) -> Iterator[TokenIssuance]:
    """What is stated of a token, and of those that it was obtained with."""
    ahead, passed = list(stated), {node.ref for node, _ in stated}
    for _ in range(EXCHANGES):
        yield from (fact for _, fact in ahead)
        names = dict.fromkeys(name for _, fact in ahead for name in names_of_token(fact.subject_token))
        said = {each.ref: each for name in names for each in index.answer_to(name, "token_issuance")}
        ahead = [
            (each, each.fact)
            for each in said.values()
            if each.ref not in passed and isinstance(each.fact, TokenIssuance)
        ]
        passed.update(said)


def _granted(index: Index, grant: str | None, issuer: str | None) -> tuple[str, ...]:
    """What a token may do that states no scope: what its grant allows."""
    said = grants_of(index, grant, issuer) if grant is not None else ()
    return tuple(dict.fromkeys(scope for _, fact in said if fact.action != "withdraw" for scope in fact.scopes))


def _task_ended(index: Index, nodes: Iterable[Node]) -> int | None:
    """When the runs that events stand in ended for good, the last of them; None where there is no run, or one has no recorded
    end."""
    ends = []
    for run in {node.header.execution_id for node in nodes} - {None}:
        said = index.answer_to(f"run_state:{run.hex()}", "execution_control") if run is not None else []
        last = next((each for each in reversed(said) if isinstance(each.fact, ExecutionControl)), None)
        if last is None or not isinstance(last.fact, ExecutionControl) or last.fact.action != "end":
            return None
        ends.append(last.at)
    return max(ends, default=None)


def _scopes_stated(index: Index, use: Node, granted: Sequence[str]) -> set[str]:
    """The scopes that a use states, literally; a token obtained with another one states those that it was given."""
    fact = use.fact
    if isinstance(fact, TokenIssuance):
        return set(fact.scopes).intersection(granted)
    if not isinstance(fact, ApiAction):
        return set()
    said = {fact.operation}
    if fact.decision_id is not None:
        for node in index.answer_to(f"decision:{fact.decision_id}", "policy_decision"):
            if isinstance(node.fact, PolicyDecision) and node.fact.decision != "deny":
                said.add(node.fact.action)
    return said.intersection(granted)


def _name(life: TokenLife, by: By) -> str | None:
    return {"agent": life.agent_id, "client": life.client_id, "grant": life.grant_id}[by]


def _group(index: Index, name: str | None, known: Sequence[_Lived], by: By) -> UsageGroup:
    lives = [life for life, _ in known]
    granted = {scope for life in lives for scope in life.scopes}
    if by == "grant" and name is not None:
        given = [each.fact for each in index.answer_to(f"grant:{name}", "grant") if isinstance(each.fact, Grant)]
        granted |= {scope for fact in given if fact.action != "withdraw" for scope in fact.scopes}
    used = {scope for life in lives for scope in life.scopes_used}
    return UsageGroup(
        name=name,
        tokens=len(lives),
        never_used=sum(1 for life in lives if not life.uses),
        uses=sum(life.uses for life in lives),
        lifetime=_figures(_apart(life.expires_at, life.issued_at) for life in lives),
        to_first_use=_figures(_apart(life.first_use, life.issued_at) for life in lives),
        last_use_to_expiry=_figures(_apart(life.expires_at, life.last_use) for life in lives),
        outlived=_figures(life.outlived_seconds for life in lives),
        uses_after_task=sum(life.uses_after_task for life in lives),
        scopes_granted=tuple(sorted(granted)),
        scopes_used=tuple(sorted(used)),
        scopes_unused=tuple(sorted(granted - used)),
        operations=tuple(sorted(_operations(uses for _, uses in known))[:OPERATIONS]),
        looked_at=sum(life.looked_at for life in lives),
        not_stated=sum(life.not_stated for life in lives),
    )


def _operations(uses: Iterable[UsesOf]) -> set[str]:
    return {node.fact.operation for each in uses for node in each.seen if isinstance(node.fact, ApiAction)}


def _apart(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else (later - earlier) // SECOND


def _figures(seconds: Iterable[int | None]) -> Figures:
    known = [each for each in seconds if each is not None]
    return Figures(of=len(known), median=int(median(known)) if known else None, most=max(known, default=None))
