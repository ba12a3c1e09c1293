"""What a chain says about itself, and what is to be erased.

Fields are those of ``schemas/<kind>.v1.avsc``, in its order; what each means stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledger.format.kinds.parts import ContinuedChain, KindCount
from ledger.format.kinds.shape import Digest, Kind, PersonDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOpen(Kind):
    """First event of every chain, and of no other place."""

    KIND = "chain_open"

    continues: tuple[ContinuedChain, ...] = ()
    delivery: Literal["spool", "strict", "best_effort"]
    software: str
    software_version: str | None = None
    runtime: str | None = None
    os: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHeartbeat(Kind):
    """The recorder lives and has nothing else to state."""

    KIND = "chain_heartbeat"

    waiting_events: int
    waiting_bytes: int
    oldest_waiting_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLoss(Kind):
    """Events that a best_effort recorder dropped, since the last one of these."""

    KIND = "chain_loss"

    count: int
    first_at: int
    last_at: int
    reason: Literal["spool_full", "spool_failed", "unknown"]
    kinds: tuple[KindCount, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainClose(Kind):
    """Last event of a chain: nothing follows, and silence after it means nothing."""

    KIND = "chain_close"

    reason: Literal["shutdown", "idle", "key_change", "unknown"]
    event_count: int
    lost_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentErasure(Kind):
    """Contents, or payloads of events, are to be erased."""

    KIND = "content_erasure"

    contents: tuple[Digest, ...] = ()
    events: tuple[Digest, ...] = ()
    basis: str
    by: PersonDigest | None = None
    request: str | None = None
