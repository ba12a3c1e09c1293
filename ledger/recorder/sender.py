"""The sender: one thread that seals what lies in the spool, appends it to the log in order, and keeps the chains alive.

Nothing is sent that is not in the spool as it is sent, so that a successor can send the very same bytes again. What fails is
tried again until it is done or the recorder is closed; ``state`` says what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Final

from ledger.errors import SpoolFailed, SpoolFull
from ledger.format.batch import Chain, SealedEvent
from ledger.format.codec import Schemas
from ledger.format.heads import KnownHead
from ledger.format.limits import EVENTS_PER_SEAL
from ledger.ports import CONTENTS, EVENTS, Outgoing
from ledger.recorder.acknowledgements import Acknowledgements
from ledger.recorder.adoption import Left, look_over
from ledger.recorder.chains import Chains, OpenChain, cut
from ledger.recorder.frames import SpooledContent, SpooledEvent, read_entry, sealed_frame
from ledger.recorder.inventory import MEND, damaged
from ledger.recorder.losses import Losses
from ledger.recorder.outlet import GROUP_BYTES, GROUP_ENTRIES, Abandoned, Outlet, groups
from ledger.recorder.spool import Orphan, Spool, adopt
from ledger.recorder.troubles import Troubles, named

BREATH: Final = 0.0001
"""Seconds in which the other threads may have the interpreter, after sealing ``LONG`` events or more."""
LONG: Final = 32


class Sender:
    """Sends for one spool. ``wake``, ``hurry`` and ``stop`` are for other threads."""

    def __init__(
        self,
        *,
        spool: Spool,
        root: Path,
        owner: tuple[str, str],
        outlet: Outlet,
        chains: Chains,
        losses: Losses,
        troubles: Troubles,
        schemas: Schemas,
        linger: float,
    ) -> None:
        self._spool = spool
        self._root = root
        self._owner = owner
        self._outlet = outlet
        self._chains = chains
        self._losses = losses
        self._troubles = troubles
        self._schemas = schemas
        self._linger = linger
        self._cursor = spool.events.cursor()
        self._outbox: list[Outgoing] = []
        self._orphans: list[Orphan] = []
        self._sealed = 0
        self._moved: dict[Chain, OpenChain] = {}
        self.heads: dict[Chain, KnownHead] = {}
        """Where this process's chains stand in the log, as far as it acknowledged them. Replaced, never changed."""
        self._collected = 0
        self._collected_bytes = 0
        self._work = Event()
        self._urgent = Event()
        self.idle = False
        self.finished = False
        """Whether all was sent and every chain closed."""
        self.state = outlet.state
        self.acked = Acknowledgements()
        self.thread = Thread(target=self._run, name="answerable-sender", daemon=True)

    def wake(self) -> None:
        """There is something to send. Called where ``idle`` was seen."""
        self.idle = False
        self._work.set()

    def hurry(self) -> None:
        """Somebody waits for the log: do not linger."""
        self._urgent.set()
        self._work.set()

    def stop(self, deadline: float) -> None:
        """Send all, close the chains and end, by ``deadline`` (``time.monotonic``) at the latest."""
        self._outlet.stop(deadline)
        self.hurry()

    @property
    def waiting(self) -> tuple[int, int]:
        """Events in the spool that the log has not acknowledged, and their bytes with their contents'."""
        spool, state = self._spool, self.state
        return spool.taken_events - state.acked_events, spool.taken_bytes - state.acked_bytes

    def _run(self) -> None:
        try:
            self._outlet.open()
            self._adopt()
            while self._outlet.deadline is None or self._cursor.peek():
                self._round()
            self.state.doing = "closing"
            self._close_chains()
            self.finished = True
            self.state.doing = "ended"
        except Abandoned:
            self.state.doing = "ended"
        except BaseException as error:  # noqa: BLE001 - nobody else would hear of it
            self.state.doing = "failed"
            self.state.error = f"{type(error).__name__}: {error}"
            self._troubles.begins(
                "spool failed", f"the recorder's sender stopped ({named(error)}); restart the service"
            )
            self._spool.fail(
                f"the recorder's sender stopped ({self.state.error}); restart the service: what it recorded is kept"
            )
        finally:
            for orphan in self._orphans:
                orphan.close(delete=False)
            self._outlet.close()
            self.acked.end()

    def _round(self) -> None:
        """Waits for something to send, then sends a group of it."""
        self._await_work()
        contents, events = self._collect()
        self.state.doing = "sending"
        self._seal_all(events)
        self._seal_losses()
        self._seal_heartbeats()
        self._deliver(contents, self._outbox)
        self._outbox = []
        self._acknowledge(contents, events)
        self._troubles.over("log", "the log takes what waits again")
        if self._spool.refusal is None:
            self._troubles.over("spool", "events are taken again")

    def _await_work(self) -> None:
        self.idle = True
        if not self._cursor.peek() and self._outlet.deadline is None:
            self.state.doing = "idle"
            due = min((at for at in (self._chains.next_due(), self._troubles.due) if at is not None), default=None)
            self._work.wait(None if due is None else max(0.0, due - monotonic()))
        self.idle = False
        self._work.clear()
        if self._outlet.deadline is None and self._cursor.peek() and self.waiting[0] < EVENTS_PER_SEAL:
            self._urgent.wait(self._linger)
        self._urgent.clear()

    def _collect(self) -> tuple[list[SpooledContent], list[SpooledEvent]]:
        """The next entries of the spool, up to the bounds of a group."""
        contents: list[SpooledContent] = []
        events: list[SpooledEvent] = []
        room, peek, take = GROUP_BYTES, self._cursor.peek, self._cursor.take
        for _ in range(GROUP_ENTRIES):
            size = peek()
            if not size or (size > room and room < GROUP_BYTES):
                break
            room -= size
            number, body = take()
            entry = read_entry(number, body)
            self._collected = number
            if isinstance(entry, SpooledEvent):
                events.append(entry)
            else:
                contents.append(entry)
        self._collected_bytes = GROUP_BYTES - room
        return contents, events

    def _acknowledge(self, contents: Sequence[SpooledContent], events: Sequence[SpooledEvent]) -> None:
        self._acknowledge_spool()  # first: who is told may need the room
        if contents or events:
            self._spool.waits_from(self._cursor)
            self.state.acked_events += len(events)
            self.state.acked_bytes += self._collected_bytes
            self.acked.advance(self._collected)

    def _acknowledge_spool(self) -> None:
        self._outlet.insist(lambda: self._spool.acknowledge(self._sealed, self._collected))
        if self._moved:
            self.heads = {**self.heads, **{chain: moved.known for chain, moved in self._moved.items()}}
            self._moved = {}

    def _seal_all(self, events: Iterable[SpooledEvent], *, own: bool = True) -> None:
        """Seals events of any tenants. ``own``: they lie in this process's journal, which then knows that they are sealed."""
        tenants: dict[str, list[SpooledEvent]] = {}
        for event in events:
            tenants.setdefault(event.tenant, []).append(event)
        for tenant, of_tenant in tenants.items():
            chain = self._chain(tenant)
            for batch in cut(of_tenant):
                parts = [SealedEvent(event.header, event.salt, event.payload) for event in batch]
                self._seal(chain, parts, batch[-1].number if own else 0)

    def _seal_losses(self) -> None:
        for tenant, loss in self._losses.take():
            chain = self._chain(tenant)
            self._seal(chain, [self._chains.loss(chain, loss)], 0)

    def _seal_heartbeats(self) -> None:
        now = monotonic()
        for chain in [each for each in self._chains.open.values() if each.due <= now]:
            waiting, size = self.waiting
            self._seal(chain, [self._chains.heartbeat(chain, waiting, size, self._spool.oldest_at)], 0)

    def _chain(self, tenant: str) -> OpenChain:
        return self._outlet.insist(lambda: self._chains.of(tenant, self._events_partition))

    def _seal(
        self, chain: OpenChain, events: Sequence[SealedEvent], sealed_until: int, *, closes: bool = False
    ) -> None:
        """Seals, and stores the sealed bytes before anything is sent."""

        def attempt() -> Outgoing:
            sealed, advance = self._chains.seal(chain, events, closes=closes)
            self._sealed = self._spool.put_sealed(sealed_frame(sealed_until, chain.partition, sealed.value))
            advance()
            self._moved[chain.chain] = chain
            return Outgoing(EVENTS, chain.partition, chain.chain.chain_id, sealed.value)

        self._outbox.append(self._outlet.insist(attempt))
        # Not tried again with the seal, which would be made anew under the next number: the heads only save room.
        with suppress(SpoolFull, SpoolFailed):
            self._spool.note_heads(self._chains.noted())
        if len(events) >= LONG:
            sleep(BREATH)

    def _deliver(self, contents: Sequence[SpooledContent], batches: Sequence[Outgoing]) -> None:
        """Contents first: nobody shall read an event and not find what it refers to."""
        self._outlet.append(
            [Outgoing(CONTENTS, self._outlet.partition(CONTENTS, each.key), *each[1:]) for each in contents]
        )
        self._outlet.append(batches)

    def _events_partition(self, chain_id: bytes) -> int:
        return self._outlet.partition(EVENTS, chain_id)

    def _adopt(self) -> None:
        """Sends what dead processes left: contents, sealed bytes as they are, then their unsealed events in new chains. What
        this release cannot read, or nobody, is left as it is, and told.
        """
        self.state.doing = "adopting"
        ledger, service = self._owner
        own = self._spool.directory
        orphans = self._orphans = self._outlet.insist(lambda: adopt(self._root, own, ledger=ledger, service=service))
        left = look_over(self._schemas, orphans)
        for orphan, _ in left.unreadable:
            orphans.remove(orphan)
            orphan.close(delete=False)
        newer = "holds what another release recorded and is left to it"
        unreadable = [(orphan.directory, f"{newer} ({reason})") for orphan, reason in left.unreadable]
        nobodys = [(directory, f"{what}: {MEND}") for directory, what in damaged(self._root)]
        self.state.left = (*unreadable, *nobodys)
        for directory, what in self.state.left:
            self._troubles.tell(f"{directory} {what}")
        self.state.adopting = len(orphans)
        if orphans:
            self._take_over(left)
        while orphans:
            orphans.pop().close(delete=True)
            self.state.adopting -= 1
            self.state.adopted += 1

    def _take_over(self, left: Left) -> None:
        self._chains.continued = {tenant: list(heads) for tenant, heads in left.heads.items()}
        self._send_again(left)
        for tenant in left.heads:
            self._seal(self._chain(tenant), [], 0)
        self._flush_outbox()
        for each in left.spools:
            self._outlet.insist(each.orphan.mark_continued)
        self._seal_left(left)

    def _send_again(self, left: Left) -> None:
        for each in left.spools:
            for contents in groups(each.contents()):
                self._deliver(contents, [])
        for each in left.spools:
            for batches in groups(each.batches()):
                self._outlet.append([Outgoing(EVENTS, one.partition, one.chain_id, one.value) for one in batches])
                self._acknowledge_left(each.orphan, batches[-1].number, each.orphan.acked_events)

    def _seal_left(self, left: Left) -> None:
        for each in left.spools:
            for events in groups(each.unsealed()):
                self._seal_all(events, own=False)
                self._flush_outbox()
                self._acknowledge_left(each.orphan, each.orphan.acked_sealed, events[-1].number)

    def _acknowledge_left(self, orphan: Orphan, sealed: int, events: int) -> None:
        self._outlet.insist(lambda: orphan.acknowledge(sealed, events))

    def _flush_outbox(self) -> None:
        self._outlet.append(self._outbox)
        self._outbox = []
        self._acknowledge_spool()

    def _close_chains(self) -> None:
        self._seal_losses()
        for chain in list(self._chains.open.values()):
            self._seal(chain, [self._chains.close(chain, "shutdown")], 0, closes=True)
        self._flush_outbox()
