"""What changed since the sentinel last looked, and which judgements that makes stale: queued, and never forgotten.

It reads committed rows behind the materializers' positions. What it decodes here are hints, which tell where to look again;
judgements are made of what verifies (``ledger.store.judging``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import psycopg

from ledger.attribution.joins import JOINED, idempotency_name, key_of, names_of, statement_names
from ledger.attribution.judgement import KINDS
from ledger.attribution.naming import keys_of_agent
from ledger.errors import BackendError, VerificationError
from ledger.format.codec import Schemas, SchemaUnknown
from ledger.format.event import AUTHORIZED_BY, COMPENSATES, SAME, EventHeader
from ledger.ports import CONTENTS, EVENTS
from ledger.store.arrays import of_plain
from ledger.store.connect import unflushed
from ledger.store.criteria import all_again
from ledger.store.decoded import Decoder
from ledger.store.stale import (
    ACCOUNTS,
    APPROVALS,
    AWAITED,
    BELOW,
    ERASED,
    JUDGE,
    KNOWN_AS,
    NAMING,
    OF_AGENTS,
    OF_APPROVERS,
    OF_RUNS,
)
from ledger.trust.bundle import TrustBundle, prefix_of

Connection = psycopg.Connection[Any]

SEALS: Final = 40
"""Seals that one sweep takes: up to 10,240 events."""
PASS: Final = 5_000
"""Stale events whose dependents one sweep looks for."""


class Swept(NamedTuple):
    """What one sweep did: events met, and whether there is more to do. ``busy``: nothing was done, for another is at it."""

    events: int
    more: bool
    busy: bool = False


class NotReady(BackendError):
    """The store does not stand under this sentinel's bundle or schemas (yet)."""


def sweep(connection: Connection, schemas: Schemas, bundle: TrustBundle, decoder: Decoder | None = None) -> Swept:
    """One step, in a transaction; nothing is done where another sentinel is at it."""
    decoder = decoder or Decoder(schemas)
    with unflushed(connection):
        row = connection.execute(
            "select wave, lines, schemas, contents from sentinel for update skip locked"
        ).fetchone()
        if row is None:
            return Swept(0, more=False, busy=True)
        wave, lines, known, contents = row[0] + 1, row[1], row[2], row[3]
        connection.execute("update sentinel set wave = %s", [wave])
        _stand(connection, decoder, bundle, wave, lines, known)
        _people(connection, wave, contents)
        events, full = _new(connection, decoder, wave)
        _payloads(connection, wave)
        passed = _pass_on(connection, decoder)
    return Swept(events, more=full or passed)


def _stand(connection: Connection, decoder: Decoder, bundle: TrustBundle, wave: int, lines: int, known: bytes) -> None:
    """Follows trust and schemas: what they can change is stale."""
    stored = [row[0] for row in connection.execute("select line from trust order by number")]
    if list(bundle.lines) != stored:
        raise NotReady(
            "the store stands under another trust bundle than this sentinel's; it waits for the materializer"
        )
    rows = connection.execute("select frame, file_digest from schema_set order by frame").fetchall()
    schemas = sha256(b"".join(frame + digest for frame, digest in rows)).digest()
    if schemas != known:
        if known:  # what could not be read before, and records admitted since, may be anywhere
            connection.execute("delete from sentinel_positions")
        connection.execute("update sentinel set schemas = %s", [schemas])
    if len(stored) != lines:
        if len(stored) < lines:
            raise NotReady("the store stands under fewer trust statements than this sentinel judged by")
        old = prefix_of(bundle, lines)
        keys = [key for key in bundle.keys if key not in old.keys or old.keys[key].says != bundle.keys[key].says]
        _of_keys(connection, decoder, wave, keys)
        if old.keys.keys() & set(keys):  # what they said may be refused by now, and gone
            all_again(connection)
        connection.execute("update sentinel set lines = %s", [len(stored)])


def _of_keys(connection: Connection, decoder: Decoder, wave: int, keys: Collection[str]) -> None:
    """What keys said, where it was swept before, is as if it were new: it may not have been there, or had no effect. What has not
    been swept yet comes by itself."""
    seals = [row[0] for row in connection.execute(_OF_KEYS, {"keys": list(keys)})]
    for start in range(0, len(seals), SEALS):
        given = {"seals": seals[start : start + SEALS]}
        _queue(connection, decoder, wave, connection.execute(_EVENTS, given, binary=True).fetchall())


