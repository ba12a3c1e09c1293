"""A digest over what the sentinel keeps: two stores with the same records, bundle and contents have the same.

It is one of its own: the state digest speaks of what follows from records and trust, whether or not a sentinel was there. It
includes when contradictions began and ended, and people's pseudonyms; how far the sentinel has come is no part of it.
"""

from __future__ import annotations

from typing import Final

from ledger.store.digest import StateDigest, digest_of
from ledger.store.natural import Column, Rows

_TENANT: Final = Column("tenant", "t.name", "text")

SENTINEL_ROWS: Final = (
    Rows(
        "judgements",
        (_TENANT, Column("event_id", "j.event_id", "uuid")),
        (
            Column("action", "j.action", "uuid"),
            Column("kind", "k.name", "text"),
            Column("service", "v.name", "text"),
            Column("agent", "a.name", "text"),
            *(
                Column(name, f"j.{name}")
                for name in ("system", "resource", "occurred_at", "class", "reason", "grade", "who", "responsible")
            ),
        ),
        "judgements j left join names t on t.id = j.tenant left join names k on k.id = j.kind"
        " left join names v on v.id = j.service left join names a on a.id = j.agent",
    ),
    Rows(
        "contradictions",
        (
            _TENANT,
            Column("event_id", "c.event_id", "uuid"),
            Column("rule", "c.rule", "text"),
            Column("opened_at", "c.opened_at", "int"),
        ),
        tuple(Column(name, f"c.{name}") for name in ("severity", "detail", "closes", "evidence", "closed_at")),
        "contradictions c left join names t on t.id = c.tenant",
    ),
)


def sentinel_digest(url: str, *, schema: str | None = None) -> StateDigest:
    """The digest of a store's judgements and contradictions, of one moment; raises ``BackendError``."""
    return digest_of(url, SENTINEL_ROWS, schema=schema)
