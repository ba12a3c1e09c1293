"""``coverage``: how much of what was done is attributed, to whom, and how surely; and the sentinel's judgements recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ledger import wiring
from ledger.attribution.answer import REASONS
from ledger.cli.invocation import NO, YES, Json, Tenant, Utc, settings_of
from ledger.cli.output import clean, console, emit, put, read_time, show_time, table, tell
from ledger.coverage_view import Counted, groups, show_coverage, sums
from ledger.errors import ConfigurationError
from ledger.format import ids
from ledger.settings import Settings
from ledger.store.judged import CLASSES

if TYPE_CHECKING:
    from rich.table import Table

    from ledger.store import coverage as store


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(coverage)


def coverage(
    ctx: typer.Context,
    agent: Annotated[str | None, typer.Option(help="Of this agent alone.")] = None,
    service: Annotated[str | None, typer.Option(help="As this service recorded it.")] = None,
    system: Annotated[str | None, typer.Option(help="On this target system.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of this kind alone: api_action, handoff, memory, token_issuance.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Occurred at or after.")] = None,
    until: Annotated[str | None, typer.Option(help="Occurred before.")] = None,
    by: Annotated[str | None, typer.Option(help="Tell apart by agent, service, system, kind, reason or grade.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Says how much of what agents did is attributed to a person, how surely, and why the rest is not: by action, of which all
    accounts are one, and by account. Exit 1 where anything is attributed to nobody, or is not judged yet.
    """
    from ledger.store import coverage as store

    settings = settings_of(ctx, tenant=tenant, utc=utc)
    if by is not None and by not in store.BY:
        raise ConfigurationError(f"--by takes one of {', '.join(store.BY)}")
    if kind is not None and kind not in store.KINDS:
        raise ConfigurationError(f"--kind takes one of {', '.join(store.KINDS)}: no other kind is attributed by itself")
    wanted = store.Slice(
        agent,
        service,
        system,
        kind,
        None if since is None else read_time(since),
        None if until is None else read_time(until),
    )
    chosen = by
    with wiring.running(settings), wiring.reading(settings) as connection:
        covered = store.coverage(connection, settings.tenant, wanted, by=chosen)
    if as_json:
        emit(show_coverage(covered, chosen))
    else:
        _print(covered, chosen, utc=settings.utc)
    nobody = sums(covered.counts).classes["unattributed"].accounts
    raise typer.Exit(NO if nobody or covered.not_judged else YES)


def _print(covered: store.Covered, by: str | None, *, utc: bool) -> None:
    out, whole = console(), sums(covered.counts)
    made = table("actions", "share", "accounts", "share", "attributed", "")
    for name, words in CLASSES.items():
        if (count := whole.classes[name]).accounts:
            made.add_row(*_shares(count, whole.judged), name.replace("_", " "), words)
    for reason, count in sorted(whole.reasons.items(), key=lambda each: each[1], reverse=True):
        made.add_row(*_shares(count, whole.judged), f"  {reason}", REASONS.get(reason, ""))
    put(made)
    grades = ", ".join(f"{name} {count.actions}" for name, count in whole.grades.items())
    out.print(f"{covered.actions} actions judged; by grade of the weakest link: {grades or 'none'}", markup=False)
    out.print(
        f"{covered.accounts} accounts tell of them: of each call, token, hand-off or memory one for every side and phase"
    )
    if by is not None:
        put(_by(covered, by))
    if covered.others.accounts:
        out.print(f"and {covered.others.actions} actions of smaller groups", markup=False)
    bound = "" if covered.exact else "up to "
    when = "" if covered.since is None else f", behind since {show_time(covered.since, utc=utc)}"
    again = f"; {covered.stale} are judged again" if covered.stale else ""
    out.print(f"accounts not judged yet: {bound}{covered.not_judged}{again}{when}", markup=False)
    if whole.classes["unattributed"].accounts:
        tell("which they are: answerable find --class unattributed, or --reason; of each: answerable who-triggered ID")


def _by(covered: store.Covered, by: str) -> Table:
    """Actions by class, and how many accounts tell of them."""
    made = table(
        by, "actions", "accounts", "attributed", "unattended", "alone", "external", "erased", "archived", "unattributed"
    )
    for name, told in groups(covered):
        made.add_row(
            clean(name or "(none)"), *map(str, told.judged), *(str(told.classes[each].actions) for each in CLASSES)
        )
    return made


def _shares(count: Counted, of: Counted) -> Iterator[str]:
    for part, whole in zip(count, of, strict=True):
        yield str(part)
        yield f"{100 * part / whole:.1f} %"


def check_judgements(settings: Settings, sample: int | None, *, as_json: bool) -> int:
    """Judges a tenant's events again and compares; returns the exit status."""
    from ledger.store.sentinel import check

    with wiring.reading(settings) as connection:
        count, found = check(
            connection, wiring.open_reading(settings), settings.tenant, wiring.house_rules(settings), most=sample
        )
    if as_json:
        difference = None if found is None else {**found._asdict(), "event_id": ids.text(found.event_id)}
        emit({"checked": count, "difference": difference})
    elif found is None:
        tell(f"{count} judgements are what the events say")
    else:
        console().print(
            f"{ids.text(found.event_id)}: {found.what}: stored {found.stored or 'nothing'}, "
            f"and the events say {found.computed or 'nothing'}",
            markup=False,
        )
    return YES if found is None else NO
