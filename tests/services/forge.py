"""Makes any batch, good or bad, with explicit keys, clock and randomness: for tests, vectors and benchmarks.

A ``Forge`` is a publisher without conscience. ``Trust`` makes the bundle that says what its keys may state.
"""

from __future__ import annotations

import hmac
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from ledger.format import ids
from ledger.format.batch import Chain, ChainHead, Sealed, SealedEvent, seal_events
from ledger.format.codec import Schemas
from ledger.format.event import Cause, EventHeader, encode_header
from ledger.format.hashing import event_digest, event_prefix, payload_digest
from ledger.ports import EVENTS, Record
from ledger.schema_files import load_schemas
from ledger.signers import Ed25519Signer
from ledger.trust.bundle import TrustBundle, extend_bundle, read_bundle
from ledger.trust.keys import jwk_of

LEDGER = "test.example"
START = 1_767_225_600_000_000
"""2026-01-01, µs UTC."""
NAMED = ["content_erasure", "token_revocation", "agent_registration", "oversight"]

EMPTY: Mapping[str, Any] = {
    "chain_open": {
        "continues": [], "delivery": "spool", "software": "forge", "software_version": None, "runtime": None, "os": None,
        "instance": None,
    },
    "chain_heartbeat": {"waiting_events": 0, "waiting_bytes": 0, "oldest_waiting_at": None},
    "chain_close": {"reason": "shutdown", "event_count": 0, "lost_count": 0},
    "prompt": {
        "trigger_kind": "human", "channel": "web", "trust": "trusted", "origin": None, "text": None, "attachments": [],
        "trigger_id": None, "token": None, "authentication": None,
    },
    "content_erasure": {"contents": [], "events": [], "basis": "gdpr_art_17", "by": None, "request": None},
}  # fmt: skip
"""Payloads with nothing much in them, by kind."""


def signer(name: str) -> Ed25519Signer:
    """The key of a name: always the same."""
    return Ed25519Signer(sha256(name.encode()).digest())


class Trust:
    """A trust bundle that grows."""

    def __init__(self, ledger: str = LEDGER) -> None:
        self.ledger = ledger
        self.root = signer("root")
        self.data = b""

    def key(
        self,
        of: Ed25519Signer,
        *,
        tenants: Sequence[str] = ("*",),
        services: Sequence[str] = ("*",),
        kinds: Sequence[str] = ("*", *NAMED),
        role: str = "source",
        valid_from: int = 0,
        until: int | None = None,
    ) -> Trust:
        """Says what a key may state."""
        statement = {
            "type": "key", "key": jwk_of(of.public.raw), "role": role, "tenants": list(tenants), "services": list(services),
            "kinds": list(kinds), "from": valid_from, "until": until,
        }  # fmt: skip
        self.data = extend_bundle(self.data, self.ledger, statement, self.root.sign)
        return self

    def revoke(self, of: Ed25519Signer, *, since: int) -> Trust:
        """Says that a key is revoked from ``since`` on."""
        statement = {"type": "revocation", "key_id": of.key_id, "from": since}
        self.data = extend_bundle(self.data, self.ledger, statement, self.root.sign)
        return self

    @property
    def bundle(self) -> TrustBundle:
        return read_bundle(self.data, self.root.public, self.ledger)


class Made(NamedTuple):
    """An event ready to be sealed."""

    event: SealedEvent
    header: EventHeader
    digest: bytes

    @property
    def event_id(self) -> bytes:
        return self.header.event_id


@dataclass
class Forge:
    """One publisher: its key, its chain, its clock (µs, moved on by a millisecond an event)."""

    name: str = "alpha"
    tenant: str = "acme"
    service: str = "agent"
    ledger: str = LEDGER
    now: int = START
    schemas: Schemas = field(default_factory=load_schemas)
    head: ChainHead = ChainHead()  # noqa: RUF009 - immutable
    next_within: int | None = 60

    def __post_init__(self) -> None:
        self.signer = signer(self.name)
        self.chain_id = sha256(f"{self.name}/{self.service}".encode()).digest()[:16]
        self._count = 0

    @property
    def chain(self) -> Chain:
        return Chain(self.ledger, self.tenant, self.service, self.signer.key_id, self.chain_id)

    def drawn(self, what: str, size: int) -> bytes:
        """Bytes that look random and are always the same."""
        return hmac.digest(self.chain_id, f"{what}/{self._count}".encode(), sha256)[:size]

    def make(
        self,
        kind: str = "prompt",
        payload: Mapping[str, Any] | None = None,
        *,
        causes: Sequence[Cause] = (),
        event_id: bytes | None = None,
        occurred_at: int | None = None,
        payload_kind: str | None = None,
        raw_payload: bytes | None = None,
        **header: Any,
    ) -> Made:
        """An event of ``kind``; fields of the header may be given, and bytes that are no payload at all."""
        self._count += 1
        self.now += 1000
        salt = self.drawn("salt", 16)
        name = payload_kind or kind
        if raw_payload is None:
            raw_payload = self.schemas.encode(name, payload if payload is not None else EMPTY[name])
        made = EventHeader(
            event_id or ids.uuid7(self.now, self.drawn("id", 10)),
            kind,
            self.now if occurred_at is None else occurred_at,
            header.get("execution_id"),
            header.get("agent_id"),
            header.get("agent_instance"),
            header.get("principal"),
            list(causes),
            header.get("correlation", []),
            header.get("contents", []),
            payload_digest(salt, raw_payload),
        )
        return self.finish(made, salt, raw_payload)

    def finish(self, header: EventHeader, salt: bytes, payload: bytes) -> Made:
        data = encode_header(self.schemas, header)
        digest = event_digest(event_prefix(self.ledger, self.tenant, self.service), data)
        return Made(SealedEvent(data, salt, payload), header, digest)

    def open(self, **payload: Any) -> Made:
        return self.make("chain_open", {**EMPTY["chain_open"], **payload})

    def close(self) -> Made:
        return self.make("chain_close")

    def seal(self, *events: Made, head: ChainHead | None = None, sealed_at: int | None = None) -> Sealed:
        """Seals events as the next batch (or after ``head``); a chain's first batch gets its ``chain_open``."""
        after = head if head is not None else self.head
        made = list(events)
        if after == ChainHead() and not (made and made[0].header.kind == "chain_open"):
            made.insert(0, self.open())
        closes = made[-1].header.kind == "chain_close"
        sealed = seal_events(
            self.schemas,
            self.chain,
            after,
            [each.event for each in made],
            sealed_at=self.now if sealed_at is None else sealed_at,
            next_within=0 if closes else self.next_within,
            sign=self.signer.sign,
        )
        if head is None:
            self.head = sealed.head
        return sealed

    def record(self, sealed: Sealed, *, offset: int = 0, partition: int = 0, append_time: int | None = None) -> Record:
        """The log's record of a sealed batch."""
        return Record(EVENTS, partition, offset, append_time or self.now + 5_000, self.chain_id, sealed.value)


