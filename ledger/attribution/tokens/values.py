"""What the lineage of a token or a grant says, and what it is judged from. Times are µs UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ledger.attribution.answer import Actor, Grade, Party
from ledger.attribution.index import Index
from ledger.attribution.subgraph import Node


class Right(NamedTuple):
    """A token or a grant by its name. ``kind`` is token or grant; ``id`` the jti, digest in hex or grant_id."""

    kind: str
    issuer: str | None
    id: str


class Asked(NamedTuple):
    """What is asked about: a token by (issuer, jti) or by digest, or a grant."""

    issuer: str | None = None
    jti: str | None = None
    digest: bytes | None = None
    grant_id: str | None = None

    @property
    def names(self) -> list[str]:
        """The names that events about it answer to."""
        names = [] if self.jti is None else [f"token:{self.issuer or ''}\0{self.jti}"]
        names += [] if self.digest is None else [f"token_digest:{self.digest.hex()}"]
        return names + ([] if self.grant_id is None else [f"grant:{self.grant_id}"])

    @property
    def right(self) -> Right:
        if self.grant_id is not None:
            return Right("grant", self.issuer, self.grant_id)
        return Right("token", self.issuer, self.jti if self.jti is not None else (self.digest or b"").hex())


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one event says of the token or grant itself; ``subject`` is on whose behalf it speaks, or who gave the grant."""

    event_id: bytes
    digest: bytes
    at: int
    kind: str
    action: str
    service: str
    agent_id: str | None
    subject: Party | None
    client_id: str | None
    grant_id: str | None
    grant_type: str | None
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    actors: tuple[Actor, ...]
    issued_at: int | None
    expires_at: int | None
    session: str | None
    verification: str | None
    observer: str | None
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A claim that statements of one token give different values: two tokens bear one name, or somebody is wrong."""

    claim: str
    values: tuple[str, ...]
    evidence: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What a right above was: ``depth`` 1 is what the asked one was obtained with. ``child`` came of it, as ``stated_by`` says.

    ``event_id`` is its own issuance or giving, None where nobody recorded it; ``candidates`` counts its statements.
    """

    depth: int
    right: Right
    how: str
    child: Right
    stated_by: bytes
    event_id: bytes | None
    subject: Party | None
    grade: Grade
    candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How it ended, or may have. ``how``: expired, revoked, withdrawn, superseded. ``through`` is the right above whose
    end it is, or the session, client or subject that it was revoked with, None for its own alone; ``effect``: ends, kept (said to
    live on), given_again (a grant that was given anew afterwards) or unknown (nobody said)."""

    how: str
    at: int
    through: Right | None
    effect: str
    event_id: bytes
    reason: str | None
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that came of it. ``part``: derived, used, ended, given, or unreadable (its row or payload says nothing now).

    ``right`` was obtained or ended, ``source`` is the right that was used for it. ``direct``: the source is what was asked
    about; what lies deeper is connected by keys alone, and its own lineage shows the way. ``timing`` is against the
    revocation: before, within_tolerance, after; None where there was none.
    """

    event_id: bytes
    digest: bytes
    at: int
    kind: str
    part: str
    how: str | None
    right: Right | None
    source: Right | None
    direct: bool
    timing: str | None
    service: str
    agent_id: str | None
    execution_id: bytes | None
    what: str | None
    outcome: str | None
    scopes: tuple[str, ...]
    expires_at: int | None
    grade: Grade | None
    findings: tuple[str, ...]


class Tally(NamedTuple):
    """How much came of it, counted by ids: ``rights`` obtained, ``uses`` other than those; the same ``after`` the revocation by
    the time in the ids, beyond the tolerance. ``truncated`` names the limits hit: then each is a lower bound."""

    rights: int
    rights_after: int
    uses: int
    uses_after: int
    truncated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLineage:
    """The lineage of a token or grant. ``state``: valid, expired, revoked, withdrawn, superseded or unknown, at ``as_of``.

    ``revoked_at`` is the earliest revocation, its own or of what it came from, against which everything is timed, give or take
    ``tolerance_seconds``. ``happenings`` is one page, verified; ``counted`` is by ids and not verified beyond that page.
    """

    asked: Right
    state: str
    sentence: str
    statements: tuple[Statement, ...]
    disagreements: tuple[Disagreement, ...]
    parents: tuple[Parent, ...]
    siblings: tuple[Right, ...]
    ends: tuple[End, ...]
    revoked_at: int | None
    tolerance_seconds: int
    counted: Tally
    happenings: tuple[Happening, ...]
    truncated: tuple[str, ...]
    as_of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a lineage is judged from. ``index`` holds every event fetched, ``page`` what came of it, in order of id."""

    asked: Asked
    index: Index
    page: Sequence[Node]
    counted: Tally
    truncated: tuple[str, ...]
    now: int
