"""Kafka's record batches, read within bounds: no batch, however made, stops a reader.

kafka-python unpacks a compressed batch whole, however large, and raises where one cannot be decoded: whoever may write
to a topic could fill a reader's memory, or stop every reader at one offset for ever. Here such a batch is *one* record,
at its first offset, without key, whose value is the batch's bytes as they are: the verifier then keeps and rejects it
like any other garbage, and the stream goes on.

``install`` puts this reader in the place of kafka-python's, for the whole process; only those who read call it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import lz4.frame
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch

UNPACKED_BYTES = 32 << 20
RECORDS = 1 << 16


class _Unreadable(Exception):
    pass


class BoundedBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A record batch that always iterates: over its records, or over the one that stands for it."""

    def __iter__(self) -> Iterator[DefaultRecord]:
        packed = bytes(memoryview(self._buffer)[self._pos :])
        try:
            self._unpack(packed)
            return iter(list(iter(self.__next__, None)))
        except Exception:  # noqa: BLE001 (whatever the decoder says of hostile bytes, the answer is the same)
            return iter([self._stand_in(packed)])

    def _unpack(self, packed: bytes) -> None:
        codec = self.compression_type
        if self.records_count > RECORDS:
            raise _Unreadable
        if codec == self.CODEC_NONE:
            return
        if codec == self.CODEC_LZ4:
            plain = _unpack_lz4(packed)
        elif codec == self.CODEC_GZIP:
            plain = _unpack_gzip(packed)
        else:
            raise _Unreadable
        self._buffer, self._pos, self._decompressed = plain, 0, True

    def _stand_in(self, packed: bytes) -> DefaultRecord:
        kind = self.timestamp_type
        return DefaultRecord(len(packed), self.base_offset, self.max_timestamp, kind, None, packed, [])


def install() -> None:
    """Makes kafka-python read every batch of this process by ``BoundedBatch``. Safe to call again."""
    memory_records.DefaultRecordBatch = BoundedBatch


def _unpack_lz4(packed: bytes) -> bytes:
    decompressor = lz4.frame.LZ4FrameDecompressor()
    plain = decompressor.decompress(packed, max_length=UNPACKED_BYTES)
    if not decompressor.eof:
        raise _Unreadable
    return bytes(plain)


def _unpack_gzip(packed: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    plain = decompressor.decompress(packed, UNPACKED_BYTES)
    if not decompressor.eof:
        raise _Unreadable
    return plain
