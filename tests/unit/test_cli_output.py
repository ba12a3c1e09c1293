"""What a verb prints reaches any terminal, and programs read the same JSON whatever it is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from ledger.cli.app import VERBS, command
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


def verbs(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from verbs(each, *path, name)
    if not hasattr(command, "commands"):
        yield path, command


def test_every_verb_prints_json_for_programs() -> None:
    found = dict(verbs(get_command(command())))
    assert {("demo",), ("tokens", "revoke"), ("materialize",)} <= set(found)
    without = [path for path, verb in found.items() if not any("--json" in each.opts for each in verb.params)]
    assert without == []


def test_a_token_that_is_revoked_is_told_as_json(tmp_path: Path) -> None:
    file = ["--file", str(tmp_path / "tokens")]
    assert CliRunner().invoke(command(), ["tokens", "new", "ann", "--role", "auditor", *file]).exit_code == 0
    result = CliRunner().invoke(command(), ["tokens", "revoke", "ann", "--json", *file])
    assert json.loads(result.stdout) == {"revoked": "ann", "file": file[1]}


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
    result = CliRunner().invoke(command(), ["import", "otlp", str(tmp_path / "given")])
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "home").exists()


def test_of_a_verb_that_there_is_the_others_are_not_imported() -> None:
    """The table says which module has which verb, and every verb of it is there when it is asked for alone."""
    every = names_of(command())
    assert every == {verb for verbs in VERBS.values() for verb in verbs} == names_of(command("--utc"))
    for verbs in VERBS.values():
        for verb in verbs:
            assert names_of(command(verb)) == set(verbs)
    script = (
        "import sys\nfrom ledger.cli import main\ntry:\n  main()\nfinally:\n  print('ledger.cli.ask' in sys.modules)"
    )
    for verb, wanted in (("verify", "False"), ("who-triggered", "True")):
        done = subprocess.run(
            [sys.executable, "-c", script, verb, "--help"], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == wanted


def names_of(made: typer.Typer) -> set[str]:
    return set(get_command(made).commands)  # type: ignore[attr-defined]
