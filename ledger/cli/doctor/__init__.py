"""``answerable doctor``: what is configured and from where, reachable, behind, and what to do. It changes nothing.

A check is a function that yields what it found; ``examine`` lists them all, in the order in which one mends things.
"""

from __future__ import annotations

import typer

from ledger.cli.doctor.verb import doctor


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("doctor")(doctor)


__all__ = ["doctor", "register"]
