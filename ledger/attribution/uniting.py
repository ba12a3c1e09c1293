"""Sets that grow together: what is shown to be one thing, by whatever shows it, in any order."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import TypeVar

T = TypeVar("T", bound=Hashable)

Sets = dict[T, list[T]]
"""By each member the set that it is in: one and the same list for all of them."""


def unite(sets: Sets[T], one: T, other: T) -> None:
    """Makes one set of those of two members, each of which may be new. The smaller goes into the larger: n cost n log n."""
    into, gone = sets.setdefault(one, [one]), sets.setdefault(other, [other])
    if into is gone:
        return
    if len(into) < len(gone):
        into, gone = gone, into
    into += gone
    for each in gone:
        sets[each] = into


def united(sets: Sets[T]) -> Collection[list[T]]:
    """Each set once."""
    return {id(each): each for each in sets.values()}.values()


__all__ = ["Sets", "unite", "united"]
