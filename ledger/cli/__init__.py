"""The command ``answerable``: the composition root. A file per group of verbs; nothing else imports from here."""

from __future__ import annotations


def main() -> None:
    """The entry point of the command."""
    import sys

    from ledger.cli.app import command
    from ledger.cli.output import fit_output

    fit_output()
    command(*sys.argv[1:2])(prog_name="answerable")


__all__ = ["main"]
