"""The rows that follow from records, append times and trust alone, as natural keys and what goes with them.

Two stores that hold the same have the same rows here, however they came to it. What they are is said once: the state digest
is a sum over them, and a comparison of two stores reads them side by side. No surrogate number is in them: a name is its text,
a seal its digest, so that a row that points elsewhere is another row.

Left out is what depends on more than that: contents, and findings about them or about what the log lost; when a finding was
opened, and the closed ones; payload, salt and joins of an event that an erasure names, whether it is swept yet or not; chains
that have no seal any more; owners and versions.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["text", "hex", "int", "uuid", "other"]


class Column(NamedTuple):
    """A value: what it is called, how it is had, and how it is shown."""

    label: str
    sql: str
    kind: Kind = "other"


class Rows(NamedTuple):
    """One sort of row. ``source`` is what follows ``from``; the key is unique, and sorts by its bytes or its number."""

    table: str
    key: tuple[Column, ...]
    values: tuple[Column, ...]
    source: str
    distinct: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.key + self.values

    def query(self, *, ordered: bool) -> str:
        """Every row; ``ordered`` by the key, nulls last."""
        listed = ", ".join(f'{c.sql} collate "C"' if c.kind == "text" else c.sql for c in self.columns)
        places = ", ".join(str(place + 1) for place in range(len(self.key)))
        order = f" order by {places}" if ordered else ""
        return f"select {'distinct ' if self.distinct else ''}{listed} from {self.source}{order}"  # noqa: S608 (constants only)


def _of(table: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, f"{table}.{name}") for name in names)


def _unless_erased(label: str, sql: str) -> Column:
    return Column(label, f"case when x.digest is null then {sql} end")


_CHAIN: Final = (
    Column("tenant", "t.name", "text"),
    Column("service", "v.name", "text"),
    Column("key_id", "c.key_id", "text"),
    Column("chain_id", "c.chain_id", "hex"),
)
_NAMED: Final = "left join names t on t.id = c.tenant left join names v on v.id = c.service"
_ERASED: Final = "(select distinct tenant, digest from erasures where is_event)"
_ERASED_IDS: Final = (
    "select e.event_id from (select distinct tenant, digest from erasures where is_event) x"
    " join events e on e.tenant = x.tenant and e.digest = x.digest"
)
_EVENT: Final = (Column("event_id", "e.event_id", "uuid"), Column("digest", "e.digest", "hex"))
_UNLESS_PURGED: Final = "case when r.reason not in ('malformed', 'oversize') then r.raw end"
"""Bytes that may be purged, and from which nothing follows, are no part of the state; their digest and length are."""
_SIGHTED: Final = (
    "(select event_id, digest, seal, at from events union all select event_id, digest, seal, at from sightings)"
)
_RUNS: Final = (
    "(select chain, array_agg(start order by start) as starts, array_agg(stop order by start) as stops"
    " from runs group by chain)"
)

ROWS: Final = (
    Rows("trust", (Column("number", "number", "int"),), _of("trust", "line"), "trust"),
    Rows(
        "quarantine",
        (
            Column("topic", "topic", "text"),
            Column("partition", "partition", "int"),
            Column("log_offset", "log_offset", "int"),
        ),
        (),
        "quarantine where set_aside and topic = 'ledger.events'",
    ),
    Rows(
        "chains",
        _CHAIN,
        (Column("closed_at", "c.closed_at"), Column("runs.start", "r.starts"), Column("runs.stop", "r.stops")),
        f"chains c {_NAMED} left join {_RUNS} r on r.chain = c.id"
        " where r.chain is not null or c.closed_at is not null or exists (select from seals s where s.chain = c.id)",
    ),
    Rows(
        "seals",
        (*_CHAIN, Column("number", "s.number", "int"), Column("digest", "s.digest", "hex")),
        _of(
            "s", "previous", "first_sequence", "event_count", "sealed_at", "next_within", "append_time", "partition",
            "log_offset", "copies", "importer", "seal", "signatures", "leaves",
        ),
        f"seals s left join chains c on c.id = s.chain {_NAMED}",
    ),
    Rows(
        "events",
        _EVENT,
        (
            Column("tenant", "t.name", "text"),
            Column("kind", "k.name", "text"),
            *_of("e", "occurred_at", "execution_id"),
            Column("agent", "a.name", "text"),
            *_of("e", "effective", "causes", "header"),
            _unless_erased("follows", "e.follows"),
            _unless_erased("salt", "e.salt"),
            _unless_erased("payload", "e.payload"),
        ),
        "events e left join names t on t.id = e.tenant left join names k on k.id = e.kind left join names a on a.id = e.agent"
        f" left join {_ERASED} x on x.tenant = e.tenant and x.digest = e.digest",
    ),
    Rows(
        "sightings",
        (*_EVENT, Column("seal", "s.digest", "hex"), Column("at", "e.at", "int")),
        (),
        f"{_SIGHTED} e left join seals s on s.id = e.seal",
    ),
    Rows(
        "causes",
        (Column("cause", "cause", "uuid"), Column("effect", "effect", "uuid")),
        (),
        "causes",
        distinct=True,
    ),
    Rows(
        "joins",
        (Column("key", "j.key", "int"), Column("event_id", "j.event_id", "uuid")),
        (),
        f"joins j where j.event_id not in ({_ERASED_IDS})",
        distinct=True,
    ),
    Rows(
        "rights",
        (
            Column("above", "r.above", "int"),
            Column("below", "r.below", "int"),
            Column("event_id", "r.event_id", "uuid"),
            Column("how", "r.how", "int"),
        ),
        (),
        f"rights r where r.event_id not in ({_ERASED_IDS})",
        distinct=True,
    ),
    Rows(
        "rejected",
        (Column("raw_digest", "r.raw_digest", "hex"), Column("record_key", "r.record_key", "hex")),
        (
            *_of(
                "r", "reason", "detail", "append_time", "partition", "log_offset", "copies", "seal_digest", "key_id", "tenant",
                "service", "raw_length",
            ),
            Column("raw", _UNLESS_PURGED),
        ),
        "rejected r where r.topic = 'ledger.events' and r.at = -1",
    ),
    Rows(
        "rejected events",
        (Column("seal", "s.digest", "hex"), Column("at", "r.at", "int"), Column("digest", "r.raw_digest", "hex")),
        (*_of("r", "reason", "detail", "key_id", "tenant", "service"), _unless_erased("raw", "r.raw")),
        "rejected r left join seals s on s.id = r.seal left join names t on t.name = r.tenant"
        f" left join {_ERASED} x on x.tenant = t.id and x.digest = r.raw_digest where r.at >= 0",
    ),
    Rows(
        "findings",
        (
            Column("name", "f.name", "text"),
            *_CHAIN,
            Column("number", "f.number", "int"),
            Column("until", "f.until", "int"),
            Column("digest", "f.digest", "hex"),
            Column("event_id", "f.event_id", "uuid"),
        ),
        (Column("of tenant", "o.name", "text"), *_of("f", "detail")),
        f"findings f left join chains c on c.id = f.chain {_NAMED} left join names o on o.id = f.tenant"
        " where f.closed_at is null and f.name not in ('unauthorized_erasure', 'lost_to_retention')",
    ),
    Rows(
        "erasures",
        (
            Column("tenant", "t.name", "text"),
            Column("digest", "e.digest", "hex"),
            Column("event_digest", "e.event_digest", "hex"),
            Column("is_event", "e.is_event"),
        ),
        _of("e", "event_id"),
        "erasures e left join names t on t.id = e.tenant",
    ),
)  # fmt: skip
