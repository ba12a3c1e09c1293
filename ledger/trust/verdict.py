"""The two verdicts: first the seal, then each event. A pure function of the record's bytes, its append time and the bundle.

Only ``Judge.judge`` makes a ``VerifiedBatch``: what holds one may rely on signature, scope, root and payload digests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from ledger.errors import VerificationError
from ledger.format import ids
from ledger.format.batch import Chain, Seal, SealedBatch, SealedEvent, decode_seal, split_batch, used_schemas
from ledger.format.codec import FRAME, Malformed, Schemas, SchemaUnknown, read_body
from ledger.format.event import RELATIONS, EventHeader, decode_header
from ledger.format.hashing import ZERO16, ZERO32, event_digest, event_prefix, payload_digest, seal_digest, seal_message
from ledger.format.limits import (
    BATCH_BYTES,
    EVENT_AHEAD,
    FORMAT,
    NEXT_WITHIN,
    NUMBER,
    PAYLOAD_BYTES,
    SEALED_AHEAD,
    SEALED_BEHIND,
)
from ledger.format.merkle import tree_head
from ledger.trust.bundle import Authority, TrustBundle

Payload = dict[str, Any]


class VerifiedEvent(NamedTuple):
    """An event that its seal covers. ``payload`` is decoded, or None: erased, of a schema unknown here, or not asked for.

    ``findings`` are names of ``ledger.trust.reasons``; ``effective`` is False where the key may not state this kind.
    """

    sequence: int
    digest: bytes
    header: EventHeader
    header_bytes: bytes
    salt: bytes
    payload_bytes: bytes | None
    payload: Payload | None
    findings: tuple[str, ...]
    effective: bool


class RefusedEvent(NamedTuple):
    """An event under a good seal that cannot be decoded or projected; kept with its reason, alone."""

    sequence: int
    digest: bytes
    raw: SealedEvent
    reason: str
    detail: str


class VerifiedBatch:
    """A batch whose seal holds. Made by ``Judge`` alone. ``leaves`` are the event digests under its root, in order."""

    __slots__ = (
        "append_time",
        "batch",
        "chain",
        "closes",
        "events",
        "findings",
        "leaves",
        "refused",
        "role",
        "seal",
        "seal_digest",
    )

    def __init__(
        self,
        proof: object,
        *,
        chain: Chain,
        seal: Seal,
        seal_digest: bytes,
        batch: SealedBatch,
        append_time: int,
        role: str,
        events: list[VerifiedEvent],
        refused: list[RefusedEvent],
        findings: tuple[str, ...],
        leaves: bytes,
    ) -> None:
        if proof is not _PROOF:
            raise TypeError("only the verifier makes a VerifiedBatch")
        self.chain = chain
        self.seal = seal
        self.seal_digest = seal_digest
        self.batch = batch
        self.append_time = append_time
        self.role = role
        self.events = events
        self.refused = refused
        self.findings = findings
        self.leaves = leaves
        self.closes = seal.next_within == 0


class Rejected(NamedTuple):
    """A record that does not verify. ``seal`` is what it claims, where readable: unverified, for look-ups only.

    ``seal_digest`` is there where the seal's signature holds, and it is the append time that refuses it.
    """

    reason: str
    detail: str
    seal: Seal | None
    seal_digest: bytes | None = None


Erased = Callable[[str, Sequence[bytes]], AbstractSet[bytes]]
"""``erased(tenant, digests)``: which of these event digests an admitted erasure names."""

UNTIMELY: Final = frozenset({"revoked_key", "expired_key"})
"""Refusals that another append time would not have met."""

_PROOF: Final = object()
_FRAMES: Final = frozenset({"SealedBatch", "Seal", "EventHeader", "Content"})
_NOTHING: Final[AbstractSet[bytes]] = frozenset()


class Judge:
    """Judges records of ``ledger.events`` under one bundle and one set of schemas.

    ``canonical`` also looks for ``non_canonical`` headers and payloads, at the price of reading each again. Without
    ``payloads`` the verdicts are the same, and events but erasures come without what their payloads say.
    """

    def __init__(
        self, schemas: Schemas, ledger: str, bundle: TrustBundle, *, canonical: bool = False, payloads: bool = True
    ) -> None:
        self._schemas = schemas
        self._ledger = ledger
        self._bundle = bundle
        self._canonical = canonical
        self._payloads = payloads

    @property
    def canonical(self) -> bool:
        """Whether it looks for what is not canonical."""
        return self._canonical

    def checking(self) -> Judge:
        """The same judge for who does not ask what events say: payloads are checked and not decoded, but for erasures'."""
        return Judge(self._schemas, self._ledger, self._bundle, canonical=self._canonical, payloads=False)

    @property
    def trusted(self) -> bytes:
        """The digest of the bundle under which it judges."""
        return self._bundle.digest

    def judge(
        self, key: bytes | None, value: bytes | None, append_time: int, erased: Erased | None = None
    ) -> VerifiedBatch | Rejected:
        """The verdict on one record. ``erased`` is asked about events without payload; by default none is erased."""
        return self._judge(key, value, append_time, erased, timeless=False)

    def holds(self, key: bytes | None, value: bytes | None, erased: Erased | None = None) -> bool:
        """Whether the record would be admitted at some append time: all but the time of the key's statements is checked."""
        return isinstance(self._judge(key, value, 0, erased, timeless=True), VerifiedBatch)

    def _judge(
        self, key: bytes | None, value: bytes | None, append_time: int, erased: Erased | None, *, timeless: bool
    ) -> VerifiedBatch | Rejected:
        seal: Seal | None = None
        digest: bytes | None = None
        try:
            if value is None:
                raise Malformed("a record without a value in the topic of events")
            if len(value) > BATCH_BYTES:
                raise VerificationError("oversize", f"the record has {len(value)} bytes; the limit is {BATCH_BYTES}")
            batch = split_batch(self._schemas, value)
            seal = decode_seal(self._schemas, batch.seal)
            if seal.format != FORMAT:
                raise VerificationError("schema_unknown", f"format {seal.format} is not known here; update the ledger")
            _check_seal(seal)
            self._check_signature(key, batch, seal)
            authority = self._bundle.authority(seal.key_id, seal.tenant, seal.service, append_time)
            if isinstance(authority, str) and timeless and authority in UNTIMELY and self._covered(seal):
                authority = Authority(role="source", kinds=())
            if isinstance(authority, str):
                digest = seal_digest(batch.seal) if authority in UNTIMELY else None
                detail = f"key {seal.key_id} for tenant {seal.tenant!r}, service {seal.service!r} at {append_time}"
                raise VerificationError(authority, detail)
            return self._open(value, batch, seal, authority, append_time, erased)
        except VerificationError as error:
            return Rejected(error.reason, error.detail, seal, digest)

    def _covered(self, seal: Seal) -> bool:
        """Whether some statement about the seal's key names its tenant and service, at whatever time: a revocation hides that."""
        return any(each.covers(seal.tenant, seal.service) for each in self._bundle.keys[seal.key_id].grants)

    def _check_signature(self, key: bytes | None, batch: SealedBatch, seal: Seal) -> None:
        if seal.ledger != self._ledger:
            raise VerificationError("wrong_ledger", f"the seal is for ledger {seal.ledger!r}, this is {self._ledger!r}")
        if key != seal.chain_id:
            raise VerificationError("wrong_key", "the record's key is not the chain's id")
        trusted = self._bundle.keys.get(seal.key_id)
        if trusted is None:
            raise VerificationError("unknown_key", f"no trust statement names key {seal.key_id}")
        first = batch.signatures[0]
        if first.key_id != seal.key_id or not trusted.public.verifies(seal_message(batch.seal), first.signature):
            raise VerificationError("bad_signature", f"the first signature is not key {seal.key_id}'s over this seal")

    def _open(
        self,
        value: bytes,
        batch: SealedBatch,
        seal: Seal,
        authority: Authority,
        append_time: int,
        erased: Erased | None,
    ) -> VerifiedBatch:
        prefix = event_prefix(seal.ledger, seal.tenant, seal.service)
        digests = [event_digest(prefix, event.header) for event in batch.events]
        if len(digests) != seal.event_count:
            raise VerificationError("bad_root", f"the seal covers {seal.event_count} events, not {len(digests)}")
        if tree_head(digests) != seal.events_root:
            raise VerificationError("bad_root", "the events are not those that the seal's root covers")
        headers = [self._header(event.header) for event in batch.events]
        _check_payloads(batch, digests, headers, _erased_of(seal.tenant, batch, digests, erased))
        _check_ends(seal, headers)
        used = used_schemas(self._schemas, batch.seal[:FRAME], value[:FRAME], batch.events)
        if used is not None and used != seal.schemas:
            raise VerificationError("schema_unknown", "the seal commits to other schema files than those known here")
        events, refused = self._events(batch, seal, digests, headers, authority, append_time)
        return VerifiedBatch(
            _PROOF,
            chain=Chain(seal.ledger, seal.tenant, seal.service, seal.key_id, seal.chain_id),
            seal=seal,
            seal_digest=seal_digest(batch.seal),
            batch=batch,
            append_time=append_time,
            role=authority.role,
            events=events,
            refused=refused,
            findings=_seal_findings(seal, append_time),
            leaves=b"".join(digests),
        )

    def _header(self, data: bytes) -> EventHeader | Malformed:
        """The header, or why it alone is refused; a schema unknown here refuses the record, to be judged again."""
        try:
            return decode_header(self._schemas, data)
        except Malformed as error:
            return error

    def _events(
        self,
        batch: SealedBatch,
        seal: Seal,
        digests: list[bytes],
        headers: list[EventHeader | Malformed],
        authority: Authority,
        append_time: int,
    ) -> tuple[list[VerifiedEvent], list[RefusedEvent]]:
        events: list[VerifiedEvent] = []
        refused: list[RefusedEvent] = []
        allowed: dict[str, bool] = {}
        latest = append_time + EVENT_AHEAD
        last_id = ids.last_of(latest)
        sequence = seal.first_sequence - 1
        for digest, raw, header in zip(digests, batch.events, headers, strict=True):
            sequence += 1
            if isinstance(header, Malformed):
                refused.append(RefusedEvent(sequence, digest, raw, header.reason, header.detail))
                continue
            kind = header.kind
            effective = allowed.get(kind)
            if effective is None:
                effective = allowed[kind] = authority.allows(kind)
            findings: list[str] = [] if effective else ["unauthorized_kind"]
            try:
                payload = self._payload(kind, raw, findings)
            except VerificationError as error:
                refused.append(RefusedEvent(sequence, digest, raw, "unprojectable", error.detail))
                continue
            if not 0 <= header.occurred_at <= latest or header.event_id > last_id:
                findings.append("clock_skew")
            for cause in header.causes:
                if cause.relation not in RELATIONS:
                    findings.append("unknown_relation")
                    break
            if self._canonical and not self._is_canonical(raw):
                findings.append("non_canonical")
            events.append(
                VerifiedEvent(
                    sequence, digest, header, raw.header, raw.salt, raw.payload, payload, tuple(findings), effective
                )
            )
        return events, refused

    def _payload(self, kind: str, raw: SealedEvent, findings: list[str]) -> Payload | None:
        """The decoded payload; None where erased or not asked for, or, with a finding, where its schema is unknown here."""
        data = raw.payload
        if data is None:
            return None
        if len(data) > PAYLOAD_BYTES:
            raise Malformed(f"the payload has {len(data)} bytes; the limit is {PAYLOAD_BYTES}")
        try:
            schema = self._schemas.of(data)
        except SchemaUnknown:
            findings.append("schema_unknown")
            return None
        if schema.name != kind or kind in _FRAMES:
            raise Malformed(f"the header says {kind!r}, the payload is a {schema.name!r}")
        if self._payloads or kind == "content_erasure":
            return read_body(schema, data)
        if not schema.canonical(data):
            read_body(schema, data)  # tells what is odd from what is nothing at all
        return None

    def _is_canonical(self, raw: SealedEvent) -> bool:
        if not self._schemas.canonical(raw.header):
            return False
        schema = None if raw.payload is None else self._schemas.by_frame.get(raw.payload[:FRAME])
        return raw.payload is None or schema is None or schema.canonical(raw.payload)


