"""A forger with write access to a copy of the log: one byte of one header is changed, and nothing else."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID


def change_one_byte(archive: Path, event_id: bytes) -> str:
    """Changes the byte after the event id, where the header's kind begins; says what was done."""
    data = bytearray(archive.read_bytes())
    at = data.find(event_id)
    if at < 0:
        raise ValueError(f"{archive} does not hold event {UUID(bytes=event_id)}")
    changed = at + len(event_id) + 1
    before = data[changed]
    data[changed] ^= 0x01
    archive.write_bytes(data)
    return (
        f"byte {changed} of {archive.name}, {before:#04x} to {data[changed]:#04x}, inside event {UUID(bytes=event_id)}"
    )
