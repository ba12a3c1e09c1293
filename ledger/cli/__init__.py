"""The command ``answerable``: the composition root. A file per group of verbs; nothing else imports from here."""

from __future__ import annotations


def main() -> None:
    """The entry point of the command."""
    from ledger.cli.app import app
    from ledger.cli.output import fit_output

    fit_output()
    app(prog_name="answerable")


__all__ = ["main"]
