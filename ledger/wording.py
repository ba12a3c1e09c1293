"""Words of sentences: numbers with their nouns, and what somebody meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_LONGEST: Final = 64


def counted(number: int, one: str, several: str | None = None) -> str:
    """`1 link`, `2 links`."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def no_such(what: str, word: str, known: Collection[str]) -> str:
    """`there is no kind 'promt' (prompt?); there are …`: a sentence that says what there is, and what is nearest."""
    cut = word if len(word) <= _LONGEST else f"{word[:_LONGEST]}…"
    near = get_close_matches(cut, known, 1)
    meant = f" ({near[0]}?)" if near else ""
    return f"there is no {what} {cut!r}{meant}; " + (f"there are {', '.join(known)}" if known else "there is none here")
