"""The verbs of auditors and incident responders: ``diff`` and what else is asked of more than one event."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ledger import wiring
from ledger.attribution.difference import Difference, Row, difference_json
from ledger.attribution.path import summary
from ledger.cli.ask import event_id
from ledger.cli.invocation import NO, Json, Tenant, exit_with, settings_of
from ledger.cli.output import clean, console, emit
from ledger.store.runs import difference_of


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command()(diff)


def diff(
    ctx: typer.Context,
    run1: Annotated[str, typer.Argument(metavar="RUN1", help="An execution's id.")],
    run2: Annotated[str, typer.Argument(metavar="RUN2", help="Another one's.")],
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Says what two runs did differently, step by step, by kind, operation and causes. Exit 1 where they differ, or there is
    none of this id.
    """
    settings = settings_of(ctx, tenant=tenant)
    a, b = event_id(run1, "execution"), event_id(run2, "execution")
    with wiring.running(settings), wiring.reading(settings) as connection:
        found = difference_of(connection, wiring.open_reading(settings), settings.tenant, a, b)
    if as_json:
        emit(difference_json(found))
    else:
        print_difference(console(), found)
    if not found.same:
        exit_with(NO)


_MARKS = {"same": "=", "changed": "~", "only_a": "-", "only_b": "+"}
_STYLES = {"same": "dim", "changed": "yellow", "only_a": "red", "only_b": "green"}


def print_difference(out: Console, found: Difference) -> None:
    """A line a step, with what changed beneath it."""
    for row in found.rows:
        out.print(Text(_line(found, row), style=_STYLES[row.status]))
        for field, a, b in row.changes:
            out.print(Text(f"        {clean(field)}: {_value(a)} → {_value(b)}"))
    if found.truncated:
        runs = " and ".join({"a": "the first run", "b": "the second run"}[each] for each in found.truncated)
        out.print(Text(f"CUT SHORT: only the first steps of {runs} were compared", style="bold yellow"))
    if found.same:
        out.print("the two runs did the same, in the same order, for the same causes")


def _line(found: Difference, row: Row) -> str:
    side, at = (0, row.a) if row.a is not None else (1, row.b)
    node = found.steps[side][at or 0].node
    where = " ".join("–" if each is None else str(each) for each in (row.a, row.b))
    notes = (["moved"] if row.moved else []) + (
        [f"one of {row.candidates} that fit"] if row.candidates > 1 and row.b is not None else []
    )
    note = f"  ({', '.join(notes)})" if notes else ""
    return f"{_MARKS[row.status]} {where:>7}  {node.kind}  {clean(summary(node))}  {clean(node.service)}{note}"


def _value(value: object) -> str:
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
