"""The usage of the tokens issued in a window, from the store: issuances, their uses, the ends of their runs, their grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from ledger.attribution.index import Index
from ledger.attribution.joins import key_of, names_of, wide_names
from ledger.attribution.subgraph import Node, Ref, Subgraph
from ledger.attribution.tokens.above import names_of_token
from ledger.attribution.tokens.usage import By, TokenUsage, UsesOf, judge_usage, token_named
from ledger.attribution.withdrawal import EXCHANGES
from ledger.format.kinds import ApiAction, TokenIssuance
from ledger.store.connect import translated
from ledger.store.nodes import Reading, query_bounded, query_events
from ledger.store.token_lineage import START, id_at

Connection = psycopg.Connection[Any]


class Span(NamedTuple):
    """since ≤ time < until, by the time in the ids of issuances."""

    since: int
    until: int


class UsageBounds(NamedTuple):
    """Limits of one report: events scanned, tokens, uses counted of each, uses read in all, which the tokens share."""

    scan: int = 200_000
    tokens: int = 1000
    counted: int = 10_000
    uses: int = 4000


DEFAULT: Final = UsageBounds()


def token_usage(
    connection: Connection,
    reading: Reading,
    tenant: str,
    span: Span,
    *,
    by: By,
    now: int,
    as_of: int | None = None,
    bounds: UsageBounds = DEFAULT,
) -> TokenUsage:
    """The usage of the tokens that were issued in ``span``, as far as the bounds let it be looked at."""
    with translated():
        fetch = _Fetch(connection, reading, tenant, as_of)
        issued, until, truncated = fetch.issued(span, bounds)
        stated, names = fetch.stated(issued)
        uses, cut = fetch.uses(names, bounds)
        seen = [node for each in uses.values() for node in each.seen]
        runs = {each.header.execution_id for each in (*stated, *seen) if each.header.execution_id is not None}
        grants = {fact.grant_id for each in stated if isinstance(fact := each.fact, TokenIssuance) and fact.grant_id}
        decisions = {fact.decision_id for each in seen if isinstance(fact := each.fact, ApiAction) and fact.decision_id}
        around = fetch.answering(
            [
                *(f"run_state:{run.hex()}" for run in sorted(runs)),
                *(f"grant:{grant}" for grant in sorted(grants)),
                *(f"decision:{decision}" for decision in sorted(decisions)),
            ]
        )
        nodes = {each.ref: each for each in (*stated, *around)}
        index = Index(Subgraph(asked=START, nodes=tuple(nodes.values())))
        return judge_usage(
            index,
            issued,
            uses,
            by=by,
            since=span.since,
            until=until,
            truncated=[*truncated, *cut],
            now=now,
        )


def _around(issued: Iterable[Node]) -> list[str]:
    """The names of other statements of tokens, of those that they were made from, and of what revokes them."""
    found = [(node, node.fact) for node in issued if isinstance(node.fact, TokenIssuance)]
    return list(
        dict.fromkeys(
            name
            for node, fact in found
            for name in (*names_of_token(fact.token), *names_of_token(fact.subject_token), *wide_names(node.payload))
        )
    )


class _Fetch:
    """One report on one connection."""

    def __init__(self, connection: Connection, reading: Reading, tenant: str, as_of: int | None) -> None:
        self._connection = connection
        self._reading = reading
        self._tenant = tenant
        self._as_of = as_of

    def issued(self, span: Span, bounds: UsageBounds) -> tuple[list[Node], int, list[str]]:
        """The issuances of the window, the time up to which it was looked at, and what was cut."""
        given = {
            "since": id_at(span.since).hex(),
            "until": id_at(span.until).hex(),
            "scan": bounds.scan,
            "tokens": bounds.tokens,
        }
        scanned, far, found = self._row("token_usage.sql", given)
        until, cut = span.until, []
        if scanned >= bounds.scan:
            until, cut = _time_of(far), ["scan"]
        if len(found) > bounds.tokens:
            until, cut = _time_of(found[bounds.tokens]), ["tokens"]
        return self._events([each.bytes for each in found[: bounds.tokens]]), until, cut

    def stated(self, issued: Sequence[Node]) -> tuple[list[Node], set[str]]:
        """The issuances with what others state of the same tokens, of those that they were obtained with, and of what revokes
        any; and every name of the tokens issued: who states both jti and digest of one may have done so outside of the window."""
        found, ahead = {node.ref: node for node in issued}, list(issued)
        names = {name for node in issued for name in token_named(node)}
        asked: set[str] = set()
        for _ in range(EXCHANGES):
            wanted = [name for name in _around(ahead) if name not in asked]
            if not wanted:
                break
            asked.update(wanted)
            ahead = [node for node in self.answering(wanted) if node.ref not in found]
            found.update((node.ref, node) for node in ahead)
            alike = [own for node in ahead if not names.isdisjoint(own := token_named(node))]
            names.update(name for own in alike for name in own)
        return list(found.values()), names

    def uses(self, names: Iterable[str], bounds: UsageBounds) -> tuple[Mapping[str, UsesOf], list[str]]:
        """The uses of each token, by its names; and what was cut."""
        keys = {key_of(self._tenant, f"token_use:{name}"): name for name in names}
        if not keys:
            return {}, []
        counts = dict(self._rows("token_uses_counted.sql", {"keys": list(keys), "count": bounds.counted}))
        share = share_of(counts.values(), bounds.uses)
        rows = self._rows("token_uses.sql", {"keys": list(keys), "first": share - 1})
        wanted = dict.fromkeys(each.bytes for _, some in rows for each in some)
        nodes: dict[bytes, list[Node]] = {}
        for node in self._events(wanted):
            nodes.setdefault(node.event_id, []).append(node)
        found: dict[str, UsesOf] = {}
        cut = set()
        for key, some in rows:
            count = counts[key]
            ids, name = dict.fromkeys(each.bytes for each in some), f"token_use:{keys[key]}"
            seen = [node for each in ids for node in nodes.get(each, ()) if node.effective and _answers(node, name)]
            found[keys[key]] = UsesOf(count, seen)
            if count >= bounds.counted:
                cut.add("counted")
            if count > len(ids):
                cut.add("uses")
        return found, sorted(cut)

    def answering(self, names: Sequence[str]) -> list[Node]:
        """What answers to names: of each the latest few."""
        given = {"keys": [key_of(self._tenant, name) for name in names], "candidates": 8, "near": "f" * 32}
        return self._read("lineage_keys.sql", given) if names else []

    def _events(self, wanted: Iterable[bytes]) -> list[Node]:
        ids = [each.hex() for each in wanted]
        return self._read("token_page.sql", {"ids": ids}) if ids else []

    def _read(self, file: str, given: dict[str, Any]) -> list[Node]:
        query = query_events(file, self._as_of is not None)
        found = self._connection.execute(query, self._given(given), binary=True)
        nodes: dict[Ref, Node] = {}
        for node in self._reading.nodes(self._connection, self._tenant, [row for row in found if row[1] is not None]):
            nodes[node.ref] = node
        return list(nodes.values())

    def _rows(self, file: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        query = query_bounded(file, self._as_of is not None)
        return self._connection.execute(query, self._given(given), binary=True).fetchall()

    def _row(self, file: str, given: dict[str, Any]) -> tuple[Any, ...]:
        return self._rows(file, given)[0]

    def _given(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"tenant": self._tenant, "as_of": self._as_of, **given}


def share_of(counts: Iterable[int], budget: int) -> int:
    """How many uses may be read of each token, at least one: what those with few leave over, the others share."""
    many = sorted(counts)
    for place, count in enumerate(many):
        share = budget // (len(many) - place)
        if count > share:
            return max(share, 1)
        budget -= count
    return max(many[-1], 1)


def _answers(node: Node, name: str) -> bool:
    """Keys are hints: whether the event really bears the name."""
    return name in names_of(node.header, node.payload)[0]


def _time_of(event_id: UUID) -> int:
    """µs of the time that an id begins with."""
    return int.from_bytes(event_id.bytes[:6], "big") * 1000
