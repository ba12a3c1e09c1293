"""What to tell of a path that the system refuses: which one, why, and what to do. What only we can have missed is a defect."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_ANOTHER: Final = "or name another path"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_WHY: Final = {
    errno.EACCES: f"this user has not the right to: give it, {_ANOTHER}",
    errno.EPERM: f"the system does not let this user: change that, {_ANOTHER}",
    errno.EROFS: f"it lies on a disk that is mounted to be read only: change that, {_ANOTHER}",
    errno.ENOSPC: f"no room is left on its disk: make some, {_ANOTHER}",
    errno.EDQUOT: f"this user's share of its disk is used up: make room, {_ANOTHER}",
    errno.EISDIR: f"it is a folder, and a file is wanted: move it, {_ANOTHER}",
    errno.ENAMETOOLONG: f"its name is too long: shorten it, {_ANOTHER}",
    errno.ELOOP: f"its links lead in a circle: mend them, {_ANOTHER}",
    errno.EIO: f"its disk fails: look at the machine's log, {_ANOTHER}",
}


def sentence_of(error: OSError, data_dir: Path | None) -> str | None:
    """What to tell whoever named the path or keeps the machine; None where the error is none of theirs.

    None too for a file that is missing from a folder which is there: paths that people name are looked for before they are
    opened, so it was ours to make. ``data_dir``: where the paths lie that nobody named.
    """
    if not isinstance(error.filename, str | bytes):
        return (
            f"no room is left on a disk ({error.strerror}): make some, and try again" if error.errno in _FULL else None
        )
    path = Path(os.fsdecode(error.filename))
    why = _why(path, error.errno)
    if why is None:
        return None
    ours = data_dir is not None and path.absolute().is_relative_to(data_dir)
    setting = " by --data-dir or ANSWERABLE_DATA_DIR" if ours else ""
    return f"{path} cannot be read or written; {why}{setting}"


def _why(path: Path, number: int | None) -> str | None:
    if number in (errno.ENOENT, errno.EEXIST) and path.is_symlink() and not path.exists():
        return f"it is a link to {path.readlink()}, which is not there: make that, {_ANOTHER}"
    if number == errno.ENOENT:
        missing = [each for each in path.parents if not each.exists()]
        return f"there is no folder {missing[-1]}: make it, {_ANOTHER}" if missing else None
    if number in (errno.ENOTDIR, errno.EEXIST):
        file = next((each for each in (path, *path.parents) if each.is_file()), None)
        return f"{file} is a file, and a folder is wanted: move it, {_ANOTHER}" if file else None
    return _WHY.get(number or 0)