def realistic(forge: Forge, rng: random.Random, batches: int, size: int = 256) -> Iterator[bytes]:
    """Values of ``batches`` records of one chain: runs of an agent with a mixture of kinds, causes, tokens and contents."""
    made: list[Made] = []
    for _ in range(batches):
        while len(made) < size:
            made += _run(forge, rng)
        if forge.head == ChainHead():
            made.insert(0, forge.open())
        yield forge.seal(*made[:size]).value
        made = made[size:]


def _run(forge: Forge, rng: random.Random) -> list[Made]:
    execution = ids.uuid7(forge.now, rng.randbytes(10))
    trace = f"trace:{rng.randbytes(16).hex()}"
    about: dict[str, Any] = {
        "execution_id": execution,
        "agent_id": f"spiffe://acme.example/agent/{rng.randrange(40)}",
        "principal": rng.randbytes(32),
    }
    text = rng.randbytes(32)
    prompt = forge.make("prompt", {**EMPTY["prompt"], "text": text}, correlation=[trace], contents=[text], **about)
    made = [prompt]

    def then(kind: str, payload: Mapping[str, Any], relation: str, after: Made, *more: str) -> Made:
        causes = [Cause(after.event_id, after.digest, relation)]
        event = forge.make(kind, payload, causes=causes, correlation=[trace, *more], **about)
        made.append(event)
        return event

    token = {"issuer": "https://as.example", "jti": rng.randbytes(9).hex(), "digest": None}
    reference = rng.randbytes(8).hex()
    step = then("reasoning_step", _reasoning(0), "started_by", prompt)
    then("token_issuance", _token(token), "authorized_by", prompt)
    for index in range(rng.randrange(2, 5)):
        decision = then("policy_decision", _decision(f"{reference}-{index}"), "informed_by", step)
        call = f"tool_call:{reference}-{index}"
        intended = then(
            "api_action", _action(f"{reference}-{index}", "intended", token), "authorized_by", decision, call
        )
        done = then("api_action", _action(f"{reference}-{index}", "completed", token), "completes", intended, call)
        step = then("reasoning_step", _reasoning(index + 1), "informed_by", done)
    return made


def _reasoning(index: int) -> dict[str, Any]:
    return blank("reasoning_step") | {"index": index, "requested_model": "large-1", "responding_model": "large-1-0930"}


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    return blank("token_issuance") | {
        "issuer": token["issuer"],
        "jti": token["jti"],
        "scopes": ["flight:search", "flight:reserve"],
    }


def _decision(decision_id: str) -> dict[str, Any]:
    return blank("policy_decision") | {"decision": "allow", "decision_id": decision_id, "engine": "cedar"}


def _action(action_id: str, phase: str, token: Mapping[str, Any]) -> dict[str, Any]:
    about = {
        "operation": "POST /bookings",
        "resource": "https://flights.example/bookings/7",
        "target_system": "flights.example",
    }
    return (
        blank("api_action") | about | {"action_id": action_id, "phase": phase, "token": token, "decision_id": action_id}
    )


_BLANK: dict[str, dict[str, Any]] = {}


def blank(kind: str) -> dict[str, Any]:
    """A payload of ``kind`` in which everything that can be empty is; of closed values the first."""
    if kind not in _BLANK:
        _BLANK[kind] = {each["name"]: _blank_value(each) for each in load_schemas().by_name[kind].parsed["fields"]}
    return dict(_BLANK[kind])


def _blank_value(of: Mapping[str, Any]) -> Any:
    if "default" in of:
        return of["default"]
    if "values" in of:
        return of["values"][0]
    kind = of["type"]["type"] if isinstance(of["type"], dict) else of["type"]
    if isinstance(kind, list):
        return None
    return {"string": "x", "long": 0, "int": 0, "array": [], "bytes": b"", "fixed": bytes(32), "record": {}}[kind]
