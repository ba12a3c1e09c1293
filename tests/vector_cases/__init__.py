"""The cases of ``tests/vectors``: each a good run of records, or one with exactly one fault (``order``: two)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vector_cases import bundles, chains, changed, erasures, events, frames, good, signatures, trust
from tests.vector_cases.case import Case


def cases() -> Iterator[Case]:
    """Every case, by subject."""
    for subject in (good, frames, trust, signatures, changed, erasures, events, chains, bundles):
        yield from subject.cases()
