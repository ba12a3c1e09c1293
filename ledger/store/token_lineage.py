"""The lineage of a token or a grant from the store: its own statements and what is above by name, what came of it by keys.

Downwards SQL walks over keys alone (``token_walk.sql``), counts, and finds the ids of one page; only what is shown is decoded
and verified. So ten thousand derived tokens cost what their keys do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.index import Index
from ledger.attribution.joins import key_of
from ledger.attribution.rules.case import SKEW
from ledger.attribution.subgraph import Node, Ref, Subgraph
from ledger.attribution.tokens.above import all_names, sources_of, statements_of
from ledger.attribution.tokens.ends import ends_of, first_revocation, wide_of
from ledger.attribution.tokens.lineage import judge_lineage
from ledger.attribution.tokens.values import Asked, Fetched, Tally, TokenLineage
from ledger.errors import NotFound
from ledger.format.kinds import TokenIssuance, content_digests
from ledger.store.absent import by_then
from ledger.store.connect import translated
from ledger.store.nodes import Reading, Row, query_bounded, query_events
from ledger.store.persons import persons_named

Connection = psycopg.Connection[Any]

START: Final = bytes(16)
_NEVER: Final = b"\xff" * 16


class Bounds(NamedTuple):
    """Limits of one lineage: statements looked at for a name, steps upwards, rights walked downwards, rows counted."""

    candidates: int = 16
    depth: int = 32
    rights: int = 20_000
    rows: int = 100_000


DEFAULT_BOUNDS: Final = Bounds()


class LineagePage(NamedTuple):
    """A lineage with one page of what came of it; ``next`` is the id after which the next one begins."""

    lineage: TokenLineage
    next: bytes | None


def token_lineage(
    connection: Connection,
    reading: Reading,
    tenant: str,
    asked: Asked,
    *,
    now: int,
    after: bytes | None = None,
    limit: int = 50,
    only_after: bool = False,
    as_of: int | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> LineagePage:
    """The lineage of a token or grant at ``now``, from what the log held at ``as_of``; raises ``NotFound`` where nothing at all
    is recorded of it. ``only_after`` pages what came after the revocation alone: nothing where there was none.
    """
    with translated():
        fetch = _Fetch(connection, reading, tenant, as_of, bounds)
        about, truncated = fetch.above(asked)
        index = fetch.index()
        revoked = first_revocation(ends_of(index, all_names(asked, about), about, now))
        since = _NEVER if revoked is None else id_at(revoked + SKEW)
        begin = max(after or START, _before(since)) if only_after else after or START
        counted, page = fetch.below(all_names(asked, about), since, begin, limit)
        if not about and not page and not fetch.known:
            raise NotFound(f"this ledger holds nothing about the {asked.right.kind} {asked.right.id!r}{by_then(as_of)}")
        shown = fetch.by_id(page[:limit])
        fetched = Fetched(
            asked=asked,
            index=fetch.index(),
            page=shown,
            counted=counted,
            truncated=tuple(sorted({*truncated, *counted.truncated})),
            now=now,
        )
        return LineagePage(judge_lineage(fetched), page[limit - 1] if len(page) > limit else None)


def id_at(time: int) -> bytes:
    """The lowest event id of a time in µs: ids begin with their time in ms."""
    return min(max(-(-time // 1000), 0), (1 << 48) - 1).to_bytes(6, "big") + bytes(10)


def _before(event_id: bytes) -> bytes:
    return max(int.from_bytes(event_id, "big") - 1, 0).to_bytes(16, "big")


class _Fetch:
    """One question on one connection, and what was fetched for it."""

    def __init__(
        self, connection: Connection, reading: Reading, tenant: str, as_of: int | None, bounds: Bounds
    ) -> None:
        self._connection = connection
        self._reading = reading
        self._tenant = tenant
        self._as_of = as_of
        self._bounds = bounds
        self._nodes: dict[Ref, Node] = {}
        self._asked_for: set[str] = set()

    @property
    def known(self) -> bool:
        """Whether anything answered."""
        return bool(self._nodes)

    def index(self) -> Index:
        nodes = tuple(self._nodes.values())
        people = {digest for node in nodes if node.fact is not None for digest in content_digests(node.fact)}
        people |= {node.header.principal for node in nodes if node.header.principal is not None}
        persons = persons_named(self._connection, self._reading, self._tenant, people, as_of=self._as_of)
        return Index(Subgraph(asked=START, nodes=nodes, persons=persons, as_of=self._as_of))

    def above(self, asked: Asked) -> tuple[list[Node], list[str]]:
        """The statements about what is asked, and everything that it was obtained with, in rounds; what was cut, by name."""
        truncated = set(self._fetch(asked.names))
        about = statements_of(self._names(), asked.names)
        names = all_names(asked, about)
        truncated.update(self._fetch([*names, *self._replacing(names, about), *wide_of(about)]))
        about = statements_of(self._names(), names)
        truncated.update(self._fetch(wide_of(about)))
        level: Sequence[Node] = about
        for _ in range(self._bounds.depth):
            wanted = [name for node in level for _, source, _ in sources_of(node) for name in source]
            wanted = [name for name in dict.fromkeys(wanted) if name not in self._asked_for]
            if not wanted:
                break
            truncated.update(self._fetch(wanted))
            level = statements_of(self._names(), wanted)
            also = [name for name in (*all_names(Asked(), level), *wide_of(level)) if name not in self._asked_for]
            if also:
                truncated.update(self._fetch(also))
                level = statements_of(self._names(), [*wanted, *also])
        else:
            truncated.add("depth")
        return about, sorted(truncated)

    @staticmethod
    def _replacing(names: Iterable[str], about: Iterable[Node]) -> list[str]:
        """Where what took the place of a token is found: under its own uses, and under those of its grant."""
        grants = {fact.grant_id for node in about if isinstance(fact := node.fact, TokenIssuance) and fact.grant_id}
        tokens = [name for name in names if not name.startswith("grant:")]
        return [f"token_use:{name}" for name in tokens] + [f"grant_use:{each}" for each in sorted(grants)]

    def _names(self) -> Index:
        return Index(Subgraph(asked=START, nodes=tuple(self._nodes.values())))

    def _fetch(self, names: Iterable[str]) -> list[str]:
        """Fetches what answers to the names; ``candidates`` where there may have been more."""
        new = [name for name in dict.fromkeys(names) if name not in self._asked_for]
        self._asked_for.update(new)
        if not new:
            return []
        keys = [key_of(self._tenant, name) for name in new]
        given = {"keys": keys, "candidates": self._bounds.candidates + 1, "near": _NEVER.hex()}
        nodes = self._read("lineage_keys.sql", given)
        index = Index(Subgraph(asked=START, nodes=tuple(nodes)))
        most = max((len(index.answering.get(name, ())) for name in new if "_use:" not in name), default=0)
        return ["candidates"] if most > self._bounds.candidates else []

    def by_id(self, page: Sequence[bytes]) -> list[Node]:
        """The events of a page, in its order."""
        if not page:
            return []
        nodes = self._read("token_page.sql", {"ids": [each.hex() for each in page]})
        place = {event_id: number for number, event_id in enumerate(page)}
        return sorted(nodes, key=lambda node: (place[node.event_id], node.digest))

    def _read(self, file: str, given: dict[str, Any]) -> list[Node]:
        query = query_events(file, self._as_of is not None)
        parameters = {"tenant": self._tenant, "as_of": self._as_of, **given}
        found = self._connection.execute(query, parameters, binary=True)
        rows: list[Row] = [row for row in found if row[1] is not None]
        nodes = self._reading.nodes(self._connection, self._tenant, rows)
        self._nodes.update((node.ref, node) for node in nodes)
        return nodes

    def below(self, names: Iterable[str], since: bytes, after: bytes, limit: int) -> tuple[Tally, list[bytes]]:
        """How much came of the names, and the ids of a page and one more."""
        uses = [f"grant_use:{name[6:]}" if name.startswith("grant:") else f"token_use:{name}" for name in names]
        given = {
            "tenant": self._tenant,
            "as_of": self._as_of,
            "start": [key_of(self._tenant, name) for name in uses],
            "rights": self._bounds.rights,
            "count": self._bounds.rows,
            "since": since.hex(),
            "after": after.hex(),
            "page": limit,
        }
        query = query_bounded("token_walk.sql", self._as_of is not None)
        row = self._connection.execute(query, given, binary=True).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has a row
        kept, steps, used, rights, rights_after, done, done_after, unfilled, page = row
        cut = [
            name
            for name, hit in (
                ("rights", kept > self._bounds.rights),
                ("rows", steps > self._bounds.rows or used > self._bounds.rows),
                ("rebuild", unfilled),
            )
            if hit
        ]
        return Tally(rights, rights_after, done, done_after, tuple(cut)), [each.bytes for each in page]
