"""Runs one command, and ends it when the process that asked for it is gone.

A program of its own (``python -I -S guard.py …``, standard library only): a server must end with the process that
started it, also when that one is killed with SIGKILL and can say nothing. The parent holds the other end of our
standard input, so its death, by whatever means, is an end of file here. A fork of the parent holds that end too,
therefore we also look whether we still have the same parent. And should we be killed ourselves, the kernel signals
the command (Linux).

Arguments: parent's pid, stop signal, seconds of grace, uid and gid to run under (-1: ours), a directory to remove when the
command has ended (empty: none), then the command.
The first line of standard output is the pid of the command; its own output goes to our standard error.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    parent, stop_signal, grace, uid, gid = (int(a) for a in arguments[:5])
    scratch, *command = arguments[5:]

    def die_with_guard() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)

    child = subprocess.Popen(  # noqa: S603 (the command is our caller's)
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        user=uid if uid >= 0 else None,
        group=gid if gid >= 0 else None,
        extra_groups=[] if uid >= 0 else None,
        # We have one thread, and a change of user clears the signal: it must be asked for after that, in the child.
        preexec_fn=die_with_guard,  # noqa: PLW1509
    )
    try:
        print(child.pid, flush=True)
        while child.poll() is None:
            readable, _, _ = select.select([0], [], [], POLL_SECONDS)
            if (readable and not os.read(0, 1)) or os.getppid() != parent:
                return end(child, stop_signal, grace)
        return child.returncode
    finally:
        if scratch:
            remove(scratch)


def remove(directory: str) -> None:
    """Whatever is in the way, its next owner sees to it."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            os.unlink(entry)
        os.rmdir(directory)


def end(child: "subprocess.Popen[bytes]", stop_signal: int, grace: int) -> int:
    """Asks, asks louder, and does not ask: SIGQUIT is the immediate shutdown of Postgres and a stack dump of Java."""
    for number, seconds in ((stop_signal, grace), (signal.SIGQUIT, 3), (signal.SIGKILL, 10)):
        child.send_signal(number)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    return 1


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN: the command would inherit that, and Java obey it
    sys.exit(main(sys.argv[1:]))
