"""The decoders of the format, each against another reader of the same bytes: strict, lenient, fastavro, and the encoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import fastavro

from ledger.errors import InvalidEvent
from ledger.format.batch import decode_seal, join_batch, split_batch
from ledger.format.codec import FRAME, Malformed, Schema, SchemaUnknown, read_body, write_body
from ledger.format.content import (
    PRINCIPAL,
    Content,
    Person,
    decode_content,
    encode_content,
    person_content,
    read_person,
    record_key,
    split_record_key,
)
from ledger.format.event import decode_header, encode_header
from ledger.format.kinds import KINDS, check, content_digests, encode_body, from_avro, to_avro
from ledger.format.lenient import Invalid, LenientReader
from ledger.format.strict import HoldsNul, NotCanonical
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.sealing import SCHEMAS

NAMES = sorted(KINDS)
_SALT = bytes(range(16))


def read_both_ways(schema: Schema, data: bytes) -> None:
    """Every reader of a body agrees with the others about framed ``data``, whose frame is the schema's."""
    lenient = _leniently(schema, data)
    try:
        strict = schema.dicts(data)
    except HoldsNul:
        assert not schema.canonical(data), "the check took U+0000"
        return
    except NotCanonical:
        assert not schema.canonical(data), "the check took what the reader did not"
        if lenient is not None and write_body(schema, lenient) == data:
            raise AssertionError("canonical, and the strict reader did not take it") from None
        if lenient is not None and schema.dicts(write_body(schema, lenient)) != lenient:
            raise AssertionError("decode(encode(x)) is not x") from None
        return
    assert schema.canonical(data), "the check did not take what the reader took"
    assert lenient == strict, "the lenient reader does not take what the strict one takes"
    assert write_body(schema, strict) == data, "what was read strictly is written otherwise"
    assert _tuple_of(strict) == schema.tuples(data), "dicts and tuples differ"
    stream = io.BytesIO(data[FRAME:])
    assert fastavro.schemaless_reader(stream, schema.parsed, None) == strict, "fastavro reads something else"
    assert stream.tell() == len(data) - FRAME


def _leniently(schema: Schema, data: bytes) -> Any:
    """The datum, or None: also where a string holds U+0000, which is the caller of the reader's to find."""
    reader = LenientReader(schema.parsed, data, FRAME)
    try:
        found = reader.read(schema.parsed)
    except Invalid:
        return None
    return None if reader.left or _holds_nul(found) else found


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_holds_nul, inner))


def _tuple_of(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_tuple_of(each) for each in value.values())
    return [_tuple_of(each) for each in value] if isinstance(value, list) else value


def frame(data: bytes) -> None:
    try:
        batch = split_batch(SCHEMAS, data)
    finally:
        if data[:FRAME] == SCHEMAS.by_name["SealedBatch"].frame:
            read_both_ways(SCHEMAS.by_name["SealedBatch"], data)
    assert join_batch(SCHEMAS, batch) == data


def seal(data: bytes) -> None:
    try:
        found = decode_seal(SCHEMAS, data)
    finally:
        if data[:FRAME] == SCHEMAS.by_name["Seal"].frame:
            read_both_ways(SCHEMAS.by_name["Seal"], data)
    assert SCHEMAS.encode("Seal", found._asdict()) == data


def header(data: bytes) -> None:
    if data[:FRAME] == SCHEMAS.by_name["EventHeader"].frame:
        read_both_ways(SCHEMAS.by_name["EventHeader"], data)
    found = decode_header(SCHEMAS, data)
    written = encode_header(SCHEMAS, found)
    assert SCHEMAS.canonical(data) == (written == data)
    assert decode_header(SCHEMAS, written) == found


def payload(data: bytes) -> None:
    """The first byte chooses the kind."""
    kind = NAMES[data[0] % len(NAMES)] if data else "prompt"
    schema = SCHEMAS.by_name[kind]
    framed = schema.frame + data[1:]
    read_both_ways(schema, framed)
    datum = read_body(schema, framed)
    fact = from_avro(kind, datum)
    assert write_body(schema, to_avro(fact)) == write_body(schema, datum)
    assert all(len(each) == 32 for each in content_digests(fact))
    try:
        check(fact)
    except InvalidEvent:
        return
    written = schema.frame + encode_body(fact)
    assert SCHEMAS.canonical(framed) == (written == framed)


def any_frame(data: bytes) -> None:
    """Whatever the frame says it is."""
    schema = SCHEMAS.of(data)
    read_both_ways(schema, data)
    SCHEMAS.decode(data)


def content(data: bytes) -> None:
    found = decode_content(SCHEMAS, data)
    value, digest = encode_content(SCHEMAS, found)
    assert value == data
    assert split_record_key(record_key(found.tenant, digest)) == (found.tenant, digest)
    read_person(found)


def person(data: bytes) -> None:
    """JSON of a principal, under the subjects that it should have and others."""
    try:
        found = read_person(Content("acme", _SALT, PRINCIPAL, ["https://idp#alice", "#", "a#b"], data))
    except Malformed:
        return
    again = person_content("acme", _SALT, found)
    assert read_person(again) == found
    encode_content(SCHEMAS, again)


def key(data: bytes) -> None:
    tenant, digest = split_record_key(data)
    assert record_key(tenant, digest) == data


def _frames() -> Iterator[bytes]:
    yield from pieces.values()


def _seals() -> list[bytes]:
    return list(dict.fromkeys(batch.seal for batch in pieces.batches()))


def _payloads() -> Iterator[bytes]:
    for _, data in pieces.events():
        try:
            name = SCHEMAS.of(data).name
        except (Malformed, SchemaUnknown):
            continue
        if name in KINDS:
            yield bytes([NAMES.index(name)]) + data[FRAME:]


def _contents() -> Iterator[bytes]:
    alice = person_content("acme", _SALT, Person(issuer="https://idp", subject="alice", name="Alice"))
    plain = Content("acme", _SALT, "text/plain", ["https://idp#alice"], b"Book a flight")
    yield from (encode_content(SCHEMAS, each)[0] for each in (alice, plain, plain._replace(subjects=[], bytes=b"")))


def _persons() -> Iterator[bytes]:
    yield b'{"issuer":"https://idp","subject":"alice","kind":"human","display_name":"Alice"}'
    yield b'{"issuer":"","subject":"","kind":"workload"}'


TARGETS = (
    Target("frame", frame, _frames),
    Target("seal", seal, _seals),
    Target("header", header, lambda: [each for each, _ in pieces.events()]),
    Target("payload", payload, _payloads, short=2000),
    Target("any-frame", any_frame, lambda: [each for pair in pieces.events() for each in pair]),
    Target("content", content, _contents),
    Target("person", person, _persons, words=(b"issuer", b"subject", b"kind", b"workload")),
    Target("record-key", key, lambda: [record_key("acme", bytes(32)), bytes(33)]),
)
