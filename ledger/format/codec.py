"""Avro single-object encoding with the schemas of one release: ``C3 01``, 8-byte little-endian CRC-64-AVRO, body.

Decoding never trusts a length: bodies are in memory and bounded by the caller, nothing is allocated from a stated size. A
decoder that is lenient (fastavro takes overlong varints and negative indexes) is made strict by ``canonical``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import fastavro
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from ledger.errors import VerificationError

MARK: Final = b"\xc3\x01"
FRAME: Final = 10
"""Bytes before the body: the mark and the fingerprint."""

Datum = dict[str, Any]


class Schema(NamedTuple):
    """A schema as published: ``frame`` is the mark and fingerprint before each body; ``pair`` is its part of ``Seal.schemas``."""

    name: str
    frame: bytes
    pair: bytes
    parsed: Any


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
        schema = self.of(data)
        if expected is not None and schema.name != expected:
            raise Malformed(f"a {schema.name!r} stands where a {expected!r} belongs")
        return read_body(schema, data)

    def encode(self, name: str, datum: Mapping[str, Any]) -> bytes:
        """The framed encoding of ``datum`` by the newest schema called ``name``."""
        return write_body(self.by_name[name], datum)

    def canonical(self, data: bytes, datum: Datum) -> bool:
        """Whether ``data`` is the one encoding of ``datum`` that a correct encoder gives. Never raises for a decoded datum."""
        try:
            return write_body(self.of(data), datum) == data
        except (ValueError, TypeError, OverflowError):  # a number that lenient decoding let grow beyond its type
            return False


def read_body(schema: Schema, data: bytes) -> Datum:
    """Decodes the body after the frame; every failure, trailing bytes too, is ``Malformed``."""
    stream = io.BytesIO(data)
    stream.seek(FRAME)
    try:
        datum: Any = fastavro.schemaless_reader(stream, schema.parsed, None)
    except Exception as error:  # noqa: BLE001 - the decoder raises what the bytes provoke: EOFError, IndexError, OverflowError …
        raise Malformed(f"{schema.name} does not decode ({type(error).__name__})") from None
    if stream.tell() != len(data):
        raise Malformed(f"{schema.name} has bytes after its end")
    if type(datum) is not dict:
        raise Malformed(f"{schema.name} is not a record")
    return datum


def write_body(schema: Schema, datum: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    stream.write(schema.frame)
    fastavro.schemaless_writer(stream, schema.parsed, datum)
    return stream.getvalue()
