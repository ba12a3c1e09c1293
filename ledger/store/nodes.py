"""Rows of events as ``Node``: the columns that every question fetches, and how they are read.

Nothing that the store says of an event is believed where its publisher signed it. What a node says is decoded from the bytes of
its row, and these are held against the digests under a seal that verifies. Columns beside them only help to find rows. A row
that fails is ``row_changed``: it says nothing but where it stands, and no answer follows from it. Append times, and rows
that are not there, are the store's word until ``verify`` compares it with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.subgraph import Node, Ref, typed
from ledger.errors import ConfigurationError, VerificationError
from ledger.format.batch import Seal
from ledger.format.codec import Schemas, SchemaUnknown
from ledger.format.event import EventHeader
from ledger.format.hashing import ZERO16, ZERO32, event_digest, payload_digest
from ledger.store.decoded import Decoder
from ledger.store.met import Met, Shelf
from ledger.store.seals import CHANGED, Seals, VerifiedSeal
from ledger.trust.bundle import Authority, TrustBundle

Connection = psycopg.Connection[Any]
Row = tuple[Any, ...]
"""Columns of ``lineage_events.sql``: the id first (always there), then all else, null where there is no event."""
CHAIN: Final = 10
"""Position of the chain's surrogate number."""

_VISIBLE: Final = "and (select v.append_time from seals v where v.id = e.seal) <= %(as_of)s"
"""An event stands under the first seal under which it has an effect: before, it had none."""
_SEEN: Final = """and exists (
    select 1 from events e
     where e.event_id = j.event_id and e.tenant = (select id from names where name = %(tenant)s) /*visible*/ offset 0)"""
"""The same for a row of ``joins``, so that later events do not crowd earlier ones out."""
_ERASING: Final = b"""
select x.digest, x.event_id, x.event_digest from erasures x
 where x.tenant = (select id from names where name = %(tenant)s) and x.is_event = %(events)s
   and x.digest = any(%(digests)s::bytea[])"""

_SIGHTINGS: Final = b"""
select s.digest, s.id, t.at, s.append_time from sightings t join seals s on s.id = t.seal
 where t.event_id = %(id)s::uuid and t.digest = %(digest)s"""


@cache
def query_file(name: str) -> bytes:
    """An SQL file beside this module."""
    return (files("ledger.store") / name).read_bytes()


@cache
def query_events(wanted: str, bounded: bool) -> bytes:
    """The events of ``wanted``, an SQL file that ends in a table of that name; ``bounded``: of those no later than ``as_of``."""
    return _bounded(query_file(wanted) + query_file("lineage_events.sql"), bounded)


@cache
def query_bounded(name: str, bounded: bool) -> bytes:
    """An SQL file of its own about events `e`; ``bounded``: those no later than ``as_of``."""
    return _bounded(query_file(name), bounded)


def _bounded(text: bytes, bounded: bool) -> bytes:
    if not bounded:  # a plan that is made with the parameter costs as much each time as the question itself
        text = text.replace(b"%(as_of)s", b"null")
    for mark, condition in ((b"/*seen*/", _SEEN), (b"/*visible*/", _VISIBLE)):
        text = text.replace(mark, condition.encode() if bounded else b"")
    return text


class _Said(NamedTuple):
    """What the bytes of a row say, not yet held against a seal. ``header`` is None where they are no event's; ``finding`` says
    why a payload that is there was not read."""

    header: EventHeader | None
    payload: Mapping[str, Any] | None
    finding: str | None


_NO_EVENT: Final = _Said(None, None, CHANGED)


class Opened(NamedTuple):
    """Rows, and of each the event where it was read before under this bundle, else what its bytes say."""

    shelf: Shelf
    rows: Sequence[tuple[Row, Node | _Said]]


class _Page(NamedTuple):
    """What rows that are read together are held against. ``judged`` is what each seal's key may say, by kind: whether it is an
    importer's, and why its word does not count."""

    tenant: str
    shelf: Shelf
    seals: Mapping[bytes, VerifiedSeal | str]
    erased: Collection[bytes]
    judged: dict[tuple[bytes, int, str], tuple[bool, str | None]]

    def judge(self, row: Row, seal: Seal, kind: str) -> tuple[bool, str | None]:
        key = row[8], row[9], kind
        found = self.judged.get(key)
        if found is None:
            authority = self.shelf.bundle.authority(seal.key_id, seal.tenant, seal.service, row[9])
            importer = isinstance(authority, Authority) and authority.role == "importer"
            found = self.judged[key] = importer, _refused(authority, kind)
        return found


