"""Arrays as Postgres reads them from text: to ask of each value what it is, as a driver does, costs more than to write it.

Statements cast them: ``%(ids)s::uuid[]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final


def of_ids(ids: Iterable[bytes]) -> str:
    """``uuid[]``."""
    return f"{{{','.join([each.hex() for each in ids])}}}"


def of_plain(values: Iterable[int] | Iterable[str]) -> str:
    """Numbers, or ids in hex: what needs no quotes."""
    return f"{{{','.join(map(str, values))}}}"


def of_bytes(values: Iterable[bytes | None]) -> str:
    """``bytea[]``."""
    return f"{{{','.join(['NULL' if each is None else _BYTES % each.hex() for each in values])}}}"


def of_texts(values: Iterable[str | None]) -> str:
    """``text[]``, whatever the values hold."""
    return f"{{{','.join(['NULL' if each is None else _quoted(each) for each in values])}}}"


_BYTES: Final = '"\\\\x%s"'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


__all__ = ["of_bytes", "of_ids", "of_plain", "of_texts"]
