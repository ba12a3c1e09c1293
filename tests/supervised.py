"""Forks of ``api.workers`` that do as told, in a process of their own: ``python -m tests.supervised COUNT HOW FILE``.

Each writes its number and process to FILE when it begins.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from api.workers import run_workers

GRACE = 1.0


def main(count: str, how: str, file: str) -> None:
    def work(number: int) -> None:
        if how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with Path(file).open("a") as begun:
            begun.write(f"{number} {os.getpid()}\n")
        if how == "failing":
            raise ValueError(how)
        time.sleep(600)

    run_workers(int(count), work, GRACE)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    main(*sys.argv[1:])
