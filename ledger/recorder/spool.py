"""The spool: where events lie from ``record()`` until the log has them. One process, one directory, one lock.

A directory holds the lock, ``owner.json`` (for whom it records), the journal of events and contents, the journal of sealed
batches, and ``acked`` (how far the log has acknowledged both). Below the root that a service is given, each process makes a
directory of its own; what a dead process left is adopted by the next one of the same ledger and service.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex
from struct import Struct, error
from typing import Any, Final, NamedTuple

from crc32c import crc32c

from ledger.errors import LedgerError, SpoolFailed, SpoolFull
from ledger.recorder.frames import (
    HEADS,
    OCCURRED_AT_WITHIN,
    SpooledBatch,
    SpooledContent,
    SpooledEvent,
    occurred_at,
    read_entry,
    read_sealed,
)
from ledger.recorder.journal import Cursor, Journal, recover, sync_names

OWNER: Final = "owner.json"
GONE: Final = ".gone"
"""Ends the name of a spool that is being deleted."""
EVENTS: Final = "events"
SEALED: Final = "sealed"
SEALED_SEGMENT: Final = 4 * 1024 * 1024
HEADS_EVERY: Final = 64
CONTINUED: Final = "continued"
_ACKED: Final = Struct("<QQ")
_CHECK: Final = Struct("<I")


class Head(NamedTuple):
    """Where a chain ended, as far as its spool knows. ``next_sequence`` counts what is sealed."""

    tenant: str
    chain_id: bytes
    key_id: str
    seal_number: int
    seal_digest: bytes
    next_sequence: int


class Spool:
    """The spool of this process."""

    def __init__(self, root: Path, *, ledger: str, service: str, limit: int, segment_bytes: int) -> None:
        self.directory = root / f"{os.getpid()}-{token_hex(4)}"
        with ExitStack() as undo:
            try:
                made = _make(self.directory)
                undo.callback(remove, self.directory)
                self._lock_file = take_lock(self.directory)
                if self._lock_file is None:
                    raise SpoolFailed(f"{self.directory} is locked by another process; open the recorder again")
                undo.callback(os.close, self._lock_file)
                _write_owner(self.directory, {"ledger": ledger, "service": service})
                for each in made:
                    sync_names(each.parent)
                self._acked = os.open(self.directory / "acked", os.O_RDWR | os.O_CREAT, 0o600)
                undo.callback(os.close, self._acked)
                write_acked(self._acked, 0, 0)  # has its place on the disk, should that be full later
            except OSError as failure:
                raise SpoolFailed(
                    f"no spool can be made in {root} ({failure.strerror}); give a directory that this service may write"
                ) from failure
            self.events = Journal(self.directory, EVENTS, segment_bytes=segment_bytes, limit=limit)
            undo.callback(self.events.close)
            self.sealed = Journal(self.directory, SEALED, segment_bytes=SEALED_SEGMENT)
            undo.pop_all()
        self.taken_events = 0
        self.taken_bytes = 0
        self.oldest_at: int | None = None
        """``occurred_at`` of the first event here that the log has not acknowledged."""
        self._heads_at = HEADS_EVERY
        self.acked = 0
        self.failure: SpoolFailed | None = None
        """Why nothing is taken any more."""
        self.refusal: LedgerError | None = None
        """Why the last ``put`` stored nothing, until another one does or room was made."""

    def put(self, frames: Sequence[bytes], events: int = 1) -> int:
        """Stores all of ``frames``, of which the last ``events``, one or none, hold one; returns the number of the last.

        Raises ``SpoolFull`` or ``SpoolFailed``.
        """
        journal = self.events
        with journal.lock:
            if self.failure is not None:
                raise self.failure
            size = sum(map(len, frames))
            try:
                if len(frames) > 1:
                    journal.room_for(len(frames), size)
                for frame in frames:
                    number = journal.append(frame)
            except (SpoolFull, SpoolFailed) as refusal:
                self.refusal = refusal
                raise
            self.refusal = None
            self.taken_bytes += size
            self.taken_events += events
            if events and self.oldest_at is None:
                self.oldest_at = occurred_at(frames[-1])
            return number

    def put_sealed(self, frame: bytes) -> int:
        """Stores a sealed batch before it is sent."""
        with self.sealed.lock:
            return self.sealed.append(frame)

    def note_heads(self, heads: Sequence[Head]) -> None:
        """Repeats the heads of the open chains at times, so that the batches that led to them can go."""
        if self.sealed.next >= self._heads_at:
            number = self.put_sealed(HEADS + json.dumps([_plain(head) for head in heads]).encode())
            self._heads_at = number + HEADS_EVERY

    def acknowledge(self, sealed: int, events: int) -> None:
        """The log has every batch up to ``sealed``, every event and content up to ``events``; what is done with is deleted."""
        write_acked(self._acked, sealed, events)
        self.acked = events
        self.events.release(events)
        self.sealed.release(min(sealed, self.sealed.next - 2 * HEADS_EVERY))
        self.refusal = None

    def waits_from(self, cursor: Cursor) -> None:
        """What stands after ``cursor`` is all that the log has not acknowledged."""
        ahead = cursor.copy()
        with self.events.lock:
            self.oldest_at = None
            while ahead.peek() and self.oldest_at is None:
                self.oldest_at = occurred_at(ahead.look(OCCURRED_AT_WITHIN))
                ahead.skip()

    def sync(self) -> None:
        """Waits until all is on the disk. After a failure nothing more is taken: the kernel may have dropped what it held."""
        for journal in (self.events, self.sealed):
            try:
                journal.sync()
            except OSError as failure:
                self.fail(f"the spool's disk failed ({failure.strerror}); repair it and start the service again")

    def fail(self, message: str) -> None:
        """From now on every ``put`` raises."""
        if self.failure is None:
            self.failure = SpoolFailed(message)

    def prepare(self) -> None:
        """Makes segments ahead. What fails here fails again, and is told, where one is needed."""
        with suppress(SpoolFailed):
            self.events.prepare()
            self.sealed.prepare()

    def close(self, *, delete: bool = False) -> None:
        """Gives the directory up for adoption, or deletes it where the log has everything. In a forked child it stays the
        parent's, and so does the lock.
        """
        self.fail("the spool was closed; open another recorder")
        if delete:
            remove(self.directory)
        self.events.close()
        self.sealed.close()
        os.close(self._acked)
        if self._lock_file is not None:
            os.close(self._lock_file)


class Orphan:
    """What a process left behind, under our lock now."""

    def __init__(self, directory: Path, lock_file: int) -> None:
        self.directory = directory
        self._acked = os.open(directory / "acked", os.O_RDWR | os.O_CREAT, 0o600)
        self._lock_file = lock_file
        self.acked_sealed, self.acked_events = read_acked(self._acked)

    def batches(self) -> Iterator[SpooledBatch]:
        """Every sealed batch that is still there, acknowledged or not, in order."""
        for number, body in recover(self.directory, SEALED):
            if body[:1] != HEADS:
                yield read_sealed(number, body)

    def heads(self) -> list[Head]:
        """The heads that were noted last: of chains whose batches may be deleted since."""
        noted: list[Head] = []
        for _, body in recover(self.directory, SEALED):
            if body[:1] == HEADS:
                noted = [_head(each) for each in json.loads(body[1:])]
        return noted

    def entries(self) -> Iterator[SpooledEvent | SpooledContent]:
        """Events and contents that the log has not acknowledged, sealed or not, in order."""
        for number, body in recover(self.directory, EVENTS):
            if number > self.acked_events:
                yield read_entry(number, body)

    def acknowledge(self, sealed: int, events: int) -> None:
        self.acked_sealed, self.acked_events = sealed, events
        write_acked(self._acked, sealed, events)

    @property
    def continued(self) -> bool:
        """Whether a successor's chain has named the heads of this one's."""
        return (self.directory / CONTINUED).exists()

    def mark_continued(self) -> None:
        """On the disk when it returns: a successor that named these heads once more would look like a copied spool."""
        (self.directory / CONTINUED).touch()
        sync_names(self.directory)

    def close(self, *, delete: bool) -> None:
        if delete:
            remove(self.directory)
        os.close(self._acked)
        os.close(self._lock_file)


def adopt(root: Path, own: Path, *, ledger: str, service: str) -> list[Orphan]:
    """The spools below ``root`` whose process is gone, oldest first, locked for us. Those of other services stay alone.

    One that vanishes meanwhile, or cannot be opened, is passed over: the locks of the others are ours by then. What is left of
    one whose process died while it deleted it is deleted.
    """
    found: list[Orphan] = []
    for directory in root.glob(f"*{GONE}"):
        shutil.rmtree(directory, ignore_errors=True)
    for directory in sorted(root.iterdir(), key=_age):
        if directory != own and _belongs(directory, {"ledger": ledger, "service": service}):
            with suppress(OSError):
                if (orphan := _take(directory)) is not None:
                    found.append(orphan)
    return found


def _take(directory: Path) -> Orphan | None:
    """The spool under our lock; None where another process holds that. Raises ``OSError``, and holds nothing then."""
    lock_file = take_lock(directory)
    if lock_file is None:
        return None
    try:
        return Orphan(directory, lock_file)
    except BaseException:  # its adopter finished between our look and our lock
        os.close(lock_file)
        raise


def remove(directory: Path) -> None:
    """Deletes a spool. Should we die in the middle, whoever starts next deletes what has its new name; where it cannot get one,
    it stays whole, and its next adopter finds nothing to send.
    """
    with suppress(OSError):
        gone = directory.rename(directory.with_name(directory.name + GONE))
        (gone / OWNER).unlink(missing_ok=True)
        shutil.rmtree(gone, ignore_errors=True)


def take_lock(directory: Path) -> int | None:
    """The open lock file, or None where another process holds it. The lock ends with the process, however it ends."""
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def write_acked(handle: int, sealed: int, events: int) -> None:
    record = _ACKED.pack(sealed, events)
    os.pwrite(handle, record + _CHECK.pack(crc32c(record)), 0)


def read_acked(handle: int) -> tuple[int, int]:
    """Nothing where the record does not hold: what is sent twice is counted once."""
    data = os.pread(handle, _ACKED.size + _CHECK.size, 0)
    try:
        (check,) = _CHECK.unpack_from(data, _ACKED.size)
    except error:
        return 0, 0
    if check != crc32c(data[: _ACKED.size]):
        return 0, 0
    sealed, events = _ACKED.unpack_from(data)
    return sealed, events


def _make(directory: Path) -> list[Path]:
    """Makes it and whatever is missing above; returns what was made."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, mode=0o700)
    return missing


def _write_owner(directory: Path, owner: dict[str, str]) -> None:
    """Whole and on the disk when it is there: without it nobody adopts what lies beside it. The journals sync its name."""
    fresh = directory / f"{OWNER}.new"
    with fresh.open("w") as file:
        json.dump(owner, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / OWNER)


def _age(directory: Path) -> int:
    with suppress(OSError):
        return directory.stat().st_mtime_ns
    return 0


def _belongs(directory: Path, owner: dict[str, str]) -> bool:
    try:
        told: object = json.loads((directory / OWNER).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return told == owner


def _plain(head: Head) -> list[object]:
    return [each.hex() if isinstance(each, bytes) else each for each in head]


def _head(plain: list[Any]) -> Head:
    tenant, chain_id, key_id, number, digest, following = plain
    return Head(tenant, bytes.fromhex(chain_id), key_id, number, bytes.fromhex(digest), following)
