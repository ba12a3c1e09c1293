"""Prints the table of real inputs in docs/attribution.md, where the data is there: ``python -m tests.write_attribution``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.embedded import EmbeddedPostgres
from tests.real_answers import imported, row, table
from tests.services.databases import Databases


def main() -> None:
    """Imports each format and asks about each action."""
    with TemporaryDirectory() as work, EmbeddedPostgres(Path(work) / "postgres", {"fsync": "off"}) as server:
        databases = Databases(server.url)
        for name in ("otlp", "cloudtrail"):
            for line in table(name, imported(name, databases.fresh(), Path(work))):
                print(row(line))


if __name__ == "__main__":
    main()
