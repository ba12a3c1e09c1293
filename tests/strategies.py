"""Random valid payloads of every kind, for Hypothesis. What is valid comes from the classes, so new fields are covered."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st

from ledger.format.kinds import KINDS, Kind
from ledger.format.kinds.shape import Field, Part, fields_of

P = TypeVar("P", bound=Part)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
"""Strings that the format allows: no U+0000, no lone surrogate."""
numbers = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)
fixed16 = st.binary(min_size=16, max_size=16)
fixed32 = st.binary(min_size=32, max_size=32)


def payloads(kind: str | None = None) -> st.SearchStrategy[Kind]:
    """Payloads of ``kind``, or of any."""
    classes = [KINDS[kind]] if kind else list(KINDS.values())
    return st.one_of([parts(each) for each in classes])


def parts(cls: type[P]) -> st.SearchStrategy[P]:
    """Values of a payload's or part's class that ``check`` lets through."""
    fields = {each.name: values(each) for each in fields_of(cls)}
    return st.builds(cls, **fields).filter(lambda made: made.fault() is None)


def values(field: Field) -> st.SearchStrategy[Any]:
    """What may stand in ``field``."""
    if field.many:
        return st.lists(item(field), max_size=3).map(tuple)
    return st.none() | item(field) if field.optional else item(field)


def item(field: Field) -> st.SearchStrategy[Any]:
    if field.values:
        return st.sampled_from(field.values)
    if field.fixed:
        return fixed16 if field.fixed.size == 16 else fixed32
    if issubclass(field.type, Part):
        return parts(field.type)
    return texts if field.type is str else numbers
