# ruff: noqa: E501 - a row a case
"""The cases of ``tests/vectors``: each a good run of records, or one with exactly one fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_base_noclamp

from ledger.format import ids
from ledger.format.batch import ChainHead, SealedBatch, SealedEvent, Signature
from ledger.format.codec import FRAME, MARK
from ledger.format.event import Cause
from ledger.format.hashing import ZERO32, seal_message
from ledger.format.limits import BATCH_BYTES
from ledger.trust.bundle import NAMED_KINDS
from ledger.trust.keys import b64url, jwk_of
from tests.make_vectors import CLEAN, Case, Expected, Sent, one, refused, three
from tests.sealing import (
    CHAIN,
    KEY,
    LEDGER,
    OPEN,
    ROOT,
    SCHEMAS,
    SECOND,
    START,
    TENANT,
    Made,
    block,
    bundle_of,
    closing,
    data,
    digests_of,
    erased,
    event,
    event_id,
    event_items,
    frame,
    heartbeat,
    key_statement,
    negative_block,
    opening,
    overlong,
    seal,
    sign,
    signature_items,
    signer,
    split_blocks,
    zigzag,
)

OTHER = signer("other")
FOREIGN = MARK + bytes.fromhex("0123456789abcdef")
"""The frame of a schema that nobody published."""
HOUR = 3600 * SECOND
DAY = 24 * HOUR


# --- good -------------------------------------------------------------------------------------------------------------


def good() -> Iterator[Case]:
    yield one("good-one-event", "a chain of one seal over one event", Sent(seal([opening()])))
    named = bundle_of(key_statement(kinds=["*", *sorted(NAMED_KINDS)]))
    yield one("good-worked-example", "the example of docs/format.md", Sent(seal([opening(), event(1)])))
    yield one("good-every-kind-full", "every kind, every field filled", Sent(_every_kind(full=True)), bundle=named)
    yield one("good-every-kind-bare", "every kind, as empty as allowed", Sent(_every_kind(full=False)), bundle=named)
    many = seal([opening(), *(event(n) for n in range(1, 256))])
    yield one("good-256-events", "as many events as a seal may cover", Sent(many))
    yield Case("good-three-seals", "a chain of three seals, closed", [Sent(each) for each in three()])
    first, second, third = three()
    yield Case("good-any-order", "the same chain, its seals in another order", [Sent(third), Sent(first), Sent(second)])
    yield Case("good-same-again", "the same seal twice: once in the chain", [Sent(first), Sent(first), Sent(second)])
    yield _erasure("good-erasure", "a payload erased, and the event that erased it", named=True)
    unknown = event(1, "weather", payload=FOREIGN + b"\x02")
    noted = Expected(noted={1: ["schema_unknown"]})
    yield one(
        "good-unknown-kind", "a payload of a schema that nobody published", Sent(seal([opening(), unknown]), noted)
    )
    bundle = bundle_of(key_statement(role="importer"))
    yield one(
        "good-importer", "sealed by an importer", Sent(seal([opening()]), Expected(role="importer")), bundle=bundle
    )
    tenants = ["a" * 64, "b"]
    bundle = bundle_of(key_statement(tenants=tenants, services=["*"], kinds=["chain_open"], until=START + DAY))
    long = seal([opening()], tenant="a" * 64, service="s" * 64)
    yield one("good-narrow-scope", "a key that may sign for this tenant and kind only", Sent(long), bundle=bundle)
    ignored = first.but(signatures=[*first.batch.signatures, Signature("other", b"anything")])
    yield one("good-second-signature", "signatures after the first are ignored", Sent(first, value=ignored))
    edges = {"sealed_at": START + 2 * SECOND + 300 * SECOND}
    yield one("good-sealed-5-minutes-ahead", "at the limit: no finding", Sent(seal([opening()], **edges)))
    late = Sent(seal([opening()], sealed_at=START), append_time=START + HOUR)
    yield one("good-sealed-an-hour-ago", "at the limit: no finding", late)
    tomorrow = event(1, occurred_at=START + 2 * SECOND + DAY)
    yield one("good-occurs-a-day-ahead", "at the limit: no finding", Sent(seal([opening(), tomorrow])))
    longest = event(1, correlation=["x" * 512], agent_id="é" * 256)
    yield one("good-longest-strings", "strings of 512 bytes", Sent(seal([opening(), longest])))
    most = event(1, causes=[Cause(event_id(n), None, "informed_by") for n in range(64)])
    yield one("good-64-causes", "as many causes as a header may have", Sent(seal([opening(), most])))
    yield one("good-no-promise", "a seal that promises no next one", Sent(seal([opening()], next_within=None)))
    closed = seal([opening(), closing(1)], next_within=0)
    yield one("good-open-and-close", "a chain that opens and closes in one seal", Sent(closed))


def _every_kind(*, full: bool) -> Made:
    names = [name for name in SCHEMAS.by_name if name not in ("SealedBatch", "Seal", "EventHeader", "Content")]
    names = ["chain_open", *(n for n in names if n not in ("chain_open", "chain_close")), "chain_close"]
    header: dict[str, Any] = {}
    if full:
        header = {
            "execution_id": sha256(b"execution").digest()[:16],
            "agent_id": "https://issuer.example#agent",
            "agent_instance": "spiffe://example/agent/1",
            "principal": sha256(b"person").digest(),
            "causes": [
                Cause(event_id(0), sha256(b"cause").digest(), "started_by"),
                Cause(event_id(9), None, "retries"),
            ],
            "correlation": ["trace:4bf92f3577b34da6a3ce929d0e0e4736", "unknown_namespace:a:b", "no colon"],
            "contents": [sha256(b"content").digest(), ZERO32],
        }
    made = [event(n, name, _sample(SCHEMAS.by_name[name].parsed, name, full), **header) for n, name in enumerate(names)]
    return seal(made, next_within=0)


def _sample(schema: Any, path: str, full: bool, named: dict[str, Any] | None = None) -> Any:
    """A value of a schema, made from the names of its fields: everything filled, or as little as possible."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return _sample(schema[1], path, full, named) if full else None
    kind = schema if isinstance(schema, str) else schema["type"]
    if isinstance(schema, dict) and "name" in schema:
        named[schema["name"]] = schema
    if kind in named and isinstance(schema, str):
        return _sample(named[kind], path, full, named)
    if kind == "record":
        fields = {f["name"]: _sample(f["type"], f"{path}.{f['name']}", full, named) for f in schema["fields"]}
        return {name: _closed(schema, name, value) for name, value in fields.items()}
    if kind == "array":
        item = _sample(schema["items"], path, full, named)
        return [item, item] if full else []
    if kind == "fixed":
        return sha256(path.encode()).digest()[: schema["size"]]
    if kind == "string":
        return path + " é€😀" if full else ""
    return len(path) * (-1) ** len(path) * 1_000_003 if full else 0


