"""The payloads: a class a kind, with the fields of its schema, in order. Values only: what they mean stands in the schemas.

When recording: ``check``, ``content_digests``, and ``encode_body`` for the bytes after the frame of the newest schema. When
reading: ``from_avro``. ``to_avro`` wherever a plain datum is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from ledger.errors import VerificationError
from ledger.format.kinds.actions import ApiAction, Memory, Observation, Prompt, ReasoningStep
from ledger.format.kinds.authority import Grant, Oversight, PolicyDecision, TokenIssuance, TokenRevocation
from ledger.format.kinds.chains import ChainClose, ChainHeartbeat, ChainLoss, ChainOpen, ContentErasure
from ledger.format.kinds.encode import encode_body
from ledger.format.kinds.judge import check
from ledger.format.kinds.parts import (
    Actor,
    ActorChain,
    Authentication,
    ContinuedChain,
    KindCount,
    PolicyVersion,
    TokenReference,
    ToolVersion,
    Trigger,
    Trust,
)
from ledger.format.kinds.plan import PLANS, content_digests, digests_said, from_datum, to_avro
from ledger.format.kinds.runs import AgentRegistration, Configuration, ExecutionControl, Handoff, TriggerRegistration
from ledger.format.kinds.shape import Kind

CLASSES: Final[tuple[type[Kind], ...]] = (
    Prompt,
    ReasoningStep,
    TokenIssuance,
    PolicyDecision,
    ApiAction,
    Grant,
    Oversight,
    ExecutionControl,
    Configuration,
    TriggerRegistration,
    Observation,
    Memory,
    Handoff,
    TokenRevocation,
    AgentRegistration,
    ContentErasure,
    ChainOpen,
    ChainHeartbeat,
    ChainLoss,
    ChainClose,
)
KINDS: Final[Mapping[str, type[Kind]]] = MappingProxyType({each.KIND: each for each in CLASSES})
"""The class of each kind, by the name that the header gives."""


def from_avro(kind: str, datum: Mapping[str, Any]) -> Kind:
    """The payload in a decoded datum of ``kind``, of any version of its schema; raises ``VerificationError`` (unprojectable).

    Values outside a closed list are kept as they are: a newer publisher may know more of them.
    """
    cls = KINDS.get(kind)
    if cls is None:
        raise VerificationError("unprojectable", f"no kind is called {kind!r}; update the ledger")
    try:
        return cast(Kind, from_datum(PLANS[cls], datum))
    except TypeError:
        raise VerificationError("unprojectable", f"a {kind} lacks a field that every version has") from None


def digests_of(kind: str, datum: Mapping[str, Any]) -> list[bytes]:
    """``content_digests`` of a decoded datum of ``kind``; one may occur twice. Of an unknown kind none is known."""
    cls = KINDS.get(kind)
    return [] if cls is None else digests_said(PLANS[cls], datum)


__all__ = [
    "KINDS",
    "Actor",
    "ActorChain",
    "AgentRegistration",
    "ApiAction",
    "Authentication",
    "ChainClose",
    "ChainHeartbeat",
    "ChainLoss",
    "ChainOpen",
    "Configuration",
    "ContentErasure",
    "ContinuedChain",
    "ExecutionControl",
    "Grant",
    "Handoff",
    "Kind",
    "KindCount",
    "Memory",
    "Observation",
    "Oversight",
    "PolicyDecision",
    "PolicyVersion",
    "Prompt",
    "ReasoningStep",
    "TokenIssuance",
    "TokenReference",
    "TokenRevocation",
    "ToolVersion",
    "Trigger",
    "TriggerRegistration",
    "Trust",
    "check",
    "content_digests",
    "digests_of",
    "encode_body",
    "from_avro",
    "to_avro",
]
