"""A child process that never outlives us: the parent's side of ``guard.py``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ledger.embedded.unprivileged import Account
from ledger.errors import ConfigurationError

GUARD = Path(__file__).with_name("guard.py")


class Child:
    """A command under guard. ``log`` receives what it prints; its guard inherits ``keep_open``, with the locks held by
    these, and removes the directory ``scratch`` after it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals,
        grace: int,
        account: Account | None = None,
        directory: Path | None = None,
        keep_open: Sequence[int] = (),
        scratch: Path | None = None,
    ) -> None:
        uid, gid = (account.uid, account.gid) if account else (-1, -1)
        guard = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(int(stop_signal)), str(grace)]
        with log.open("ab") as output:
            self._guard = subprocess.Popen(  # noqa: S603 (a command of our own)
                [*guard, str(uid), str(gid), str(scratch or ""), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=directory,
                pass_fds=keep_open,
                start_new_session=True,  # Ctrl-C at the terminal is for us, and we end the child in our own order
            )
        self._grace = grace
        first = self._guard.stdout.readline() if self._guard.stdout else b""
        if not first:
            self._guard.wait()
            self._close_pipes()
            raise ConfigurationError(f"{command[0]} cannot be started: see {log}")
        self.pid = int(first)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def stop(self) -> None:
        """Asks the child to end, and returns when it has; the guard gets firm after the grace."""
        if self._guard.stdin:
            self._guard.stdin.close()
        self._guard.wait(self._grace + 20)
        self._close_pipes()

    def kill(self) -> None:
        """SIGKILL, as a crash would; returns when the child and its guard are gone."""
        with contextlib.suppress(ProcessLookupError):
            if self.running:
                os.kill(self.pid, signal.SIGKILL)
        self._guard.wait(30)
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