_OF_KEYS: Final = """
select s.id
  from chains c cross join lateral (select id, partition, log_offset from seals where chain = c.id offset 0) s
  join sentinel_positions m on m.partition = s.partition and s.log_offset < m.next_offset
 where c.key_id = any(%(keys)s) order by s.id"""


def _people(connection: Connection, wave: int, contents: int) -> None:
    """The names that came since."""
    row = connection.execute(
        "select coalesce(sum(next_offset), 0) from positions where topic = %s", [CONTENTS]
    ).fetchone()
    now = int(row[0]) if row else 0
    if now != contents:
        connection.execute(AWAITED, {"wave": wave})
        connection.execute("update sentinel set contents = %s", [now])


def _payloads(connection: Connection, wave: int) -> None:
    """The payloads that were taken away since their erasure was met, and all else under their seals: some may have been
    refused until then. Digests of events are not indexed: one scan serves all."""
    gone = connection.execute(
        "delete from sentinel_erasures w where not exists (select from erasures x where x.tenant = w.tenant"
        " and x.digest = w.digest and x.is_event and not x.swept) returning w.tenant, w.digest, w.since"
    ).fetchall()
    if gone:
        given = {"digests": [digest for _, digest, _ in gone], "since": min(row[2] for row in gone), "wave": wave}
        connection.execute(ERASED, given)
        all_again(connection)


_SEALS: Final = """
select s.id, p.partition, s.log_offset
  from (select partition, identity, next_offset from positions where topic = %(topic)s) p
  left join sentinel_positions m on m.partition = p.partition and m.identity = p.identity and m.next_offset <= p.next_offset
 cross join lateral (
           select s.id, s.log_offset, max(s.append_time) over (order by s.log_offset) as came
             from (select id, log_offset, append_time from seals s
                    where s.partition = p.partition and s.log_offset >= coalesce(m.next_offset, 0)
                      and s.log_offset < p.next_offset
                    order by s.log_offset limit %(limit)s) s
       ) s
 order by s.came, s.log_offset, p.partition limit %(limit)s"""
_REACHED: Final = """
insert into sentinel_positions as m (partition, identity, next_offset)
select %(partition)s, p.identity, coalesce(%(until)s, p.next_offset)
  from positions p where p.topic = %(topic)s and p.partition = %(partition)s
on conflict (partition) do update set identity = excluded.identity, next_offset = excluded.next_offset"""
_EVENTS: Final = """
select e.event_id, e.tenant, t.name, e.header, e.payload, e.follows, s.append_time
  from seals s
 cross join lateral (
           select event_id, tenant, header, payload, follows, effective from events where seal = s.id
        union all
           select e.event_id, e.tenant, e.header, e.payload, e.follows, e.effective
             from sightings g
            cross join lateral (select * from events where event_id = g.event_id and digest = g.digest offset 0) e
            where g.seal = s.id
           offset 0
       ) e
  join names t on t.id = e.tenant
 where s.id = any(%(seals)s)"""


def _new(connection: Connection, decoder: Decoder, wave: int) -> tuple[int, bool]:
    """The next seals behind the positions; how many events they hold, and whether there may be more."""
    positions = connection.execute("select partition, next_offset from positions where topic = %s", [EVENTS]).fetchall()
    seals = connection.execute(_SEALS, {"topic": EVENTS, "limit": SEALS}).fetchall()
    rows = connection.execute(_EVENTS, {"seals": [seal for seal, *_ in seals]}, binary=True).fetchall() if seals else []
    _queue(connection, decoder, wave, rows)
    full = len(seals) >= SEALS
    reached = {partition: offset + 1 for _, partition, offset in seals}  # in order of offsets within a partition
    for partition, end in positions:
        until = reached.get(partition) if full else max(end, reached.get(partition, 0))
        if until is not None:
            connection.execute(_REACHED, {"partition": partition, "topic": EVENTS, "until": until})
    return len(rows), full


class _Hints:
    """What new events tell about others, collected for a few statements."""

    def __init__(self) -> None:
        self.judged: list[tuple[str, int, int]] = []
        self.all: set[tuple[bytes, int]] = set()
        self.since = 0
        self.answers: dict[int, int] = {}
        self.looks: list[str] = []
        """Lines for a copy: a key and an id in hex need no quotes."""
        self.agents: dict[str, int] = {}
        self.runs: dict[str, int] = {}
        self.erased: list[tuple[int, bytes, int]] = []
        self.accounts: dict[str, int] = {}
        self.relied: dict[str, int] = {}
        self.naming: dict[int, int] = {}
        """Keys of whom events name, in which something changed about these."""

    def look(self, tenant: str, event_id: str, *names: str) -> None:
        """An event looks for whatever answers to names."""
        self.looks += [f"{key_of(tenant, name)}\t{event_id}\n" for name in names]


