"""The header's own encoder against the general one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.format.codec import write_body
from ledger.format.event import Cause, EventHeader, decode_header, encode_header, fault_of_header, header_datum
from ledger.schema_files import load_schemas

SCHEMAS = load_schemas()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
ids = st.binary(min_size=16, max_size=16)
digests = st.binary(min_size=32, max_size=32)
headers = st.builds(
    EventHeader,
    event_id=ids,
    kind=texts,
    occurred_at=st.integers(-(2**63), 2**63 - 1),
    execution_id=st.none() | ids,
    agent_id=st.none() | texts,
    agent_instance=st.none() | texts,
    principal=st.none() | digests,
    causes=st.lists(st.builds(Cause, ids, st.none() | digests, texts), max_size=70),
    correlation=st.lists(texts, max_size=5),
    contents=st.lists(digests, max_size=5),
    payload_digest=digests,
)


@given(headers)
def test_a_header_is_encoded_as_the_general_encoder_does(header: EventHeader) -> None:
    assert encode_header(SCHEMAS, header) == write_body(SCHEMAS.by_name["EventHeader"], header_datum(header))


@given(headers)
def test_an_encoded_header_is_decoded_to_itself(header: EventHeader) -> None:
    if fault_of_header(header) is None and len(encode_header(SCHEMAS, header)) <= 8192:
        decoded = decode_header(SCHEMAS, encode_header(SCHEMAS, header))
        assert decoded == header._replace(causes=list(header.causes))
