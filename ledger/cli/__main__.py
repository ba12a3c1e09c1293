"""``python -m ledger.cli``: the command, where no script is on the path (its own children are started so)."""

from ledger.cli import main

main()
