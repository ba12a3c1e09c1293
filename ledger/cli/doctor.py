"""``answerable doctor``: what is configured and from where, reachable, behind, and what to do. It changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import typer
from rich.text import Text

from ledger import wiring
from ledger.cli.invocation import NO, Json, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, show_time, table
from ledger.errors import LedgerError
from ledger.ports import EVENTS, Bounds
from ledger.settings import Settings, unknown_variables
from ledger.signers import load_key
from ledger.trust.bundle import TrustBundle
from ledger.trust.reasons import REASONS

if TYPE_CHECKING:
    from ledger.store.overview import Counts, Reached

Status = Literal["ok", "note", "wrong"]
_STYLES: Final = {"ok": "green", "note": "yellow", "wrong": "bold red"}
_CLOCK_MICROSECONDS: Final = 1_000_000
_SOON: Final = 7 * 86_400_000_000


class Check(NamedTuple):
    """One thing looked at. ``remedy`` says what to do where it is not ok."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


def doctor(ctx: typer.Context, as_json: Json = False, utc: Utc = False) -> None:
    """Tells what is configured and from where, what is reachable, what is behind, and what to do. Exit 1 if anything is wrong."""
    settings = settings_of(ctx, utc=utc)
    checks = list(examine(settings))
    if as_json:
        shown = [
            {"name": s.name, "value": s.value, "origin": s.origin, "meaning": s.meaning} for s in settings.explain()
        ]
        emit({"settings": shown, "checks": [check._asdict() for check in checks]})
    else:
        _print(settings, checks)
    if any(check.status == "wrong" for check in checks):
        exit_with(NO)


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, in the order in which one mends things."""
    for name in unknown_variables():
        yield Check("settings", "note", f"{name} is no setting", "look for a misspelling in the list above")
    bundle: TrustBundle | None = None
    try:
        bundle = wiring.load_bundle(settings)
    except LedgerError as error:
        yield Check("trust", "wrong", "no trust bundle that verifies", str(error))
    else:
        yield from _trust(settings, bundle)
    yield from _guarded("store", lambda: _store(settings, bundle))
    yield from _guarded("log", lambda: _log(settings))


def _guarded(name: str, checks: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from checks()
    except LedgerError as error:
        yield Check(name, "wrong", "cannot be used", str(error))


def _trust(settings: Settings, bundle: TrustBundle) -> Iterator[Check]:
    now = time.time_ns() // 1000
    detail = f"{len(bundle.lines)} statements about {len(bundle.keys)} keys, digest {bundle.digest.hex()}"
    yield Check(
        "trust", "ok" if bundle.keys else "note", detail, "" if bundle.keys else "`answerable keys trust` a key"
    )
    for key_id, key in bundle.keys.items():
        ends = [grant.valid_until for grant in key.grants]
        if (
            key.revoked_from is None
            and None not in ends
            and now < (last := max(e for e in ends if e is not None)) < now + _SOON
        ):
            until = show_time(last, utc=settings.utc)
            yield Check(
                "trust", "note", f"key {key_id} ends {until}", "`answerable keys trust` it further, or a new one"
            )
    if settings.service is not None:
        yield from _guarded("key", lambda: _service_key(settings, bundle, settings.service or "", now))


def _service_key(settings: Settings, bundle: TrustBundle, service: str, now: int) -> Iterator[Check]:
    path = settings.key_path(service)
    signer = load_key(path)
    verdict = bundle.authority(signer.key_id, settings.tenant, service, now)
    if isinstance(verdict, str):
        remedy = REASONS[verdict].remedy
        yield Check(
            "key", "wrong", f"{signer.key_id} may not sign for {service} of {settings.tenant}: {verdict}", remedy
        )
    else:
        yield Check("key", "ok", f"{signer.key_id} signs for {service} of {settings.tenant} as {verdict.role}")


def _store(settings: Settings, bundle: TrustBundle | None) -> Iterator[Check]:
    from ledger.store import overview
    from ledger.store.connect import connect
    from ledger.store.migrations import check_migrated

    with connect(wiring.store_url(settings)) as connection:
        yield Check("store", "ok", f"answers, PostgreSQL {connection.info.server_version // 10000}")
        yield _clock(overview.clock(connection))
        check_migrated(connection)
        if bundle is not None:
            yield _judged(bundle, overview.trust_lines(connection))
        yield from _counts(overview.counts(connection))


def _clock(store_time: int) -> Check:
    offset = store_time - time.time_ns() // 1000
    detail = f"the store's clock is {offset / 1_000_000:+.3f} s from this machine's"
    if abs(offset) < _CLOCK_MICROSECONDS:
        return Check("clock", "ok", detail)
    return Check(
        "clock", "note", detail, "set both clocks by NTP: a seal from the future is clock_skew, an old one late"
    )


def _judged(bundle: TrustBundle, lines: list[bytes]) -> Check:
    if not bundle.extends(lines):
        return Check(
            "trust",
            "wrong",
            "the store was judged under a bundle that this one does not extend",
            "find out who cut or replaced it",
        )
    if len(lines) < len(bundle.lines):
        more = len(bundle.lines) - len(lines)
        return Check(
            "trust",
            "note",
            f"the store has not judged by {more} new statements yet",
            "is `answerable materialize` running?",
        )
    return Check("trust", "ok", "the store was judged under this bundle")


def _counts(counts: Counts) -> Iterator[Check]:
    for name, count in counts.findings.items():
        reason = REASONS.get(name)
        what = f"{count} open: {name}" + (f", {reason.meaning}" if reason else "")
        yield Check("findings", "note", what, reason.remedy if reason else "")
    for name, count in counts.rejected.items():
        reason = REASONS.get(name)
        what = f"{count} refused: {name}" + (f", {reason.meaning}" if reason else "")
        yield Check("rejected", "note", what, reason.remedy if reason else "")
    if counts.quarantined:
        yield Check(
            "quarantine",
            "wrong",
            f"{counts.quarantined} records killed a worker twice",
            "see its log; `answerable rebuild` tries them again",
        )
    if not (counts.findings or counts.rejected or counts.quarantined):
        yield Check("findings", "ok", "none, and nothing refused")


def _log(settings: Settings) -> Iterator[Check]:
    from ledger.store import overview
    from ledger.store.connect import connect

    log = wiring.open_log(settings)
    try:
        problems = log.problems()
        for problem in problems:
            yield Check("log", "wrong", problem, "`answerable migrate` makes topics that are missing")
        if problems:
            return
        bounds = log.bounds(EVENTS)
        yield Check(
            "log", "ok", f"answers, {sum(b.end - b.first for b in bounds.values())} records in {len(bounds)} partitions"
        )
        with connect(wiring.store_url(settings)) as connection:
            reached = [each for each in overview.positions(connection) if each.topic == EVENTS]
        yield from _positions(log.identity(EVENTS), bounds, reached, settings)
    finally:
        log.close()


def _positions(
    identity: str, bounds: Mapping[int, Bounds], reached: Sequence[Reached], settings: Settings
) -> Iterator[Check]:
    if any(each.identity != identity for each in reached):
        yield Check(
            "log",
            "wrong",
            f"{EVENTS} was made anew since it was read",
            "find out why; then decide with `answerable rebuild`",
        )
        return
    at = {each.partition: each for each in reached}
    behind = sum(max(0, b.end - max(at[p].next_offset if p in at else 0, b.first)) for p, b in bounds.items())
    lost = [p for p, b in bounds.items() if b.first > (at[p].next_offset if p in at else 0)]
    if lost:
        yield Check(
            "log",
            "wrong",
            f"retention dropped unread records of partitions {lost}",
            REASONS["lost_to_retention"].remedy,
        )
    if behind == 0:
        yield Check("lag", "ok", "the store has everything that the log has")
        return
    last = max((each.last_append for each in reached if each.last_append is not None), default=None)
    since = "" if last is None else f"; last read: {show_time(last, utc=settings.utc)}"
    yield Check(
        "lag",
        "note",
        f"{behind} records behind the log{since}",
        "is `answerable materialize` running? start more of them",
    )


def _print(settings: Settings, checks: list[Check]) -> None:
    listed = table("setting", "value", "from")
    for each in settings.explain():
        listed.add_row(
            each.name, clean(each.value), Text(each.origin, style="dim" if each.origin == "default" else "cyan")
        )
    console().print(listed)
    console().print()
    for check in checks:
        line = Text.assemble((f"{check.status:<6}", _STYLES[check.status]), f"{check.name}: {clean(check.detail)}")
        console().print(line)
        if check.remedy:
            console().print(Text(f"      → {clean(check.remedy)}", style="dim"))
