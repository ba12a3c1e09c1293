"""Something wrong with the ledger, as a person is told of it: kept with the rows, or computed when somebody looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Origin = Literal["stored", "computed"]
"""``stored`` follows from records alone and was kept with them; ``computed`` depends on the state as of a time."""


class Wrong(NamedTuple):
    """A finding, or a refused record. ``number`` to ``until``: seals of its chain, or offsets of a partition.

    ``digest`` is that of the seal, event, content or refused record. ``opened_at``: the append time from which on it held,
    None where nothing tells it; it holds still unless ``closed_at``. ``severity`` and ``evidence`` are those of a contradiction.
    """

    name: str
    origin: Origin
    detail: str = ""
    service: str | None = None
    key_id: str | None = None
    chain_id: bytes | None = None
    number: int | None = None
    until: int | None = None
    digest: bytes | None = None
    event_id: bytes | None = None
    opened_at: int | None = None
    closed_at: int | None = None
    severity: str | None = None
    evidence: tuple[bytes, ...] = ()


Place = tuple[int, ...]
"""Where a source is to be looked at from; only the source itself can read it."""


class Look(NamedTuple):
    """What one bounded look at a source found. ``next`` is where to go on, None where nothing is left to look at.

    ``looked`` counts what was looked at, whether or not anything was wrong with it. ``truncated`` names the bounds that
    kept the look from the whole and that going on does not lift.
    """

    found: Sequence[Wrong]
    next: Place | None = None
    looked: int = 0
    truncated: tuple[str, ...] = ()