def _check_seal(seal: Seal) -> None:
    """What must hold of a seal by itself; raises ``Malformed``."""
    numbers = (seal.seal_number, seal.first_sequence, seal.sealed_at)
    if min(numbers) < 0 or max(numbers) > NUMBER:
        raise Malformed(f"a number in the seal is not between 0 and {NUMBER}")
    if seal.next_within is not None and not 0 <= seal.next_within <= NEXT_WITHIN:
        raise Malformed(f"next_within is not between 0 and {NEXT_WITHIN}")
    starts = (seal.seal_number == 0, seal.previous_seal == ZERO32, seal.first_sequence == 0)
    if any(starts) and not all(starts):
        raise Malformed("seal number 0, no previous seal and sequence 0 go together")


def _check_ends(seal: Seal, headers: list[EventHeader | Malformed]) -> None:
    """A chain opens with ``chain_open``, and ``chain_close`` alone promises no next seal; raises ``Malformed``."""
    first, last = headers[0], headers[-1]
    opens = isinstance(first, EventHeader) and first.kind == "chain_open"
    closes = isinstance(last, EventHeader) and last.kind == "chain_close"
    if opens != (seal.seal_number == 0):
        raise Malformed("a chain's first event, and no other batch's, is chain_open")
    if closes != (seal.next_within == 0):
        raise Malformed("next_within is 0 where the last event is chain_close, and only there")


