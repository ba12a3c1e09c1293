"""The lineage of a token or grant for a person on a terminal: the sentence, how it ended, where it came from, what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

from ledger.attribution.answer import Party
from ledger.attribution.tokens.values import End, Happening, Parent, Right, Statement, TokenLineage
from ledger.cli.output import clean, show_time
from ledger.format.ids import text as id_text
from ledger.wording import counted

_TIMING: Final = {
    "before": "",
    "within_tolerance": "AROUND THE REVOCATION",
    "after": "AFTER THE REVOCATION",
}


def print_token_lineage(console: Console, found: TokenLineage, *, utc: bool, more: bool) -> None:
    """Prints the whole lineage; what is empty is left out, except where it came from: there absence is an answer."""
    console.print(Text(clean(found.sentence[0].upper() + found.sentence[1:] + "."), style="bold"))
    for each in found.disagreements:
        values = " or ".join(repr(value) for value in each.values)
        line = f"AMBIGUOUS: its statements give different {each.claim}: {values}"
        console.print(Text(clean(line), style="bold red"))
    _section(console, "how it ended", (_end(each, utc=utc) for each in found.ends))
    _section(console, "what is stated of it", (_statement(each, utc=utc) for each in found.statements))
    _section(console, "came from", [_parent(each) for each in found.parents] or ["nothing that is recorded"])
    _section(
        console, "others under its grant", [", ".join(_right(each) for each in found.siblings)] * bool(found.siblings)
    )
    _section(console, "what came of it", (_happening(each, utc=utc) for each in found.happenings))
    if more:
        console.print(Text("  … there is more: give a larger --limit", style="bold yellow"))
    if found.truncated:
        said = f"CUT SHORT by {', '.join(found.truncated)}: counts are the least that there is"
        console.print(Text(said, style="bold yellow"))
    known = found.counted.rights + found.counted.uses
    shown = counted(len(found.happenings), "event")
    note = (
        f"{shown} shown here, each verified; the first line counts {known} that came of it by id, without opening each"
    )
    console.print(Text(note, style="dim"))


def _section(console: Console, heading: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        if not number:
            console.print(Text(heading, style="underline"))
        console.print(Text("  " + clean(line)))


def _end(end: End, *, utc: bool) -> str:
    of = "" if end.through is None else f", with {_right(end.through)}"
    of += " that it came from" if end.through is not None and end.through.kind in ("token", "grant") else ""
    effect = _EFFECTS[end.effect]
    reason = f" ({end.reason})" if end.reason else ""
    return f"{end.how}{of} at {show_time(end.at, utc=utc)}{effect}{reason}  {end.grade} [{id_text(end.event_id)}]"


_EFFECTS: Final = {
    "ends": "",
    "kept": ": said to live on",
    "given_again": ": it was given again afterwards",
    "unknown": ": not said whether this ended it",
}


def _statement(said: Statement, *, utc: bool) -> str:
    return "; ".join(_statement_parts(said, utc=utc)) + f"  {said.grade} [{id_text(said.event_id)}]"


def _statement_parts(said: Statement, *, utc: bool) -> Iterator[str]:
    yield f"{said.action} by {said.service} at {show_time(said.at, utc=utc)}"
    yield f"for {_party(said.subject)}"
    if said.actors:
        yield "acting: " + " ← ".join(each.sub or each.iss or "somebody" for each in said.actors)
    if said.client_id:
        yield f"to {said.client_id}"
    if said.grant_id:
        yield f"under grant {said.grant_id}"
    if said.scopes:
        yield f"scope {' '.join(said.scopes)}"
    if said.audiences:
        yield f"against {' '.join(said.audiences)}"
    if said.expires_at is not None:
        yield f"until {show_time(said.expires_at, utc=utc)}"


def _parent(parent: Parent) -> str:
    recorded = "" if parent.event_id is not None else "; nobody recorded that it was issued"
    several = f"; {parent.candidates} subjects are stated" if parent.candidates > 1 else ""
    who = f" of {_party(parent.subject)}" if parent.subject is not None else ""
    return (
        f"{'  ' * (parent.depth - 1)}{parent.how} from {_right(parent.right)}{who}{recorded}{several}  {parent.grade}"
    )


def _happening(each: Happening, *, utc: bool) -> str:
    what = each.what or each.kind
    right = f" {_right(each.right)}" if each.right is not None else ""
    source = f" with {_right(each.source)}" if each.source is not None and not each.direct else ""
    said = f"{each.part}{f' ({each.how})' if each.how else ''}: {what}{right}{source}"
    by = f" by {each.agent_id or each.service}"
    outcome = f", {each.outcome}" if each.outcome else ""
    timing = f"  {_TIMING[each.timing]}" if each.timing and _TIMING[each.timing] else ""
    findings = f"  {', '.join(each.findings)}" if each.findings else ""
    return (
        f"{show_time(each.at, utc=utc)}  {said}{by}{outcome}{timing}{findings}  {each.grade or ''}"
        f" [{id_text(each.event_id)}]"
    )


def _right(right: Right) -> str:
    return f"{right.kind} {right.id}" + (f" of {right.issuer}" if right.issuer else "")


def _party(party: Party | None) -> str:
    return "somebody not named" if party is None else party.label
