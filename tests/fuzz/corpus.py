"""The cases that are kept: a folder a target under ``corpus/``, each case a file named by its digest."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from ledger.errors import LedgerError
from tests.fuzz.case import Target

FOLDER: Final = Path(__file__).parent / "corpus"
CRASH: Final = "crash-"
KEPT_FILES: Final = 60
KEPT_BYTES: Final = 8 * 1024
"""Of all files of a target, as their number, but for those that once failed."""
_SOURCES: Final = ("/ledger/", "/api/", "/kafka/record/", "<string>")
"""Whose lines count when cases are chosen: what a search is guided by, and the strict readers, which are compiled from text."""

Arc = tuple[CodeType, int, int]


def kept(target: Target) -> dict[str, bytes]:
    """The files of a target by name."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / target.name).glob("*"))}


def all_cases(target: Target) -> list[bytes]:
    """What a search begins with: made inputs and kept ones."""
    return list(dict.fromkeys([*(each[: target.size] for each in target.seeds()), *kept(target).values()]))


def keep_crash(target: Target, data: bytes) -> Path:
    """Keeps a case that failed."""
    return _write(target, CRASH + sha256(data).hexdigest()[:16], data)


def choose(target: Target, found: Iterable[bytes]) -> int:
    """Keeps the smallest of ``found`` that reach what the made inputs and smaller ones do not; returns how many."""
    seen: set[Arc] = set()
    for data in target.seeds():
        seen |= reached(target, data[: target.size])
    chosen: list[bytes] = []
    room = KEPT_BYTES
    old = {name: data for name, data in kept(target).items() if not name.startswith(CRASH)}
    for data in sorted({*found, *old.values()}, key=lambda each: (len(each), each)):
        if len(chosen) < KEPT_FILES and len(data) <= room and not (arcs := reached(target, data)) <= seen:
            seen |= arcs
            room -= len(data)
            chosen.append(data)
    for name in old:
        (FOLDER / target.name / name).unlink()
    for data in chosen:
        _write(target, sha256(data).hexdigest()[:16], data)
    return len(chosen)


def reached(target: Target, data: bytes) -> set[Arc]:
    """The steps from line to line, in our own code, that a case makes."""
    arcs: set[Arc] = set()

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        if not any(each in frame.f_code.co_filename for each in _SOURCES):
            return None
        code, last = frame.f_code, frame.f_lineno

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            arcs.add((code, last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step

    sys.settrace(begin)
    try:
        target.run(data)
    except LedgerError:
        pass
    finally:
        sys.settrace(None)
    return arcs


def _write(target: Target, name: str, data: bytes) -> Path:
    path = FOLDER / target.name / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