def _erased_of(tenant: str, batch: SealedBatch, digests: list[bytes], erased: Erased | None) -> AbstractSet[bytes]:
    missing = [digest for digest, event in zip(digests, batch.events, strict=True) if event.payload is None]
    return erased(tenant, missing) if missing and erased is not None else _NOTHING


def _check_payloads(
    batch: SealedBatch,
    digests: list[bytes],
    headers: list[EventHeader | Malformed],
    erased: AbstractSet[bytes],
) -> None:
    """Every payload is the one that its header commits to, or erased by an event; raises ``bad_payload``."""
    for digest, event, header in zip(digests, batch.events, headers, strict=True):
        if event.payload is None:
            if digest not in erased or event.salt != ZERO16:
                raise VerificationError("bad_payload", f"event {digest.hex()} has no payload and no erasure names it")
        elif isinstance(header, EventHeader) and payload_digest(event.salt, event.payload) != header.payload_digest:
            raise VerificationError("bad_payload", f"event {digest.hex()} has another payload than was sealed")


def _seal_findings(seal: Seal, append_time: int) -> tuple[str, ...]:
    if seal.sealed_at > append_time + SEALED_AHEAD:
        return ("clock_skew",)
    return ("late",) if seal.sealed_at < append_time - SEALED_BEHIND else ()
