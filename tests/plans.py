"""How Postgres would answer each statement that a process asks, were it to read whole tables wherever a statement lets it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

BIG: Final = (
    "events",
    "causes",
    "joins",
    "rights",
    "seals",
    "sightings",
    "judgements",
    "contradictions",
    "sentinel_looks",
    "sentinel_stale",
)
"""Tables that grow with the ledger. Partitions have a year or a word behind the name."""

_OF_BIG: Final = re.compile(rf"({'|'.join(BIG)})(_\d+|_default)?")
_COMMENT: Final = re.compile(rb"--[^\n]*")
_STATEMENT: Final = re.compile(rf"\s*(select|with|insert|update|delete)\b[^;]*\b({'|'.join(BIG)})\b[^;]*".encode())
_LOOSE: Final = re.compile(r"\((\w+\.)?tenant = [^()]*(\([^()]*\)[^()]*)*\)")
"""A condition that holds for all that a tenant has."""
_JOINS: Final = frozenset({"Hash Join", "Merge Join", "Nested Loop"})
_SET: Final = "set enable_nestloop = off; set enable_seqscan = off; set jit = off; set lock_timeout = 5000"


class Whole(NamedTuple):
    """A table that is read whole so as to be joined, or for each row of something else. ``where`` is the function that asked."""

    where: str
    table: str
    statement: str


class Plans:
    """What was asked, and what would have been read whole."""

    def __init__(self) -> None:
        self.asked: set[tuple[object, ...]] = set()
        self.found: list[Whole] = []

    def look(self, connection: psycopg.Connection[Any], query: object, given: Any) -> None:
        """Explains a statement beside the connection that is about to ask it; each once, and with other parameters left out."""
        where = _asking()
        text = query if isinstance(query, bytes) else str(query).encode()
        values = given.values() if isinstance(given, Mapping) else given or ()
        key = (text, *(value is None for value in values))
        if where is None or key in self.asked or not _STATEMENT.fullmatch(_COMMENT.sub(b"", text)):
            return
        self.asked.add(key)
        dsn = make_conninfo(connection.info.dsn, password=connection.info.password)
        with psycopg.Connection.connect(dsn, autocommit=True, cursor_factory=_PLAIN) as beside:
            beside.execute(_SET)
            row = beside.execute(b"explain (format json) " + text, given).fetchone()
        assert row is not None
        for table in sorted(read_whole(row[0][0]["Plan"])):
            self.found.append(Whole(where, table, text.decode()))


_PLAIN: Final = psycopg.Cursor


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plans]:
    """Looks at the statements of all connections that are made meanwhile, of a pool's too."""
    plans = Plans()

    class Watching(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
            plans.look(self.connection, query, params)
            return super().execute(query, params, **kwargs)

        def executemany(self, query: Any, params_seq: Any, **kwargs: Any) -> None:
            rows = list(params_seq)
            if rows:
                plans.look(self.connection, query, rows[0])
            super().executemany(query, rows, **kwargs)

        def stream(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
            plans.look(self.connection, query, params)
            return super().stream(query, params, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("psycopg.connection.Cursor", Watching)
        yield plans


def _asking() -> str | None:
    """The function of the product that asks; None where a test does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] in ("ledger", "api", "consumers"):
            return f"{name}.{frame.f_code.co_name}"
        if name.startswith("tests.") and name != __name__:
            return None
        frame = frame.f_back
    return None


def read_whole(plan: Mapping[str, Any]) -> set[str]:
    """The big tables that a plan reads whole in order to join them, or once for each row of something else.

    What is asked for apart, such as a CTE, is a plan of its own; what a LIMIT ends is read in order, and only so far.
    """
    return set(_whole(plan, joined=False))


def _whole(plan: Mapping[str, Any], *, joined: bool) -> Iterator[str]:
    table = _OF_BIG.fullmatch(plan.get("Relation Name", ""))
    if joined and table and not _narrow(plan):
        yield table[1]
    kind = plan["Node Type"]
    for child in plan.get("Plans", ()):
        relation = child["Parent Relationship"]
        if relation == "InitPlan" or kind == "Limit":
            below = False
        elif kind == "Nested Loop" and relation == "Outer":
            below = joined
        else:
            below = joined or relation == "SubPlan" or kind in _JOINS
        yield from _whole(child, joined=below)


def _narrow(scan: Mapping[str, Any]) -> bool:
    """Whether a scan looks for something by an index. By the tenant alone it finds nearly all; a small table is so looked up
    by chance, where it could be by the id that it then filters by."""
    if scan["Node Type"] == "Bitmap Heap Scan":
        return all(_narrow({**each, "Filter": scan.get("Filter", "")}) for each in scan["Plans"])
    condition = scan.get("Index Cond") or scan.get("TID Cond")
    loose = condition is None or _LOOSE.fullmatch(condition) is not None
    return not loose or (condition is not None and "event_id = " in scan.get("Filter", ""))