def _queue(connection: Connection, decoder: Decoder, wave: int, rows: Sequence[Sequence[Any]]) -> None:
    hints = _Hints()
    for row in rows:
        _read(hints, decoder, row)
    if not hints.all:
        return
    hints.since = min(row[6] for row in rows)
    cursor = connection.cursor()
    with cursor.copy("copy sentinel_looks (key, event_id) from stdin") as copy:
        copy.write("".join(hints.looks))
    if hints.erased:
        cursor.executemany("insert into sentinel_erasures values (%s, %s, %s) on conflict do nothing", hints.erased)
    ids, tenants, sinces = zip(*hints.judged, strict=True) if hints.judged else ((), (), ())
    connection.execute(
        JUDGE, {"ids": of_plain(ids), "tenants": of_plain(tenants), "sinces": of_plain(sinces), "wave": wave}
    )
    new = [event_id.hex() for event_id, _ in hints.all]
    _below(connection, wave, new, hints.answers, hints.since)
    if hints.accounts:
        given = {"ids": of_plain(hints.accounts), "since": hints.since, "wave": wave}
        connection.execute(ACCOUNTS, given)
    if earlier := hints.relied.keys() - set(new):
        since = min(hints.relied[each] for each in earlier)
        connection.execute(APPROVALS, {"ids": list(earlier), "since": since, "wave": wave})
    if hints.agents:
        given = {"names": list(hints.agents), "since": min(hints.agents.values()), "wave": wave}
        connection.execute(OF_AGENTS, given)
        _of_approvers(connection, wave, hints.agents)
    if hints.runs:
        given = {"runs": list(hints.runs), "since": min(hints.runs.values()), "wave": wave}
        connection.execute(OF_RUNS, given)
    if hints.naming:
        given = {"keys": of_plain(hints.naming), "since": min(hints.naming.values()), "wave": wave}
        connection.execute(NAMING, given)


def _of_approvers(connection: Connection, wave: int, agents: dict[str, int]) -> None:
    """The approvals of whoever is known by the name of an agent; what relied on them is below."""
    known = sorted({key for agent in agents for key in keys_of_agent(agent)})
    people = connection.execute(KNOWN_AS, [known]).fetchall()
    if keys := [key_of(tenant, f"principal:{digest.hex()}") for tenant, digest in people]:
        given = {"keys": of_plain(keys), "since": min(agents.values()), "wave": wave}
        connection.execute(OF_APPROVERS, given)


def _read(hints: _Hints, decoder: Decoder, row: Sequence[Any]) -> None:
    """One event; one that cannot be read tells nothing, and is judged by what verifies."""
    event_id, tenant, name, data, payload, follows, since = row
    id_ = event_id.hex
    hints.all.add((event_id.bytes, tenant))
    hints.looks += [f"{key}\t{id_}\n" for key in follows or ()]
    read = _decoded(decoder, data, payload)
    if read is None:
        return
    header, said = read
    if header.kind in KINDS:
        hints.judged.append((id_, tenant, since))
    hints.accounts |= dict.fromkeys(_accounts(header), since)
    hints.relied |= dict.fromkeys(_relied(header), since)
    for key in _looked_for(name, header, said):
        hints.answers[key] = min(since, hints.answers.get(key, since))
    if said is None:
        return
    if header.kind in _STATEMENTS:
        hints.look(name, id_, *statement_names(header.kind, said))
    if header.kind == "oversight":
        hints.look(name, id_, f"oversight_use:{said['oversight_id']}")
        if said["binding"] == "reference":
            hints.look(name, id_, f"action:{said['reference']}")
        if said["action"] == "stop" and header.execution_id is not None:
            hints.runs.setdefault(header.execution_id.hex(), since)
    elif header.kind == "api_action" and said["idempotency_key"] is not None:
        hints.look(name, id_, idempotency_name(said["target_system"], said["idempotency_key"]))
    elif header.kind == "execution_control" and header.execution_id is not None:
        hints.runs.setdefault(header.execution_id.hex(), since)
    elif header.kind == "trigger_registration":
        hints.look(name, id_, f"trigger:{said['trigger_id']}")
    elif header.kind == "agent_registration":
        registered = (said["agent_id"], *said["client_ids"])
        hints.agents |= dict.fromkeys(registered, since)
        acting = (named for each in registered for named in (f"named:{each}", f"named:#{each}"))
        hints.naming |= {key_of(name, each): since for each in acting}
    elif header.kind == "content_erasure":
        hints.erased += [(tenant, digest, since) for digest in said["events"]]
        hints.naming |= {key_of(name, f"principal:{digest.hex()}"): since for digest in said["contents"]}


