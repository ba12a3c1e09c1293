"""``docs/threat-model.md`` promises nothing that no test shows."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from ledger.attribution.answer import REASONS as ANSWER_REASONS
from ledger.trust.reasons import REASONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| attempt")
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda each: each.rpartition("/")[2])
def test_a_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert name in functions(path)


def test_every_line_that_claims_something_names_a_test() -> None:
    assert len(ROWS) > 60
    for row in ROWS:
        assert len(row) == 4, row
        attempt, outcome, _, tests = row
        assert outcome.startswith(("prevented", "seen", "nothing")), attempt
        if not outcome.startswith("nothing"):
            assert "::test_" in tests, attempt


def test_the_names_on_the_page_are_those_of_the_tables() -> None:
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE))
    others = {"sealed_at", "session_replication_role"}
    assert words - others <= REASONS.keys() | ANSWER_REASONS.keys()


def test_every_adversary_has_a_section() -> None:
    assert re.findall(r"^## \((\w)\)", PAGE, flags=re.MULTILINE) == list("abcdef")
