"""Event ids carry their time and their version, and nothing else passes for one."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.format import ids

times = st.integers(min_value=0, max_value=(1 << 48) * 1000 - 1)
random = st.binary(min_size=10, max_size=10)


@given(times, random)
def test_a_uuid7_holds_its_milliseconds_and_is_one_to_the_standard_library(now: int, drawn: bytes) -> None:
    made = ids.uuid7(now, drawn)
    assert UUID(bytes=made).version == 7
    assert ids.milliseconds(made) == now // 1000
    assert ids.is_event_id(made)
    assert ids.parse(ids.text(made)) == made


@given(st.integers(min_value=0, max_value=(1 << 48) - 1), st.binary(max_size=40))
def test_a_uuid8_is_the_same_for_the_same_record_and_secret(when: int, name: bytes) -> None:
    made = ids.uuid8(when, b"secret", name)
    assert made == ids.uuid8(when, b"secret", name)
    assert made != ids.uuid8(when, b"other", name)
    assert (UUID(bytes=made).version, ids.milliseconds(made)) == (8, when)
    assert ids.is_event_id(made)


@given(st.binary(min_size=16, max_size=16))
def test_only_versions_7_and_8_of_the_rfc_variant_are_event_ids(data: bytes) -> None:
    as_uuid = UUID(bytes=data)
    rfc = as_uuid.variant == "specified in RFC 4122"
    assert ids.is_event_id(data) == (rfc and as_uuid.version in (7, 8))


def test_a_text_that_is_no_uuid_is_refused() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        ids.parse("not-an-id")


@given(st.one_of(times, st.integers()), st.binary(min_size=16, max_size=16))
@example(999, bytes(6) + b"\xff" * 10)
@example(1000, bytes(5) + b"\x01" + b"\xff" * 10)
@example(999, bytes(5) + b"\x01" + bytes(10))
@example(-1, bytes(16))
def test_an_id_is_above_the_last_of_a_time_if_its_milliseconds_are(now: int, event_id: bytes) -> None:
    assert (event_id > ids.last_of(now)) == (ids.milliseconds(event_id) * 1000 > now)
