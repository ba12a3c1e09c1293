"""The cases of ``tests/vectors``: each a good run of records, or one with exactly one fault (``order``: two)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vector_cases import (
    bundles,
    chains,
    changed,
    erasures,
    events,
    frames,
    good,
    limits,
    order,
    signatures,
    trust,
)
from tests.vector_cases import json_text as json
from tests.vector_cases.case import Case

SUBJECTS = (good, limits, frames, trust, signatures, changed, order, erasures, events, chains, bundles, json)


def cases() -> Iterator[Case]:
    """Every case, by subject."""
    for subject in SUBJECTS:
        yield from subject.cases()
