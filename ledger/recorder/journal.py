"""A journal: numbered frames in mapped segment files. What is stored survives the death of the process, not that of the machine;
``sync`` is for the latter. One process writes, under its caller's lock; one thread reads with a ``Cursor``.

A store into a mapping costs a microsecond and never gives the interpreter lock away, which a write call does. Segments are
allocated whole before they are mapped, so that a full disk is an error here and not a signal later.

A segment is ``ANSWJRN1``, the number of its first frame (8 bytes, little-endian), then frames: length of the body, CRC-32C
of the body begun with the frame's number (4 bytes each), the number (8 bytes), the body. Length 0 ends a segment.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from mmap import MADV_DONTNEED, PAGESIZE
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import Final, NamedTuple

from crc32c import crc32c

from ledger.errors import SpoolFailed, SpoolFull, SpoolUnreadable

MAGIC: Final = b"ANSWJRN1"
HEAD: Final = len(MAGIC) + 8
_FRAME: Final = Struct("<IIQ")
FRAME: Final = _FRAME.size
_LENGTH: Final = Struct("<I")


def sync_names(directory: Path) -> None:
    """Waits until the names in ``directory`` are on the disk: a file that was synced goes with the machine if its name was not.

    Some file systems cannot be asked, and some directories may be written to and not read; there it is as the system does it.
    """
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(folder)
    except OSError as failure:
        if failure.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(folder)


class Frame(NamedTuple):
    """A body and its number. Numbers of one journal are consecutive, from 1."""

    number: int
    body: bytes


class Segment:
    """One mapped file. ``end`` is where the next frame goes: what stands before it is complete."""

    __slots__ = ("_let_go", "end", "fd", "following", "last", "map", "path", "size")

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(self.fd, 0, size)
            self.map = mmap.mmap(self.fd, size)
        except BaseException:
            os.close(self.fd)
            path.unlink()
            raise
        self.size = size
        self.end = HEAD
        self._let_go = 0
        self.last = 0
        self.following: Segment | None = None

    def begin(self, number: int) -> None:
        """Writes the segment's head; ``number`` is that of its first frame."""
        self.map[:HEAD] = MAGIC + number.to_bytes(8, "little")
        self.last = number - 1

    def put(self, number: int, body: bytes) -> None:
        """Stores a frame; the caller saw that it fits."""
        start = self.end + FRAME
        stop = start + len(body)
        view = self.map
        view[start:stop] = body
        _FRAME.pack_into(view, self.end, len(body), crc32c(body, number & 0xFFFFFFFF), number)
        self.last = number
        self.end = stop

    def let_go(self) -> None:
        """Takes the pages stored so far out of the process's memory, not out of the file: the next store or look maps them again.

        Before the disk gets a page, the kernel takes it away from whoever may store into it, and interrupts the processor that
        does: for each page anew, which made every call of some milliseconds six times as long. Here that is done once for all.
        """
        start, self._let_go = self._let_go - self._let_go % PAGESIZE, self.end
        if self._let_go > start:
            with suppress(ValueError):  # closed meanwhile: the log has all of it
                self.map.madvise(MADV_DONTNEED, start, self._let_go - start)

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)