def _closed(schema: Any, name: str, value: Any) -> Any:
    """The first value of a closed list, where the field has one."""
    field = next(f for f in schema["fields"] if f["name"] == name)
    return field["values"][0] if isinstance(value, str) and "values" in field else value


def _erasure(name: str, title: str, *, named: bool) -> Case:
    first, second = seal([opening(), event(1)]), None
    target = digests_of(first.batch.events)[1]
    said = {"contents": [], "events": [target], "basis": "gdpr_art_17", "by": None, "request": None}
    second = seal([event(2, "content_erasure", said)], first.head)
    after = first.but(events=[first.batch.events[0], erased(first.batch.events[1])])
    kinds = ["*", "content_erasure"] if named else ["*"]
    verdicts = (CLEAN, CLEAN) if named else (refused("bad_payload"), Expected(noted={0: ["unauthorized_kind"]}))
    return Case(
        name,
        title,
        [Sent(first, verdicts[0], value=after), Sent(second, verdicts[1])],
        bundle=bundle_of(key_statement(kinds=kinds)),
        erased=[target] if named else [],
        chain=[] if named else ["gap"],
    )


# --- one fault a record -----------------------------------------------------------------------------------------------


def records() -> Iterator[Case]:
    yield from _malformed_frames()
    yield from _malformed_seals()
    yield from _unknown_schemas()
    yield from _untrusted()
    yield from _changed()


def _refused(reason: str, name: str, title: str, value: bytes | None, **more: Any) -> Case:
    bundle = more.pop("bundle", None)
    return one(f"{reason}-{name}", title, Sent(None, refused(reason), value=value, **more), bundle=bundle)


