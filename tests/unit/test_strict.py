"""The strict reader takes just what the library reads and would write again; the check takes just what the reader takes."""

from __future__ import annotations

import io
import random
from typing import Any, NamedTuple

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.codec import Schema, read_schema, write_body
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
    """What the reader makes of ``data``; the check agrees whether it is anything."""
    found: Any = None
    try:
        found = schema.dicts(data)
    except HoldsNul:
        found = HoldsNul
    except NotCanonical:
        pass
    assert schema.canonical(data) == (found is not None and found is not HoldsNul)
    return found


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
    assert not schema.canonical(schema.frame + count)


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
    assert strictly(schema, schema.frame + body + b"\x00\x00") is None


TEXTS = read_schema(
    b'{"type": "record", "name": "Texts", "fields": [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]}'
)


@pytest.mark.parametrize("before", [0, 1, 62, 63, 64, 8190, 8191])
def test_a_character_that_two_strings_share_is_in_neither(before: int) -> None:
    e_acute = "\u00e9".encode()
    whole = write_body(TEXTS, {"a": "x" * before + "\u00e9", "b": "\u00e9" + "x" * before})
    assert strictly(TEXTS, whole) is not None
    length = write_body(TEXTS, {"a": "x" * (before + 1), "b": ""})[10 : -before - 2]
    torn = TEXTS.frame + length + b"x" * before + e_acute[:1] + length + e_acute[1:] + b"x" * before
    assert strictly(TEXTS, torn) is None


@pytest.mark.parametrize("before", [0, 1, 62, 63, 64])
def test_a_nul_is_seen_wherever_it_stands_and_an_empty_string_is_none(before: int) -> None:
    held = {"a": "x" * before, "b": ""}
    assert strictly(TEXTS, write_body(TEXTS, held)) == held
    for nul in ({"a": held["a"] + "\0", "b": ""}, {"a": "", "b": "\0" + held["a"]}):
        assert strictly(TEXTS, write_body(TEXTS, nul)) is HoldsNul


LONGS = read_schema(
    b'{"type": "record", "name": "Longs", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "long"}]}'
)


@pytest.mark.parametrize("bits", range(64))
def test_a_number_of_any_size_is_read_by_its_one_encoding(bits: int) -> None:
    for number in ((1 << bits) - 1, -(1 << bits), (1 << bits) // 3):
        data = write_body(LONGS, {"a": number, "b": 5})
        assert LONGS.tuples(data) == (number, 5)
        alone = write_body(LONGS, {"a": 5, "b": number})
        assert LONGS.tuples(alone) == (5, number)
        for at in range(10, len(data)):  # where it goes on or ends is another number, or none
            changed = bytearray(data)
            changed[at] ^= 128
            assert strictly(LONGS, bytes(changed)) == by_library(LONGS, bytes(changed))


@pytest.mark.parametrize("length", range(2, 11))
def test_a_number_whose_last_byte_adds_nothing_is_not_canonical(length: int) -> None:
    with pytest.raises(NotCanonical):
        LONGS.tuples(LONGS.frame + b"\x85" * (length - 1) + b"\x00" + b"\x02")
    assert LONGS.tuples(LONGS.frame + b"\x85" * (length - 1) + b"\x01" + b"\x02")[1] == 1


@pytest.mark.parametrize("size", [63, 64, 8191, 8192, 70_000])
def test_a_string_of_any_length_is_read_by_its_one_length(size: int) -> None:
    data = SCHEMAS.encode("chain_close", {"reason": "x" * size, "event_count": 1, "lost_count": 0})
    assert SCHEMAS.by_name["chain_close"].dicts(data)["reason"] == "x" * size


def test_records_are_made_of_the_classes_that_have_their_fields() -> None:
    class Longs(NamedTuple):
        a: int
        b: int

    read = LONGS.made_of(Longs)(write_body(LONGS, {"a": 1, "b": 2}))
    assert type(read) is Longs
    assert read == Longs(1, 2)
    with pytest.raises(ValueError, match="other fields"):
        LONGS.made_of(NamedTuple("Longs", [("b", int), ("a", int)]))  # type: ignore[arg-type]
