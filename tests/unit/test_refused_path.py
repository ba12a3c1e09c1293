"""A path that the system refuses is told with what to do, by every verb that reads or writes; a defect of ours stays one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ledger.cli.app import command
from ledger.cli.invocation import Sentences
from ledger.cli.refused_path import sentence_of
from ledger.logs.archive import write_archive
from ledger.recorder.clock import SystemClock
from ledger.settings import Settings
from tests.services.memory_log import MemoryLog

FILE = ["--log-url", "file:{place}/log.avro", "--store-url", "postgresql://nobody@localhost/none"]
WRITING = {
    "serve": ["serve", "--port", "0"],
    "migrate": ["migrate"],
    "import": ["import", "otlp", "{place}/given.json"],
    "keys new": ["keys", "new", "agent"],
    "keys new --path": ["keys", "new", "agent", "--path", "{place}/file/agent.jwk"],
    "tokens new": ["tokens", "new", "ann", "--role", "auditor"],
    "tokens new --file": ["tokens", "new", "ann", "--role", "auditor", "--file", "{place}/link/tokens"],
    "demo": ["demo", "--keep", "{place}/file/demo"],
    "archive": [*FILE, "archive", "{place}/no/such/copy.avro"],
    "verify --heads": [*FILE, "verify", "--heads", "{place}/no/such/heads"],
}
ELSEWHERE = {"keys new --path", "tokens new --file", "demo", "archive", "verify --heads"}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ANSWERABLE_{name.upper()}", raising=False)
    monkeypatch.delenv("ANSWERABLE_DEBUG", raising=False)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "given.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("verb", WRITING)
def test_a_verb_whose_path_cannot_be_written_says_which_and_what_to_do(
    verb: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(MemoryLog(SystemClock()), place / "log.avro")
    home = place / "home" if verb in ELSEWHERE else place / "link"
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(home))
    if verb in ELSEWHERE:
        assert CliRunner().invoke(command(), ["keys", "new", "first"]).exit_code == 0
        assert CliRunner().invoke(command(), ["keys", "trust", "first", "--service", "first"]).exit_code == 0
    result = CliRunner().invoke(command(), [each.format(place=place) for each in WRITING[verb]])
    assert result.exit_code == 2, result.output
    assert str(place) in result.stderr
    assert "unexpected" not in result.stderr
    assert "name another path" in result.stderr
    assert ("ANSWERABLE_DATA_DIR" in result.stderr) == (verb not in ELSEWHERE)


@pytest.mark.parametrize(
    ("number", "path", "says"),
    [
        (errno.EACCES, "x", "has not the right"),
        (errno.EPERM, "x", "does not let this user"),
        (errno.EROFS, "x", "read only"),
        (errno.ENOSPC, "x", "no room is left"),
        (errno.EISDIR, ".", "is a folder"),
        (errno.ENOTDIR, "file/x/y", "file is a file, and a folder is wanted"),
        (errno.EEXIST, "file", "file is a file, and a folder is wanted"),
        (errno.EEXIST, "link", "is a link to"),
        (errno.ENOENT, "no/such/x", "there is no folder"),
        (errno.ENOENT, "link", "is a link to"),
    ],
)
def test_the_sentence_names_the_path_and_the_reason(number: int, path: str, says: str, place: Path) -> None:
    told = sentence_of(OSError(number, os.strerror(number), str(place / path)), data_dir=None)
    assert told is not None
    assert told.startswith(f"{place / path} cannot be read or written; ")
    assert says in told


def test_a_full_disk_is_told_where_no_path_is_known() -> None:
    assert sentence_of(OSError(errno.ENOSPC, "No space left on device"), data_dir=None) == (
        "no room is left on a disk (No space left on device): make some, and try again"
    )


DEFECTS = {
    "a file that was ours to make": lambda: Path(__file__).with_name("absent").read_bytes(),
    "a number that is no file": lambda: os.close(1 << 30),
    "anything else": lambda: {}["absent"],
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_stays_told_as_one(defect: str, place: Path) -> None:
    broken = typer.Typer(cls=Sentences)

    @broken.command()
    def verb() -> None:
        DEFECTS[defect]()

    @broken.command()
    def another() -> None: ...

    result = CliRunner().invoke(broken, ["verb"])
    assert result.exit_code == 2
    assert "unexpected" in result.stderr
    assert "report it" in result.stderr
