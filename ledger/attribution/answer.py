"""What the ledger answers to "who triggered this?". ``json_form.to_json`` gives the form that HTTP and ``--json`` show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from ledger.attribution.subgraph import ChainCoverage, Limits

Grade = Literal["corroborated", "sealed", "asserted", "inferred"]
"""How surely a link or claim is known; ``ledger.attribution.grades`` says when each is given."""

GRADES: Final[dict[Grade, str]] = {
    "corroborated": "stated by the keys of two services",
    "sealed": "cited by digest under a verified seal",
    "asserted": "stated without a digest, or imported",
    "inferred": "joined by the ledger, and stated by nobody",
}
"""What it means, the surest first."""

Class = Literal["attributed", "unattended", "external", "erased_principal", "archived", "unattributed"]
"""``unattended``: a schedule or webhook, with who set it up. ``external``: a hand-off from another ledger."""

Severity = Literal["critical", "high", "medium", "low"]
"""How soon somebody should look; ``ledger.attribution.contradictions`` says what each asks for."""

Seen = Literal["both_sides", "resource_alone", "caller_alone", "between_alone", "log_alone"]
"""Which sides saw an action, as in ``SEEN``."""

SEEN: Final[dict[Seen, str]] = {
    "both_sides": "seen by who called and who was called",
    "resource_alone": "SEEN BY THE RESOURCE ALONE: whoever called recorded nothing",
    "caller_alone": "seen by the caller alone: whoever was called recorded nothing",
    "between_alone": "seen by an intermediary alone",
    "log_alone": "known from an imported log alone",
}
"""What it means; the second is how an agent looks that keeps something to itself."""

Compared = Literal["same", "other", "not_comparable", "not_bound", "not_stated"]
"""Parameters in effect against those authorized, as in ``COMPARED``."""

COMPARED: Final[dict[Compared, str]] = {
    "same": "of exactly these parameters",
    "other": "of OTHER parameters",
    "not_comparable": "parameters not comparable: digests of another form",
    "not_bound": "parameters not bound",
    "not_stated": "parameters not known",
}

Concerns = Literal["this", "named", "another", "not_comparable"]
"""Whether what a policy or a person said is about what was done, as in ``CONCERNS``."""

CONCERNS: Final[dict[Concerns, str]] = {
    "this": "about this",
    "named": "about this by the action's own word alone",
    "another": "about ANOTHER thing",
    "not_comparable": "not comparable: nothing tells whether it is about this",
}

MoreUses = Literal["earlier", "later", "both"]
"""Where more actions relied on an approval than were looked at: before the event asked about, or after it."""

REASONS: Final = {
    "no_trigger": "nothing recorded leads to a prompt, schedule, webhook or hand-off",
    "token_not_recorded": "who obtained the credential that it presented is not recorded",
    "no_subject": "the trigger names nobody",
    "principal_unresolved": "the content that names the person has not arrived or does not verify",
    "archived": "the events that would tell were moved to an archive",
    "dangling_cause": "a cause is not in the ledger",
    "cause_mismatch": "a cause is there with another digest than cited",
    "cycle": "causes lead back to themselves",
    "malformed_act": "the token's act claim could not be read",
    "unverified_token": "nobody is known to have checked the token that alone names the person",
    "ambiguous_join": "several events fit, and they lead or may lead to different people",
    "unauthorized_kind": "the key that signed the event, or one that it comes from, may not state its kind",
    "untrusted_key": "the trust bundle does not let the key that signed the event, or one that it comes from, sign it",
    "row_changed": "a row of the store is not what was signed",
    "duplicate_event_id": "the id has two events, and they lead to different people",
    "payload_erased": "the payload that would tell was erased",
    "unknown_schema": "the payload that would tell has a schema unknown here",
    "limit_reached": "a limit ended the search before a trigger was found",
}
"""Why an answer is ``unattributed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A person or workload. ``state`` is named, erased, unresolved, or (as of a time) erased_since; names only where named.

    ``digest`` is the pseudonym under which the event names them.
    """

    digest: bytes
    state: str
    issuer: str | None = None
    subject: str | None = None
    name: str | None = None
    kind: str | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for one person under several digests; each unnamed digest is a person of its own."""
        return (self.issuer or "", self.subject or "") if self.state == "named" else (self.digest.hex(),)

    @property
    def label(self) -> str:
        """For people: the name, else what is known."""
        if self.state == "named":
            return self.name or self.subject or self.digest.hex()[:12]
        said = {"erased": "an erased person", "erased_since": "a person erased since"}.get(
            self.state, "an unresolved person"
        )
        return f"{said} ({self.digest.hex()[:12]})"


