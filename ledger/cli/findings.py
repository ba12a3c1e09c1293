"""``findings``: everything that is wrong, as a list that goes on page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar, get_args

import typer
from rich.console import Console
from rich.text import Text

from ledger import wiring
from ledger.attribution.answer import Severity
from ledger.attribution.contradictions import BY_NAME
from ledger.attribution.json_form import rfc3339
from ledger.cli.invocation import NO, Json, Tenant, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, read_time, show_time, tell
from ledger.errors import ConfigurationError
from ledger.findings_view import closes, finding_json, means
from ledger.format import ids
from ledger.store import overview
from ledger.store.nodes import Reading
from ledger.store.survey import NAMES, Asked, At, State, place_of, survey
from ledger.store.wrong import Wrong
from ledger.wording import no_such

if TYPE_CHECKING:
    import psycopg


_Word = TypeVar("_Word", bound=str)


class Listed(NamedTuple):
    """What one invocation shows; ``next`` is where the next one goes on."""

    found: Sequence[Wrong]
    next: At | None
    truncated: tuple[str, ...]


CUT: Final = {
    "continuations": "only the latest chains were read for double continuations",
    "cycles": "the walk for cycles of causes was cut short",
    "trust": "there is no trust bundle: nothing was computed from what cannot be verified",
    "log": "the log was not asked what it dropped: see answerable doctor",
}
"""What going on by ``--after`` does not lift."""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("findings")(findings)


def findings(
    ctx: typer.Context,
    rule: Annotated[str | None, typer.Option(help="Of this rule, finding or refusal alone.")] = None,
    severity: Annotated[
        str | None, typer.Option(help=f"Contradictions of this severity alone: {', '.join(get_args(Severity))}.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Contradictions of what this agent did alone: an agent_id.")] = None,
    state: Annotated[str, typer.Option(help="open, closed, or all that ever was.")] = "open",
    as_of: Annotated[str | None, typer.Option(help="What was known and open by this append time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most findings to show.")] = 100,
    after: Annotated[str | None, typer.Option(help="Go on from here: what the page before named.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Lists what is wrong: contradictions, what follows from the records, what was refused, and what shows only now. Exit 1 where
    anything shown is open.
    """
    if rule is not None and rule not in NAMES and rule not in BY_NAME:
        raise ConfigurationError(no_such("rule or finding", rule, sorted({*NAMES, *BY_NAME})))
    grave = _one_of("severity", severity, get_args(Severity)) if severity is not None else None
    wanted = _one_of("state", state, get_args(State))
    time = None if as_of is None else read_time(as_of)
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    with wiring.running(settings), wiring.reading(settings) as connection:
        now = overview.clock(connection) if time is None else time
        asked = Asked(settings.tenant, now, True, rule, None, wanted, time, None, grave, agent)
        page = _listed(connection, wiring.open_reading(settings), asked, _read_place(after), limit)
    following = None if page.next is None else _write_place(page.next)
    if as_json:
        shown = [finding_json(each, now) for each in page.found]
        emit({"items": shown, "after": following, "truncated": list(page.truncated), "as_of": rfc3339(now)})
    else:
        for each in page.found:
            print_finding(console(), each, utc=settings.utc)
        for cut in page.truncated:
            tell(CUT[cut])
        if following is not None:
            tell(f"there may be more: --after {following}")
        if not page.found:
            tell("nothing that was looked at is wrong" if wanted == "open" else "nothing that was looked at fits")
    if any(each.closed_at is None or (time is not None and each.closed_at > time) for each in page.found):
        exit_with(NO)


def _one_of(what: str, given: str, known: Sequence[_Word]) -> _Word:
    found = next((each for each in known if each == given), None)
    if found is None:
        raise ConfigurationError(no_such(what, given, known))
    return found


def _listed(connection: psycopg.Connection, reading: Reading, asked: Asked, after: At | None, limit: int) -> Listed:
    """A page that looks at as much as it takes."""
    found: list[Wrong] = []
    cut: dict[str, None] = {}
    while True:
        page = survey(connection, reading, asked, after=after, limit=limit - len(found))
        found += page.found
        cut |= dict.fromkeys(each for each in page.truncated if each != "scan")
        if page.next is None or len(found) >= limit:
            return Listed(found, page.next, tuple(cut))
        after = page.next


def _read_place(text: str | None) -> At | None:
    if text is None:
        return None
    source, *numbers = text.split(".")
    try:
        return place_of(source, numbers)
    except ValueError:
        raise ConfigurationError("--after is no place in this list: give what the page before named") from None


def _write_place(at: At) -> str:
    return ".".join([at.source, *map(str, at.place)])


def print_finding(out: Console, wrong: Wrong, *, utc: bool) -> None:
    """What is wrong first, then how it is known and what would settle it."""
    grave = f"{wrong.severity} · " if wrong.severity is not None else ""
    since = "" if wrong.opened_at is None else f"  since {show_time(wrong.opened_at, utc=utc)}"
    until = "" if wrong.closed_at is None else f", closed {show_time(wrong.closed_at, utc=utc)}"
    by = f"  {wrong.service}" if wrong.service is not None else ""
    out.print(Text.assemble((f"{grave}{wrong.name}", "bold red"), clean(f"{since}{until}{by}")))
    out.print(Text(f"  {clean(': '.join(each for each in (means(wrong.name), wrong.detail) if each))}"))
    if wrong.event_id is not None:
        shown_by = [ids.text(each) for each in wrong.evidence if each != wrong.event_id]
        out.print(Text(f"  {', '.join([ids.text(wrong.event_id), *shown_by])}", style="dim"))
    if closes(wrong.name) and wrong.closed_at is None:
        out.print(Text(f"  closes by: {closes(wrong.name)}", style="dim"))
