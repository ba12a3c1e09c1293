"""One agent of the inventory, what can be remarked of it, and which agents are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ledger.attribution.answer import Party
from ledger.errors import InvalidEvent
from ledger.format.content import named_person
from ledger.wording import no_such

REMARKS: Final[Mapping[str, str]] = {
    "never_registered": "It acted, or tokens name it, and nobody registered it: find out who runs it, and register or stop it.",
    "never_seen": "It is registered as active and was never seen: retire it, or find out why it does not record.",
    "owner_missing": "Its registration names no owner: nobody answers for it.",
    "owner_expired": "Every registration that names its owner has run out: register it anew under somebody, or retire it.",
    "owner_ambiguous": "Services register different people as its owner: settle who answers for it, and say so everywhere.",
    "owner_erased": "Its owner was erased: register it anew under somebody who answers for it.",
    "owner_unresolved": "Who its owner is has not arrived or does not verify.",
    "acted_while_not_active": "It acted after it was suspended or retired.",
    "registration_expired": "It acted after its registration expired: register it anew.",
    "shared_credential": "Another agent presented the same token, or got tokens as the same client: nobody can tell them apart.",
    "many_credentials": "It got tokens as several clients: revoking one does not stop it.",
    "model_unregistered": "It ran with a model that its registration does not name.",
    "version_unregistered": "It was configured as a version that its registration does not name.",
    "system_prompt_unregistered": "It was given a system prompt after its last registration, and not by who registered it.",
}
"""Every remark, and what it means to whoever answers for the agent; ``docs/questions.md`` prints it."""


STATES: Final = ("active", "suspended", "retired")
"""What an agent can be registered as."""


class Remark(NamedTuple):
    """Something that does not fit. ``evidence`` are event ids, ``about`` names what it is about: a model, a client."""

    name: str
    about: tuple[str, ...]
    evidence: tuple[bytes, ...]


class Change(NamedTuple):
    """An entry of an agent's history: what a registration or configuration said anew. ``at`` is from when it held; ``people``
    are those whose digests stand in ``says``, by its names."""

    at: int
    append_time: int
    event_id: bytes
    kind: str
    service: str
    says: Mapping[str, Any]
    people: Mapping[str, Party]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent as of a time. What is not registered is None or empty; times are µs UTC. ``owners`` are several where services
    register different people, and ``owner`` is none of them then."""

    agent_id: str
    registered: bool
    seen_as: tuple[str, ...]
    name: str | None = None
    state: str | None = None
    owner: Party | None = None
    owners: tuple[Party, ...] = ()
    purpose: str | None = None
    provider: str | None = None
    model: str | None = None
    version: str | None = None
    scopes: tuple[str, ...] = ()
    risk_class: str | None = None
    client_ids: tuple[str, ...] = ()
    parent_agent: str | None = None
    expires_at: int | None = None
    configuration: Mapping[str, Any] | None = None
    credentials: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    last_seen: int | None = None
    history: tuple[Change, ...] = ()
    remarks: tuple[Remark, ...] = ()
    truncated: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """Which agents are asked for: all of it must fit. ``owner`` is `issuer#subject` or a digest in hex."""

    remark: str | None = None
    state: str | None = None
    owner: str | None = None

    def checked(self) -> Wanted:
        """Itself; raises ``InvalidEvent`` for what fits no agent whatever is registered."""
        if self.remark is not None and self.remark not in REMARKS:
            raise InvalidEvent(no_such("remark", self.remark, list(REMARKS)))
        if self.state is not None and self.state not in STATES:
            raise InvalidEvent(no_such("state", self.state, STATES))
        if self.owner is not None:
            named_person(self.owner)
        return self

    def fits(self, agent: Agent) -> bool:
        """Whether the agent is one of them."""
        names = {name for each in agent.owners for name in (each.digest.hex(), f"{each.issuer}#{each.subject}")}
        return (
            (self.remark is None or any(each.name == self.remark for each in agent.remarks))
            and (self.state is None or agent.state == self.state)
            and (self.owner is None or self.owner in names)
        )