class Reading:
    """Reads rows. It keeps what it has verified, seals and events: one for a process that answers many questions."""

    def __init__(
        self,
        schemas: Schemas,
        ledger: str,
        bundle: Callable[[], TrustBundle | None],
        decoder: Decoder | None = None,
    ) -> None:
        self.schemas = schemas
        self._decoder = decoder or Decoder(schemas)
        self._seals = Seals(schemas, ledger)
        self._met = Met()
        self._bundle = bundle

    @property
    def trusts(self) -> bool:
        """Whether there is a trust bundle to verify under."""
        return self._bundle() is not None

    def nodes(self, connection: Connection, tenant: str, rows: Sequence[Row]) -> list[Node]:
        """The events in ``rows``, each of which has one; raises ``ConfigurationError`` where there is no trust bundle."""
        return self.proven(connection, tenant, self.opened(tenant, rows)) if rows else []

    def opened(self, tenant: str, rows: Iterable[Row]) -> Opened:
        """What ``rows`` say, each of which has an event: the half of reading that needs no store, and so can go on while rows
        arrive. Nothing of it counts before ``proven``."""
        shelf = self._met.under(self._trusted())
        return Opened(shelf, [(row, shelf.find(tenant, row) or self._said(row)) for row in rows])

    def proven(self, connection: Connection, tenant: str, opened: Opened) -> list[Node]:
        """The events in rows, in order, held against their seals."""
        shelf, rows = opened
        page = self._page(connection, tenant, [row for row, said in rows if isinstance(said, _Said)], shelf)
        return [self._node(connection, row, said, page) if isinstance(said, _Said) else said for row, said in rows]

    def headers(self, connection: Connection, tenant: str, rows: Sequence[Row]) -> list[EventHeader | str]:
        """What each event says in its header, or the name of what is wrong with its row. Payloads are hashed, not decoded."""
        if not rows:
            return []
        page = self._page(connection, tenant, rows, self._met.under(self._trusted()))
        found: list[EventHeader | str] = []
        for row in rows:
            sealed = page.seals.get(row[8], CHANGED)
            if isinstance(sealed, str):
                found.append(sealed)
                continue
            header = self._header(row) if _covers(sealed, tenant, row) else None
            intact = header is not None and _intact(row, header, page.erased)
            found.append(header if header is not None and intact else CHANGED)
        return found

    def _trusted(self) -> TrustBundle:
        bundle = self._bundle()
        if bundle is None:
            raise ConfigurationError(
                "the trust bundle cannot be read, so no event can be verified; see `answerable doctor`"
            )
        return bundle

    def _page(self, connection: Connection, tenant: str, rows: Sequence[Row], shelf: Shelf) -> _Page:
        seals = self._seals.of(connection, {(row[8], row[7]) for row in rows if row[8] is not None}, shelf.bundle)
        gone = {row[1] for row in rows if row[4] is None}
        erased: Collection[bytes] = self.erased(connection, tenant, gone, events=True) if gone else gone
        return _Page(tenant, shelf, seals, erased, {})

    def erased(
        self, connection: Connection, tenant: str, digests: Collection[bytes], *, events: bool
    ) -> Mapping[bytes, int]:
        """Which of these events or contents an event names that verifies, has an effect and erases them; and since when, by
        the append time of the first such event, whatever the claim itself says."""
        given = {"tenant": tenant, "digests": list(digests), "events": events}
        claims = connection.execute(_ERASING, given).fetchall()
        since: dict[bytes, int] = {}
        claimed: dict[Ref, set[bytes]] = {}
        for digest, event_id, by in claims:
            claimed.setdefault(Ref(event_id.bytes, by), set()).add(digest)
        query = query_events("events_by_id.sql", bounded=False)
        wanted = {"tenant": tenant, "ids": list({row[1] for row in claims})}
        rows = connection.execute(query, wanted, binary=True).fetchall() if claims else []
        for node in self.nodes(connection, tenant, [row for row in rows if row[4] is not None]):
            if node.kind == "content_erasure" and node.effective and node.payload is not None:
                named = node.payload["events" if events else "contents"]
                for digest in claimed.get(node.ref, set()).intersection(named):
                    since[digest] = min(node.append_time, since.get(digest, node.append_time))
        return since

    def _node(self, connection: Connection, row: Row, said: _Said, page: _Page) -> Node:
        sealed = page.seals.get(row[8], CHANGED)
        if isinstance(sealed, str):
            return _unproven(row, sealed)
        header, payload, finding = said
        if header is None or not _covers(sealed, page.tenant, row):
            return _unproven(row, CHANGED)
        if row[4] is None and not _is_erased(row, page.erased):
            finding = CHANGED
        seal, sightings = sealed.seal, row[11]
        importer, refused = page.judge(row, seal, header.kind)
        lasting = payload is not None and refused is None
        bundle = page.shelf.bundle
        if refused is not None and row[5] and sightings > 1 and self._allowed(connection, row, header.kind, bundle):
            refused = None
        node = Node(
            Ref(header.event_id, row[1]),
            header,
            payload,
            typed(header.kind, payload),
            seal.service,
            seal.key_id,
            seal.chain_id,
            importer,
            refused is None,
            seal.seal_number,
            seal.first_sequence + row[6],
            seal.sealed_at,
            row[9],
            sightings,
            tuple([each for each in (refused, finding) if each is not None]) if refused or finding else (),
        )
        if lasting:
            page.shelf.keep(page.tenant, row, node)
        return node

    def _allowed(self, connection: Connection, row: Row, kind: str, bundle: TrustBundle) -> bool:
        """Whether the event stands under another seal too, whose key may state it."""
        given = {"id": row[0].hex, "digest": row[1]}
        others = connection.execute(_SIGHTINGS, given, binary=True).fetchall()
        seals = self._seals.of(connection, {(digest, id_) for digest, id_, _, _ in others}, bundle)
        for digest, _, at, append_time in others:
            sealed = seals.get(digest)
            if isinstance(sealed, VerifiedSeal) and sealed.covers(row[1], at):
                signed = sealed.seal
                authority = bundle.authority(signed.key_id, signed.tenant, signed.service, append_time)
                if _refused(authority, kind) is None:
                    return True
        return False

    def _header(self, row: Row) -> EventHeader | None:
        """What the event says of itself; None unless it stands where it was found."""
        try:
            header = self._decoder.header(row[2])
        except VerificationError:  # an event that was refused alone has no row, unless somebody made one
            return None
        return header if header.event_id == row[0].bytes and header.occurred_at == row[12] else None

    def _said(self, row: Row) -> _Said:
        header = self._header(row)
        if header is None:
            return _NO_EVENT
        payload = row[4]
        if payload is None:
            return _Said(header, None, None)
        if payload_digest(row[3], payload) != header.payload_digest:
            return _Said(header, None, CHANGED)
        try:
            return _Said(header, self._decoder.payload(payload, header.kind), None)
        except SchemaUnknown:
            return _Said(header, None, "schema_unknown")
        except VerificationError:
            return _Said(header, None, CHANGED)


