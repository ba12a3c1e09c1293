"""How the store is: its clock, and the bundle under which it was judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.cli.doctor.check import CLOCK_MICROSECONDS, Check, Store
from ledger.store import overview


def clock(store: Store) -> Iterator[Check]:
    """How far the store's clock is from ours."""
    offset = overview.clock(store.connection) - store.here.clock.now()
    detail = f"the store's clock is {offset / 1_000_000:+.3f} s from this machine's"
    if abs(offset) < CLOCK_MICROSECONDS:
        yield Check("clock", "ok", detail)
    else:
        remedy = "set both clocks by NTP: a seal from the future is clock_skew, an old one late"
        yield Check("clock", "note", detail, remedy)


def judged(store: Store) -> Iterator[Check]:
    """Whether the rows were judged under our bundle."""
    bundle = store.here.bundle
    if bundle is None:
        return
    lines = overview.trust_lines(store.connection)
    if not bundle.extends(lines):
        detail = "the store was judged under a bundle that this one does not extend"
        yield Check("trust", "wrong", detail, "find out who cut or replaced it")
    elif len(lines) < len(bundle.lines):
        detail = f"the store has not judged by {len(bundle.lines) - len(lines)} new statements yet"
        yield Check("trust", "note", detail, "is `answerable materialize` running?")
    else:
        yield Check("trust", "ok", "the store was judged under this bundle")


CHECKS: Final = (clock, judged)
