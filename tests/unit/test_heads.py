"""Heads of chains: the file of them, and the ones that a recorder gives."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format.batch import Chain
from ledger.format.heads import InvalidHeads, KnownHead, format_heads, parse_heads
from ledger.format.limits import NUMBER
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.trust.verdict import Judge
from ledger.verification import verify_log
from tests.recording import LEDGER, SERVICE, STEP, TENANT, bundle, recorder_on
from tests.recording import SIGNER as KEY
from tests.services.memory_log import MemoryLog

NUMBERS = st.integers(0, NUMBER)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HEADS = st.builds(
    KnownHead,
    st.builds(Chain, st.just("test"), TEXTS, TEXTS, TEXTS, st.binary(min_size=16, max_size=16)),
    NUMBERS,
    st.binary(min_size=32, max_size=32),
    NUMBERS,
    NUMBERS,
)
LINE = next(format_heads([KnownHead(Chain("test", "acme", "agent", "key", bytes(16)), 3, bytes(32), 9, 1)]))


@given(st.lists(HEADS))
def test_heads_are_read_as_they_were_written(heads: list[KnownHead]) -> None:
    assert list(parse_heads(format_heads(heads), "test")) == heads


@given(st.binary(max_size=300) | st.text().map(str.encode) | st.integers(0, len(LINE)).map(lambda n: LINE[:n]))
def test_whatever_else_stands_in_the_file_is_refused_with_its_line(line: bytes) -> None:
    if line != LINE:
        with pytest.raises(InvalidHeads, match="line 2"):
            list(parse_heads([LINE, line], "test"))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("ledger", "other"), ("tenant", None), ("service", 7), ("key_id", ["key"]), ("chain_id", "00"), ("chain_id", "zz" * 16),
        ("chain_id", "AA" * 16), ("chain_id", 5), ("seal_digest", "00" * 16), ("seal_number", -1), ("seal_number", 2**53),
        ("seal_number", True), ("seal_number", 1.0), ("next_sequence", "1"), ("sealed_at", None), ("more", 1),
        ("tenant", "\ud800"),
    ],
)  # fmt: skip
def test_a_member_that_is_not_what_it_must_be_is_refused(member: str, value: object) -> None:
    line = json.dumps(json.loads(LINE) | {member: value}).encode() + b"\n"
    with pytest.raises(InvalidHeads, match="line 1"):
        list(parse_heads([line], "test"))


def test_a_line_beyond_its_limit_is_refused_unread() -> None:
    with pytest.raises(InvalidHeads, match="over 8192 bytes"):
        list(parse_heads([b"[" * 9000], "test"))


def test_a_recorder_gives_the_heads_that_the_log_acknowledged_and_keeps_them_when_it_closes(tmp_path: Path) -> None:
    log = MemoryLog(SystemClock())
    recorder = recorder_on(log, tmp_path)
    assert recorder.heads() == ()
    recorder.record(STEP)
    recorder.record(STEP, tenant="other")
    assert recorder.flush(10)
    held = recorder.heads()
    assert sorted((each.chain.ledger, each.chain.tenant, each.chain.service) for each in held) == [
        (LEDGER, TENANT, SERVICE), (LEDGER, "other", SERVICE),
    ]  # fmt: skip
    log.gate.clear()
    recorder.record(STEP)
    while recorder.health().doing != "sending":
        Event().wait(0.001)
    assert recorder.heads() == held
    log.gate.set()
    assert recorder.close(10)
    last = recorder.heads()
    assert {each.chain for each in last} == {each.chain for each in held}
    judge = Judge(load_schemas(), LEDGER, bundle(KEY))
    report = verify_log(log, judge, load_schemas(), heads=[*held, *last])
    assert report.holds
    assert set(report.heads) == set(last)
    del log.records[-1]
    assert not verify_log(log, judge, load_schemas(), heads=last).holds
