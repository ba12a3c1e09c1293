"""The verifier against the stranger's (``tests/stranger.py``), which shares no code with it: both say the same of any bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nacl.signing import VerifyKey

from ledger.errors import VerificationError
from ledger.format.batch import ChainHead, SealedBatch, SealedEvent, decode_seal, join_batch
from ledger.format.hashing import ZERO32, payload_digest
from ledger.format.merkle import tree_head
from ledger.trust.bundle import read_bundle
from ledger.trust.verdict import Judge
from tests import stranger
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.judged import described
from tests.sealing import (
    CHAIN,
    KEY,
    LEDGER,
    ROOT,
    SCHEMAS,
    SECOND,
    START,
    bundle_of,
    digests_of,
    key_statement,
    opening,
    seal,
    sign,
)
from tests.sealing import event as made_event

BUNDLE = bundle_of(key_statement(kinds=["*", "content_erasure"]))
JUDGE = Judge(SCHEMAS, LEDGER, read_bundle(BUNDLE, ROOT.public, LEDGER), canonical=True)
CHECKING = JUDGE.checking()
THEIRS = stranger.read_bundle(BUNDLE, VerifyKey(ROOT.public.raw), LEDGER)
KNOWN = stranger.load_schemas(pieces.VECTORS.parents[1] / "schemas")
NOW = START + 10 * SECOND
_SALT = bytes(range(16))


def agree(key: bytes | None, value: bytes | None, erased: frozenset[bytes] = frozenset()) -> None:
    """Both verifiers say the same of a record; ``erased`` are digests of events."""
    ours, checked = (
        described(judge.judge(key, value, NOW, lambda _, digests: {each for each in digests if each in erased}))
        for judge in (JUDGE, CHECKING)
    )
    assert ours == checked, f"who decodes payloads says {ours}, who checks them {checked}"
    vector = {"ledger": LEDGER, "erased": [{"tenant": "acme", "event": each.hex()} for each in erased]}
    sent = {"key": key and key.hex(), "value": value and value.hex(), "append_time": NOW}
    theirs: dict[str, Any]
    try:
        theirs, _ = stranger.judge(KNOWN, THEIRS, vector, sent)
    except stranger.Refused as refused:
        theirs = {"verdict": str(refused)}
    assert ours == theirs, f"we say {ours}, the stranger says {theirs}"


def record(data: bytes) -> None:
    """A record's value as it is."""
    agree(CHAIN, data)


def sealed(data: bytes) -> None:
    """A seal, well signed over two events; after its first byte. An odd byte mends what else must fit."""
    raw = data[1:]
    events = [opening(), made_event(1)]
    if data[:1] and data[0] & 1:
        raw = _mended(raw, events)
    agree(CHAIN, sign(raw, events, ChainHead()).value)


def _mended(raw: bytes, events: Sequence[SealedEvent]) -> bytes:
    try:
        found = decode_seal(SCHEMAS, raw)
    except VerificationError:
        return raw
    right = decode_seal(SCHEMAS, seal(events).seal)
    root = tree_head(digests_of(events, found.tenant, found.service))
    fit = found._replace(ledger=LEDGER, events_root=root, event_count=2, schemas=right.schemas, key_id=KEY.key_id)
    return SCHEMAS.encode("Seal", fit._replace(chain_id=CHAIN, format=1)._asdict())


def stated(data: bytes) -> None:
    """Events under a good seal: parts are a byte of how, header, payload, for up to four events."""
    parts = pieces.split(data)
    events = [_event(*parts[at : at + 3]) for at in range(0, min(len(parts), 12) - 2, 3)]
    first = bool(data[:1]) and len(data) % 2 == 0
    events = [opening(), *events] if first else events
    if not events:
        return
    head = ChainHead() if first else ChainHead(7, b"\7" * 32, 100)
    closes = b"chain_close" in events[-1].header
    value = seal(events, head, next_within=0 if closes else 60).value
    agree(CHAIN, value, frozenset(digests_of(events)[1:]))


def _event(how: bytes, header: bytes, payload: bytes) -> SealedEvent:
    """As given, or with the digest of its payload (a header's last 32 bytes) set right, or erased."""
    way = how[0] if how else 0
    if way & 1:
        header = header[:-32] + payload_digest(_SALT, payload)
    if way & 2:
        return SealedEvent(header, _SALT if way & 4 else bytes(16), None)
    return SealedEvent(header, _SALT, payload)


def signatures(data: bytes) -> None:
    """A good seal under other signatures: parts are key ids and signatures; an empty one is the right one."""
    good = seal([opening(), made_event(1)])
    right = good.batch.signatures[0]
    parts = pieces.split(data)
    given = [
        right._replace(key_id=key_id.decode("latin-1") or right.key_id, signature=signature or right.signature)
        for key_id, signature in zip(parts[::2], parts[1::2], strict=False)
    ]
    agree(CHAIN, join_batch(SCHEMAS, SealedBatch(good.seal, given, good.batch.events)))


def _sealed_seeds() -> Iterator[bytes]:
    for batch in pieces.batches():
        yield b"\0" + batch.seal
        yield b"\1" + batch.seal


def _stated_seeds() -> Iterator[bytes]:
    for header, payload in pieces.events():
        yield pieces.join([b"\1", header, payload])
        yield pieces.join([b"\1", header, payload, b"\2"])
        yield pieces.join([b"\0", header, payload])
    two = [part for header, payload in pieces.events()[:2] for part in (b"\1", header, payload)]
    yield pieces.join(two)


def _signature_seeds() -> Iterator[bytes]:
    yield pieces.join([b"", b""])
    yield pieces.join([b"", ZERO32 + ZERO32, b"x", b"y"])


TARGETS = (
    Target("judge-record", record, pieces.values, short=300),
    Target("judge-seal", sealed, _sealed_seeds, short=300),
    Target("judge-events", stated, _stated_seeds, short=400),
    Target("judge-signatures", signatures, _signature_seeds, short=200),
)
