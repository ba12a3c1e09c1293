"""The verb: what ``examine`` found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import typer
from rich.text import Text

from ledger.cli.doctor.check import Check
from ledger.cli.doctor.examine import examine
from ledger.cli.invocation import NO, Json, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, table
from ledger.settings import Settings

_STYLES: Final = {"ok": "green", "note": "yellow", "wrong": "bold red"}


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


def _print(settings: Settings, checks: Sequence[Check]) -> None:
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
