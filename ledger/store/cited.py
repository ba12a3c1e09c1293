"""What is wrong with events as of a time: causes that are not there, are others than cited or lead back, ids used twice; and
encodings that are not the canonical one, for which a materializer has no time.

Looked for seal by seal along the tenant's own chains, so many events a call: nothing is scanned, and how long it takes tells
nothing about other tenants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.errors import VerificationError
from ledger.format import ids
from ledger.format.event import Cause, EventHeader, decode_header
from ledger.store.connect import translated
from ledger.store.nodes import Reading, Row, query_bounded, query_file
from ledger.store.seals import CHANGED
from ledger.store.wrong import Look, Place, Wrong

Connection = psycopg.Connection[Any]
Known = Mapping[bytes, Collection[bytes]]
"""Event ids that the tenant has, with the digests of each."""

NAMES: Final = ("dangling_cause", "cause_mismatch", "cause_cycle", "duplicate_event_id", "non_canonical", CHANGED)
SCAN: Final = 10_000
"""Events looked at in one call, or a few more: seals are looked at whole."""
WALK: Final = 5_000
"""Events walked in search of cycles, for each window of events."""
_LAST: Final = (1 << 63) - 1
START: Final[Place] = (_LAST, _LAST, 0, 0, 0)
"""Chain, seal number, seal, index of the event in it, rank of what is wrong with the event: the last thing shown."""
_WINDOWS: Final = 8
_CHAINS: Final = 1_000
_SEALS: Final = 1_000
_EVENTS: Final = 5_000
_ROUNDS: Final = 64
_OF_ID: Final = 1_000
"""What is wrong with the id itself ranks after what is wrong with the causes, of which there are 64 at most."""


class _Met(NamedTuple):
    """An event under its seal. ``causes``: those that count; ``canonical``: it is encoded as a correct encoder would;
    ``changed``: its row is not what was signed."""

    place: Place
    append_time: int
    service: str
    key_id: str
    chain_id: bytes
    event_id: bytes
    digest: bytes
    causes: Sequence[Cause]
    canonical: bool
    changed: bool


class _Window(NamedTuple):
    events: Sequence[_Met]
    end: Place
    looked: int


def suspects(
    connection: Connection,
    reading: Reading,
    tenant: str,
    *,
    names: Collection[str] = NAMES,
    as_of: int | None = None,
    after: Place = START,
    room: int = 100,
    scan: int = SCAN,
) -> Look:
    """What is wrong with the events after ``after``, chain by chain, the latest chains and seals first.

    Ends when ``room`` is full, or when about ``scan`` events were looked at.
    """
    question = _Question(connection, reading, tenant, as_of)
    found: list[Wrong] = []
    place, shown, looked, cut = after, after, 0, False
    with translated():
        for _ in range(_WINDOWS):
            window = question.window(place, min(_EVENTS, scan - looked))
            if window is None:
                return Look(found, None, looked, ("cycles",) if cut else ())
            known = question.known(window.events)
            lowest, more = question.cycles(window.events, known)
            looked, cut = looked + window.looked, cut or more
            for key, wrong in _all_wrong(window.events, known, lowest):
                if wrong.name not in names or (key[:3] == place[:3] and key <= place):
                    continue
                if len(found) == room:
                    return Look(found, shown, looked, ("cycles",) if cut else ())
                found.append(wrong)
                shown = key
            place = window.end
            if looked >= scan:
                break
    return Look(found, place, looked, ("cycles",) if cut else ())


class _Question:
    """One look on one connection."""

    def __init__(self, connection: Connection, reading: Reading, tenant: str, as_of: int | None) -> None:
        self._connection = connection
        self._reading, self._schemas = reading, reading.schemas
        self._tenant = tenant
        self._as_of = as_of

    def window(self, after: Place, events: int) -> _Window | None:
        """The events of the next seals; None where there is no further chain."""
        chain, number, seal, at, _ = after
        given = {
            "tenant": self._tenant,
            "as_of": self._as_of,
            "chain": chain,
            "number": number,
            "seal": seal if at == _LAST else min(seal + 1, _LAST),  # a seal that was shown in part comes again
            "chains": _CHAINS,
            "seals": _SEALS,
            "events": events,
        }
        rows = self._connection.execute(query_file("cited_window.sql"), given, binary=True).fetchall()
        chains, lowest = rows[0][:2]
        if rows[0][2] is None:
            return _Window((), (lowest - 1, _LAST, 0, 0, 0), 0) if chains == _CHAINS else None
        end = (*rows[-1][2:5], _LAST, 0)
        looked = sum({row[4]: row[6] for row in rows}.values())
        held = [row[2:] for row in rows if row[11] is not None]
        headers = self._reading.headers(self._connection, self._tenant, [_row(row) for row in held])
        return _Window([self._met(*each) for each in zip(held, headers, strict=True)], end, looked)

    def _met(self, row: tuple[Any, ...], read: EventHeader | str) -> _Met:
        chain, number, seal, append_time, _, service, key_id, chain_id, at, event_id, digest = row[:11]
        header, payload, counts = row[11:14]
        place = (chain, number, seal, at, 0)
        causes = read.causes if isinstance(read, EventHeader) and counts else ()
        canonical = isinstance(read, str) or (self._canonical(header) and self._canonical(payload))
        changed = read == CHANGED
        return _Met(place, append_time, service, key_id, chain_id, event_id.bytes, digest, causes, canonical, changed)

    def _causes(self, header: bytes | None) -> Sequence[Cause]:
        try:
            return decode_header(self._schemas, header).causes if header is not None else ()
        except VerificationError:  # its row was changed, which is told where it is looked at
            return ()

    def _canonical(self, data: bytes | None) -> bool:
        try:
            return data is None or self._schemas.canonical(data)
        except VerificationError:  # of a schema that is not known here
            return True

    def known(self, events: Sequence[_Met]) -> Known:
        """The digests of the events and of what they cite."""
        wanted = {each.event_id for each in events} | {cause.event_id for each in events for cause in each.causes}
        known: dict[bytes, set[bytes]] = {}
        for event_id, digest, _ in self._fetch(wanted, headers=False):
            known.setdefault(event_id.bytes, set()).add(digest)
        return known

    def _fetch(self, wanted: Collection[bytes], *, headers: bool) -> Iterable[tuple[Any, ...]]:
        if not wanted:
            return []
        given = {"ids": [each.hex() for each in sorted(wanted)], "tenant": self._tenant, "as_of": self._as_of}
        query = query_bounded("cited_known.sql", self._as_of is not None)
        return self._connection.execute(query, {**given, "headers": headers}, binary=True).fetchall()

    def cycles(self, events: Sequence[_Met], known: Known) -> tuple[Collection[bytes], bool]:
        """The events in which causes lead back by id, each the lowest id of its cycle; and whether ``WALK`` cut the search.

        An id lower than what it cites begins every way back: only from such events is anything walked, and never below them.
        """
        suspect = [
            each
            for each in events
            if any(c.event_id >= each.event_id and _leads(each.event_id, c, known) for c in each.causes)
        ]
        if not suspect:
            return (), False
        edges: dict[bytes, set[bytes]] = {}
        floor = min(each.event_id for each in suspect)
        cut = self._walk({each.event_id for each in suspect}, floor, edges)
        lowest = {min(component) for component in _components(edges)}
        return lowest & {each.event_id for each in suspect}, cut

    def _walk(self, front: set[bytes], floor: bytes, edges: dict[bytes, set[bytes]]) -> bool:
        """Fills ``edges``, from each id to those that its events cite, breadth first; true where a bound ended it."""
        for _ in range(_ROUNDS):
            fetched = [(row[0].bytes, row[1], self._causes(row[2])) for row in self._fetch(front, headers=True)]
            cited = {c.event_id for _, _, causes in fetched for c in causes if c.event_id >= floor}
            digests: dict[bytes, set[bytes]] = {}
            for event_id, digest, _ in self._fetch(cited, headers=False):
                digests.setdefault(event_id.bytes, set()).add(digest)
            for event_id, _, causes in fetched:
                leads = {c.event_id for c in causes if c.event_id >= floor and _leads(event_id, c, digests)}
                edges.setdefault(event_id, set()).update(leads)
            front = {target for targets in edges.values() for target in targets} - edges.keys()
            if not front:
                return False
            if len(edges) + len(front) > WALK:
                return True
        return True


def _row(row: tuple[Any, ...]) -> Row:
    """An event of a window as ``Reading`` takes it. Whether other seals have it too is not asked."""
    event_id, digest, header, payload, effective, salt, occurred_at, sealed = row[9:17]
    return event_id, digest, header, salt, payload, effective, row[8], row[2], sealed, row[3], row[0], 1, occurred_at


def _fits(cause: Cause, known: Known) -> bool:
    return cause.digest in known.get(cause.event_id, ()) if cause.digest is not None else cause.event_id in known


def _leads(event_id: bytes, cause: Cause, known: Known) -> bool:
    """Whether the cause is the way to another event, or to the event itself, whose digest it cannot have cited."""
    return cause.event_id == event_id or _fits(cause, known)


def _components(edges: Mapping[bytes, Collection[bytes]]) -> Iterator[set[bytes]]:
    """The sets of ids that lead to each other, or to themselves."""
    import networkx as nx

    graph = nx.DiGraph((source, target) for source, targets in edges.items() for target in targets)
    for component in nx.strongly_connected_components(graph):
        if len(component) > 1 or any(graph.has_edge(each, each) for each in component):
            yield component


def _all_wrong(events: Sequence[_Met], known: Known, lowest: Collection[bytes]) -> Iterator[tuple[Place, Wrong]]:
    """Everything wrong with the events, each with its place, in order."""
    for met in events:
        for index, cause in enumerate(met.causes):
            if cause.event_id not in known:
                yield _of(met, 2 * index, "dangling_cause", f"{cause.relation} {ids.text(cause.event_id)}")
            elif not _fits(cause, known):
                yield _of(met, 2 * index + 1, "cause_mismatch", f"{cause.relation} {ids.text(cause.event_id)}")
        if met.event_id in lowest:
            yield _of(met, _OF_ID, "cause_cycle", "causes lead back to it by id")
        digests = known.get(met.event_id, ())
        if len(digests) > 1 and met.digest == min(digests):
            yield _of(met, _OF_ID + 1, "duplicate_event_id", f"{len(digests)} events under one id")
        if not met.canonical:
            yield _of(met, _OF_ID + 2, "non_canonical", "encoded as no correct encoder would")
        if met.changed:
            yield _of(met, _OF_ID + 3, CHANGED, "the row is not what stands under its seal")


def _of(met: _Met, rank: int, name: str, detail: str) -> tuple[Place, Wrong]:
    wrong = Wrong(
        name,
        "computed",
        detail,
        met.service,
        met.key_id,
        met.chain_id,
        met.place[1],
        digest=met.digest,
        event_id=met.event_id,
        opened_at=met.append_time,
    )
    return (*met.place[:4], rank), wrong
