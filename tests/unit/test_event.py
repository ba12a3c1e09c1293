"""Headers: a round trip of everything, and each limit of the format at its edge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.codec import FRAME, MARK, Malformed, SchemaUnknown
from ledger.format.event import RELATIONS, Cause, EventHeader, decode_header, encode_header, fault_of_header
from ledger.format.hashing import ZERO32
from ledger.format.limits import CAUSES, HEADER_BYTES, HEADER_STRING_BYTES
from tests.sealing import SCHEMAS, event_id

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
fixed16 = st.binary(min_size=16, max_size=16)
fixed32 = st.binary(min_size=32, max_size=32)
event_ids = st.integers(min_value=0, max_value=2**40).map(event_id)
causes = st.builds(Cause, event_ids, st.none() | fixed32, st.sampled_from(sorted(RELATIONS)) | texts)
headers = st.builds(
    EventHeader,
    event_ids,
    texts,
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.none() | fixed16,
    st.none() | texts,
    st.none() | texts,
    st.none() | fixed32,
    st.lists(causes, max_size=4),
    st.lists(texts, max_size=4),
    st.lists(fixed32, max_size=4),
    fixed32,
)


def header(**changes: Any) -> EventHeader:
    return EventHeader(event_id(1), "prompt", 0, None, None, None, None, [], [], [], ZERO32)._replace(**changes)


@given(headers)
def test_a_header_comes_back_as_it_was_written(made: EventHeader) -> None:
    framed = encode_header(SCHEMAS, made)
    assert decode_header(SCHEMAS, framed) == made
    assert SCHEMAS.canonical(framed)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"event_id": bytes(16)}, "UUID"),
        ({"causes": [Cause(event_id(1), None, "x")] * (CAUSES + 1)}, "causes"),
        ({"correlation": ["x" * (HEADER_STRING_BYTES + 1)]}, "longer"),
        ({"kind": "é" * (HEADER_STRING_BYTES // 2) + "x"}, "longer"),
        ({"causes": [Cause(event_id(1), None, "x" * 513)]}, "longer"),
        ({"agent_id": "a\0"}, "0000"),
        ({"agent_instance": "\0"}, "0000"),
        ({"correlation": ["fine", "a\0b"]}, "0000"),
        ({"causes": [Cause(event_id(1), None, "\0")]}, "0000"),
    ],
)
def test_a_header_over_a_limit_is_malformed_and_says_which(changes: dict[str, Any], word: str) -> None:
    made = header(**changes)
    assert word in (fault_of_header(made) or "")
    with pytest.raises(Malformed, match=word):
        decode_header(SCHEMAS, encode_header(SCHEMAS, made))


def test_a_header_at_its_limits_is_none() -> None:
    made = header(causes=[Cause(event_id(1), None, "x")] * CAUSES, correlation=["é" * 256] * 3, agent_id="x" * 512)
    assert decode_header(SCHEMAS, encode_header(SCHEMAS, made)) == made


def test_a_header_too_large_is_malformed_before_it_is_read() -> None:
    with pytest.raises(Malformed, match="limit"):
        decode_header(SCHEMAS, MARK + bytes(HEADER_BYTES))


def test_a_header_of_an_unknown_schema_is_told_apart() -> None:
    with pytest.raises(SchemaUnknown):
        decode_header(SCHEMAS, MARK + bytes(8) + encode_header(SCHEMAS, header())[FRAME:])
