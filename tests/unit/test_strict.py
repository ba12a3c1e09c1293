"""The strict reader takes just what the library reads and would write again byte for byte."""

from __future__ import annotations

import io
import random
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.codec import Schema
from ledger.format.kinds import KINDS, to_avro
from ledger.format.strict import HoldsNul, NotCanonical
from ledger.schema_files import load_schemas
from tests.strategies import payloads

SCHEMAS = load_schemas()


def by_library(schema: Schema, data: bytes) -> Any:
    """What the library reads from ``data`` if it writes the same bytes again; else None."""
    stream, again = io.BytesIO(data), io.BytesIO()
    stream.seek(10)
    try:
        datum = fastavro.schemaless_reader(stream, schema.parsed, None)
        fastavro.schemaless_writer(again, schema.parsed, datum)
    except Exception:  # noqa: BLE001 - whatever the library raises for odd bytes
        return None
    return datum if schema.frame + again.getvalue() == data and stream.tell() == len(data) else None


def strictly(schema: Schema, data: bytes) -> Any:
    try:
        return schema.dicts(data)
    except HoldsNul:
        return HoldsNul
    except NotCanonical:
        return None


@given(payloads(), st.randoms(use_true_random=False))
def test_a_payload_and_its_neighbours_are_read_as_the_library_reads_what_is_canonical(
    payload: Any, rng: random.Random
) -> None:
    schema = SCHEMAS.by_name[payload.KIND]
    data = SCHEMAS.encode(payload.KIND, to_avro(payload))
    assert strictly(schema, data) in (by_library(schema, data), HoldsNul)
    for _ in range(20):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(10, len(changed))] = rng.randrange(256)
        cut = bytes(changed[: rng.randint(10, len(changed))]) if rng.random() < 0.2 else bytes(changed)
        read = strictly(schema, cut)
        assert read is HoldsNul or read == by_library(schema, cut)


@given(st.binary(max_size=200), st.sampled_from(sorted(SCHEMAS.by_name)))
def test_any_bytes_are_read_as_the_library_reads_what_is_canonical(body: bytes, name: str) -> None:
    schema = SCHEMAS.by_name[name]
    read = strictly(schema, schema.frame + body)
    assert read is HoldsNul or read == by_library(schema, schema.frame + body)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_tuples_and_dicts_say_the_same(name: str) -> None:
    schema = SCHEMAS.by_name[name]

    @given(payloads(name))
    def holds(payload: Any) -> None:
        data = SCHEMAS.encode(name, to_avro(payload))
        if strictly(schema, data) is not HoldsNul:
            assert flat(schema.dicts(data)) == schema.tuples(data)

    holds()


def flat(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(map(flat, value.values()))
    return [flat(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("count", [b"\x80\x80\x80\x80\x80\x80\x80\x80\x20", b"\xff" * 9 + b"\x01", b"\x01\x02"])
def test_a_stated_count_alone_takes_no_time_and_no_memory(count: bytes) -> None:
    schema = SCHEMAS.by_name["content_erasure"]
    with pytest.raises(NotCanonical):
        schema.dicts(schema.frame + count)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("an overlong varint", b"\x82\x00" + b"a"),
        ("a negative length", b"\x01" + b"a"),
        ("eleven bytes of varint", b"\xff" * 10 + b"\x01"),
        ("a varint beyond 64 bits", b"\xff" * 9 + b"\x7f"),
        ("invalid UTF-8", b"\x02\xff"),
        ("a surrogate", b"\x06\xed\xa0\x80"),
    ],
)
def test_odd_strings_are_not_canonical(what: str, body: bytes) -> None:
    schema = SCHEMAS.by_name["chain_close"]
    with pytest.raises(NotCanonical):
        schema.dicts(schema.frame + body + b"\x00\x00")
