"""What a check finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ledger.attribution.house import NO_RULES, HouseRules
from ledger.errors import LedgerError
from ledger.ports import Clock
from ledger.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from ledger.ports import Log
    from ledger.store.overview import Reached
    from ledger.trust.bundle import TrustBundle

Status = Literal["ok", "note", "wrong"]
CLOCK_MICROSECONDS: Final = 1_000_000
"""Clocks that differ by more are worth a note."""


class Check(NamedTuple):
    """One thing looked at. ``remedy`` says what to do where it is not ok."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What every check may look at: what this process was given. ``bundle`` is None where none verifies, ``house`` where the
    house rules cannot be read.
    """

    settings: Settings
    clock: Clock
    bundle: TrustBundle | None
    house: HouseRules | None = NO_RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What a check of keys looks at: a bundle that verifies."""

    here: Here
    bundle: TrustBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What a check of the store looks at: a connection to one that has this release's tables."""

    here: Here
    connection: psycopg.Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What a check of the log looks at. ``reached``: the store's positions, or None where the store does not say."""

    here: Here
    log: Log
    reached: Sequence[Reached] | None


def guarded(name: str, checks: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks; where one cannot be made, that is what is wrong, and whatever else can be looked at is looked at."""
    try:
        yield from checks()
    except LedgerError as error:
        yield Check(name, "wrong", "cannot be used", str(error))
