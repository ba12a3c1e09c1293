"""What a process remembers of events takes no more than it says, whatever they hold."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.attribution import findable, joins
from ledger.attribution.subgraph import Node, typed
from ledger.format.event import Cause, decode_header, encode_header
from ledger.format.kinds.encode import array
from ledger.schema_files import load_schemas
from ledger.store.decoded import Decoder
from ledger.store.kept import Kept, weight, weight_of_header
from ledger.store.met import Met
from ledger.trust.bundle import EMPTY
from tests.attribution.scenario import read_scenario
from tests.services.forge import blank

BOUND = 4 << 20
NODE = read_scenario("p1 agent prompt trigger_kind=human trust=trusted").node("p1")
LARGE = 64_000
"""Characters of a value that an event may just have."""


@pytest.fixture
def taken() -> Iterator[Callable[[], int]]:
    """Bytes that were taken since, and are not given back."""
    gc.collect()
    tracemalloc.start()
    begun = tracemalloc.get_traced_memory()[0]

    def so_far() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - begun

    yield so_far
    tracemalloc.stop()


def losses(kinds: int, number: int) -> bytes:
    """The payload of an event with so many items of two bytes."""
    without = load_schemas().encode("chain_loss", blank("chain_loss") | {"count": number})
    return without[:-1] + array(lambda _: b"\0\2", (None,) * kinds)


@pytest.mark.parametrize(("kinds", "events"), [(30, 1_000), (100, 300), (32_600, 2)])
def test_decoded_events_are_kept_by_what_they_take(taken: Callable[[], int], kinds: int, events: int) -> None:
    decoder = Decoder(load_schemas(), BOUND)
    for number in range(events):
        decoder.payload(losses(kinds, number), "chain_loss")
    assert taken() < BOUND


@pytest.mark.parametrize(("kinds", "events"), [(30, 600), (100, 200), (32_600, 1)])
def test_events_that_were_read_are_kept_by_what_they_take(taken: Callable[[], int], kinds: int, events: int) -> None:
    shelf = Met(BOUND).under(EMPTY)
    for number in range(events):
        shelf.keep("acme", *read(number, losses(kinds, number)))
    assert taken() < BOUND


def read(number: int, data: bytes) -> tuple[tuple[Any, ...], Node]:
    row = (number, number.to_bytes(32), bytes(300), bytes(16), data)
    payload = load_schemas().decode(data, "chain_loss")
    node = NODE._replace(number=number, payload=payload, typed=typed("chain_loss", payload))
    assert node.fact is not None  # made, and kept from now on
    return row, node


def test_an_ordinary_event_is_kept_and_found() -> None:
    decoder, data = Decoder(load_schemas(), BOUND), losses(4, 0)
    assert decoder.payload(data, "chain_loss") is decoder.payload(bytes(bytearray(data)), "chain_loss")
    assert Decoder(load_schemas()).payload(data, "chain_loss") == decoder.payload(data, "chain_loss")


def test_what_fits_is_found_however_often_all_of_it_is_asked_for() -> None:
    kept = Kept[int, str](64_000)
    for _ in range(3):
        for number in range(200):
            kept.keep(number, str(number), 40)
        assert [kept.find(number) for number in range(200)] == [str(number) for number in range(200)]


def test_what_was_asked_for_stays_and_what_was_not_is_let_go() -> None:
    kept = Kept[int, str](20_000)
    for number in range(200):
        kept.keep(number, str(number), 40)
        assert kept.find(0) == "0"
    found = [number for number in range(200) if kept.find(number) is not None]
    assert len(found) <= 100
    assert {0, 150, 199} <= set(found)
    kept.keep(200, "large", 200)
    assert kept.find(200) is None


@pytest.mark.parametrize("of", ["a.", "tld/a.", "https://host/a.", "\U0001f600."])
def test_a_resource_of_64_kib_is_not_remembered(taken: Callable[[], int], of: str) -> None:
    size = len(of.encode())
    for number in range(20):
        resource = (of * (LARGE // size))[:-8] + f"{number:06}"
        action = blank("api_action") | {"resource": resource, "action_id": f"a{number}"}
        header = NODE.header._replace(kind="api_action")
        assert joins.keys_of("acme").of([*findable.value_names(header, action), *joins.names_of(header, action)[0]])
    assert taken() < 1 << 20


def test_a_key_is_the_same_whether_it_is_remembered_or_not() -> None:
    for name in ("grant:g", "grant:" + "g" * LARGE):
        fresh = joins.Keys("acme")
        assert fresh[name] == fresh[name] == joins.keys_of("acme")[name]
        assert (name in fresh) == (len(name) <= joins.REMEMBERED)


def test_names_are_remembered_up_to_a_number() -> None:
    keys = joins.Keys("acme")
    first = keys["grant:0"]
    for number in range(10_000):
        assert keys[f"grant:{number}"] == joins.Keys("acme")[f"grant:{number}"]
        assert len(keys) <= 1 << 12
    assert keys["grant:0"] == first != joins.Keys("other")["grant:0"]


def test_a_value_is_found_by_its_parts_however_long_it_is() -> None:
    uri = f"https://files.example/{'x' * 300}/db.orders"
    found = findable.matches(NODE.header._replace(kind="observation"), blank("observation") | {"uri": uri}, "orders")
    assert found == ["uri"]
    hosts = findable.matches(
        NODE.header._replace(kind="observation"), blank("observation") | {"uri": uri}, "files.example"
    )
    assert hosts == ["uri"]


@pytest.mark.parametrize("text", ["a", "ü", "a🙂", "x" * 25])
def test_a_header_is_taken_to_weigh_no_less_than_it_does(text: str) -> None:
    digest, digests = b"d" * 32, [bytes([number]) * 32 for number in range(64)]
    causes = [Cause(bytes([number]) * 16, each, text + str(number)) for number, each in enumerate(digests)]
    strings = [f"trace:{text}{number}" for number in range(9)]
    about = {
        "agent_id": text + "agent",
        "agent_instance": text + "instance",
        "execution_id": b"e" * 16,
        "principal": digest,
    }
    for given in ({}, about | {"causes": causes, "correlation": strings, "contents": digests}):
        data = encode_header(load_schemas(), NODE.header._replace(**given))  # type: ignore[arg-type]
        header = decode_header(load_schemas(), data)
        assert weight(header) + weight(data) <= weight_of_header(header, len(data))
