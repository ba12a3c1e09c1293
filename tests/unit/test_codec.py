"""Single-object encoding: what is read, what is refused, and that hostile bytes cost neither time nor memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import VerificationError
from ledger.format.codec import FRAME, MARK, Malformed, Schemas, SchemaUnknown, read_body
from ledger.format.event import EventHeader, encode_header
from tests.bounding import bounded
from tests.sealing import SCHEMAS, data, event_id, heartbeat, overlong, zigzag

HEARTBEAT = SCHEMAS.encode("chain_heartbeat", heartbeat())
CONTENT = SCHEMAS.by_name["Content"].frame
LOSS = SCHEMAS.by_name["chain_loss"].frame + bytes(3) + data(b"unknown")
longs = st.integers(min_value=-(2**63), max_value=2**63 - 1)


def test_an_encoding_is_the_mark_the_fingerprint_and_the_body() -> None:
    assert MARK + bytes.fromhex("3ddd325f9e609af8") + b"\0\0\0" == HEARTBEAT


@given(longs)
def test_every_long_is_written_as_one_varint(number: int) -> None:
    framed = SCHEMAS.encode("chain_heartbeat", {**heartbeat(number)})
    assert framed == HEARTBEAT[:FRAME] + zigzag(number) + b"\0\0"
    assert SCHEMAS.decode(framed)["waiting_events"] == number


@pytest.mark.parametrize("cut", range(len(HEARTBEAT)))
def test_bytes_cut_short_anywhere_are_malformed(cut: int) -> None:
    with pytest.raises(Malformed):
        SCHEMAS.decode(HEARTBEAT[:cut])


def test_a_byte_after_the_end_is_malformed() -> None:
    with pytest.raises(Malformed, match="after its end"):
        SCHEMAS.decode(HEARTBEAT + b"\0")


def test_an_unknown_fingerprint_is_not_malformed_for_a_later_release_may_know_it() -> None:
    with pytest.raises(SchemaUnknown):
        SCHEMAS.decode(MARK + bytes(8) + b"\0\0\0")


def test_a_known_schema_in_the_place_of_another_is_malformed_for_no_release_will_change_that() -> None:
    with pytest.raises(Malformed, match="chain_heartbeat"):
        SCHEMAS.decode(HEARTBEAT, "Seal")


def test_two_files_of_one_fingerprint_do_not_load() -> None:
    text = b'{"type": "record", "name": "a", "fields": []}'
    with pytest.raises(ValueError, match="two schemas"):
        Schemas([text, b" " + text])


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        (CONTENT + zigzag(2**60) + b"abc", "a string of 2^60 bytes"),
        (CONTENT + zigzag(-1) + b"abc", "a string of -1 bytes"),
        (CONTENT + zigzag(2) + b"\xc3\x28" + bytes(30), "invalid UTF-8"),
        (CONTENT + zigzag(3) + b"\xed\xa0\x80" + bytes(30), "an encoded surrogate"),
        (CONTENT + zigzag(0) + bytes(16) + zigzag(0) + zigzag(2**60) + b"\0" * 50, "2^60 empty strings"),
        (CONTENT + zigzag(0) + bytes(16) + zigzag(0) + zigzag(2**62) * 20, "counts of counts"),
        (CONTENT + zigzag(0) + bytes(16) + zigzag(0) + zigzag(-(2**62)) * 20, "negative counts of counts"),
        (LOSS + zigzag(10_000_000) + bytes(60_000), "ten million empty records"),
        (HEARTBEAT[:-1] + zigzag(2), "a union's third branch of two"),
        (HEARTBEAT[:-1] + zigzag(-3), "a union's branch -3"),
        (HEARTBEAT[:-1] + zigzag(2**62), "a union's branch 2^62"),
        (HEARTBEAT[:FRAME] + b"\x80" * 1_000_000, "a number without an end"),
        (CONTENT + b"\xff" * 1_000_000, "nothing but ones"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_bytes_are_malformed_in_bounded_time_and_memory(hostile: bytes, why: str) -> None:
    with bounded(seconds=2, megabytes=50), pytest.raises(Malformed):
        SCHEMAS.decode(hostile)
    with bounded(seconds=2, megabytes=50):
        assert not SCHEMAS.canonical(hostile)


def test_a_million_empty_items_are_read_in_bounded_time_and_memory() -> None:
    held = CONTENT + zigzag(0) + bytes(16) + zigzag(0) + zigzag(1_000_000) + bytes(1_000_000) + b"\0" + b"\0"
    with bounded(seconds=5, megabytes=40):
        assert len(SCHEMAS.decode(held)["subjects"]) == 1_000_000
    with bounded(seconds=5, megabytes=40):
        assert SCHEMAS.canonical(held)


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (overlong(b"\x02", 0), 1),
        (b"\x82\x80\x80\x00", 1),
        (b"\x82" + b"\x80" * 8 + b"\x00", 1),
        (b"\xff" * 9 + b"\x01", -(2**63)),
    ],
)
def test_numbers_of_up_to_ten_bytes_and_64_bits_are_read(body: bytes, number: int) -> None:
    framed = HEARTBEAT[:FRAME] + body + b"\0\0"
    assert SCHEMAS.decode(framed)["waiting_events"] == number
    assert SCHEMAS.canonical(framed) == (zigzag(number) == body)


@pytest.mark.parametrize("body", [b"\xff" * 9 + b"\x7f", b"\x80" * 9 + b"\x02", b"\x80" * 10 + b"\x00"])
def test_numbers_beyond_64_bits_or_ten_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match="number"):
        SCHEMAS.decode(HEARTBEAT[:FRAME] + body + b"\0\0")


@pytest.mark.parametrize(
    "array",
    [zigzag(-2) + zigzag(4) + bytes(4) + b"\0", zigzag(1) + bytes(2) + zigzag(1) + bytes(2) + b"\0"],
    ids=["negative", "two blocks"],
)
def test_other_blocks_of_an_array_are_read_and_are_not_canonical(array: bytes) -> None:
    assert len(SCHEMAS.decode(LOSS + array)["kinds"]) == 2
    assert not SCHEMAS.canonical(LOSS + array)


@pytest.mark.parametrize("size", [3, 5, -1, 2**60])
def test_a_block_of_another_size_than_it_says_is_malformed(size: int) -> None:
    with pytest.raises(Malformed, match="size"):
        SCHEMAS.decode(LOSS + zigzag(-2) + zigzag(size) + bytes(4) + b"\0")


@pytest.mark.parametrize("index", [-1, -2, 2, 2**40])
def test_a_union_has_no_other_branches_than_its_own(index: int) -> None:
    with pytest.raises(Malformed, match="branch"):
        SCHEMAS.decode(HEARTBEAT[:-1] + zigzag(index) + b"\x06")


def test_types_that_a_left_out_branch_defined_are_still_known_after_it() -> None:
    header = encode_header(
        SCHEMAS, EventHeader(event_id(1), "x", 0, None, None, None, None, [], [], [bytes(32)], bytes(32))
    )
    assert SCHEMAS.decode(overlong(header, FRAME + 16))["contents"] == [bytes(32)]


def test_what_does_not_decode_is_not_canonical_either() -> None:
    assert SCHEMAS.canonical(HEARTBEAT)
    assert not SCHEMAS.canonical(HEARTBEAT + b"\0")
    assert not SCHEMAS.canonical(HEARTBEAT[:-1])


@given(st.sampled_from(sorted(SCHEMAS.by_name)), st.binary(max_size=300))
def test_random_bodies_raise_nothing_but_verification_errors(name: str, body: bytes) -> None:
    schema = SCHEMAS.by_name[name]
    try:
        datum = read_body(schema, schema.frame + body)
    except VerificationError:
        return
    assert SCHEMAS.canonical(schema.frame + body) == (SCHEMAS.encode(name, datum) == schema.frame + body)