class Link(NamedTuple):
    """From an event to a cause of it. ``join`` names the namespace where it was joined, with the number of candidates."""

    effect: bytes
    effect_digest: bytes
    cause: bytes
    cause_digest: bytes
    relation: str
    grade: Grade
    join: str | None = None
    candidates: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What set it going. ``role``: initiated, steered, scheduled, direct (a principal acting by themselves) or external.
    ``earlier``: it only stands behind a schedule, webhook or queue that fired later, when nobody was present.

    ``who`` is whom the trigger names, or for a schedule or webhook who set it up, as ``set_up`` tells.
    ``authenticated`` says how the sender was authenticated; empty: it is the service's word.
    """

    event_id: bytes
    digest: bytes
    role: str
    trigger_kind: str
    at: int
    service: str
    agent_id: str | None
    who: Party | None
    owner: Party | None = None
    set_up: bytes | None = None
    channel: str | None = None
    trust: str | None = None
    authenticated: tuple[str, ...] = ()
    peer_ledger: str | None = None
    peer_event: bytes | None = None
    earlier: bool = False
    grade: Grade
    candidates: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Whose rights were used. ``source``: token, grant or principal (the service's word on whose behalf it acted).

    ``exchanged_from`` is the event of the token that this one was exchanged from; ``revoked_at`` when a token was revoked
    or a grant withdrawn, whether before or after it was used.
    """

    source: str
    event_id: bytes | None
    subject: Party | None
    issuer: str | None = None
    token: str | None = None
    grant_id: str | None = None
    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    issued_at: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    verification: str | None = None
    exchanged_from: bytes | None = None
    grade: Grade
    candidates: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A party of an `act` claim (RFC 8693). ``position`` 0 is the current actor; earlier ones are informational."""

    event_id: bytes
    position: int
    iss: str | None
    sub: str | None
    person: Party | None
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a policy said about it, by which version; ``concerns`` tells whether it is about what was done, and ``parameters``
    compares those decided about with those in effect.

    ``subject`` and ``subject_agent`` are who asked, ``action`` in the policy's own words what for, ``action_id`` for which
    action: as the decision states them, None where it does not.
    """

    event_id: bytes
    decision: str
    decision_id: str | None
    engine: str | None
    policy_id: str | None
    policy_version: str | None
    policy_digest: bytes | None
    determining_policies: tuple[str, ...]
    reasons: tuple[str, ...]
    obligations: tuple[str, ...]
    subject_type: str | None
    subject: Party | None
    subject_agent: str | None
    action: str
    resource_type: str | None
    resource: str | None
    action_id: str | None
    concerns: Concerns
    parameters: Compared
    at: int
    grade: Grade
    candidates: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person said about it. ``bound`` tells whether its digest is that of the action's parameters; None: not bound so, and
    ``parameters`` says which. ``reference``, ``operation``, and the id in another system tell what else it was given for,
    and ``concerns`` whether that is what was done.

    ``uses`` counts the actions known to have relied on it and not known to have come to nothing; ``use`` tells which of them this
    one is, or would have been, the earliest first: at least, where there are ``more_uses`` earlier than were looked at.
    ``used_up`` tells whether it is one of those counted; None: it relies on none.
    """

    event_id: bytes
    oversight_id: str
    action: str
    by: Party | None
    role: str | None
    authenticated: tuple[str, ...]
    binding: str
    bound: bool | None
    concerns: Concerns
    parameters: Compared
    reference: str | None
    operation: str | None
    external_system: str | None
    external_id: str | None
    uses_allowed: int | None
    uses: int
    use: int | None
    used_up: bool | None
    more_uses: MoreUses | None
    expires_at: int | None
    at: int
    grade: Grade
    candidates: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An action as one of its observers saw it. ``person`` is on whose behalf, as they say."""

    event_id: bytes
    observer: str
    service: str
    importer: bool
    phase: str
    attempt: int | None
    outcome: str | None
    effect: str | None
    status: str | None
    agent_id: str | None
    person: Party | None
    parameter_digest: bytes | None
    at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """What was read on the way: it may have informed, and may have misled. What that was made from is shown too.

    ``trust`` and ``origin`` (where it came from) are as the event that read or wrote it says; ``who_triggered`` and lineage
    answer for that event as for any other.
    """

    event_id: bytes
    kind: str
    source: str | None
    uri: str | None
    origin: str | None
    trust: str
    at: int
    grade: Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who was accountable for an agent when it acted; None where nothing was registered by then. Several for one agent where
    services register different people: the last that names one comes last, in the ``state`` by the last registration of all;
    ``expired``, without an owner, since the last of every service ran out."""

    agent_id: str
    name: str | None
    owner: Party | None
    state: str | None
    since: int | None
    event_id: bytes | None
    grade: Grade | None


MISSING: Final = {
    "agent": "no event of it names an agent",
    "owner": "nobody was registered as the agent's owner by then",
    "owner_ambiguous": "services register different people as the agent's owner: each is shown",
    "owner_unresolved": "the content that names the owner has not arrived or does not verify",
    "owner_erased": "who the owner is was erased: an owner is registered, and nobody can say who",
    "person": "neither an event nor a token names on whose behalf it was done",
    "person_unresolved": "the content that names the person has not arrived or does not verify",
    "person_erased": "who the person is was erased: it was done for somebody, and nobody can say for whom",
    "person_ambiguous": "statements of equal standing name different people: look at whose rights were used",
    "grant": "no grant is tied to this event: nothing that it cites or presents names one of that person",
    "grant_not_recorded": "a grant is named, and nobody recorded that it was given",
}
"""What may be missing of who answers for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accountable:
    """Who answers for it on both sides: the agent's owner, and the person on whose behalf it was, with their grant.

    ``missing`` names what of it is not known, as in ``MISSING``: an empty field never stands without its reason. ``owner``
    and ``state`` are as of when the agent acted, the state by the last registration.
    """

    agent_id: str | None
    owner: Party | None
    state: str | None
    person: Party | None
    grant_id: str | None
    missing: tuple[str, ...]