def _covers(sealed: VerifiedSeal, tenant: str, row: Row) -> bool:
    """Whether a row holds the event that stands in its place under its seal."""
    digest = row[1]
    inside = sealed.seal.tenant == tenant and sealed.covers(digest, row[6])
    return inside and event_digest(sealed.prefix, row[2]) == digest


def _is_erased(row: Row, erased: Collection[bytes]) -> bool:
    return row[3] == ZERO16 and row[1] in erased


def _intact(row: Row, header: EventHeader, erased: Collection[bytes]) -> bool:
    """Whether the payload is the one that the header commits to, or is erased."""
    if row[4] is None:
        return _is_erased(row, erased)
    return payload_digest(row[3], row[4]) == header.payload_digest


def _refused(authority: Authority | str, kind: str) -> str | None:
    """Why the key's word does not count under the bundle of now; None where it does."""
    if isinstance(authority, str):
        return authority
    return None if authority.allows(kind) else "unauthorized_kind"


def _unproven(row: Row, why: str) -> Node:
    """An event whose row proves nothing: there it is, and it says nothing. Its time is where the row is found."""
    header = EventHeader(row[0].bytes, "", row[12], None, None, None, None, (), (), (), ZERO32)
    return Node(
        ref=Ref(row[0].bytes, row[1]),
        header=header,
        payload=None,
        typed=None,
        service="",
        key_id="",
        chain_id=b"",
        importer=False,
        effective=False,
        number=-1,
        sequence=-1,
        sealed_at=0,
        append_time=row[9] or 0,
        sightings=row[11],
        findings=(why,),
    )
