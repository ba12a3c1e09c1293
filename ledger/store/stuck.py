"""Workers' sessions that keep others waiting for a lock, and the end of those whose client has stopped.

A worker that is stopped, or whose network lets nothing through, leaves a transaction open with all its locks. Where that was in
the middle of a COPY no time-out of Postgres ends it: a server that reads the rest of a COPY heeds nothing but its termination,
neither ``statement_timeout`` nor ``transaction_timeout`` (ADR 12). So whoever waits looks who holds what it waits for, and ends
sessions of workers whose client has said nothing for long. It loses nothing: what was not committed is in the log.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from ledger.store.connect import WORKER

_LOOK_SECONDS: Final = 1.0
"""Between the two looks that must agree: a COPY that moved on is slow, and not stuck."""
_TOLD: Final = 3
_HOLDERS: Final = """
select a.pid, a.backend_start, a.usename, a.application_name, a.state, a.wait_event_type = 'Client', a.state_change,
       extract(epoch from clock_timestamp() - a.state_change)::float8, c.bytes_processed, pg_has_role(a.usesysid, 'usage')
  from pg_stat_activity a left join pg_stat_progress_copy c on c.pid = a.pid
 where a.datname = current_database() and a.pid <> pg_backend_pid() and exists (
       select from pg_locks l join pg_class r on r.oid = l.relation
        where l.pid = a.pid and l.granted and l.mode <> 'AccessShareLock'
          and r.relnamespace = (select relnamespace from pg_class where oid = 'trust'::regclass))
 order by a.xact_start, a.pid"""
_END: Final = "select pg_terminate_backend(pid) from pg_stat_activity where pid = %s and backend_start = %s"


class Holder(NamedTuple):
    """A session that holds a lock on one of the ledger's tables. What another role's session does is not shown to us: None."""

    pid: int
    began: datetime | None
    role: str
    application: str
    state: str | None
    on_client: bool | None
    changed: datetime | None
    seconds: float | None
    copied: int | None
    ours: bool

    def stuck(self, seconds: float) -> bool:
        """Whether it is a worker's that has waited for its client, within a transaction, for longer than ``seconds``."""
        if not (self.ours and self.application == WORKER and self.seconds is not None and self.state is not None):
            return False
        idle = self.state.startswith("idle in transaction")
        return self.seconds > seconds and (idle or (self.state == "active" and self.on_client is True))

    @property
    def mark(self) -> tuple[object, ...]:
        """What is another as soon as it moves on."""
        return self.pid, self.changed, self.copied

    def told(self) -> str:
        """It in words."""
        if self.state is None or self.seconds is None:
            return f"process {self.pid} of role {self.role}, which is not ours to see or to end"
        does = "waiting for its client" if self.state == "active" and self.on_client else self.state
        return f"process {self.pid} of role {self.role}, {does} for {self.seconds:.0f} s"


def holders(connection: psycopg.Connection[Any]) -> list[Holder]:
    """The other sessions that hold a lock stronger than a reader's on a table of the ledger, the longest transaction first."""
    return [Holder(*row) for row in connection.execute(_HOLDERS).fetchall()]


def seen_stuck(connection: psycopg.Connection[Any], seconds: float) -> list[Holder]:
    """The workers' sessions that wait for their client since more than ``seconds``, and did not move on while we looked twice."""
    suspects = {each.mark for each in holders(connection) if each.stuck(seconds)}
    if not suspects:
        return []
    time.sleep(min(_LOOK_SECONDS, seconds))
    return [each for each in holders(connection) if each.stuck(seconds) and each.mark in suspects]


def end_stuck(connection: psycopg.Connection[Any], seconds: float) -> str:
    """Ends the workers' sessions that wait for their client since more than ``seconds``; returns whom one waits for, in words.

    For whoever had to wait for a lock, by a connection that waits for none.
    """
    if ended := seen_stuck(connection, seconds):
        for each in ended:
            connection.execute(_END, [each.pid, each.began])
        return f"the store's locks were held by {_list(ended)}: a worker that had stopped; its session was ended"
    if found := holders(connection):
        return f"the store's locks are held by {_list(found)}; they are waited for"
    return "a lock of the store was not free in time"


def _list(found: list[Holder]) -> str:
    more = f", and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return "; ".join(each.told() for each in found[:_TOLD]) + more