class Journal:
    """The segments of one name in one directory. ``limit`` bounds their bytes; ``prepare`` makes the next one ahead."""

    def __init__(self, directory: Path, name: str, *, segment_bytes: int, limit: int | None = None) -> None:
        self._directory = directory
        self._name = name
        self._segment_bytes = segment_bytes
        self._limit = limit
        self.lock = Lock()
        """Held by whoever appends."""
        self._files = count(1)
        self._spare: Segment | None = None
        self._unsynced: list[Segment] = []
        self._named = True
        """Whether the names of all segments are on the disk."""
        self.bytes = 0
        self.next = 1
        self._live = self._first = self._make(segment_bytes)
        self._live.begin(self.next)

    def append(self, body: bytes) -> int:
        """Stores ``body`` and returns its number. Raises ``SpoolFull`` or ``SpoolFailed``; nothing is stored then."""
        live = self._live
        if live.end + FRAME + len(body) > live.size:
            live = self._turn(len(body))
        number = self.next
        live.put(number, body)
        self.next = number + 1
        return number

    def room_for(self, bodies: int, size: int) -> None:
        """Sees to it that so many frames of ``size`` bytes in all can follow in one go; raises as ``append`` does."""
        live = self._live
        if live.end + bodies * FRAME + size > live.size:
            self._turn(bodies * FRAME + size)

    def prepare(self) -> None:
        """Makes the next segment before it is needed. For a thread of its own: it waits for the disk."""
        size = self._segment_bytes
        with self.lock:
            live = self._live
            wanted = live.size < 2 * (live.end - HEAD) and self._spare is None
            if not wanted or (self._limit is not None and self.bytes + size > self._limit):
                return
            self.bytes += size
        spare = None
        try:
            spare = self._create(size)
        finally:
            with self.lock:
                self._spare = spare
                self.bytes -= size if spare is None else 0

    def sync(self) -> None:
        """Waits until all that was stored before is on the disk. Raises the first ``OSError``, once every segment was tried;
        a segment that failed is tried again by the next call.
        """
        with self.lock:
            left, live = list(self._unsynced), self._live
            named, self._named = self._named, True
        failure: OSError | None = None
        if not named:
            try:
                sync_names(self._directory)
            except OSError as error:
                failure, self._named = error, False
        for segment in (*left, live):
            segment.let_go()
            try:
                os.fdatasync(segment.fd)
            except OSError as error:
                if not segment.map.closed:  # else it was released meanwhile: the log has all of it
                    failure = failure or error
                    continue
            if segment is not live:
                with self.lock:
                    self._unsynced.remove(segment)
        if failure is not None:
            raise failure

    def release(self, number: int) -> None:
        """Deletes the segments that hold nothing after frame ``number``. The live one stays."""
        while self._first.following is not None and self._first.last <= number:
            gone, self._first = self._first, self._first.following
            with self.lock:
                self.bytes -= gone.size
            gone.path.unlink(missing_ok=True)
            gone.close()

    def cursor(self) -> Cursor:
        """A reader that stands before the oldest frame kept."""
        return Cursor(self._first)

    def close(self) -> None:
        """Lets go of the files, without a store into them."""
        segment: Segment | None = self._first
        while segment is not None:
            segment.close()
            segment = segment.following
        if self._spare is not None:
            self._spare.close()

    def _turn(self, body: int) -> Segment:
        """Goes on in a new segment with room for ``body`` bytes."""
        size = max(self._segment_bytes, HEAD + FRAME + body)
        spare = self._spare
        if spare is not None and spare.size >= size:
            self._spare = None
        else:
            if self._limit is not None and self.bytes + size > self._limit:
                raise SpoolFull(
                    f"the spool holds {self.bytes} of {self._limit} bytes that the log has not taken;"
                    " see health() for why the log is behind, or allow the spool more"
                )
            spare = self._make(size)
        spare.begin(self.next)
        self._unsynced.append(self._live)
        self._live.following = spare
        self._live = spare
        return spare

    def _make(self, size: int) -> Segment:
        segment = self._create(size)
        self.bytes += size
        return segment

    def _create(self, size: int) -> Segment:
        path = self._directory / f"{self._name}-{next(self._files):08d}.seg"
        try:
            segment = Segment(path, size)
        except OSError as error:
            raise SpoolFailed(f"the spool cannot make {path} ({error.strerror}); free or repair the disk") from error
        self._named = False
        return segment


class Cursor:
    """Reads a journal from its oldest frame on, while it grows."""

    __slots__ = ("_at", "_segment")

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._at = HEAD

    def peek(self) -> int:
        """The size of the next body; 0 if none follows yet."""
        segment = self._segment
        while self._at >= segment.end:
            following = segment.following
            if following is None:
                return 0
            if self._at < segment.end:  # it grew once more before it was left
                break
            self._segment = segment = following
            self._at = HEAD
        return int(_LENGTH.unpack_from(segment.map, self._at)[0])

    def copy(self) -> Cursor:
        """Another one that stands at the same frame."""
        other = Cursor(self._segment)
        other._at = self._at
        return other

    def look(self, size: int) -> bytes:
        """The first ``size`` bytes of the next body, which ``peek`` told of, or fewer; the cursor stays."""
        start = self._at + FRAME
        return self._segment.map[start : min(start + size, self._segment.end)]

    def skip(self) -> None:
        """Passes the next frame, which ``peek`` told of."""
        self._at += FRAME + int(_LENGTH.unpack_from(self._segment.map, self._at)[0])

    def take(self) -> Frame:
        """The next frame, which ``peek`` told of."""
        segment = self._segment
        length, _, number = _FRAME.unpack_from(segment.map, self._at)
        start = self._at + FRAME
        self._at = start + length
        return Frame(number, segment.map[start : self._at])


def recover(directory: Path, name: str) -> Iterator[Frame]:
    """The frames that another process left. A torn tail ends its segment; what a later segment holds is still read.

    Raises ``SpoolUnreadable`` for a segment in another format: a later release's, which must not be taken for an empty one.
    """
    for path in sorted(directory.glob(f"{name}-*.seg")):
        data = path.read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            if any(data[: len(MAGIC)]):
                raise SpoolUnreadable(f"{path} is no segment that this release can read; update the service")
            continue  # made ahead and never begun
        at = HEAD
        expected = int.from_bytes(data[len(MAGIC) : HEAD], "little")
        while at + FRAME <= len(data):
            length, check, number = _FRAME.unpack_from(data, at)
            body = data[at + FRAME : at + FRAME + length]
            whole = length and number == expected and len(body) == length
            if not whole or crc32c(body, number & 0xFFFFFFFF) != check:
                break
            yield Frame(number, body)
            at += FRAME + length
            expected += 1
