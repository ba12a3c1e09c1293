"""The spools on a machine, looked at without touching them: no lock is taken, for an adopter would be kept away by it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ledger.recorder.spool import OWNER

MEND: Final = f"write into it what stands in the {OWNER} of another spool of the service, and start the service again"
"""What to do about a spool that nobody can adopt."""


class SpoolSeen(NamedTuple):
    """A spool. ``held``: its process lives; None where this system does not tell. ``size``: what it takes of the disk."""

    directory: Path
    ledger: str
    service: str
    held: bool | None
    size: int


def spools_below(root: Path) -> Iterator[SpoolSeen]:
    """Every spool of every service whose spools lie below ``root``; what is none, or ends meanwhile, is passed over."""
    locked = _locked()
    for owner in _owners(root, "*/*"):
        try:
            told = json.loads(owner.read_text())
            status = (owner.parent / "lock").stat()
            size = sum(each.stat().st_blocks * 512 for each in owner.parent.iterdir())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            held = None if locked is None else _place(status) in locked
            yield SpoolSeen(owner.parent, str(told.get("ledger")), str(told.get("service")), held, size)


def damaged(root: Path, below: str = "*") -> Iterator[tuple[Path, str]]:
    """The spools in ``root``, a service's, that nobody can adopt, each with what is wrong, in words that follow on its name.

    One without an owner is none: either nothing was recorded into it yet, or all of it is in the log.
    """
    for owner in _owners(root, below):
        if (why := _unreadable(owner)) is not None:
            yield owner.parent, f"is adopted by nobody, for its {OWNER} {why}"


def _owners(root: Path, below: str) -> list[Path]:
    """None where this account may not look: ``unwritable`` says so."""
    try:
        return sorted(root.glob(f"{below}/{OWNER}"))
    except OSError:
        return []


def _unreadable(owner: Path) -> str | None:
    try:
        told = json.loads(owner.read_bytes())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None  # it was removed meanwhile, or is another account's
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return "says nothing that can be read"
    return None if isinstance(told, dict) else "names no service"


def unwritable(root: Path) -> str | None:
    """Why no spool can be made below ``root``, in words; None where one can."""
    there = root
    try:
        there = _nearest(root)
        if os.statvfs(there).f_flag & os.ST_RDONLY:
            return f"{there} is mounted read-only"
        if not stat.S_ISDIR(there.stat().st_mode):
            return f"{there} is no directory"
    except OSError as error:
        return f"{there} cannot be looked at: {error.strerror}"
    return None if os.access(there, os.W_OK | os.X_OK) else f"this account may not write {there}"


def room(root: Path) -> int:
    """Bytes that this account may still write to the disk of ``root``."""
    found = os.statvfs(_nearest(root))
    return found.f_bavail * found.f_frsize


def _nearest(root: Path) -> Path:
    return next(each for each in (root, *root.parents) if each.exists())


def _locked() -> set[tuple[int, int, int]] | None:
    """Device and inode of every file that somebody holds a lock on, as Linux lists them."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    found = set()
    for fields in (line.split() for line in lines):
        if "FLOCK" in fields and len(fields) >= 6:
            major, minor, inode = fields[5].split(":")
            found.add((int(major, 16), int(minor, 16), int(inode)))
    return found


def _place(status: os.stat_result) -> tuple[int, int, int]:
    return os.major(status.st_dev), os.minor(status.st_dev), status.st_ino
