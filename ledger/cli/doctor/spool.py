"""What services on this machine have recorded and not sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.cli.doctor.check import Check, Here, Status
from ledger.recorder.inventory import MEND, damaged, room, spools_below, unwritable

_LITTLE: Final = 256 << 20
"""Bytes: what a recorder's spool may take by default."""
_NONE: Final = 16 << 20


def place(here: Here) -> Iterator[Check]:
    """Whether a service could record here."""
    root = here.settings.spool_path
    why = unwritable(root)
    if why is not None:
        yield Check("spool", "wrong", why, "services here cannot record: set ANSWERABLE_SPOOL_DIR, or mend it")
        return
    left = room(root)
    if left < _LITTLE:
        status: Status = "wrong" if left < _NONE else "note"
        detail = f"{left >> 20} MiB are left for the spools in {root}"
        yield Check(
            "spool", status, detail, "a spool that is full refuses events: make room, or see why they are not sent"
        )


def orphans(here: Here) -> Iterator[Check]:
    """Spools whose process died: what is in them is in nobody's log until the service runs again."""
    for seen in spools_below(here.settings.spool_path):
        if seen.held is False:
            detail = f"{seen.directory} was left by a process of {seen.service} of {seen.ledger}, {seen.size >> 10} KiB"
            yield Check("spool", "note", detail, f"start {seen.service}: it sends what is there, and removes it")


def unreadable(here: Here) -> Iterator[Check]:
    """Spools that no start of any service sends."""
    for directory, what in damaged(here.settings.spool_path, "*/*"):
        yield Check("spool", "wrong", f"{directory} {what}", MEND)


CHECKS: Final = (place, orphans, unreadable)
