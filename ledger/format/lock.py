"""``schemas/LOCK``: what fixes the meaning of a fingerprint, since a CRC-64 can be forged. Append-only, in order of publication.

A line is ``<fingerprint> <sha256> <file name>``: the 8 bytes of CRC-64-AVRO of the parsing canonical form in hex as on the
wire (little-endian), and the SHA-256 in hex of the exact file.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, NamedTuple

from ledger.format.codec import FRAME, MARK, read_schema

_LINE: Final = re.compile(r"([0-9a-f]{16}) ([0-9a-f]{64}) ([^ ]+)")


class Locked(NamedTuple):
    """A published schema."""

    fingerprint: str
    sha256: str
    file: str


def lock_line(file: str, text: bytes) -> str:
    """The line, without its end, that publishes the exact bytes of a schema file called ``file``."""
    frame = read_schema(text).frame[len(MARK) : FRAME]
    return f"{frame.hex()} {sha256(text).hexdigest()} {file}"


def read_lock(text: str) -> list[Locked]:
    """The lines of a LOCK, in order; raises ``ValueError`` for one of another form, or a fingerprint that stands in it twice."""
    found = [_read_line(line) for line in text.removesuffix("\n").split("\n")] if text else []
    if len({each.fingerprint for each in found}) < len(found):
        raise ValueError("a fingerprint stands in LOCK twice")
    return found


def _read_line(line: str) -> Locked:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ValueError(f"a line of LOCK is not a fingerprint, a SHA-256 and a file: {line!r}")
    return Locked(*parts.groups())
