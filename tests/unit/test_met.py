"""Events that were read before: which are kept, and for how long."""

from __future__ import annotations

from typing import Any

from ledger.attribution.subgraph import Node
from ledger.store.met import Met
from ledger.store.nodes import Row
from ledger.trust.bundle import EMPTY
from tests.attribution.scenario import read_scenario
from tests.services.forge import Trust, signer

NODE = read_scenario("p1 agent prompt trigger_kind=human trust=trusted").node("p1")


def row(number: int, **changed: Any) -> Row:
    columns: dict[str, Any] = {
        "id": number,
        "digest": number.to_bytes(32),
        "header": b"h" * 100,
        "salt": b"",
        "payload": b"p",
    }
    return tuple((columns | changed).values())


def read(number: int) -> Node:
    return NODE._replace(number=number)


def test_an_event_is_found_by_the_row_it_was_read_from_and_by_no_other() -> None:
    shelf = Met().under(EMPTY)
    shelf.keep("acme", row(1), read(1))
    assert shelf.find("acme", row(1)) == read(1)
    assert shelf.find("acme", row(1, header=b"H" * 100)) is None
    assert shelf.find("acme", row(1, payload=None)) is None
    assert shelf.find("acme", row(2)) is None
    assert shelf.find("other", row(1)) is None


def test_no_more_is_kept_than_the_bound_and_what_is_asked_for_stays() -> None:
    bound = 1_000_000
    shelf = Met(bound).under(EMPTY)
    shelf.keep("acme", row(0), read(0))
    for number in range(1, 1_000):
        shelf.keep("acme", row(number), read(number))
        assert shelf.find("acme", row(0)) == read(0)
    kept = [number for number in range(1_000) if shelf.find("acme", row(number)) is not None]
    assert kept[0] == 0
    assert kept[-1] == 999
    assert len(kept) < bound // 2_500  # an event takes as much, and more
    assert 1 not in kept


def test_what_was_read_under_another_bundle_is_forgotten() -> None:
    met = Met()
    met.under(EMPTY).keep("acme", row(1), read(1))
    assert met.under(EMPTY).find("acme", row(1)) == read(1)
    other = Trust().key(signer("agent")).bundle
    assert met.under(other).find("acme", row(1)) is None
    assert met.under(EMPTY).find("acme", row(1)) is None
