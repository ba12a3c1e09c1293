"""Folders for targets that read files: in memory where that can be, and gone when the process ends.

A search ends without a word to Python, so whoever starts one gives it a ``TMPDIR`` and deletes that.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - only says in which file system folders are made


@cache
def scratch(name: str) -> Path:
    """The folder of this process called ``name``."""
    made = Path(_root()) / name
    made.mkdir()
    return made


@cache
def _root() -> str:
    given = "TMPDIR" in os.environ or not MEMORY.is_dir()
    made = tempfile.mkdtemp(prefix="fuzz-", dir=None if given else MEMORY)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
