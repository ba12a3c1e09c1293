"""What is wrong with chains and partitions as of a time: computed when somebody looks, outside the state digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.json_form import rfc3339
from ledger.attribution.subgraph import Node
from ledger.errors import VerificationError
from ledger.format.codec import Schemas
from ledger.ports import Bounds
from ledger.store.connect import translated
from ledger.store.nodes import Reading, Row, query_file
from ledger.store.wrong import Look, Place, Wrong

Connection = psycopg.Connection[Any]

OPENS: Final = 10_000
"""Chains whose first event is read to tell what was continued, the latest first."""
CHAINS: Final = 5_000
"""Chains looked at in one call."""
COUNTED: Final = 100_000
"""Chains of a tenant that are looked at to count the overdue ones."""


class Continuation(NamedTuple):
    """A chain says that it continues another of its service, which ``key_id`` signed: a new key may continue the old one's.

    ``at``: the append time of its first seal.
    """

    chain_id: bytes
    by: bytes
    service: str
    key_id: str
    event_id: bytes
    at: int

    @property
    def chain(self) -> tuple[str, str, bytes]:
        """The continued chain. Nobody ends the promise of another service's."""
        return self.service, self.key_id, self.chain_id


def continuations(
    connection: Connection,
    reading: Reading,
    tenant: str,
    *,
    of: Collection[bytes] | None = None,
    services: Sequence[str] | None = None,
    as_of: int | None = None,
) -> list[Continuation]:
    """What chains continue which, or the chains ``of``: a continued chain promises nothing any more."""
    return _read(connection, reading, tenant, _opens(connection, tenant, services, as_of), of)


def overdue(
    connection: Connection,
    reading: Reading,
    tenant: str,
    now: int,
    *,
    as_of: int | None = None,
    after: Place = (0,),
    room: int = 100,
    chains: int = CHAINS,
) -> Look:
    """Chains that promised their next seal and did not keep it, at ``now`` µs UTC, in the order in which the store met them."""
    given = {"tenant": tenant, "now": now, "as_of": as_of, "after": after[0], "chains": chains}
    with translated():
        rows = connection.execute(query_file("observed_overdue.sql"), given).fetchall()
    late = [row for row in rows if row[5] is not None]
    services = sorted({row[1] for row in late})
    opens = _opens(connection, tenant, services, as_of) if late else []
    ended = {each.chain for each in _read(connection, reading, tenant, opens, {row[3] for row in late})}
    late = [row for row in late if row[1:4] not in ended]
    found = [
        Wrong(
            "overdue",
            "computed",
            f"seal {number + 1} was due at {rfc3339(due)}",
            service,
            key_id,
            chain_id,
            number + 1,
            opened_at=due,
        )
        for _, service, key_id, chain_id, number, due in late[:room]
    ]
    if len(late) > room:
        following: Place | None = (late[room - 1][0],)
    else:
        following = (rows[-1][0],) if len(rows) == chains else None
    return Look(found, following, len(rows), ("continuations",) if len(opens) == OPENS else ())


def count_overdue(connection: Connection, reading: Reading, now: int) -> int:
    """How many chains of all tenants are ``overdue``; of each tenant's, the first ``COUNTED`` are looked at."""
    with translated():
        tenants = connection.execute(b"select distinct n.name from chains c join names n on n.id = c.tenant").fetchall()
    return sum(_count_overdue(connection, reading, tenant, now) for (tenant,) in tenants)


def _count_overdue(connection: Connection, reading: Reading, tenant: str, now: int) -> int:
    count = 0
    place: Place = (0,)
    for _ in range(COUNTED // CHAINS):
        look = overdue(connection, reading, tenant, now, after=place, room=CHAINS)
        count += len(look.found)
        if look.next is None:
            break
        place = look.next
    return count


def double_continuations(
    connection: Connection,
    reading: Reading,
    tenant: str,
    *,
    as_of: int | None = None,
    after: Place = (0,),
    room: int = 100,
) -> Look:
    """Chains that two others continue: a spool was copied. Among the ``OPENS`` latest chains."""
    opens = _opens(connection, tenant, None, as_of)
    named = Counter(each for row in opens for each in _named(reading.schemas, row[4]))
    by: dict[tuple[str, str, bytes], list[Continuation]] = {}
    for each in _read(connection, reading, tenant, opens, {chain for chain, times in named.items() if times > 1}):
        by.setdefault(each.chain, []).append(each)
    twice = [found for _, found in sorted(by.items()) if len({each.by for each in found}) > 1]
    found = [_doubled(sorted(each, key=lambda one: (one.at, one.by))) for each in twice[after[0] : after[0] + room]]
    following = (after[0] + room,) if len(twice) > after[0] + room else None
    return Look(found, following, len(opens), ("continuations",) if len(opens) == OPENS else ())


def _doubled(found: Sequence[Continuation]) -> Wrong:
    second = next(each for each in found if each.by != found[0].by)
    by = ", ".join(dict.fromkeys(each.by.hex() for each in found))
    return Wrong(
        "double_continuation",
        "computed",
        f"continued by the chains {by}",
        second.service,
        second.key_id,
        second.chain_id,
        event_id=second.event_id,
        opened_at=second.at,
    )


def lost(topic: str, bounds: Mapping[int, Bounds], reached: Mapping[int, int]) -> list[Wrong]:
    """Offsets of ``topic`` that the log dropped before they were read. ``reached``: the next offset to read, by partition."""
    return [
        Wrong(
            "lost_to_retention",
            "computed",
            f"{topic}/{partition}: retention ate records {reached.get(partition, 0)} to {each.first - 1}",
            number=reached.get(partition, 0),
            until=each.first - 1,
        )
        for partition, each in sorted(bounds.items())
        if each.first > reached.get(partition, 0)
    ]


def _opens(connection: Connection, tenant: str, services: Sequence[str] | None, as_of: int | None) -> list[Row]:
    given = {"tenant": tenant, "services": services, "as_of": as_of, "limit": OPENS}
    with translated():
        return connection.execute(query_file("chain_opens.sql"), given, binary=True).fetchall()


def _read(
    connection: Connection, reading: Reading, tenant: str, rows: Sequence[Row], of: Collection[bytes] | None
) -> list[Continuation]:
    """What opening events say that they continue, or which of the chains ``of``. Only those that say so are verified."""
    naming = [row for row in rows if (named := _named(reading.schemas, row[4])) and (of is None or named & set(of))]
    with translated():
        nodes = reading.nodes(connection, tenant, naming)
    return [found for node in nodes for found in _continued(node) if of is None or found.chain_id in of]


def _named(schemas: Schemas, payload: bytes) -> set[bytes]:
    """The chains that an opening event, not verified yet, says that it continues."""
    try:
        return {each["chain_id"] for each in schemas.decode(payload, "chain_open")["continues"]}
    except VerificationError:
        return set()


def _continued(node: Node) -> Iterator[Continuation]:
    for each in node.payload["continues"] if node.effective and node.payload is not None else ():
        yield Continuation(
            each["chain_id"], node.chain_id, node.service, each["key_id"], node.event_id, node.append_time
        )
