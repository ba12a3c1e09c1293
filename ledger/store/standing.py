"""Under which trust and schemas the rows stand: kept in the store, compared in every commit, and grown by judging again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import psycopg

from ledger.errors import BackendError, ConfigurationError
from ledger.format.batch import Chain
from ledger.format.codec import Schemas
from ledger.store import copies
from ledger.store.placement import Placement
from ledger.trust.bundle import TrustBundle, TrustError, prefix_of
from ledger.trust.reasons import CHANGED_BY_SCHEMA, CHANGED_BY_TRUST


def lock(connection: psycopg.Connection, bundle: TrustBundle, *, exclusive: bool) -> None:
    """Holds the standing for the transaction, and raises ``BackendError`` where it is no longer that of ``bundle``.

    Shared by all writers; exclusive for what other writers must not overlap: judging again, and erasures.
    """
    mode = "exclusive" if exclusive else "row share"
    connection.execute(f"lock table trust in {mode} mode".encode())
    row = connection.execute("select number, line from trust order by number desc limit 1").fetchone()
    last = (len(bundle.lines) - 1, bundle.lines[-1]) if bundle.lines else None
    if row != last:
        raise BackendError("the store stands under another trust bundle than this worker's; it has to adopt the newer")


def fell_back(connection: psycopg.Connection, schemas: Schemas, bundle: TrustBundle) -> bool:
    """Whether the store stands under less than ``bundle`` and ``schemas``: it was restored from an older copy."""
    row = connection.execute(
        "select (select count(*) from trust), (select array_agg(frame) from schema_set)"
    ).fetchone()
    assert row is not None  # noqa: S101 - aggregates give a row
    lines, frames = row
    return bool(lines < len(bundle.lines) or set(frames or ()) < schemas.by_frame.keys())


class Growth(NamedTuple):
    """What a worker knows that the store was not judged by: how many lines that has of the bundle, and schemas by frame."""

    lines: int
    known: frozenset[bytes]
    grown: frozenset[bytes]
    longer: bool

    def __bool__(self) -> bool:
        return self.longer or bool(self.grown)


def growth(connection: psycopg.Connection, schemas: Schemas, bundle: TrustBundle) -> Growth:
    """How far ``bundle`` and ``schemas`` go beyond the standing; raises ``TrustError`` where a bundle is shorter or another."""
    lines = [row[0] for row in connection.execute("select line from trust order by number")]
    known = frozenset(row[0] for row in connection.execute("select frame from schema_set"))
    if not bundle.extends(lines):
        what = "is cut short" if tuple(lines)[: len(bundle.lines)] == bundle.lines else "differs"
        raise TrustError(
            f"the trust bundle {what}: the store was judged under {len(lines)} lines of which it does not begin with all;"
            " fetch the newest bundle"
        )
    if not known <= schemas.by_frame.keys():
        raise ConfigurationError("the store was judged with schemas that this release does not know; update the ledger")
    return Growth(len(lines), known, frozenset(schemas.by_frame.keys() - known), len(bundle.lines) > len(lines))


def lock_to_grow(connection: psycopg.Connection, seconds: float) -> None:
    """Keeps all other writers out until the transaction ends.

    It is waited for no longer than ``seconds``, for whoever commits meanwhile queues behind it; then the driver's
    ``LockNotAvailable`` is raised.
    """
    before = connection.execute("select current_setting('lock_timeout')").fetchone()
    assert before is not None  # noqa: S101 - a setting has a row
    connection.execute(f"set local lock_timeout = {seconds * 1000:.0f}".encode())
    connection.execute("lock table trust in exclusive mode")
    connection.execute("select set_config('lock_timeout', %s, true)", before)


def adopt(
    connection: psycopg.Connection,
    schemas: Schemas,
    ledger: str,
    bundle: TrustBundle,
    placement: Callable[[], Placement],
) -> int:
    """Makes ``bundle`` and ``schemas`` the standing and judges again what they can change, also backwards in time.

    Returns how many seals and records were judged again. Under ``lock_to_grow``; raises as ``growth`` does.
    """
    grows = growth(connection, schemas, bundle)
    cursor = connection.cursor()
    new_lines = list(enumerate(bundle.lines))[grows.lines :]
    cursor.executemany("insert into trust values (%s, %s)", new_lines)
    cursor.executemany(
        "insert into schema_set values (%s, %s)",
        [(frame, schemas.by_frame[frame].pair[8:]) for frame in sorted(grows.grown)],
    )
    again = placement()
    count = _judge_trust(connection, ledger, prefix_of(bundle, grows.lines), bundle, again) if new_lines else 0
    count += _judge_schemas(connection, ledger, again) if grows.known and grows.grown else 0
    again.finish()
    return count


def _judge_trust(
    connection: psycopg.Connection, ledger: str, old: TrustBundle, new: TrustBundle, again: Placement
) -> int:
    """Judges again the seals and records of the keys about which the bundle says something new."""
    keys = [key for key in sorted(new.keys) if key not in old.keys or old.keys[key].says != new.keys[key].says]
    count = 0
    for chain_id, chain in _chains(connection, ledger, "key_id = any(%s)", [keys]).items():
        rows = connection.execute(
            "select number, digest, append_time from seals where chain = %s order by number", [chain_id]
        ).fetchall()
        for number, digest, append_time in rows:
            if _effect(old, chain, append_time) != _effect(new, chain, append_time):
                again.reconsider(chain, number, digest)
                count += 1
    changed = sorted(CHANGED_BY_TRUST)
    return count + _place_again(connection, again, "reason = any(%s) and key_id = any(%s)", [changed, keys])


def _judge_schemas(connection: psycopg.Connection, ledger: str, again: Placement) -> int:
    """Judges again what a schema was missing for: whole records, and seals that hold a payload of an unknown kind."""
    count = _place_again(connection, again, "reason = any(%s)", [sorted(CHANGED_BY_SCHEMA)])
    rows = connection.execute(
        "select distinct s.chain, s.number, s.digest from findings f cross join lateral"
        " (select chain, number, digest from seals where chain = f.chain and number = f.number offset 0) s"
        " where f.name = 'schema_unknown'"
    ).fetchall()
    named = _chains(connection, ledger, "id = any(%s)", [sorted({row[0] for row in rows})])
    for chain_id, number, digest in rows:
        again.reconsider(named[chain_id], number, digest)
    return count + len(rows)


def _chains(connection: psycopg.Connection, ledger: str, condition: str, values: list[object]) -> dict[int, Chain]:
    query = (
        "select c.id, t.name, s.name, c.key_id, c.chain_id from chains c"  # noqa: S608 - constants
        f" join names t on t.id = c.tenant join names s on s.id = c.service where c.{condition} order by c.id"
    )
    return {row[0]: Chain(ledger, *row[1:]) for row in connection.execute(query.encode(), values)}


def _effect(bundle: TrustBundle, chain: Chain, append_time: int) -> object:
    """What the bundle makes of a seal of ``chain`` at a time, in a form that compares."""
    authority = bundle.authority(chain.key_id, chain.tenant, chain.service, append_time)
    if isinstance(authority, str):
        return authority
    return authority.role, frozenset(kind for grant in authority.kinds for kind in grant.kinds)


def _place_again(connection: psycopg.Connection, again: Placement, condition: str, values: list[object]) -> int:
    ids = copies.refused_ids(connection, condition, values)
    for row in ids:
        if (refused := copies.take(connection, row)) is not None:
            again.place(refused)
    return len(ids)
