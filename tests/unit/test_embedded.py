from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest

from ledger.embedded import EmbeddedPostgres, attach
from ledger.errors import ConfigurationError
from tests.waiting import until

STARTER = """
import sys, time
from ledger.embedded import start
print(start(sys.argv[1]).pid, flush=True)
time.sleep(600)
"""


def until_gone(pid: int) -> None:
    until(lambda: not Path(f"/proc/{pid}").exists())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded") / "pg"


def test_data_survive_a_stop_and_a_kill(directory: Path) -> None:
    server = EmbeddedPostgres(directory).start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    server.stop()
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
    server.kill()
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT sum(n) FROM kept").fetchone() == (3,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    server.stop()


def test_attach_finds_the_running_server_and_no_other(directory: Path) -> None:
    assert attach(directory) is None
    with EmbeddedPostgres(directory) as server:
        assert attach(directory) == server.url
        with pytest.raises(ConfigurationError, match="another process runs"):
            EmbeddedPostgres(directory).start()
    assert attach(directory) is None


def test_only_the_owner_may_enter_the_directory(directory: Path) -> None:
    with EmbeddedPostgres(directory):
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / "data").stat().st_mode & 0o777 == 0o700


def test_the_server_ends_when_its_starter_is_killed(directory: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(directory)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert attach(directory) is not None
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until_gone(pid)
    assert attach(directory) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel signals a child of a killed guard on Linux only")
def test_the_server_ends_when_its_guard_is_killed(directory: Path) -> None:
    server = EmbeddedPostgres(directory).start()
    pid = server.pid
    guard = int(Path(f"/proc/{pid}/stat").read_text().split()[3])
    os.kill(guard, signal.SIGKILL)
    until_gone(pid)
    server.stop()


@pytest.fixture
def deep(directory: Path) -> Path:
    """Too deep for a socket."""
    return directory.parent / ("d" * 120)


@pytest.fixture
def own_temp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A temporary directory that no other start on this machine looks through for what nobody uses."""
    with tempfile.TemporaryDirectory(prefix="own-") as made:
        Path(made).chmod(0o711)  # root's server runs under another account
        monkeypatch.setenv("TMPDIR", made)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield


def sockets_of(url: str) -> Path:
    return Path(unquote(url.partition("host=")[2]))


def test_a_directory_too_deep_for_a_socket_gets_a_short_one_that_goes_with_the_server(deep: Path) -> None:
    with EmbeddedPostgres(deep) as server:
        url = server.url
        assert str(deep) not in url
        assert attach(deep) == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert sockets_of(url).exists()
    assert not sockets_of(url).exists()
    with EmbeddedPostgres(deep) as server:
        assert server.url == url
        server.kill()
    assert not sockets_of(url).exists()


@pytest.mark.usefixtures("own_temp")
def test_it_goes_too_when_the_starter_is_killed_and_by_the_next_start_when_the_guard_was(
    deep: Path, directory: Path, tmp_path: Path
) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(deep)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    sockets = sockets_of(attach(deep) or "")
    assert sockets.exists()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until_gone(pid)
    until(lambda: not sockets.exists())
    server = EmbeddedPostgres(deep).start()
    pid = server.pid
    os.kill(int(Path(f"/proc/{pid}/stat").read_text().split()[3]), signal.SIGKILL)
    until_gone(pid)
    server.stop()
    assert sockets.exists()
    with EmbeddedPostgres(deep):
        other = directory.parent / ("e" * 120)
        with EmbeddedPostgres(other) as second:
            assert sockets.exists()  # it is in use again
            orphaned = second.pid
            os.kill(int(Path(f"/proc/{orphaned}/stat").read_text().split()[3]), signal.SIGKILL)
            until_gone(orphaned)
            left = sockets_of(second.url)
        assert left.exists()
    with EmbeddedPostgres(deep):
        assert not left.exists()


def test_a_server_may_recover_for_as_long_as_it_has_to(directory: Path) -> None:
    with EmbeddedPostgres(directory):
        pass
    (directory / "data" / "recovery.signal").touch()
    # For several files, one after the other.
    slowly = {"restore_command": "sleep 1.2; echo asked >&2; false", "hot_standby": "off"}
    began = time.monotonic()
    with EmbeddedPostgres(directory, slowly, patience=2.4) as server, psycopg.connect(server.url) as connection:
        assert time.monotonic() - began > 2.4
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


def test_an_interrupted_first_start_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    half = tmp_path / "pg" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(tmp_path / "pg") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
