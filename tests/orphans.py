"""Processes of a harness that end with it, also where it was killed and can say nothing."""

from __future__ import annotations

import os
import signal
import threading
import time

POLL_SECONDS = 0.5


def end_with_parent() -> None:
    """From now on this process is killed soon after the one that started it has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def interrupt_on_sigterm() -> None:
    """SIGTERM ends this process like Ctrl-C: through every ``finally``, so that what it started is ended and removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
