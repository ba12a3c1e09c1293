"""Recorders on a log in memory, and their records as the verifier sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ledger.format.batch import Chain
from ledger.format.content import Content, Person, decode_content
from ledger.format.event import EventHeader
from ledger.format.hashing import content_digest
from ledger.format.kinds import ReasoningStep
from ledger.ports import Record
from ledger.recorder.clock import SystemClock
from ledger.recorder.recorder import Recorder
from ledger.schema_files import load_schemas
from ledger.signers import Ed25519Signer
from ledger.trust.bundle import Grant, TrustBundle, TrustedKey
from ledger.trust.chain import ChainFinding, mark_of, replay
from ledger.trust.verdict import Judge, VerifiedBatch
from tests.services.memory_log import MemoryLog

LEDGER, TENANT, SERVICE = "test", "acme", "agent"
SIGNER = Ed25519Signer(bytes(range(32)))
ALICE = Person(issuer="https://login.example", subject="alice", name="Alice Archer")
STEP = ReasoningStep(status="completed", visibility="withheld")
KINDS = frozenset({"*", "content_erasure", "token_revocation", "agent_registration", "oversight"})


class Stated(NamedTuple):
    """An event as verified."""

    digest: bytes
    header: EventHeader
    payload: dict[str, Any]


def recorder_on(log: MemoryLog, spool: Path | str, **settings: Any) -> Recorder:
    """A recorder that does not linger long."""
    given: dict[str, Any] = {
        "log": log,
        "signer": SIGNER,
        "spool": spool,
        "ledger": LEDGER,
        "tenant": TENANT,
        "service": SERVICE,
        "linger": 0.001,
        "clock": SystemClock(),
    }
    return Recorder(**(given | settings))


def bundle(*signers: Ed25519Signer) -> TrustBundle:
    """A bundle that lets these keys sign anything."""
    anything = Grant(
        role="source",
        tenants=frozenset({"*"}),
        services=frozenset({"*"}),
        kinds=KINDS,
        valid_from=0,
        valid_until=None,
    )
    keys = {each.key_id: TrustedKey(public=each.public, grants=(anything,), revoked_from=None) for each in signers}
    return TrustBundle(digest=bytes(32), lines=(), keys=keys, statements=())


def verified(records: Sequence[Record], signers: Sequence[Ed25519Signer] = (SIGNER,)) -> list[VerifiedBatch]:
    """The batches among ``records``; fails where one does not verify or has any finding."""
    judge = Judge(load_schemas(), LEDGER, bundle(*signers), canonical=True)
    batches = []
    for each in records:
        verdict = judge.judge(each.key, each.value, each.append_time)
        assert isinstance(verdict, VerifiedBatch), verdict
        assert not verdict.findings
        assert not verdict.refused
        assert not any(event.findings for event in verdict.events)
        batches.append(verdict)
    return batches


def stated(log: MemoryLog) -> list[Stated]:
    """Every event in the log once, in the log's order, without those of the chains themselves."""
    found: dict[bytes, Stated] = {}
    for batch in verified(log.events):
        for event in batch.events:
            if not event.header.kind.startswith("chain_"):
                assert event.payload is not None
                found.setdefault(event.digest, Stated(event.digest, event.header, event.payload))
    return list(found.values())


def chain_events(log: MemoryLog) -> list[tuple[Chain, EventHeader, dict[str, Any]]]:
    """What the chains say about themselves, in the log's order."""
    return [
        (batch.chain, event.header, event.payload or {})
        for batch in verified(log.events)
        for event in batch.events
        if event.header.kind.startswith("chain_")
    ]


def chain_findings(log: MemoryLog) -> dict[Chain, frozenset[ChainFinding]]:
    """The findings of every chain; an honest publisher's has none."""
    chains: dict[Chain, list[VerifiedBatch]] = {}
    for batch in verified(log.events):
        chains.setdefault(batch.chain, []).append(batch)
    return {chain: replay(map(mark_of, batches))[1] for chain, batches in chains.items()}


def contents(log: MemoryLog) -> dict[bytes, Content]:
    """The contents in the log, by digest."""
    return {
        content_digest(each.value): decode_content(load_schemas(), each.value)
        for each in log.contents
        if each.value is not None
    }
