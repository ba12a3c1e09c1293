"""Small disks that can be filled and made read-only: a tmpfs each, where this user may mount one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Final

BALLAST: Final = "ballast"
_CHUNK: Final = bytes(1 << 20)


class Disk:
    """A file system of ``megabytes`` at ``path``; a plain directory, which cannot be filled, where nothing can be mounted."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self.filled = False
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "answerable-chaos", str(path)]
        self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Leaves no byte free."""
        self.filled = True
        with (self.path / BALLAST).open("ab", buffering=0) as ballast:
            size = len(_CHUNK)
            while size:
                try:
                    ballast.write(_CHUNK[:size])
                except OSError:
                    size //= 2

    def empty(self) -> None:
        (self.path / BALLAST).unlink(missing_ok=True)
        self.filled = False

    def read_only(self, only: bool) -> bool:
        """Whether it could be done: while somebody writes by a mapping, the kernel refuses."""
        option = "ro" if only else "rw"
        command = ["mount", "-o", f"remount,{option}", str(self.path)]
        return self.mounted and subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def used(self) -> int:
        status = os.statvfs(self.path)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    def close(self) -> None:
        if self.mounted:
            with contextlib.suppress(OSError):
                subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)
            self.mounted = False
