"""From imported events to the log: contents first, then sealed batches of one chain a run, which an importer's key signs.

A run that sends nothing opens no chain. One that breaks off leaves its chain open without a promise, which is no finding; what
it did not send, or did not know to be sent, the next import sends.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from ledger.format import ids
from ledger.format.batch import Chain, ChainHead, SealedEvent, seal_events
from ledger.format.codec import Schemas
from ledger.format.content import record_key
from ledger.format.event import EventHeader, encode_header
from ledger.format.hashing import event_digest, event_prefix, payload_digest
from ledger.format.kinds import ChainClose, ChainOpen, Kind, to_avro
from ledger.format.limits import BATCH_BYTES, EVENTS_PER_SEAL
from ledger.importers.draft import Imported, ImportedContent
from ledger.ports import CONTENTS, EVENTS, Clock, Log, Outgoing, Signer, partition_of

EVENTS_HELD: Final = EVENTS_PER_SEAL - 2
BYTES_HELD: Final = BATCH_BYTES - 16 * 1024
CONTENT_BYTES_HELD: Final = 4 * 1024 * 1024
_PER_EVENT: Final = 64
_TIMEOUT: Final = 120.0


class Known(Protocol):
    """Which events are in the log already. What it does not know is sent again, which does no harm."""

    def known(self, events: Sequence[bytes]) -> set[bytes]:
        """Those of these event digests that are in the log."""
        ...

    def remember(self, events: Sequence[bytes]) -> None:
        """These are in the log now. A store that finds them by itself does nothing."""
        ...


class Sink:
    """Takes records and appends them. ``close`` sends what is held and closes the chain; one thread uses it."""

    def __init__(
        self,
        *,
        log: Log,
        signer: Signer,
        clock: Clock,
        schemas: Schemas,
        known: Known,
        ledger: str,
        tenant: str,
        service: str,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._log = log
        self._signer = signer
        self._clock = clock
        self._known = known
        self._timeout = timeout
        self._prefix = event_prefix(ledger, tenant, service)
        self._chain = Chain(ledger, tenant, service, signer.key_id, os.urandom(16))
        self._head = ChainHead()
        self._sealed_at = 0
        self._partitions: dict[str, int] = {}
        self._unsent: Outgoing | None = None
        self._events: dict[bytes, SealedEvent] = {}
        self._contents: dict[bytes, bytes] = {}
        self._bytes = 0
        self._content_bytes = 0
        self.schemas = schemas
        self.tenant = tenant
        self.events_sent = 0
        self.contents_sent = 0

    def add(self, record: Imported) -> Literal["imported", "duplicate"]:
        """Takes what of a record is not in the log yet; a duplicate is one whose every event is. Raises ``BackendError``."""
        if self._unsent is not None:
            self.flush()
        digests = [event_digest(self._prefix, each.header) for each in record.events]
        held = self._known.known(digests)
        new = {
            digest: SealedEvent(event.header, event.salt, event.payload)
            for digest, event in zip(digests, record.events, strict=True)
            if digest not in held and digest not in self._events
        }
        if not new:
            return "duplicate"
        size = sum(len(each.header) + len(each.payload or b"") + _PER_EVENT for each in new.values())
        if len(self._events) + len(new) > EVENTS_HELD or self._bytes + size > BYTES_HELD:
            self.flush()
        self._events.update(new)
        self._bytes += size
        self._hold(record.contents)
        return "imported"

    def flush(self) -> None:
        """Sends what is held; when it returns, the log has it. Raises ``BackendError``, and then keeps it."""
        if not self._events:
            return
        self._send_contents()
        if self._unsent is None:
            self._seal(list(self._events.values()), closes=False)
        self._deliver()
        self._known.remember(list(self._events))
        self.events_sent += len(self._events)
        self._events.clear()
        self._bytes = 0

    def close(self) -> None:
        """Sends what is held, and the end of the chain."""
        self.flush()
        if self._head.seal_number and self._unsent is None:
            count = self._head.first_sequence + 1
            self._seal([self._own(ChainClose(reason="shutdown", event_count=count, lost_count=0))], closes=True)
        self._deliver()

    def _hold(self, contents: Sequence[ImportedContent]) -> None:
        for each in contents:
            if each.digest not in self._contents:
                self._contents[each.digest] = each.value
                self._content_bytes += len(each.value)
        if self._content_bytes > CONTENT_BYTES_HELD:
            self._send_contents()

    def _send_contents(self) -> None:
        """Before the events that refer to them: nobody shall read an event and not find what it says."""
        while self._contents:
            part: dict[bytes, bytes] = {}
            size = 0
            for digest, value in self._contents.items():
                if part and size + len(value) > CONTENT_BYTES_HELD:
                    break
                part[digest] = value
                size += len(value)
            keys = [(record_key(self.tenant, digest), value) for digest, value in part.items()]
            records = [Outgoing(CONTENTS, self._partition(CONTENTS, key), key, value) for key, value in keys]
            self._log.append(records, timeout=self._timeout)
            self.contents_sent += len(part)
            self._content_bytes -= size
            for digest in part:
                del self._contents[digest]

    def _seal(self, events: list[SealedEvent], *, closes: bool) -> None:
        """Seals what is then sent until the log has it: nothing is ever sealed twice under one number."""
        if self._head.seal_number == 0:
            events = [self._own(self._opening()), *events]
        self._sealed_at = max(self._clock.now(), self._sealed_at)
        sealed = seal_events(
            self.schemas,
            self._chain,
            self._head,
            events,
            sealed_at=self._sealed_at,
            next_within=0 if closes else None,
            sign=self._signer.sign,
        )
        key = self._chain.chain_id
        self._unsent = Outgoing(EVENTS, self._partition(EVENTS, key), key, sealed.value)
        self._head = sealed.head

    def _deliver(self) -> None:
        if self._unsent is not None:
            self._log.append([self._unsent], timeout=self._timeout)
            self._unsent = None

    def _opening(self) -> ChainOpen:
        return ChainOpen(
            delivery="strict",
            software="answerable import",
            runtime=f"{platform.python_implementation()} {platform.python_version()}",
            os=f"{platform.system()} {platform.machine()}",
        )

    def _own(self, payload: Kind) -> SealedEvent:
        now, salt = self._clock.now(), os.urandom(16)
        body = self.schemas.encode(payload.KIND, to_avro(payload))
        event_id = ids.uuid7(now, os.urandom(10))
        digest = payload_digest(salt, body)
        header = EventHeader(event_id, payload.KIND, now, None, None, None, None, [], [], [], digest)
        return SealedEvent(encode_header(self.schemas, header), salt, body)

    def _partition(self, topic: str, key: bytes) -> int:
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = self._log.partitions(topic)
        return partition_of(key, count)
