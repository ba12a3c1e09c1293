"""Avro single-object encoding with the schemas of one release: ``C3 01``, 8-byte little-endian CRC-64-AVRO, body.

Decoding never trusts a length: bodies are in memory and bounded by the caller, nothing is allocated from a stated size. The
strict reader (``ledger.format.strict``) goes first; what it does not take, ``ledger.format.lenient`` may still read, where the
format allows that.
No string holds U+0000, however it is encoded.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple

import fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from ledger.errors import VerificationError
from ledger.format.canonical import Check, compile_check
from ledger.format.lenient import Invalid, LenientReader
from ledger.format.strict import HoldsNul, NotCanonical, Reader, compile_reader

MARK: Final = b"\xc3\x01"
FRAME: Final = 10
"""Bytes before the body: the mark and the fingerprint."""

Datum = dict[str, Any]


class Schema:
    """A schema as published: ``frame`` is the mark and fingerprint before each body; ``pair`` is its part of ``Seal.schemas``."""

    def __init__(self, name: str, frame: bytes, pair: bytes, parsed: Any) -> None:
        self.name = name
        self.frame = frame
        self.pair = pair
        self.parsed = parsed
        self._made: dict[tuple[type[NamedTuple], ...], Reader] = {}

    @cached_property
    def dicts(self) -> Reader:
        """The strict reader that makes dicts of records."""
        return compile_reader(self.parsed, tuples=False)

    @cached_property
    def tuples(self) -> Reader:
        """The strict reader that makes tuples of records."""
        return compile_reader(self.parsed, tuples=True)

    @cached_property
    def canonical(self) -> Check:
        """Whether the strict readers take framed data: makes nothing of them."""
        return compile_check(self.parsed)

    def made_of(self, *classes: type[NamedTuple]) -> Reader:
        """The strict reader that makes records of these classes, as far as they are called so."""
        found = self._made.get(classes)
        if found is None:
            found = self._made[classes] = compile_reader(self.parsed, tuples=True, classes=classes)
        return found


class SchemaUnknown(VerificationError):
    """The fingerprint names no schema of this release."""

    def __init__(self, frame: bytes) -> None:
        super().__init__(
            "schema_unknown", f"fingerprint {frame[2:].hex()} names no schema known here; update the ledger"
        )


class Malformed(VerificationError):
    """Bytes that do not decode."""

    def __init__(self, detail: str) -> None:
        super().__init__("malformed", detail)


def read_schema(text: bytes) -> Schema:
    """Parses the exact bytes of a published ``.avsc``."""
    parsed: Any = parse_schema(json.loads(text))
    mark = MARK + bytes.fromhex(fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO"))
    return Schema(parsed["name"].rpartition(".")[2], mark, mark[2:] + sha256(text).digest(), parsed)


class Schemas:
    """The schemas of a release. The last one given under a name is the one written; all are read."""

    def __init__(self, files: Iterable[bytes]) -> None:
        self.by_frame: dict[bytes, Schema] = {}
        self.by_name: dict[str, Schema] = {}
        for text in files:
            schema = read_schema(text)
            if schema.frame in self.by_frame:
                raise ValueError(f"two schemas have the fingerprint {schema.frame[2:].hex()}")
            self.by_frame[schema.frame] = schema
            self.by_name[schema.name] = schema

    def of(self, data: bytes) -> Schema:
        """The schema that ``data`` names; raises ``SchemaUnknown``, or ``Malformed`` where there is no frame."""
        frame = data[:FRAME]
        found = self.by_frame.get(frame)
        if found is None:
            if len(frame) < FRAME or not frame.startswith(MARK):
                raise Malformed("no single-object encoding: the first two bytes are not C3 01")
            raise SchemaUnknown(frame)
        return found

    def decode(self, data: bytes, expected: str | None = None) -> Datum:
        """The datum of a framed ``data``; raises ``SchemaUnknown``, or ``Malformed``: also for any other than ``expected``."""
        return read_body(self.expect(data, expected), data)

    def decode_strictly(self, data: bytes, expected: str, *classes: type[NamedTuple]) -> Any:
        """The datum as a tuple (records within too), only from its canonical encoding: anything else is ``Malformed``.

        Records that are called as one of ``classes`` are made of it.
        """
        schema = self.expect(data, expected)
        try:
            return schema.made_of(*classes)(data)
        except HoldsNul:
            raise Malformed(f"a string of the {schema.name} holds U+0000") from None
        except NotCanonical as error:
            raise Malformed(f"the {schema.name} is not canonically encoded: {error}") from None

    def expect(self, data: bytes, expected: str | None) -> Schema:
        """The schema that ``data`` names, which is called ``expected`` or it is ``Malformed``."""
        schema = self.by_frame.get(data[:FRAME]) or self.of(data)
        if expected is not None and schema.name != expected:
            raise Malformed(f"a {schema.name!r} stands where a {expected!r} belongs")
        return schema

    def encode(self, name: str, datum: Mapping[str, Any]) -> bytes:
        """The framed encoding of ``datum`` by the newest schema called ``name``."""
        return write_body(self.by_name[name], datum)

    def canonical(self, data: bytes) -> bool:
        """Whether ``data`` is the one encoding that a correct encoder gives of what it says."""
        return self.of(data).canonical(data)


def read_body(schema: Schema, data: bytes) -> Datum:
    """Decodes the body after the frame, canonical or not; every failure, trailing bytes too, is ``Malformed``."""
    try:
        datum: Datum = schema.dicts(data)
    except HoldsNul:
        raise Malformed(f"a string of the {schema.name} holds U+0000") from None
    except NotCanonical:
        return _read_leniently(schema, data)
    return datum


def _read_leniently(schema: Schema, data: bytes) -> Datum:
    reader = LenientReader(schema.parsed, data, FRAME)
    try:
        datum: Datum = reader.read(schema.parsed)
    except Invalid as error:
        raise Malformed(f"the {schema.name} does not decode: {error}") from None
    if reader.left:
        raise Malformed(f"the {schema.name} has bytes after its end")
    if _holds_nul(datum):
        raise Malformed(f"a string of the {schema.name} holds U+0000")
    return datum


def _holds_nul(value: object) -> bool:
    """Whether a string somewhere in a datum holds U+0000. Depth is bounded: no schema is recursive."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, value.values()))
    return isinstance(value, list) and any(map(_holds_nul, value))


def write_body(schema: Schema, datum: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    stream.write(schema.frame)
    fastavro.schemaless_writer(stream, schema.parsed, datum)
    return stream.getvalue()
