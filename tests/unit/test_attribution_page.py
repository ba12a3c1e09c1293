"""docs/attribution.md names every class, reason, grade and role that an answer may have, and no more than a person reads."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from ledger.attribution.answer import REASONS, Class, Grade

PAGE = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text()


@pytest.mark.parametrize("word", [*get_args(Class), *REASONS, *get_args(Grade)])
def test_the_page_has_a_row_for_each_class_reason_and_grade(word: str) -> None:
    assert f"\n| `{word}` |" in PAGE


@pytest.mark.parametrize("role", ["initiated", "steered", "scheduled", "direct", "external"])
def test_the_page_explains_each_role(role: str) -> None:
    assert f"`{role}`:" in PAGE


def test_the_page_is_short_enough_to_be_read() -> None:
    assert PAGE.count("\n") <= 150
