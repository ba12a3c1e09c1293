"""What two runs did differently, for a person on a terminal: a line a step, and beneath it what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from ledger.attribution.difference import DECISIONS, Change, Difference, Row
from ledger.attribution.path import summary
from ledger.cli.output import clean
from ledger.cli.value_text import value_text

_MARKS: Final = {"same": "=", "changed": "~", "only_a": "-", "only_b": "+"}
_RUNS: Final = {"a": "the first run", "b": "the second run"}
_STYLES: Final = {"same": "dim", "changed": "yellow", "only_a": "red", "only_b": "green"}


def print_difference(out: Console, found: Difference) -> None:
    """Each step, with its number in either run; then how those were paired that are alike, and whether all was compared."""
    for row in found.rows:
        out.print(Text(_line(found, row), style=_STYLES[row.status]))
        for change in row.changes:
            out.print(Text(f"        {_change(change)}"))
    if any(_is_unsure(row) for row in found.rows):
        out.print(
            Text("paired by order: of steps that are alike, the first of one run with the first of the other", "dim")
        )
    if runs := " and ".join(_RUNS[each] for each in found.truncated if each in _RUNS):
        out.print(Text(f"CUT SHORT: only the first steps of {runs} were compared", style="bold yellow"))
    if "decisions" in found.truncated:
        out.print(Text(f"CUT SHORT: decisions were looked for among the first {DECISIONS} causes", style="bold yellow"))
    if found.same:
        out.print("the two runs did the same, in the same order, for the same causes")


def _is_unsure(row: Row) -> bool:
    return row.candidates > 1 and row.b is not None


def _line(found: Difference, row: Row) -> str:
    side, at = (0, row.a) if row.a is not None else (1, row.b)
    node = found.steps[side][at or 0].node
    where = " ".join("–" if each is None else str(each) for each in (row.a, row.b))
    notes = ["moved"] if row.moved else []
    notes += [f"paired by order, {row.candidates} are alike"] if _is_unsure(row) else []
    note = f"  ({', '.join(notes)})" if notes else ""
    return f"{_MARKS[row.status]} {where:>7}  {node.kind}  {clean(summary(node))}  {clean(node.service)}{note}"


def _change(change: Change) -> str:
    """Of causes those that one run alone has: the others say nothing here."""
    if change.field != "causes":
        return f"{clean(change.field)}: {value_text(change.a)} → {value_text(change.b)}"
    only_a = [each for each in change.a if each not in change.b]
    only_b = [each for each in change.b if each not in change.a]
    return f"causes: {_causes(only_a)} → {_causes(only_b)}"


def _causes(pairs: Sequence[Sequence[str]]) -> str:
    return clean(", ".join(f"{relation} {_where(place)}" for relation, place in pairs) or "none")


def _where(place: str) -> str:
    return {"outside": "what is outside of the run"}.get(place, place.replace(" of a alone", " of the first run alone"))
