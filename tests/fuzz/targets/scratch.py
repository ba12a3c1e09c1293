"""Folders for targets that read files: in memory where that can be, gone when the process ends."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - only says in which file system folders are made


@cache
def scratch(name: str) -> Path:
    """The folder of this process called ``name``."""
    made = Path(_root()) / name
    made.mkdir()
    return made


@cache
def _root() -> str:
    made = tempfile.mkdtemp(prefix="fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
