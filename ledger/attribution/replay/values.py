"""A run, step by step, with what held at each step. Values only: times are µs UTC, ids and digests bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ledger.attribution.answer import Grade, Party
from ledger.attribution.subgraph import Node

MOST: Final = 100
"""Tokens, approvals, untrusted contents, and of one step crossings and changes, that are shown at most."""


class Place(NamedTuple):
    """Where something stands in the order of time. What no event states (an expiry) comes before the events of its time."""

    at: int
    event_id: bytes = b""
    digest: bytes = b""


def place_of(node: Node) -> Place:
    """Where an event stands."""
    return Place(node.at, node.event_id, node.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a token, an approval or the taint since the step before. ``how``: token: issued, exchanged, used, expired,
    revoked; approval: asked, given, denied, used, unused (a use of before came to nothing), expired; taint: read (in this run),
    brought_in (by a link from elsewhere)."""

    what: Literal["token", "approval", "taint"]
    how: str
    name: str
    at: int
    event_id: bytes | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenState:
    """A token that the run holds. ``uses`` and ``last_use`` are those in this run; ``ended_by`` the revocation."""

    token: str
    event_id: bytes | None
    exchanged_from: str | None
    issued_at: int | None
    expires_at: int | None
    state: Literal["alive", "not_yet_valid", "expired", "revoked", "unknown"]
    ended_at: int | None
    ended_by: bytes | None
    uses: int
    last_use: int | None
    last_used_by: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalState:
    """What a person said, or was asked. ``bound`` is what it is bound to: parameters (digest in hex), a reference, an operation.

    ``uses`` are those by any run so far, without what is known by then to have come to nothing. Asked and not given: no
    ``oversight_id``, and ``event_id`` is the decision.
    """

    oversight_id: str | None
    event_id: bytes
    action: str
    by: Party | None
    at: int
    binding: str | None
    bound: str | None
    state: Literal["asked", "open", "used_up", "overused", "expired", "denied", "said"]
    uses_allowed: int | None
    uses: int
    last_used_by: bytes | None
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """Untrusted content in reach of the run. ``step`` is the event of the run by which it came in, at ``since``; ``way`` leads
    from the content to it; ``grade`` is that of the weakest link of it."""

    event_id: bytes
    what: str
    origin: str | None
    execution_id: bytes | None
    step: bytes
    since: int
    way: tuple[bytes, ...]
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A link between a step and another run (or ledger). ``direction``: from, its cause lies there; to, its effect does."""

    direction: Literal["from", "to"]
    execution_id: bytes | None
    peer_ledger: str | None
    event_id: bytes | None
    kind: str | None
    agent_id: str | None
    service: str | None
    relation: str
    grade: Grade
    join: str | None
    candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What was to be heard and was not. ``since`` is when silence began, ``ended_at`` when it ended, None where it lasts.

    ``what``: gap, attempt_without_outcome, cause_missing, decision_missing, approval_missing, run_without_end, chain_silent.
    """

    what: str
    since: int
    ended_at: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What holds after a step."""

    tokens: tuple[TokenState, ...] = ()
    approvals: tuple[ApprovalState, ...] = ()
    taint: tuple[Taint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An event of the run, what changed since the one before, what held after it, where it leads, and what is missing."""

    node: Node
    state: State
    changes: tuple[Change, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    silences: tuple[Silence, ...] = ()


class Promise(NamedTuple):
    """What the chain of an event promised with its seal: the next one ``within`` seconds (None: nothing); and what came.

    ``due`` is when the next one was due by append time, ``heard`` when it came, None where it did not.
    """

    within: int | None
    due: int | None
    heard: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A page of a run. ``before`` is what held when it began; ``truncated`` names limits that were hit."""

    execution_id: bytes
    before: State
    steps: tuple[Step, ...]
    truncated: tuple[str, ...]
    silence: int
    last: bool
    limits: dict[str, int] = field(default_factory=dict)
