"""How the store is: the way to it, its clock, partitions and roles, and the bundle under which it was judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from ledger.cli.doctor.check import CLOCK_MICROSECONDS, Check, Store
from ledger.cli.doctor.log import advice
from ledger.ports import EVENTS
from ledger.store import overview
from ledger.store.connect import link
from ledger.store.partitions import missing_years, years_in_default
from ledger.store.positions import STUCK_SECONDS
from ledger.store.rights import missing_rights
from ledger.store.stuck import seen_stuck

_SOON_DAYS: Final = 60
_MIGRATE: Final = "run `answerable migrate` as the owner of the tables"


def way(store: Store) -> Iterator[Check]:
    """Whether others can read, or be, what is on the way to the store."""
    found = link(store.connection)
    if not found.remote and not found.encrypted:
        return
    if not found.encrypted:
        detail = f"the connection to {found.host} is not encrypted"
        yield Check("store", "wrong", detail, "add ?sslmode=verify-full&sslrootcert=FILE to STORE_URL")
    elif not found.verified:
        detail = f"the connection to {found.host} is encrypted, and whoever answers there is taken for the store"
        yield Check("store", "note", detail, "add ?sslmode=verify-full&sslrootcert=FILE to STORE_URL")
    else:
        yield Check("store", "ok", f"the connection to {found.host} is encrypted, and its certificate is checked")


def clock(store: Store) -> Iterator[Check]:
    """How far the store's clock is from ours."""
    offset = overview.clock(store.connection) - store.here.clock.now()
    detail = f"the store's clock is {offset / 1_000_000:+.3f} s from this machine's"
    if abs(offset) < CLOCK_MICROSECONDS:
        yield Check("clock", "ok", detail)
    else:
        remedy = "set both clocks by NTP: a seal from the future is clock_skew, an old one late"
        yield Check("clock", "note", detail, remedy)


def log_clock(store: Store) -> Iterator[Check]:
    """Whether the log took every service's latest seal before that was made: then its clock is behind, or all of theirs ahead."""
    ahead = overview.ahead_of_log(store.connection)
    if ahead and (least := min(ahead)) > CLOCK_MICROSECONDS:
        whose = f"the clocks of all {len(ahead)} services are" if len(ahead) > 1 else "the clock of the only service is"
        detail = f"{whose} at least {least / 1_000_000:.3f} s ahead of the log's"
        yield Check(
            "clock", "note", detail, "set the clocks of brokers and services by NTP: keys are judged by the log's"
        )


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
        held = any(each.held for each in overview.positions(store.connection) if each.topic == EVENTS)
        yield Check("trust", "note", detail, advice("materialize", held=held))
    else:
        yield Check("trust", "ok", "the store was judged under this bundle")


def unfilled(store: Store) -> Iterator[Check]:
    """Whether all that is asked by rows is known of every event: not of those that a release before stored."""
    rights, values = overview.unfilled(store.connection)
    remedy = "`answerable rebuild` makes the rows of all events anew"
    if rights:
        detail = (
            f"{rights} seals were stored by a release that kept no rows of tokens and grants: their lineages lack them"
        )
        yield Check("store", "note", detail, remedy)
    if values:
        detail = (
            f"{values} seals were stored by a release that did not find events by every value: such a search lacks them"
        )
        yield Check("store", "note", detail, remedy)


def years(store: Store) -> Iterator[Check]:
    """Whether the events of now, and soon, have a partition of their own."""
    now = datetime.fromtimestamp(store.here.clock.now() / 1e6, tz=UTC)
    wanted = {now.year, (now + timedelta(days=_SOON_DAYS)).year}
    missing = missing_years(store.connection, wanted)
    if missing:
        detail = f"{_listed(missing)}: no partition of its own, so its events lie in DEFAULT"
        yield Check("partitions", "wrong" if now.year in missing else "note", detail, _MIGRATE)
    stray = sorted(set(years_in_default(store.connection, now.year)) - set(missing))
    if stray:
        yield Check("partitions", "note", f"DEFAULT holds events of {_listed(stray)}", _MIGRATE)
    if not (missing or stray):
        yield Check("partitions", "ok", f"{_listed(sorted(wanted))} have partitions of their own")


def roles(store: Store) -> Iterator[Check]:
    """Whether the roles may still do their part: a dump is often restored without them."""
    for lacking in missing_rights(store.connection):
        if lacking.tables is None:
            detail, remedy = f"there is no role {lacking.role}", f"create role {lacking.role} nologin; then grant it"
        else:
            detail = f"{lacking.role} may not {lacking.rights} {', '.join(lacking.tables)}"
            remedy = f"grant {lacking.rights} on {', '.join(lacking.tables)} to {lacking.role}"
        yield Check("roles", "wrong", detail, remedy)


def sessions(store: Store) -> Iterator[Check]:
    """Whether a worker has stopped in the middle of its work. Of another role's sessions the store does not say what they do."""
    for each in seen_stuck(store.connection, STUCK_SECONDS):
        detail = f"a worker has stopped within a transaction and holds what others will wait for: {each.told()}"
        remedy = "see whether its process is stopped, or cut off, and end it; whoever needs its locks ends its session"
        yield Check("workers", "note", detail, remedy)


def _listed(years: Sequence[int]) -> str:
    return ", ".join(map(str, years))


FIRST: Final = (way, clock)
"""What can be looked at whatever tables there are."""
CHECKS: Final = (judged, log_clock, unfilled, years, roles, sessions)
