"""``replay``: a run, step by step, with what changed at each step, what held, where it leads, and what was not heard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from ledger import wiring
from ledger.attribution.replay.approvals import bound_to
from ledger.attribution.replay.silences import SILENCE
from ledger.attribution.replay.values import ApprovalState, Change, Crossing, State, Step, TokenState
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from ledger.cli.ask import AsOf, Limit, Nodes, event_id
from ledger.cli.event_text import print_event
from ledger.cli.invocation import Json, Tenant, Utc, settings_of
from ledger.cli.output import clean, console, emit, read_time, show_time, tell
from ledger.format import ids
from ledger.replay_view import replay_json
from ledger.store.replaying import Replayed, place_in_run, replay_steps

_BAD: Final = "bold yellow"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(replay)


def replay(
    ctx: typer.Context,
    execution: Annotated[str, typer.Argument(metavar="EXECUTION", help="The execution's id.")],
    after: Annotated[str | None, typer.Option(help="Go on after this event of the run: the last one shown.")] = None,
    silence: Annotated[
        int, typer.Option(min=1, help="Seconds without a step that are told, where its chain promises no fewer.")
    ] = SILENCE,
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    limit: Limit = 1000,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Tells a run step by step: what it held of tokens and approvals, which untrusted content was in its reach, other runs that
    it crossed into, and silences. Exit 1 where there is none of this id.
    """
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    wanted, last = event_id(execution, "execution"), None if after is None else event_id(after)
    time = None if as_of is None else read_time(as_of)
    with wiring.running(settings), wiring.reading(settings) as connection:
        page = replay_steps(
            connection,
            wiring.open_reading(settings),
            settings.tenant,
            wanted,
            now=wiring.CLOCK.now(),
            after=None if last is None else place_in_run(connection, settings.tenant, wanted, last),
            limit=limit,
            silence=silence,
            as_of=time,
            limits=Limits(nodes=nodes),
        )
    more = None if page.next is None else ids.text(page.next.event_id)
    if as_json:
        emit({**replay_json(page), "after": more})
        return
    print_replay(console(), page, utc=settings.utc)
    if more is not None:
        tell(f"there are more: --after {more}")
    if page.replay.truncated:
        tell(f"cut short: {', '.join(page.replay.truncated)}")


def print_replay(out: Console, page: Replayed, *, utc: bool) -> None:
    """What held before, each step, and what holds at the end."""
    replay = page.replay
    if replay.before != State():
        out.print(Text("held before this page:", style="bold"))
        _print_state(out, replay.before, utc=utc)
    for step in replay.steps:
        for silence in (each for each in step.silences if each.what == "gap"):
            out.print(Text(f"  … {clean(silence.detail)}", style=_BAD))
        print_event(out, step.node, persons=page.persons, utc=utc)
        for line, style in _lines(step, utc=utc):
            out.print(Text(f"    {clean(line)}", style=style))
    if replay.steps:
        out.print(Text("held after the last step:", style="bold"))
        _print_state(out, replay.steps[-1].state, utc=utc)


def _lines(step: Step, *, utc: bool) -> Iterator[tuple[str, str]]:
    """What is told beside a step, each line with its style."""
    for change in step.changes:
        yield _change(step, change, utc=utc), _BAD if _is_bad(change) else "green"
    for crossing in step.crossings:
        yield _crossing(crossing), "cyan"
    for silence in step.silences:
        if silence.what != "gap":
            yield f"! {silence.what.replace('_', ' ')}: {silence.detail}", _BAD


def _change(step: Step, change: Change, *, utc: bool) -> str:
    """One change. What another event states is named, and when it was, where that is not the time of the step."""
    text = f"* {change.what} {change.name} {change.how.replace('_', ' ')}"
    text += f" ({change.detail})" if change.detail else ""
    text += f" at {show_time(change.at, utc=utc)}" if change.at != step.node.at else ""
    elsewhere = change.event_id is not None and change.event_id != step.node.event_id
    return text + (f", {ids.text(change.event_id or b'')}" if elsewhere else "")


def _is_bad(change: Change) -> bool:
    return change.what == "taint" or change.how in ("expired", "revoked", "denied") or "since" in change.detail


def _crossing(crossing: Crossing) -> str:
    where = f"run {ids.text(crossing.execution_id)}" if crossing.execution_id is not None else "the ledger"
    where += f" {crossing.peer_ledger}" if crossing.peer_ledger is not None else ""
    by = f" by {crossing.agent_id or crossing.service}" if crossing.agent_id or crossing.service else ""
    what = f" {crossing.kind}{by}" if crossing.kind is not None else ""
    event = f" {ids.text(crossing.event_id)}" if crossing.event_id is not None else ""
    join = f" on its {crossing.join}" if crossing.join is not None else ""
    among = f", one of {crossing.candidates} that fit" if crossing.candidates > 1 else ""
    arrow = "→ on to" if crossing.direction == "to" else "← from"
    return f"{arrow} {where}:{what}{event} ({crossing.relation}, {crossing.grade}{join}{among})"


def _print_state(out: Console, state: State, *, utc: bool) -> None:
    for token in state.tokens:
        out.print(Text(f"    token {clean(_token(token, utc=utc))}", style="" if token.state == "alive" else _BAD))
    for approval in state.approvals:
        out.print(Text(f"    approval {clean(_approval(approval, utc=utc))}"))
    for taint in state.taint:
        since = f"since {show_time(taint.since, utc=utc)} by {ids.text(taint.step)}"
        origin = f" from {taint.origin}" if taint.origin else ""
        out.print(Text(f"    tainted by {clean(taint.what + origin)}, {since}, {taint.grade}", style=_BAD))
    if state == State():
        out.print(Text("    no token, no approval, nothing untrusted", style="dim"))


def _token(token: TokenState, *, utc: bool) -> str:
    parts = [token.token, token.state.replace("_", " ")]
    parts += [f"since {show_time(token.ended_at, utc=utc)}"] if token.ended_at is not None else []
    ends = token.expires_at if token.state == "alive" else None
    parts += [f"until {show_time(ends, utc=utc)}"] if ends is not None else []
    parts += [f"exchanged from {token.exchanged_from}"] if token.exchanged_from is not None else []
    used = f"last used {show_time(token.last_use, utc=utc)}" if token.last_use is not None else "not used"
    return f"{' '.join(parts)}, {used}" + (" (its issuance is not recorded)" if token.state == "unknown" else "")


def _approval(approval: ApprovalState, *, utc: bool) -> str:
    if approval.state == "asked":
        return f"asked for {approval.action}, and not given, {ids.text(approval.event_id)}"
    by = approval.by.label if approval.by is not None else "nobody who is named"
    allowed = f" of {approval.uses_allowed}" if approval.uses_allowed is not None else ""
    ends = f", until {show_time(approval.expires_at, utc=utc)}" if approval.expires_at is not None else ""
    standing = approval.state.replace("_", " ")
    bound = bound_to(approval.binding, approval.bound)
    return (
        f"{approval.oversight_id}: {approval.action} by {by}, {bound}, {standing}, uses {approval.uses}{allowed}{ends}"
    )
