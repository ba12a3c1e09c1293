"""Every check, in the order in which one mends things: settings, trust, house rules, spools, store, log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ledger import wiring
from ledger.attribution.house import HouseRules
from ledger.cli.doctor import rules, spool, trust
from ledger.cli.doctor.check import Check, Here, Store, Topics, Trusted, guarded
from ledger.errors import LedgerError
from ledger.settings import Settings, unknown_variables
from ledger.trust.bundle import TrustBundle

if TYPE_CHECKING:
    from ledger.store.overview import Reached

Given = TypeVar("Given")


def examine(settings: Settings) -> Iterator[Check]:
    """What every check finds."""
    for name in unknown_variables():
        yield Check("settings", "note", f"{name} is no setting", "look for a misspelling in the list above")
    bundle: TrustBundle | None = None
    try:
        bundle = wiring.load_bundle(settings)
    except LedgerError as error:
        yield Check("trust", "wrong", "no trust bundle that verifies", str(error))
    house: HouseRules | None = None
    try:
        house = wiring.house_rules(settings)
    except LedgerError as error:
        yield Check("rules", "wrong", "no house rules: API and sentinel do not start with this file", str(error))
    here = Here(settings=settings, clock=wiring.CLOCK, bundle=bundle, house=house)
    if bundle is not None:
        yield from _each("key", trust.CHECKS, Trusted(here=here, bundle=bundle))
    yield from _each("rules", rules.CHECKS, here)
    yield from _each("spool", spool.CHECKS, here)
    with ExitStack() as stack:
        yield from guarded("store", lambda: _embedded(here, stack))
        yield from guarded("store", lambda: _store(here))
        yield from guarded("log", lambda: _log(here))


def _embedded(here: Here, stack: ExitStack) -> Iterator[Check]:
    """Runs what is embedded while we look, as every question does; where there is nothing to run the next checks say so."""
    if any(not (each / "data").exists() for each in wiring.embedded_directories(here.settings)):
        return
    for server in stack.enter_context(wiring.running(here.settings)):
        detail = (
            f"nothing serves {server.directory}: its Postgres was started for this look alone, as for every question"
        )
        yield Check("store", "note", detail, "what services record comes in while `answerable serve` runs")


def _each(name: str, checks: Iterable[Callable[[Given], Iterator[Check]]], given: Given) -> Iterator[Check]:
    for check in checks:
        yield from guarded(name, partial(check, given))


def _store(here: Here) -> Iterator[Check]:
    from ledger.cli.doctor import findings, store
    from ledger.store.migrations import check_migrated

    with wiring.reading(here.settings) as connection:
        yield Check("store", "ok", f"answers, PostgreSQL {connection.info.server_version // 10000}")
        given = Store(here=here, connection=connection)
        yield from _each("store", store.FIRST, given)
        check_migrated(connection)
        yield from _each("store", (*store.CHECKS, *findings.CHECKS, *rules.STORED), given)


def _log(here: Here) -> Iterator[Check]:
    from ledger.cli.doctor import log, placement

    with closing(wiring.open_log(here.settings)) as opened:
        problems = opened.problems()
        for problem in problems:
            yield Check("log", "note" if problem.kind in ("unseen", "note") else "wrong", problem.text)
        if any(problem.kind == "missing" for problem in problems):
            return
        topics = Topics(here=here, log=opened, reached=_reached(here))
        yield from _each("log", (*log.CHECKS, *placement.CHECKS), topics)


def _reached(here: Here) -> list[Reached] | None:
    """The store's positions; None where it does not say: what is wrong with it was told before."""
    from ledger.store import overview

    try:
        with wiring.reading(here.settings) as connection:
            return overview.positions(connection)
    except LedgerError:
        return None