class PathStep(NamedTuple):
    """An event of the path, nearest to the trigger first; ``links`` lead to its causes."""

    event_id: bytes
    digest: bytes
    kind: str
    summary: str
    occurred_at: int
    append_time: int
    service: str
    key_id: str
    importer: bool
    agent_id: str | None
    execution_id: bytes | None
    links: tuple[Link, ...]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two statements that cannot both be in order. ``rule`` names it, ``detail`` says what is wrong, ``evidence`` are the events
    that show it, in the order in which it is told, and ``closes`` is what would settle it."""

    rule: str
    severity: Severity
    detail: str
    evidence: tuple[bytes, ...]
    closes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with the record itself, as in ``ledger.trust.reasons``."""

    name: str
    event_id: bytes | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the answer rests on. ``as_of`` is an append time, None for everything there is; ``truncated`` names the limits
    hit, as in ``Limits``, or ``actors``: the `act` claim of a token was deeper than is kept."""

    chains: tuple[ChainCoverage, ...]
    events: int
    truncated: tuple[str, ...]
    limits: Limits
    as_of: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Who triggered an event, with proof of how that is known. ``events`` are all accounts of what was asked about."""

    asked: bytes
    action_id: str | None
    operation: str | None
    outcome: str | None
    outcome_grade: Grade | None
    seen: Seen | None
    accounts: tuple[Account, ...]
    events: tuple[bytes, ...]
    class_: Class
    reasons: tuple[str, ...]
    sentence: str
    accountable: Accountable
    triggers: tuple[Trigger, ...]
    authority: tuple[Authority, ...]
    actors: tuple[Actor, ...]
    decisions: tuple[Decision, ...]
    approvals: tuple[Approval, ...]
    influences: tuple[Influence, ...]
    owners: tuple[Owner, ...]
    path: tuple[PathStep, ...]
    contradictions: tuple[Contradiction, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage
