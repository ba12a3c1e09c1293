"""``token-usage``: how tokens lived against their task, and which of their scopes were used."""

from __future__ import annotations

from typing import Annotated, Final, get_args

import typer
from rich.console import Console
from rich.text import Text

from ledger import wiring
from ledger.attribution.json_form import to_json
from ledger.attribution.tokens.usage import By, TokenLife, TokenUsage, UsageGroup
from ledger.cli.ask import AsOf
from ledger.cli.invocation import NO, Json, Tenant, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, read_time, show_time
from ledger.errors import ConfigurationError
from ledger.store.token_usage import DEFAULT, Span, token_usage
from ledger.wording import counted

DAY: Final = 86_400 * 1_000_000


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("token-usage")(usage)


def usage(
    ctx: typer.Context,
    by: Annotated[str, typer.Option(help="agent, client or grant.")] = "agent",
    since: Annotated[str | None, typer.Option(help="Issued at or after; a day before --until.")] = None,
    until: Annotated[str | None, typer.Option(help="Issued before; --as-of, or now.")] = None,
    as_of: AsOf = None,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Tells how long tokens outlived their task, and which granted scopes were used. Exit 1 where none was issued then."""
    wanted = next((each for each in get_args(By) if each == by), None)
    if wanted is None:
        raise ConfigurationError(f"{by!r} is nothing to put tokens together by: choose agent, client or grant")
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    time = None if as_of is None else read_time(as_of)
    now = wiring.CLOCK.now() if time is None else time
    last = now if until is None else read_time(until)
    span = Span(last - DAY if since is None else read_time(since), last)
    if span.since >= span.until:
        raise ConfigurationError("--since is not before --until")
    with wiring.running(settings), wiring.reading(settings) as connection:
        reading = wiring.open_reading(settings)
        found = token_usage(connection, reading, settings.tenant, span, by=wanted, now=now, as_of=time)
    if as_json:
        emit(to_json(found))
    else:
        print_usage(console(), found, utc=settings.utc)
    if not found.tokens:
        exit_with(NO)


CUT: Final = {
    "scan": "CUT SHORT: the window was not looked at to its end: give a shorter one",
    "tokens": "CUT SHORT: more tokens were issued in the window than are looked at: give a shorter one",
    "counted": f"CUT SHORT: a token has more uses than the {DEFAULT.counted} that are counted",
}
"""What each limit that was reached means for the report; of `uses` see ``_read``."""


def print_usage(out: Console, found: TokenUsage, *, utc: bool) -> None:
    """First what is worst, then each group."""
    window = f"{show_time(found.since, utc=utc)} to {show_time(found.looked_until, utc=utc)}"
    out.print(Text(_sentence(found) + f" Issued from {window}.", style="bold"))
    for life in found.outlived_longest[:5]:
        out.print(Text(clean("  " + _life(life)), style="yellow"))
    for group in found.groups:
        out.print(Text(clean(f"{found.by} {group.name or 'not stated'}"), style="underline"))
        for line in _group(group):
            out.print(Text(clean("  " + line)))
    for each in found.truncated:
        out.print(Text(_read(found) if each == "uses" else CUT[each], style="bold yellow"))


def _read(found: TokenUsage) -> str:
    """What was left out where not every use was read: a shorter window leaves more for each token."""
    read, uses = sum(each.looked_at for each in found.groups), sum(each.uses for each in found.groups)
    return (
        f"CUT SHORT: {read} of {counted(uses, 'event')} that used one were read, each token's first and its last: all are "
        "counted, scopes and what came after the task are told of those that were read; a shorter window reads more of each token"
    )


def _sentence(found: TokenUsage) -> str:
    if not found.outlived_longest:
        return f"{counted(found.tokens, 'token')}; none outlived a recorded end of its task."
    worst = found.outlived_longest[0]
    return f"{counted(found.tokens, 'token')}; the longest stayed alive {_long(worst.outlived_seconds)} after its task ended."


def _life(life: TokenLife) -> str:
    of = f" of {life.right.issuer}" if life.right.issuer else ""
    used = f", used {counted(life.uses_after_task, 'time')} after it" if life.uses_after_task else ""
    who = life.agent_id or life.client_id or "somebody not named"
    return f"token {life.right.id}{of} ({who}): alive {_long(life.outlived_seconds)} after its task ended{used}"


def _group(group: UsageGroup) -> list[str]:
    lines = [f"{counted(group.tokens, 'token')}, {group.never_used} never used, used by {counted(group.uses, 'event')}"]
    for what, figures in (
        ("lifetime", group.lifetime),
        ("first used after", group.to_first_use),
        ("alive after last use", group.last_use_to_expiry),
        ("alive after the task ended", group.outlived),
    ):
        if figures.of:
            of = counted(figures.of, "token")
            lines.append(f"{what}: median {_long(figures.median)}, most {_long(figures.most)} (of {of})")
    if group.uses_after_task:
        lines.append(f"USED {counted(group.uses_after_task, 'time')} after the task ended")
    if group.scopes_granted:
        lines.append(
            f"scopes granted {' '.join(group.scopes_granted)}; used {' '.join(group.scopes_used) or 'none stated'}"
        )
    if group.not_stated:
        lines.append(f"scope not stated by {group.not_stated} of {counted(group.looked_at, 'event')} looked at")
    return lines


def _long(seconds: int | None) -> str:
    if seconds is None:
        return "unknown"
    if abs(seconds) < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if abs(seconds) < 7200 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
