"""Every digest has a known answer, computed here from its formula, and none can pass for another."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from ledger.format import hashing

LEDGER, TENANT, SERVICE = "ledger.example", "acme", "flüge"


def test_lp_counts_the_bytes_of_utf_8_and_not_the_characters() -> None:
    assert hashing.length_prefixed("flüge") == b"\0\0\0\x06fl\xc3\xbcge"
    assert hashing.length_prefixed("") == b"\0\0\0\0"


def test_an_event_digest_is_a_leaf_hash_in_the_context_of_ledger_tenant_and_service() -> None:
    context = sha256(
        b"answerable/event/v1\0" + b"\0\0\0\x0eledger.example" + b"\0\0\0\x04acme" + b"\0\0\0\x06fl\xc3\xbcge"
    ).digest()
    prefix = hashing.event_prefix(LEDGER, TENANT, SERVICE)
    assert hashing.event_digest(prefix, b"header") == sha256(b"\0" + context + b"header").digest()


def test_known_answers_do_not_change() -> None:
    prefix = hashing.event_prefix("ledger.example", "acme", "flights")
    assert prefix.hex() == "0015c86b0f8e309c54e618ef811cbc447dce8726a23db97441f1dfbe347813e93a"
    assert hashing.payload_digest(b"s" * 16, b"p") == sha256(b"answerable/payload/v1\0" + b"s" * 16 + b"p").digest()
    assert hashing.content_digest(b"v") == sha256(b"answerable/content/v1\0v").digest()
    assert hashing.seal_message(b"s") == b"answerable/seal/v1\0s"
    assert hashing.seal_digest(b"s") == sha256(b"answerable/seal/v1\0s").digest()
    assert hashing.tree_entry(b"d" * 32, b"g") == sha256(b"answerable/leaf/v1\0" + b"d" * 32 + b"g").digest()


def test_the_schema_set_is_hashed_in_order_of_bytes() -> None:
    pairs = {b"b" * 40, b"a" * 40, b"\xff" * 40}
    assert hashing.schema_set_digest(pairs) == sha256(b"a" * 40 + b"b" * 40 + b"\xff" * 40).digest()


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.tuples(names, names, names), st.tuples(names, names, names))
def test_no_two_contexts_share_a_prefix(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (hashing.event_prefix(*one) == hashing.event_prefix(*other)) == (one == other)
