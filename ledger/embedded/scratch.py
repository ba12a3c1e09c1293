"""Directories among the temporary ones that go with their process. What a killed one left is removed by the next.

Each holds a file ``lock``, locked for as long as its process lives, or whoever inherited the descriptor. Only a directory that
nobody but its owner may write, with such a file of ours that nobody holds, is known to be ours and dead: no other is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Final

LOCK: Final = "lock"


def claim(directory: Path) -> int | None:
    """Makes ``directory`` where it is missing, and locks it: the descriptor, or None where it is another process's.

    Raises ``OSError`` where it cannot be made, or is not our own.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        if not stat.S_ISDIR(directory.lstat().st_mode):
            raise NotADirectoryError(f"{directory} is no directory")
        try:
            handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            continue  # swept away since; begin again
        if not _locked(handle):
            os.close(handle)
            return None
        if _is_in(directory, handle):
            return handle
        os.close(handle)


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary directory of our own inside the block. Those with this prefix that dead processes left are removed first."""
    sweep(re.compile(re.escape(prefix) + "[0-9a-f]{16}"))
    directory = Path(tempfile.gettempdir(), prefix + token_hex(8))
    handle = claim(directory)
    if handle is None:
        raise AssertionError("a name of 64 random bits was taken")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)


def sweep(name: re.Pattern[str]) -> None:
    """Removes the temporary directories of such names that are ours and dead."""
    for directory in Path(tempfile.gettempdir()).iterdir():
        if name.fullmatch(directory.name):
            with contextlib.suppress(OSError):
                _remove_dead(directory)


def _remove_dead(directory: Path) -> None:
    status = directory.lstat()
    lock = (directory / LOCK).lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        return
    if not stat.S_ISREG(lock.st_mode) or lock.st_uid != os.geteuid():
        return
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if _locked(handle) and _is_in(directory, handle):
            shutil.rmtree(directory)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_in(directory: Path, handle: int) -> bool:
    """Whether the lock that we hold is still the directory's."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), (directory / LOCK).lstat())
    return False
