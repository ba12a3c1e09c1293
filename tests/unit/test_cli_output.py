"""What a verb prints reaches any terminal, and programs read the same JSON whatever it is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ledger.cli.app import app
from ledger.cli.output import console, emit, fit_output, tell


def ascii_only(monkeypatch: pytest.MonkeyPatch) -> dict[str, io.BytesIO]:
    written = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
    for name, into in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(into, encoding="ascii", write_through=True))
    fit_output()
    return written


def test_marks_of_ours_become_plain_and_other_characters_their_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ascii_only(monkeypatch)
    console().print("a → b ← c · … Renée 京")
    tell("it took 5 µs")
    assert written["stdout"].getvalue() == b"a -> b <- c - ... Ren\\xe9e \\u4eac\n"
    assert written["stderr"].getvalue() == b"it took 5 us\n"


def test_json_on_such_a_terminal_is_the_same_json(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ascii_only(monkeypatch)
    emit({"name": "Renée → 京"})
    assert json.loads(written["stdout"].getvalue()) == {"name": "Renée → 京"}


def test_the_command_itself_writes_to_an_ascii_terminal(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "doctor"],
        env={**kept, "ANSWERABLE_DATA_DIR": str(tmp_path), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"UnicodeEncodeError" not in done.stderr
    assert b"-> " in done.stdout


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (Path.mkdir, "is a folder: give the files in it"),
        (os.mkfifo, "cannot be read twice"),
        (None, "there is no file"),
    ],
)
def test_what_is_no_file_cannot_be_imported_and_the_sentence_says_why(
    made: object, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path / "home"))
    if callable(made):
        made(tmp_path / "given")
    result = CliRunner().invoke(app, ["import", "otlp", str(tmp_path / "given")])
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "home").exists()