_PASSING: Final = """
with taken as (
    select ctid from sentinel_stale
     where not passed and wave = (select min(wave) from sentinel_stale where not passed) limit %(limit)s
)
update sentinel_stale set passed = true where ctid = any(array(select ctid from taken)) returning event_id, tenant, wave, since"""
_FOUND: Final = """
select e.event_id, e.tenant, t.name, e.header, e.payload
  from unnest(%(ids)s::uuid[], %(tenants)s::int[]) w (event_id, tenant)
 cross join lateral (
           select event_id, tenant, header, payload from events where event_id = w.event_id and tenant = w.tenant offset 0) e
  join names t on t.id = e.tenant"""


def _pass_on(connection: Connection, decoder: Decoder) -> bool:
    """Queues what is below the stale events of the oldest wave, so many at a time; whether it had any.

    What is below belongs to the same wave: that is how a wave ends, whatever circles there are among joins.
    """
    rows = connection.execute(_PASSING, {"limit": PASS}).fetchall()
    if not rows:
        return False
    since = min(row[3] for row in rows)
    ids = [row[0].hex for row in rows]
    given = {"ids": of_plain(ids), "tenants": of_plain([row[1] for row in rows])}
    answers: dict[int, int] = {}
    accounts: set[str] = set()
    relied: set[str] = set()
    for _, _, name, header, payload in connection.execute(_FOUND, given, binary=True):
        read = _decoded(decoder, header, payload)
        if read is not None:
            answers |= dict.fromkeys(_looked_for(name, *read), since)
            accounts.update(_accounts(read[0]))
            relied.update(_relied(read[0]))
    _below(connection, rows[0][2], ids, answers, since)
    if accounts := accounts.difference(ids):
        connection.execute(ACCOUNTS, {"ids": of_plain(accounts), "since": since, "wave": rows[0][2]})
    if relied := relied.difference(ids):
        connection.execute(APPROVALS, {"ids": list(relied), "since": since, "wave": rows[0][2]})
    return True


def _accounts(header: EventHeader) -> list[str]:
    """Which events an action says that it is an account of: they are answered with it. And which it took back: those may be done
    again."""
    if header.kind != "api_action":
        return []
    return [cause.event_id.hex() for cause in header.causes if cause.relation in SAME or cause.relation == COMPENSATES]


def _relied(header: EventHeader) -> list[str]:
    """What an action cites as its authority: of an approval it is a use, or tells what came of one."""
    if header.kind != "api_action":
        return []
    return [cause.event_id.hex() for cause in header.causes if cause.relation == AUTHORIZED_BY]


def _below(connection: Connection, wave: int, ids: Collection[str], answers: dict[int, int], since: int) -> None:
    """What looks for the names that events answer to, and what states them as its causes."""
    keys, sinces = of_plain(answers), of_plain(answers.values())
    given = {"ids": of_plain(ids), "keys": keys, "sinces": sinces, "since": since, "wave": wave}
    connection.execute(BELOW, given)


def _decoded(decoder: Decoder, data: bytes, payload: bytes | None) -> tuple[EventHeader, Any] | None:
    """Header and payload; None of what cannot be read: it tells nothing, and is judged by what verifies."""
    try:
        header = decoder.header(data)
    except VerificationError:
        return None
    try:
        return header, None if payload is None else decoder.payload(payload, header.kind)
    except (VerificationError, SchemaUnknown):
        return header, None


_STATEMENTS: Final = frozenset({"policy_decision", "oversight", "grant"})
"""Kinds of which another statement of the same id changes what is above whoever cites one; a token follows its own names."""
_FOR_FINDING: Final = ("principal:", "resource:", "token_use:", "grant_use:", "txn:", "agent:", "run_state:")
"""Names that nothing looks for, or whose followers are found by columns: of an agent, of a run."""
_FOLLOWED: Final = ("correlation:span:", *(f"correlation:{each}:" for each in sorted(JOINED)))


def _looked_for(tenant: str, header: EventHeader, payload: Any) -> Iterator[int]:
    """The keys that an event answers to and that others may look for when they are judged."""
    for name in names_of(header, payload)[0]:
        if name.startswith(_FOLLOWED) or not name.startswith(("correlation:", *_FOR_FINDING)):
            yield key_of(tenant, name)
