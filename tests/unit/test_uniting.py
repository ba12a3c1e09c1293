"""Sets of what is one thing: however they came together."""

from __future__ import annotations

import networkx
from hypothesis import given
from hypothesis import strategies as st

from ledger.attribution.uniting import Sets, unite, united

PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30)


@given(PAIRS)
def test_the_sets_are_those_that_pairs_connect_in_whichever_order(pairs: list[tuple[int, int]]) -> None:
    wanted = sorted(map(sorted, networkx.connected_components(networkx.Graph(pairs))))
    for order in (pairs, pairs[::-1], [(other, one) for one, other in pairs]):
        sets: Sets[int] = {}
        for one, other in order:
            unite(sets, one, other)
        assert sorted(map(sorted, united(sets))) == wanted
        assert all(each in of for each, of in sets.items())
        assert all(sets[each] is of for of in united(sets) for each in of)


def test_a_long_row_that_is_met_from_its_end_costs_no_square() -> None:
    class Counted(list[int]):
        copied = 0

        def __iadd__(self, other: list[int]) -> Counted:  # type: ignore[override]
            Counted.copied += len(other)
            return super().__iadd__(other)  # type: ignore[return-value]

    sets: Sets[int] = {each: Counted([each]) for each in range(1_000)}
    for each in reversed(range(999)):
        unite(sets, each, each + 1)
    assert Counted.copied == 999