def _malformed_frames() -> Iterator[Case]:
    made = seal([opening(), event(1)])
    value, raw, batch = made.value, made.seal, made.batch
    signatures, events = signature_items(batch), event_items(batch)
    whole = frame(raw, block(signatures), block(events))
    cut = value[: len(value) // 2]
    union = bytearray(events[1])
    union[union.index(batch.events[1].salt) + 16] = 0x04
    back = bytearray(events[1])
    back[back.index(batch.events[1].salt) + 16] = 0x01
    many = [event(n) for n in range(1, 257)]
    for name, title, bad in (
        ("no-value", "a record without a value", None),
        ("empty", "a value of no bytes", b""),
        ("no-mark", "the first byte is not C3", b"\xc4" + value[1:]),
        ("nine-bytes", "shorter than a frame", value[:9]),
        ("cut-short", "the second half is missing", cut),
        ("trailing-byte", "one byte after the end", value + b"\0"),
        ("other-record", "the frame names the schema of Seal", SCHEMAS.by_name["Seal"].frame + value[FRAME:]),
        ("overlong-count", "the count of signatures takes two bytes", frame(raw, overlong(block(signatures), 0), block(events))),
        ("negative-block", "a block of events with negative count and size", frame(raw, block(signatures), negative_block(events))),
        ("two-blocks", "a block for each event", frame(raw, block(signatures), split_blocks(events))),
        ("length-2-60", "a seal of 2^60 bytes, says its length", value[:FRAME] + zigzag(2**60) + raw),
        ("length-negative", "a seal of -1 bytes", value[:FRAME] + zigzag(-1) + whole[FRAME + 2 :]),
        ("count-2-60", "2^60 events, says the count", frame(raw, block(signatures), zigzag(2**60) + events[0])),
        ("union-index-2", "a union of two branches with index 2", frame(raw, block(signatures), block([events[0], bytes(union)]))),
        ("union-index-negative", "a union with index -1", frame(raw, block(signatures), block([events[0], bytes(back)]))),
        ("no-events", "no events", frame(raw, block(signatures), block([]))),
        ("257-events", "an event too many", made.but(events=[batch.events[0], *many])),
        ("no-signatures", "no signature", frame(raw, block([]), block(events))),
        ("17-signatures", "a signature too many", made.but(signatures=list(batch.signatures) * 17)),
        ("nul-in-signature", "U+0000 in the key id of a signature", made.but(signatures=[*batch.signatures, Signature("a\0", b"")])),
        ("key-id-not-utf8", "a key id that is not UTF-8", frame(raw, block([data(b"\xc3\x28") + data(b"")]), block(events))),
    ):  # fmt: skip
        yield _refused("malformed", name, title, bad)
    empty = frame(raw, zigzag(100_000) + bytes(0), block([]))
    yield _refused("malformed", "100000-empty-items", "100,000 empty signatures", empty[:-1], zeros=200_002)
    yield _refused("oversize", "one-byte", "a byte over the limit", value, zeros=BATCH_BYTES + 1 - len(value))
    yield _refused(
        "malformed", "largest", "as large as allowed, but for its tail", value, zeros=BATCH_BYTES - len(value)
    )


def _malformed_seals() -> Iterator[Case]:
    events = [opening(), event(1)]
    raw = seal(events).seal
    tenant = raw.index(TENANT.encode())
    long = seal(events, service="s" * 2048)
    broken = (
        ("seal-cut-short", "a seal without its last byte", raw[:-1]),
        ("seal-trailing-byte", "a seal with a byte after its end", raw + b"\0"),
        ("seal-overlong-varint", "the seal's format takes two bytes", overlong(raw, FRAME)),
        ("seal-not-utf8", "a tenant that is not UTF-8", raw[:tenant] + b"\xff" + raw[tenant + 1 :]),
        (
            "seal-surrogate",
            "a tenant with an encoded surrogate",
            raw[:tenant] + b"\xed\xa0\x80e"[:4] + raw[tenant + 4 :],
        ),
        ("seal-nul", "U+0000 in the tenant", raw[:tenant] + b"\0" + raw[tenant + 1 :]),
        ("seal-too-long", "a seal over 2 KiB", long.seal),
        ("seal-empty", "a seal of no bytes", b""),
        ("seal-other-record", "the seal's place holds a header", events[0].header),
    )
    for name, title, bad in broken:
        yield _refused("malformed", name, title, sign(bad, events, ChainHead()).value)
    late = ChainHead(1, sha256(b"seal").digest(), 2)
    for name, title, made in (
        ("seal-number-negative", "a negative seal number", seal([event(2)], late, seal_number=-1)),
        (
            "seal-number-2-53",
            "a seal number beyond 2^53 - 1",
            seal([event(2)], late, seal_number=2**53, sealed_at=START),
        ),
        ("sequence-2-63", "the largest long as first sequence", seal([event(2)], late, first_sequence=2**63 - 1)),
        ("sealed-at-negative", "sealed before 1970", seal(events, sealed_at=-1)),
        ("next-within-negative", "a negative promise", seal(events, next_within=-1)),
        ("next-within-too-long", "a promise of more than 366 days", seal(events, next_within=31_622_401)),
        ("first-with-sequence", "seal 0 begins at sequence 1", seal(events, first_sequence=1)),
        ("first-with-previous", "seal 0 names a seal before it", seal(events, previous_seal=sha256(b"seal").digest())),
        ("later-without-previous", "seal 1 names none before it", seal([event(2)], late, previous_seal=ZERO32)),
        ("later-at-sequence-0", "seal 1 begins at sequence 0", seal([event(2)], late, first_sequence=0)),
        ("no-open", "seal 0 does not begin with chain_open", seal([event(0), event(1)])),
        ("open-later", "seal 1 begins with chain_open", seal([opening()], late)),
        ("close-with-promise", "chain_close, and a promise of a next seal", seal([opening(), closing(1)])),
        ("end-without-close", "next_within 0 without chain_close", seal(events, next_within=0)),
    ):
        yield _refused("malformed", name, title, made.value)


def _unknown_schemas() -> Iterator[Case]:
    events = [opening(), event(1)]
    made = seal(events)
    strange = SealedEvent(FOREIGN + events[1].header[FRAME:], events[1].salt, events[1].payload)
    for name, title, bad in (
        ("frame", "a batch of an unknown schema", FOREIGN + made.value[FRAME:]),
        ("seal", "a seal of an unknown schema", sign(FOREIGN + made.seal[FRAME:], events, ChainHead()).value),
        ("format", "format 2", seal(events, format=2).value),
        ("header", "a header of an unknown schema refuses its record", seal([events[0], strange]).value),
        ("set", "the seal commits to other schema files", seal(events, schemas=sha256(b"others").digest()).value),
    ):
        yield _refused("schema_unknown", name, title, bad)


def _untrusted() -> Iterator[Case]:
    events = [opening(), event(1)]
    made = seal(events)
    value = made.value
    yield _refused("wrong_ledger", "other", "sealed for another ledger", seal(events, ledger="other.example").value)
    yield _refused("wrong_key", "other", "the record key is another chain's", value, key=bytes(16))
    yield _refused("wrong_key", "none", "no record key", value, key=None)
    yield _refused("wrong_key", "longer", "the record key has a byte more", value, key=CHAIN + b"\0")
    yield _refused("unknown_key", "never-named", "a key that no statement names", seal(events, key=OTHER).value)
    only = bundle_of({"type": "revocation", "key_id": KEY.key_id, "from": START + DAY})
    yield _refused("unknown_key", "only-revoked", "a key that only a revocation names", value, bundle=only)
    yield _refused("unknown_key", "empty-bundle", "a bundle of no bytes trusts nobody", value, bundle=b"")
    other = bundle_of(key_statement(tenants=["other"]))
    yield _refused("wrong_scope", "tenant", "a key for another tenant", value, bundle=other)
    other = bundle_of(key_statement(services=["other"]))
    yield _refused("wrong_scope", "service", "a key for another service", value, bundle=other)
    crossed = bundle_of(key_statement(tenants=["other"]), key_statement(services=["other"]))
    yield _refused(
        "wrong_scope", "crossed", "one statement for the tenant, another for the service", value, bundle=crossed
    )
    at = START + 2 * SECOND
    for name, title, start, reason in (
        ("before", "revoked before append time", at - 1, "revoked_key"),
        ("at", "revoked from append time on", at, "revoked_key"),
        ("after", "revoked after append time: admitted", at + 1, None),
    ):
        revoked = bundle_of(key_statement(), {"type": "revocation", "key_id": KEY.key_id, "from": start})
        sent = Sent(made, refused(reason) if reason else CLEAN)
        yield one(f"{'revoked_key' if reason else 'good-revoked'}-{name}", title, sent, bundle=revoked)
    back = [{"type": "revocation", "key_id": KEY.key_id, "from": each} for each in (at - HOUR, at + HOUR)]
    dated = bundle_of(back[1], key_statement(), back[0], key_statement())
    yield _refused("revoked_key", "dated-back", "the earliest of two revocations holds, and no later statement lifts it", value, bundle=dated)  # fmt: skip
    both = bundle_of(key_statement(tenants=["other"]), {"type": "revocation", "key_id": KEY.key_id, "from": at})
    yield _refused("revoked_key", "and-out-of-scope", "revocation comes before scope", value, bundle=both)
    for name, title, spans, holds in (
        ("not-yet", "appended before the key's from", [(at + 1, None)], False),
        ("at-until", "appended at the key's until", [(START, at)], False),
        ("between", "appended between two statements", [(START, at), (at + 1, None)], False),
        ("at-from", "appended at the key's from: admitted", [(at, None)], True),
    ):
        spanned = bundle_of(*(key_statement(**{"from": low, "until": high}) for low, high in spans))
        sent = Sent(made, CLEAN if holds else refused("expired_key"))
        yield one(f"{'good-key' if holds else 'expired_key'}-{name}", title, sent, bundle=spanned)


def _changed() -> Iterator[Case]:
    events = [opening(), event(1), event(2)]
    made = seal(events)
    raw, batch = made.seal, made.batch
    mine = batch.signatures[0]
    for name, title, signatures in (
        ("bit", "one bit of the signature", [Signature(KEY.key_id, bytes([mine.signature[0] ^ 1]) + mine.signature[1:])]),
        ("short", "a signature of 63 bytes", [Signature(KEY.key_id, mine.signature[:-1])]),
        ("long", "a signature of 65 bytes", [Signature(KEY.key_id, mine.signature + b"\0")]),
        ("other-key", "another key's signature under the seal's key id", [Signature(KEY.key_id, OTHER.sign(seal_message(raw)))]),
        ("other-key-id", "another key's signature first", [Signature(OTHER.key_id, OTHER.sign(seal_message(raw))), mine]),
        ("no-label", "a signature over the seal without its label", [Signature(KEY.key_id, KEY.sign(raw))]),
        ("s-plus-l", "a signature whose S is not reduced", [Signature(KEY.key_id, _unreduced(mine.signature))]),
        ("torsion", "R with a small-order part: only a cofactored check passes", [Signature(KEY.key_id, twisted(seal_message(raw)))]),
    ):  # fmt: skip
        yield _refused("bad_signature", name, title, made.but(signatures=signatures))
    sealed_at = seal(events, sealed_at=START)
    swapped = SealedBatch(sealed_at.seal, batch.signatures, batch.events)
    yield _refused("bad_signature", "other-seal", "the signature of another seal", made._replace(batch=swapped).value)
    weak = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    yield _small_order(events, weak)
    a, b, c = events
    for name, title, others in (
        ("missing", "the last event is missing", [a, b]),
        ("added", "an event more than was sealed", [*events, c]),
        ("swapped", "two events in the other order", [a, c, b]),
        ("other", "an event that was not sealed", [a, b, event(3)]),
        ("empty-header", "a header of no bytes", [a, b, c._replace(header=b"")]),
    ):
        yield _refused("bad_root", name, title, made.but(events=others))
    yield _refused("bad_root", "count", "the seal counts another number of events", seal(events, event_count=4).value)
    copied = seal(events, events_root=made_root(events), service="hotels")
    yield _refused("bad_root", "other-service", "the root as another service would have it", copied.value)
    swapped_payload = b._replace(payload=c.payload)
    for name, title, others in (
        ("swapped", "the payload of another event", [a, swapped_payload, c]),
        ("salt", "another salt", [a, b._replace(salt=c.salt), c]),
        ("stripped", "a payload taken away, and no erasure", [a, erased(b), c]),
        ("cut", "a payload without its last byte", [a, b._replace(payload=(b.payload or b"")[:-1]), c]),
        ("empty", "a payload of no bytes", [a, b._replace(payload=b""), c]),
    ):
        yield _refused("bad_payload", name, title, made.but(events=others))
    yield _erasure("bad_payload-unauthorized-erasure", "erased by a key that may not state erasures", named=False)
    salted = made.but(events=[a, b._replace(payload=None), c])
    sent = Sent(None, refused("bad_payload"), value=salted)
    yield one("bad_payload-salt-left", "an erased event whose salt is left", sent, erased=[digests_of(events)[1]])


def made_root(events: Sequence[SealedEvent]) -> bytes:
    from ledger.format.merkle import tree_head

    return tree_head(digests_of(events))


ORDER = 2**252 + 27742317777372353535851937790883648493


def _unreduced(signature: bytes) -> bytes:
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


def twisted(message: bytes) -> bytes:
    """A signature by the service's key whose R has a part of order 8: S·8·B = 8·R + 8·h·A, and not without the 8."""
    from hashlib import sha512

    seed = sha256(b"answerable test key service").digest()
    scalar = bytearray(sha512(seed).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    nonce = 12345
    torsion = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    plain = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    r = crypto_core_ed25519_add(plain, torsion)
    h = int.from_bytes(sha512(r + KEY.public.raw + message).digest(), "little") % ORDER
    return r + ((nonce + h * int.from_bytes(scalar, "little")) % ORDER).to_bytes(32, "little")


def _small_order(events: Sequence[SealedEvent], weak: bytes) -> Case:
    """A trusted key of small order, under which R = identity, S = 0 fits about every eighth message."""
    from ledger.trust.keys import thumbprint

    statement = {**key_statement(), "key": jwk_of(weak)}
    key_id = thumbprint(weak)
    made = seal(events, key_id=key_id)
    identity = b"\x01" + bytes(63)
    value = made.but(signatures=[Signature(key_id, identity)])
    return _refused("bad_signature", "small-order-key", "a key of small order", value, bundle=bundle_of(statement))


# --- one fault an event -----------------------------------------------------------------------------------------------


def events() -> Iterator[Case]:
    for name, title, bad in _bad_headers():
        made = seal([opening(), bad, event(2)])
        yield one(f"event-malformed-{name}", title, Sent(made, Expected(refused={1: "malformed"})))
    for name, title, bad in _bad_payloads():
        made = seal([opening(), bad, event(2)])
        yield one(f"event-unprojectable-{name}", title, Sent(made, Expected(refused={1: "unprojectable"})))
    for name, title, bad, found in _noted():
        made = seal([opening(), bad, event(2)])
        yield one(f"event-{found}-{name}", title, Sent(made, Expected(noted={1: [found]})))
    yield from _scoped_kinds()
    last = seal([opening(), event(1, "chain_close", payload=SCHEMAS.by_name["chain_close"].frame)], next_within=0)
    yield one("event-unprojectable-close", "a close whose payload does not decode closes the chain", Sent(last, Expected(refused={1: "unprojectable"})))  # fmt: skip


def _raw(header: bytes) -> SealedEvent:
    return event(1)._replace(header=header)


def _bad_headers() -> Iterator[tuple[str, str, SealedEvent]]:
    fine = event(1)
    header = fine.header
    version4 = event_id(1)[:6] + b"\x4f" + event_id(1)[7:]
    variant = event_id(1)[:8] + b"\x3f" + event_id(1)[9:]
    at = header.index(b"chain_heartbeat")
    many = [Cause(event_id(n), None, "x") for n in range(65)]
    yield "empty", "a header of no bytes", _raw(b"")
    yield "no-mark", "a header without the mark", _raw(b"\0" + header[1:])
    yield "cut-short", "a header without its last byte", _raw(header[:-1])
    yield "trailing-byte", "a header with a byte after its end", _raw(header + b"\0")
    yield "other-record", "a seal in the place of a header", _raw(SCHEMAS.by_name["Seal"].frame + header[FRAME:])
    yield "uuid4", "an event id of version 4", event(1, event_id=version4)
    yield "variant", "an event id of another variant", event(1, event_id=variant)
    yield "nul", "U+0000 in a string", event(1, agent_id="a\0b")
    yield "not-utf8", "a kind that is not UTF-8", _raw(header[:at] + b"\xff" + header[at + 1 :])
    yield "long-string", "a string of 513 bytes", event(1, correlation=["x" * 513])
    yield "long-string-utf8", "a string of 257 characters and 514 bytes", event(1, agent_instance="é" * 257)
    yield "65-causes", "a cause too many", event(1, causes=many)
    yield "too-long", "a header over 8 KiB", event(1, correlation=["x" * 500] * 17)
    yield "union-index-2", "a union with index 2", _raw(_with_union(header, b"\x04"))
    yield "union-index-minus-1", "a union with index -1", _raw(_with_union(header, b"\x01" + bytes(16)))
    yield "union-index-minus-2", "a union with index -2", _raw(_with_union(header, b"\x03"))
    causes = [event_id(0) + b"\0" + data(b"retries")] * 2
    wrong = zigzag(-2) + zigzag(9999) + b"".join(causes) + b"\0"
    yield "block-size", "a block of another size than it says", _raw(header[: -(3 + 32)] + wrong + header[-(2 + 32) :])
    yield "count-2-60", "2^60 contents", _raw(header[:-33] + zigzag(2**60) + header[-32:])
    yield "length-negative", "a string of -1 bytes", _raw(header[: FRAME + 16] + b"\x01" + header[FRAME + 17 :])


def _with_union(header: bytes, index: bytes) -> bytes:
    """A header with another index for ``execution_id``, the union after the time."""
    at = header.index(b"chain_heartbeat") + len("chain_heartbeat") + len(zigzag(START))
    return header[:at] + index + header[at + 1 :]


def _bad_payloads() -> Iterator[tuple[str, str, SealedEvent]]:
    payload = SCHEMAS.encode("chain_heartbeat", heartbeat())
    opened = SCHEMAS.encode("chain_open", {**OPEN, "software": "a\0b"})
    held = {"tenant": TENANT, "salt": bytes(16), "media_type": "text/plain", "subjects": [], "bytes": b""}
    nested = {"continues": [_continued("a\0b")], **{k: v for k, v in OPEN.items() if k != "continues"}}
    yield "other-kind", "the payload is of another kind", event(1, "prompt", payload=payload)
    yield "empty", "a payload of no bytes", event(1, payload=b"")
    yield "no-mark", "a payload without the mark", event(1, payload=b"{}" + payload)
    yield "cut-short", "a payload without its last byte", event(1, payload=payload[:-1])
    yield "trailing-byte", "a payload with a byte after its end", event(1, payload=payload + b"\0")
    yield "too-long", "a payload over 64 KiB", event(1, payload=payload + bytes(64 * 1024))
    yield "nul", "U+0000 in a string", event(1, "chain_open", payload=opened)
    yield "nul-inside", "U+0000 in a string of an inner record", event(1, "chain_open", nested)
    yield "not-a-kind", "a Content as payload", event(1, "Content", held)
    yield "union-index-2", "a union with index 2", event(1, payload=payload[:-1] + b"\x04")
    yield "union-index-minus-2", "a union with index -2", event(1, payload=payload[:-1] + b"\x03")
    eleven = payload[:FRAME] + b"\x80" * 10 + b"\x00" + payload[FRAME + 1 :]
    yield "eleven-bytes", "a number in eleven bytes", event(1, payload=eleven)
    beyond = payload[:FRAME] + b"\x80" * 9 + b"\x02" + payload[FRAME + 1 :]
    yield "beyond-64-bits", "a number beyond 64 bits", event(1, payload=beyond)
    least = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown") + zigzag(-(2**63)) + b"\0" + b"\0"
    yield "least-block", "a block of -2^63 items", event(1, "chain_loss", payload=least)
    losses = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown") + zigzag(2**60) + bytes(60_000)
    yield "count-2-60", "2^60 items", event(1, "chain_loss", payload=losses)


def _continued(key_id: str) -> dict[str, Any]:
    return {
        "chain_id": bytes(16),
        "key_id": key_id,
        "next_sequence": 1,
        "last_seal_number": None,
        "last_seal_digest": None,
    }


def _noted() -> Iterator[tuple[str, str, SealedEvent, str]]:
    fine = event(1)
    header, payload = fine.header, fine.payload or b""
    at = START + 2 * SECOND
    id9999 = ids.uuid8(253_402_300_799_000, b"", b"")
    yield "ahead", "occurred over a day after append time", event(1, occurred_at=at + DAY + 1), "clock_skew"
    yield "negative", "occurred before 1970", event(1, occurred_at=-1), "clock_skew"
    yield "id-9999", "an event id of the year 9999", event(1, event_id=id9999), "clock_skew"
    strange = [Cause(event_id(0), None, "blessed_by")]
    yield "strange", "a relation that is not in the table", event(1, causes=strange), "unknown_relation"
    yield "empty", "a relation of no letters", event(1, causes=[Cause(event_id(0), None, "")]), "unknown_relation"
    found = "non_canonical"
    yield "header-overlong", "the length of the kind takes two bytes", _raw(overlong(header, FRAME + 16)), found
    causes = [event_id(0) + b"\0" + data(b"retries")] * 2
    before, after = header[: -(3 + 32)], header[-(2 + 32) :]
    yield (
        "header-negative-block",
        "causes in a block of negative count",
        _raw(before + negative_block(causes) + after),
        found,
    )
    yield "header-two-blocks", "a block for each cause", _raw(before + split_blocks(causes) + after), found
    yield "payload-overlong", "a number in two bytes", event(1, payload=overlong(payload, FRAME)), found
    ten = payload[:FRAME] + b"\x82" + b"\x80" * 8 + b"\x00" + payload[FRAME + 1 :]
    yield "payload-ten-bytes", "a small number in ten bytes", event(1, payload=ten), found
    blocks = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown") + split_blocks([bytes(2)] * 2)
    yield "payload-two-blocks", "a block for each item", event(1, "chain_loss", payload=blocks), found


def _scoped_kinds() -> Iterator[Case]:
    made = seal(
        [opening(), event(1, "agent_registration", _sample(SCHEMAS.by_name["agent_registration"].parsed, "a", True))]
    )
    noted = Expected(noted={1: ["unauthorized_kind"]})
    yield one("event-unauthorized_kind-named", "`*` leaves out agent_registration", Sent(made, noted))
    some = bundle_of(key_statement(kinds=["chain_open", "prompt"]))
    made = seal([opening(), event(1)])
    yield one("event-unauthorized_kind-listed", "a kind that the key's list leaves out", Sent(made, noted), bundle=some)
    both = bundle_of(key_statement(kinds=["chain_open"]), key_statement(kinds=["chain_heartbeat"], role="importer"))
    yield one("good-two-statements", "two statements of one key add up", Sent(made), bundle=both)
    over = bundle_of(key_statement(kinds=["chain_open"]), key_statement(until=START))
    yield one(
        "event-unauthorized_kind-over", "a statement that has run out adds nothing", Sent(made, noted), bundle=over
    )
    both_found = event(1, occurred_at=-1, causes=[Cause(event_id(0), None, "x")])
    all_noted = Expected(noted={1: ["clock_skew", "unknown_relation"]})
    yield one("event-two-findings", "two findings of one event", Sent(seal([opening(), both_found]), all_noted))


# --- one fault a chain ------------------------------------------------------------------------------------------------


def chains() -> Iterator[Case]:
    first, second, third = three()
    at = START + 2 * SECOND
    ahead = seal([opening()], sealed_at=at + 300 * SECOND + 1)
    yield one(
        "seal-clock_skew", "sealed over 5 minutes after append time", Sent(ahead, Expected(findings=("clock_skew",)))
    )
    behind = Sent(seal([opening()], sealed_at=START), Expected(findings=("late",)), append_time=START + HOUR + 1)
    yield one("seal-late", "sealed over an hour before append time", behind)
    yield Case("chain-gap", "the second of three seals is missing", [Sent(first), Sent(third)], chain=["gap"])
    yield Case("chain-gap-in-front", "the first seal is missing", [Sent(second), Sent(third)], chain=["gap"])
    refused_middle = Sent(None, refused("bad_payload"), value=second.but(events=[event(1), erased(event(2))]))
    yield Case(
        "chain-gap-refused", "the second seal is refused", [Sent(first), refused_middle, Sent(third)], chain=["gap"]
    )
    other = seal([event(1)], first.head)
    yield Case(
        "chain-fork", "two seals of one number", [Sent(first), Sent(second), Sent(other)], chain=["fork", "fork"]
    )
    after = seal([event(9)], other.head)
    forked = [Sent(each) for each in (first, second, other, after)]
    yield Case("chain-fork-goes-on", "a seal follows one of two: no broken link", forked, chain=["fork", "fork"])
    strange = seal([event(1)], first.head._replace(previous_seal=sha256(b"other").digest()))
    yield Case("chain-broken-digest", "another previous digest", [Sent(first), Sent(strange)], chain=["broken_link"])
    skipped = seal([event(1)], first.head._replace(first_sequence=7))
    yield Case(
        "chain-broken-sequence", "a sequence that does not follow", [Sent(first), Sent(skipped)], chain=["broken_link"]
    )
    gone_on = seal([event(4)], third.head)
    all_four = [Sent(each) for each in (first, second, third, gone_on)]
    yield Case("chain-sealed-after-close", "a seal after the close", all_four, chain=["sealed_after_close"])
    past = seal([event(1)], first.head, sealed_at=START)
    yield Case("chain-clock-skew", "sealed_at goes backwards", [Sent(first), Sent(past)], chain=["clock_skew"])
    chain_id = sha256(b"another chain").digest()[:16]
    two = seal([opening()], chain_id=chain_id)
    yield Case("chain-two", "two chains of one key", [Sent(first), Sent(two, key=chain_id)])
    owned = bundle_of(key_statement(), key_statement(OTHER))
    squatted = seal([opening()], key=OTHER)
    pair = [Sent(squatted), Sent(first)]
    yield Case("chain-squatted", "one chain id under two keys: two chains", pair, bundle=owned)


# --- one fault a trust bundle -----------------------------------------------------------------------------------------


def bundles() -> Iterator[Case]:
    two = bundle_of(key_statement(), key_statement(OTHER))
    one_line, other_line = two.splitlines(keepends=True)
    text = one_line.decode()
    loose = text.replace('","statement"', '", "statement"').encode()
    signature = text.index('"signature":"') + len('"signature":"')
    flipped = text[:signature] + ("B" if text[signature] == "A" else "A") + text[signature + 1 :]
    for name, title, bad in (
        ("cut-short", "the last line has no end", two[:-1]),
        ("half-line", "the last line is cut", one_line + other_line[:40] + b"\n"),
        ("swapped", "two lines in the other order", other_line + one_line),
        ("first-missing", "the first line is missing", other_line),
        ("repeated", "a line twice", one_line + one_line),
        ("blank-line", "an empty line", one_line + b"\n"),
        ("other-root", "signed by another root key", bundle_of(key_statement(), root=OTHER)),
        ("other-ledger", "for another ledger", bundle_of(key_statement(), ledger="other.example")),
        ("not-canonical", "a space in the JSON", loose),
        ("signature", "a changed signature", flipped.encode()),
        ("not-json", "no JSON", b"trust me\n"),
        ("not-utf8", "a line that is not UTF-8", b"\xff\xfe\n"),
    ):
        yield Case(f"bundle-{name}", title, [], bundle=bad, refused_bundle=True)
    for name, title, statement in (
        ("type", "an unknown type of statement", {"type": "blessing"}),
        ("role", "an unknown role", key_statement(role="friend")),
        ("no-tenants", "no tenant", key_statement(tenants=[])),
        ("time", "a negative time", key_statement(**{"from": -1})),
        (
            "reserved",
            "a key of a reserved algorithm",
            key_statement(key={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        ),
        ("private", "a private key", key_statement(key={**jwk_of(KEY.public.raw), "d": "AA"})),
        ("short-key", "a key of 31 bytes", key_statement(key={**jwk_of(KEY.public.raw), "x": b64url(bytes(31))})),
    ):
        yield Case(f"bundle-{name}", title, [], bundle=_unchecked(statement), refused_bundle=True)
    whole = {**key_statement(), "number": 1, "previous": "0" * 64, "ledger": LEDGER}
    yield Case("bundle-number", "numbers begin at 1", [], bundle=_line(whole), refused_bundle=True)
    whole = {**key_statement(), "number": False, "previous": "0" * 64, "ledger": LEDGER}
    yield Case("bundle-number-false", "a number that is false", [], bundle=_line(whole), refused_bundle=True)


def _unchecked(statement: dict[str, Any]) -> bytes:
    """A first line that is well signed, whatever it says."""
    return _line({**statement, "number": 0, "previous": "0" * 64, "ledger": LEDGER})


def _line(whole: dict[str, Any]) -> bytes:
    import rfc8785

    signature = b64url(ROOT.sign(b"answerable/trust/v1\0" + rfc8785.dumps(whole)))
    return rfc8785.dumps({"signature": signature, "statement": whole}) + b"\n"
