"""The demo's own parts that the story does not reach each time: a code typed late, and a story that breaks off."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pyotp
import pytest

from examples.flight_booking.asking import broken
from examples.flight_booking.issuer import Issuer, OAuthError
from examples.flight_booking.story import collect, main

SECRET = pyotp.random_base32()


def approve(code_of: float) -> None:
    issuer = Issuer(url="https://login.example", people={"alice": ("", SECRET)}, clients={})
    issuer.approve("alice", pyotp.TOTP(SECRET).at(int(code_of)), "booking:create", "00" * 32)


def test_a_code_of_the_period_beside_this_one_is_taken_and_an_older_one_is_not() -> None:
    approve(time.time() + 30)
    with pytest.raises(OAuthError, match="second factor"):
        approve(time.time() - 120)


def test_a_demo_that_breaks_off_says_what_happened_where_to_look_and_how_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERABLE_API_HOST", "256.0.0.1")
    kept, said = tmp_path / "my demo", list[str]()
    told: list[Mapping[str, object]] = []
    assert main(kept, said.append, told.append) == 1
    assert told == [{"as_it_must": False, "directory": str(kept), "answers": []}]
    text = "\n".join(said)
    assert "THE DEMO BROKE OFF: RuntimeError" in text
    assert "  serve: error: the API does not bind to 256.0.0.1" in text
    assert said[-1].endswith(f"To try again: rm -r '{kept}', or choose a new folder.")
    *_, last = broken(kept, None, RuntimeError("gone"))
    assert last.startswith("Try again; with ARGS='--keep my-demo'")


def test_an_answer_that_is_collected_is_the_commands_json_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))
    answers: list[Mapping[str, object]] = []
    assert (collect(answers, "tokens", "list"), collect(answers, "tokens", "revoke", "nobody")) == (0, 1)
    first, second = answers
    assert first == {"command": ["answerable", "tokens", "list"], "status": 0, "answer": []}
    assert (second["status"], second["answer"]) == (1, None)
