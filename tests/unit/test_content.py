"""Contents and persons: round trips, keys, and names that could not be stored or erased."""

from __future__ import annotations

from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidEvent
from ledger.format.codec import Malformed
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
from ledger.format.limits import CONTENT_BYTES, CONTENT_STRING_BYTES, CONTENT_VALUE_BYTES
from tests.sealing import SCHEMAS, TENANT, negative_block, overlong

SALT = bytes(range(16))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
contents = st.builds(
    Content, texts, st.binary(min_size=16, max_size=16), texts, st.lists(texts, max_size=4), st.binary(max_size=200)
)
ALICE = Person(issuer="https://issuer.example", subject="alice", name="Alice")


@given(contents)
def test_a_content_comes_back_as_it_was_written_under_the_digest_of_its_record(made: Content) -> None:
    value, digest = encode_content(SCHEMAS, made)
    assert decode_content(SCHEMAS, value) == made
    assert digest == sha256(b"answerable/content/v1\0" + value).digest()


@given(texts, st.binary(min_size=32, max_size=32))
def test_a_record_key_splits_into_tenant_and_digest(tenant: str, digest: bytes) -> None:
    assert split_record_key(record_key(tenant, digest)) == (tenant, digest)


@pytest.mark.parametrize("key", [b"", bytes(32), b"acme\1" + bytes(32), b"acme\0" + b"\1" * 33, b"\xff\0" + bytes(32)])
def test_a_record_key_of_another_form_is_malformed(key: bytes) -> None:
    with pytest.raises(Malformed):
        split_record_key(key)


def test_a_content_too_large_is_an_error_when_recording_and_malformed_when_read() -> None:
    large = Content(TENANT, SALT, "text/plain", [], bytes(CONTENT_BYTES + 1))
    with pytest.raises(InvalidEvent, match="limit"):
        encode_content(SCHEMAS, large)
    with pytest.raises(Malformed, match="limit"):
        decode_content(SCHEMAS, SCHEMAS.encode("Content", large._asdict()))
    assert encode_content(SCHEMAS, large._replace(bytes=bytes(CONTENT_BYTES)))


def test_a_content_whose_strings_make_its_record_too_large_is_an_error_when_recording() -> None:
    full = Content(TENANT, SALT, "text/plain", ["s" * CONTENT_STRING_BYTES] * 31, bytes(CONTENT_BYTES))
    assert len(encode_content(SCHEMAS, full)[0]) <= CONTENT_VALUE_BYTES
    with pytest.raises(InvalidEvent, match=r"limit.*fewer people"):
        encode_content(SCHEMAS, full._replace(subjects=["s" * CONTENT_STRING_BYTES] * 32))


@pytest.mark.parametrize("changes", [{"tenant": "a\0"}, {"media_type": "\0"}, {"subjects": ["fine", "\0"]}])
def test_a_content_whose_strings_cannot_be_stored_is_malformed(changes: dict[str, object]) -> None:
    made = Content(TENANT, SALT, "text/plain", [], b"")._asdict() | changes
    with pytest.raises(Malformed, match="0000"):
        decode_content(SCHEMAS, SCHEMAS.encode("Content", made))


def test_a_content_that_is_not_canonical_is_malformed() -> None:
    value, _ = encode_content(SCHEMAS, Content(TENANT, SALT, "text/plain", ["a#b"], b"text"))
    block = b"\x02\x06a#b\0"
    assert block in value
    for bad in (overlong(value, 10), value.replace(block, negative_block([b"\x06a#b"])), value + b"\0", value[:-1]):
        with pytest.raises(Malformed):
            decode_content(SCHEMAS, bad)


def test_a_person_comes_back_and_is_found_by_the_contents_subjects() -> None:
    made = person_content(TENANT, SALT, ALICE)
    assert made.subjects == ["https://issuer.example#alice"]
    assert made.bytes == b'{"display_name":"Alice","issuer":"https://issuer.example","kind":"human","subject":"alice"}'
    assert read_person(made) == ALICE
    nameless = Person(issuer="i", subject="s", kind="workload")
    assert read_person(person_content(TENANT, SALT, nameless)) == nameless


def test_one_person_under_two_salts_has_two_digests() -> None:
    one, other = (encode_content(SCHEMAS, person_content(TENANT, salt, ALICE))[1] for salt in (SALT, bytes(16)))
    assert one != other


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"issuer":"i","subject":"s"}',
        b'{"issuer":"i","subject":"s","kind":"robot"}',
        b'{"issuer":"i","subject":5,"kind":"human"}',
        b'{"issuer":"i\\u0000","subject":"s","kind":"human"}',
        b'{"issuer":"i","subject":"\\ud800","kind":"human"}',
        b'{"issuer":"i","subject":"t","kind":"human"}',
    ],
)
def test_anything_but_a_person_among_the_subjects_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_person(Content(TENANT, SALT, PRINCIPAL, ["i#s", "i\0#s", "i#\ud800", "i#5"], body))


def test_a_content_of_another_type_names_no_person() -> None:
    with pytest.raises(Malformed, match="text/plain"):
        read_person(person_content(TENANT, SALT, ALICE)._replace(media_type="text/plain"))


def test_a_display_name_that_is_no_text_is_left_out() -> None:
    body = rfc8785.dumps({"issuer": "i", "subject": "s", "kind": "human", "display_name": 5})
    assert read_person(Content(TENANT, SALT, PRINCIPAL, ["i#s"], body)).name is None
