"""The loop of a worker: poll, prepare while the previous flush is committed, stop clean, set aside what kills it.

Where to go on is the store's to say. What the log has lost, or was made anew, is a finding and a stop: a person decides, and
starts the worker again with ``accept``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Final, Generic

import structlog

from consumers.health import SLOW_SECONDS, Health
from consumers.running import DECIDED, insist
from ledger.errors import BackendError, ConfigurationError, PositionLost, told
from ledger.ports import Bounds, Clock, Log, Position, Prepared, Projection, Record, Subscription, Tally, is_still_there
from ledger.trust.bundle import TrustError

NOT_OF_A_RECORD: Final = (BackendError, ConfigurationError, TrustError)
"""What fails for whichever record is at hand."""
ATTEMPTS: Final = 2
"""A record that ended this many attempts is set aside."""
TOLD: Final = 20
"""Refused records of one commit that are logged one by one: a forger must not fill the disk of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a worker goes: records a poll, bytes a commit (decoded they take ten times as much), seconds between other duties."""

    poll_records: int = 128
    flush_bytes: int = 2 << 20
    poll_seconds: float = 0.5
    tend_seconds: float = 2.0
    retry_seconds: float = 1.0


class Worker(Generic[Prepared]):
    """Reads one topic in a group and commits it through a projection. ``tend`` is called between flushes, now and then."""

    def __init__(
        self,
        *,
        topic: str,
        group: str,
        log: Log,
        projection: Projection[Prepared],
        clock: Clock,
        health: Health,
        tend: Callable[[], object] = lambda: None,
        pace: Pace | None = None,
        accept: bool = False,
    ) -> None:
        self.health = health
        self._topic, self._group = topic, group
        self._log, self._projection, self._clock = log, projection, clock
        self._tend, self._pace, self._accept = tend, pace or Pace(), accept
        self._ends: dict[int, tuple[int, int]] = {}
        self._suspects: dict[int, int] = {}
        self._excused: Counter[tuple[int, int]] = Counter()
        self._tended = 0.0
        self._say = structlog.get_logger(worker=group, topic=topic)

    def run(self, stop: Event) -> None:
        """Works until ``stop`` is set; what was begun is committed first. Whatever fails is tried again, and told meanwhile.

        Raises ``PositionLost`` where a person must decide, and ``ConfigurationError`` or ``TrustError`` where one must act.
        """
        insist(lambda: self._serve(stop), self.health, stop, self._say, self._pace.retry_seconds)
        self.health.state("stopped")

    def _serve(self, stop: Event) -> None:
        self._ends.clear()
        self.health.turn()
        self._projection.reach()
        self._see_to_duties()
        with closing(self._log.subscribe(self._topic, self._group, self._assigned)) as subscription:
            try:
                self._work(subscription, stop)
            finally:
                self._release()

    def _work(self, subscription: Subscription, stop: Event) -> None:
        with ThreadPoolExecutor(1) as committer:
            pending: Future[Tally] | None = None
            try:
                while not stop.is_set():
                    self._turn()
                    records = self._poll(subscription, 0.0 if pending else self._pace.poll_seconds)
                    for flush in cuts(records, self._pace.flush_bytes):
                        pending = self._pass_on(flush, pending, committer)
                    if not records or time.monotonic() > self._tended + self._pace.tend_seconds:
                        self._done(pending)
                        pending = None
                        self._look_around(subscription)
            finally:
                self._done(pending)

    def _turn(self) -> None:
        if (seconds := self.health.turn()) > SLOW_SECONDS:
            self._say.warning("a step took long", seconds=round(seconds, 1))

    def _pass_on(
        self, flush: Sequence[Record], pending: Future[Tally] | None, committer: ThreadPoolExecutor
    ) -> Future[Tally] | None:
        """Prepares a flush while the one before is committed, and gives it to the committer."""
        if any(record.offset < self._suspects.get(record.partition, 0) for record in flush):
            self._done(pending)
            self._one_by_one(flush)
            return None
        failure: Exception | None = None
        try:
            prepared = self._projection.prepare(flush)
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a record provokes must not stop the stream
            failure = error
        self._done(pending)
        if failure is not None:
            self._suspect(flush)
            raise BackendError(
                f"a flush could not be prepared ({_kind(failure)}); its records are taken one by one"
            ) from failure
        return committer.submit(self._commit, prepared, flush)

    def _commit(self, prepared: Prepared, flush: Sequence[Record]) -> Tally:
        """Commits a flush. What fails of itself, and not for the store's sake, is taken record by record the next time."""
        try:
            return self._projection.commit(prepared)
        except NOT_OF_A_RECORD:
            raise
        except Exception as error:
            self._suspect(flush)
            raise BackendError(f"a flush failed ({_kind(error)}); its records are taken one by one") from error

    def _one_by_one(self, records: Sequence[Record]) -> None:
        """Counts an attempt before each record: one that ended ``ATTEMPTS`` of them is set aside."""
        for record in records:
            self._turn()
            attempts = self._projection.attempt(record) - self._excused[record.partition, record.offset]
            if attempts > ATTEMPTS:
                self._set_aside(record, "the process ended while this record was worked on")
                continue
            try:
                tally = self._projection.commit(self._projection.prepare([record]))
            except NOT_OF_A_RECORD:
                self._excuse(record)
                raise
            except Exception as error:
                if attempts < ATTEMPTS:
                    raise BackendError(f"record {record.partition}/{record.offset} failed ({_kind(error)})") from error
                self._set_aside(record, f"{type(error).__name__}: {error}")
                continue
            self._projection.attempted(record)
            self._excused.pop((record.partition, record.offset), None)
            self.health.done(tally, self._clock.now())
            self._ends[record.partition] = (record.offset + 1, record.append_time)

    def _excuse(self, record: Record) -> None:
        """The attempt failed, and not by the record: it is taken back, here where the store cannot be told."""
        try:
            self._projection.attempted(record)
        except NOT_OF_A_RECORD:
            self._excused[record.partition, record.offset] += 1

    def _set_aside(self, record: Record, detail: str) -> None:
        # The whole detail is kept with the record: an error may repeat what a record says, and a log must not.
        kind = detail.partition(":")[0]
        self._say.error("record set aside", partition=record.partition, offset=record.offset, error=kind)
        self._projection.set_aside(record, detail)
        self.health.quarantine()
        self._ends[record.partition] = (record.offset + 1, record.append_time)

    def _suspect(self, flush: Sequence[Record]) -> None:
        for record in flush:
            self._suspects[record.partition] = max(self._suspects.get(record.partition, 0), record.offset + 1)

    def _done(self, pending: Future[Tally] | None) -> None:
        if pending is not None:
            self._count(pending.result())
            self._works()

    def _count(self, tally: Tally) -> None:
        """Counts a commit, and says what was wrong in it: where, of which chain and seal, and never what it says."""
        self.health.done(tally, self._clock.now())
        for each in tally.refused[:TOLD]:
            chain = each.chain_id.hex() if each.chain_id is not None else None
            self._say.warning(
                "record refused",
                reason=each.reason,
                partition=each.partition,
                offset=each.offset,
                service=each.service,
                chain=chain,
                seal=each.seal,
            )
        if len(tally.refused) > TOLD:
            self._say.warning("more records refused", records=len(tally.refused) - TOLD)
        for found in tally.opened[:TOLD]:
            self._say.warning(
                "finding opened",
                finding=found.name,
                partition=found.partition,
                offset=found.offset,
                service=found.service,
                chain=found.chain_id.hex() if found.chain_id is not None else None,
                seal=found.seal,
            )
        if more := Counter(found.name for found in tally.opened[TOLD:]):
            self._say.warning("more findings opened", **more)

    def _works(self) -> None:
        if self.health.snapshot.state != "running":
            self._say.info("running", partitions=self.health.snapshot.partitions)
            self.health.state("running")

    def _poll(self, subscription: Subscription, timeout: float) -> list[Record]:
        records = subscription.poll(self._pace.poll_records, timeout)
        for record in records:
            self._ends[record.partition] = (record.offset + 1, record.append_time)
        return records

    def _look_around(self, subscription: Subscription) -> None:
        """Other duties, and how far behind this worker is with the partitions that are still its own.

        A worker that has nothing to commit, or no partition, asks the store for its presence: else it would say that all is
        well for as long.
        """
        self._projection.reach()
        self._see_to_duties()
        held = subscription.assignment()
        self._ends = {partition: end for partition, end in self._ends.items() if partition in held}
        self._tended = time.monotonic()
        bounds = self._log.bounds(self._topic)
        behind = {
            partition: bounds[partition].end - end for partition, (end, _) in self._ends.items() if partition in bounds
        }
        oldest = min((at for partition, (_, at) in self._ends.items() if behind.get(partition) and at), default=None)
        seconds = 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1e6)
        self.health.lag(sum(behind.values()), seconds)
        self.health.holds(self._ends)
        self._works()

    def _see_to_duties(self) -> None:
        """What fails of them is told and tried again with the next turn: the stream does not wait for it."""
        try:
            self._tend()
        except DECIDED:
            raise
        except Exception as error:  # noqa: BLE001 - a statement of one publisher must not stop all others'
            if self.health.snapshot.duties != (reason := told(error)):
                self._say.warning("a duty failed", error=reason)
            self.health.duties(reason)
        else:
            self.health.duties("")

    def _release(self) -> None:
        try:
            self._projection.release(self._topic, sorted(self._ends))
        except (BackendError, ConfigurationError) as error:
            self._say.info("positions are left to their time-out", error=str(error))

    def _assigned(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Claims partitions and says where to read them from; called by the log inside ``poll``."""
        identity = self._log.identity(self._topic)
        claimed = self._projection.claim(self._topic, identity, partitions)
        bounds = self._log.bounds(self._topic)
        starts = {}
        for partition, position in claimed.items():
            starts[partition] = self._start(partition, position, identity, bounds.get(partition, Bounds(0, 0)))
            if position.unclean:
                self._suspects[partition] = starts[partition] + self._pace.poll_records
            self._ends[partition] = (starts[partition], 0)
        self.health.holds(self._ends)
        return starts

    def _start(self, partition: int, position: Position, identity: str, bounds: Bounds) -> int:
        """The offset to read from; raises ``PositionLost`` where the log is not the one that was read before."""
        fault, first = self._fault(partition, position, identity, bounds)
        if fault is None:
            return position.next_offset
        self._projection.lost(self._topic, partition, position.next_offset, max(first - 1, position.next_offset), fault)
        if not self._accept:
            raise PositionLost(
                f"{self._topic}/{partition}: {fault}; restore the log or its archive, or accept the loss and go on at {first}"
                " with --accept-loss",
                topic=self._topic,
                partition=partition,
            )
        self._projection.reset(self._topic, partition, identity, first)
        return first

    def _fault(self, partition: int, position: Position, identity: str, bounds: Bounds) -> tuple[str | None, int]:
        """What is wrong with the position, in words, and where one could go on."""
        offset = position.next_offset
        if position.identity != identity and offset > 0:
            return "the topic was made anew", bounds.first
        if offset < bounds.first:
            return f"retention ate records {offset} to {bounds.first - 1}", bounds.first
        if offset > bounds.end:
            return f"the log ends at {bounds.end}, before position {offset}", bounds.end
        digest = position.last_digest
        if (
            digest is None
            or offset <= bounds.first
            or is_still_there(self._log, self._topic, partition, offset - 1, digest)
        ):
            return None, offset
        return f"record {offset - 1} is not the one that was read", bounds.first


def _kind(error: BaseException) -> str:
    """What an error that a record provoked is called; its text may repeat what the record says."""
    return type(error).__name__


def cuts(records: Sequence[Record], size: int) -> Iterator[list[Record]]:
    """``records`` in order, in parts of at most ``size`` bytes, or one record."""
    part: list[Record] = []
    total = 0
    for record in records:
        total += len(record.value or b"")
        if part and total > size:
            yield part
            part, total = [], len(record.value or b"")
        part.append(record)
    if part:
        yield part
