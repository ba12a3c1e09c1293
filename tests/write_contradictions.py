"""Writes the table in ``docs/contradictions.md`` anew from the rules: ``python -m tests.write_contradictions``."""

from __future__ import annotations

from pathlib import Path

from ledger.attribution.contradictions import table

PAGE = Path(__file__).parents[1] / "docs" / "contradictions.md"
BEGIN = "| severity |"


def main() -> None:
    PAGE.write_text(PAGE.read_text().partition(BEGIN)[0] + table())


if __name__ == "__main__":
    main()
