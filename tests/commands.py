"""``answerable`` for scripts of many commands: each is a process with arguments, environment, directory and streams of its own,
forked from one that has imported the command already. That is most of what a short command takes.

    environment["PATH"] = f"{commands()}:{environment['PATH']}"
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Final

from tests.orphans import end_with_parent
from tests.waiting import until

ROOT: Final = Path(__file__).parents[1]
SOCKET: Final = "asked"
STREAMS: Final = 3
READY_SECONDS: Final = 60.0
_ASKING: Final = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect({path!r})
    said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(asking, [len(said).to_bytes(4, "big")], [0, 1, 2])
    asking.sendall(said)
    told = asking.recv(1)
sys.exit(told[0] if told else "the command was killed")
"""


@cache
def commands() -> Path:
    """A directory with the command, for ``PATH``. It goes, and the process behind it, when this one ends."""
    directory = Path(tempfile.mkdtemp(prefix="answerable-commands-"))
    script, path = directory / "answerable", directory / SOCKET
    script.write_text(_ASKING.format(python=sys.executable, path=str(path)))
    script.chmod(0o755)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    serving = subprocess.Popen(
        [sys.executable, "-m", "tests.commands", str(path)], cwd=ROOT, env=plain, stdout=subprocess.DEVNULL
    )
    atexit.register(_end, serving, directory)

    def serves() -> bool:
        assert serving.poll() is None, "the process that has imported the command ended"
        return path.exists()

    until(serves, READY_SECONDS)
    return directory


def _end(serving: subprocess.Popen[bytes], directory: Path) -> None:
    serving.kill()
    serving.wait()
    shutil.rmtree(directory, ignore_errors=True)


def serve(path: str) -> None:
    """Answers until it is killed, or whoever started it has ended."""
    from ledger.cli.app import command

    command()  # whatever any verb needs is there before the first one
    end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the commands: they tell their status
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path + ".new")
        listening.listen(64)
        Path(path + ".new").rename(path)
        while True:
            asked, _ = listening.accept()
            with asked:
                if os.fork() == 0:
                    listening.close()
                    _answer(asked)


def _answer(asked: socket.socket) -> None:
    """In the child: the command, to its end."""
    status = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, streams, _, _ = socket.recv_fds(asked, 4, STREAMS)
        with asked.makefile("rb") as told:
            arguments, environment, directory = json.loads(told.read(int.from_bytes(size, "big")))
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        status = _command(arguments, environment, directory)
    except BaseException:  # noqa: BLE001 - as an interpreter tells of it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        asked.sendall(bytes([status]))
        os._exit(status)


def _command(arguments: list[str], environment: dict[str, str], directory: str) -> int:
    from ledger.cli import main

    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(directory)
    sys.argv = ["answerable", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        atexit._run_exitfuncs()
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
