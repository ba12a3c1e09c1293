"""A value of an event on one line, for a person."""

from __future__ import annotations

import json

from ledger.cli.output import clean


def value_text(value: object) -> str:
    """Texts as they are, lists of texts with commas, nothing as `none`, whatever else as JSON."""
    if value is None or value == []:
        return "none"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return clean(", ".join(value))
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
