"""What was once found stays mended, and some seeded mutations of every target; ``make fuzz`` goes further."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from ledger.format.kinds import Kind, encode_body
from tests.fuzz import corpus
from tests.fuzz.case import CPU_SECONDS, MEMORY, Flaw, Target, Watch, break_hangs, try_case, weigh
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import HTTP, MODULE_OF, load, pieces
from tests.fuzz.targets.decoders import NAMES, payload
from tests.fuzz.targets.remembering import Remembering, forget
from tests.fuzz.targets.requests import serving
from tests.fuzz.targets.trust import signed
from tests.sealing import key_statement
from tests.services.databases import Databases
from tests.strategies import payloads

SEED = 1


@pytest.fixture(autouse=True)
def _hangs_are_broken_off() -> None:
    break_hangs()


@pytest.fixture(scope="module")
def served(postgres: Databases) -> Iterator[None]:
    with serving(postgres):
        yield


def replay(target: Target) -> None:
    cases = corpus.all_cases(target)
    for data in cases:
        weigh(target, data)
    watch = Watch(target)
    for data in (*cases, *mutated(target, cases, SEED, target.short)):
        watch(data)
    watch.look()


@pytest.mark.parametrize("name", [each for each in MODULE_OF if each != HTTP])
def test_hostile_bytes_are_read_or_refused_within_bounds(name: str) -> None:
    replay(load(name))


def test_hostile_requests_are_answered_within_bounds(served: None) -> None:
    replay(load(HTTP))


def test_what_the_store_was_asked_before_is_answered_as_then_in_the_form_that_is_asked_for(postgres: Databases) -> None:
    forget()
    with psycopg.connect(postgres.url, autocommit=True, cursor_factory=Remembering) as connection:
        asked = "select %s::int as number, clock_timestamp() as at"
        first = connection.execute(asked, [1]).fetchone()
        assert connection.execute(asked, [1]).fetchone() == first
        assert connection.execute(asked, [2]).fetchone() != first
        with connection.cursor(row_factory=dict_row) as cursor:
            assert cursor.execute(asked, [1]).fetchall() == [dict(zip(("number", "at"), first or (), strict=True))]
        forget()
        assert connection.execute(asked, [1]).fetchone() != first


@given(payloads())
@settings(max_examples=150, deadline=None)
def test_whatever_is_valid_is_read_alike_by_every_reader(made: Kind) -> None:
    payload(bytes([NAMES.index(made.KIND)]) + encode_body(made))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    VALUES, st.sampled_from(["more", "from", "until", "tenants", "kinds", "role", "type", "number", "key", "previous"])
)
@settings(max_examples=150, deadline=None)
def test_two_readers_of_a_bundle_agree_about_any_value_in_any_member(value: object, member: str) -> None:
    signed(pieces.join([json.dumps({**key_statement(), member: value}).encode()]))


def test_the_corpus_is_small_and_every_target_has_some() -> None:
    paths = [path for path in corpus.FOLDER.rglob("*") if path.is_file()]
    assert {path.parent.name for path in paths} == set(MODULE_OF)
    assert sum(path.stat().st_size for path in paths) < 300_000


def never() -> list[bytes]:
    return []


def test_a_case_that_is_slow_is_a_flaw() -> None:
    def slow(data: bytes) -> None:
        until = time.thread_time() + 0.12
        while time.thread_time() < until:
            pass

    with pytest.raises(Flaw, match="ms for a case"):
        try_case(Target("slow", slow, never), b"")
    assert CPU_SECONDS == 0.1


def test_a_case_that_does_not_end_is_broken_off() -> None:
    def endless(data: bytes) -> None:
        while True:
            pass

    with pytest.raises(Flaw, match="more than"):
        try_case(Target("endless", endless, never), b"")


def test_a_case_that_holds_too_much_memory_is_a_flaw_also_in_the_middle_of_a_search() -> None:
    def large(data: bytes) -> None:
        assert len(bytes(data[0] << 20)) >= 0

    target = Target("large", large, never)
    weigh(target, b"\x30")
    with pytest.raises(Flaw, match="MiB for a case"):
        weigh(target, b"\x50")
    watch = Watch(target)
    for size in b"\1" * 50 + b"\xff" + b"\1" * 50:
        watch(bytes([size]))
    with pytest.raises(Flaw, match="255 MiB"):
        watch.look()
    assert MEMORY == 64 << 20


def test_a_case_that_raises_what_it_must_not_passes_it_on() -> None:
    def wrong(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        try_case(Target("wrong", wrong, never), b"x")


def test_the_same_seed_gives_the_same_cases() -> None:
    target = load("frame")
    first = list(mutated(target, [b"abc"], 5, 50))
    assert first == list(mutated(target, [b"abc"], 5, 50))
    assert first != list(mutated(target, [b"abc"], 6, 50))
