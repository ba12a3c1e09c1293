"""What is worth asking after the story, and the names to ask with: for the demo's last lines and for ``docs/questions.md``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

SAID = 3
"""Lines of each log that a demo which broke off shows."""


def names(api_url: str, booking: str, above_limit: str) -> Mapping[str, str]:
    """What questions about the story are put with: ids and names, read from the ledger's own answers."""
    first, second = (_who(api_url, each) for each in (booking, above_limit))
    trigger = first["triggers"][0]
    agent = next(step["agent_id"] for step in first["path"] if step["agent_id"] is not None)
    who, right = trigger["who"], first["authority"][0]
    return {
        "booking": booking,
        "prompt": trigger["event_id"],
        "person": f"{who['issuer']}#{who['subject']}",
        "person_encoded": quote(f"{who['issuer']}#{who['subject']}", safe=""),
        "agent": agent,
        "agent_encoded": quote(agent, safe=""),
        "token": f"{right['issuer']}#{right['token']}",
        "token_encoded": f"{quote(right['issuer'], safe='')}/{quote(right['token'], safe='')}",
        "grant": right["grant_id"],
        "run": _run(first),
        "other_run": _run(second),
    }


def questions() -> Sequence[tuple[str, str]]:
    """Why to ask, and the command, with the names of ``names`` as variables."""
    return (
        ("Who triggered the booking, and what to ask next?", 'answerable who-triggered "$booking"'),
        ("Was anything altered, and is all of it there?", "answerable verify"),
        ("What else did this person trigger, through whichever agents?", 'answerable touched person "$person"'),
        ("What did this agent do, and for whom?", 'answerable find --agent "$agent" --kind api_action'),
        ("Where did its token come from, and what was done with it?", 'answerable lineage "token:$token"'),
        ("What does not fit?", "answerable findings"),
        ("How much of what was done is attributed, and how surely?", "answerable coverage"),
        ("And the rest, which nobody is known to have triggered?", "answerable find --class unattributed"),
        ("What did the two runs do differently?", 'answerable diff "$run" "$other_run"'),
        ("The run step by step?", 'answerable replay "$run"'),
        ("Which agents are there, and what about them does not fit?", "answerable agents"),
        ("A picture, where Graphviz is installed?", 'answerable graph "$run" --format svg > run.svg'),
    )


def write_names(home: Path, given: Mapping[str, str]) -> Path:
    """A file for a shell to read, beside the ledger that stays."""
    path = home / "ask.sh"
    lines = [f"export ANSWERABLE_DATA_DIR={shlex.quote(str((home / 'data').resolve()))}"]
    lines += [f"{name}={shlex.quote(value)}" for name, value in given.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def closing(home: Path | None, given: Mapping[str, str]) -> Iterator[str]:
    """The demo's last lines. Without a ``home`` that stays there is nothing left to ask."""
    if home is None:
        yield "The ledger of this demo is gone now. To keep it and ask on: make demo ARGS='--keep my-demo'"
        return
    yield f"The ledger stays in {home}. Ask next:  . .venv/bin/activate && . {write_names(home, given)}"
    for why, command in questions():
        yield f"  {command:<52}# {why}"


def broken(home: Path, kept: Path | None, error: Exception) -> Iterator[str]:
    """The demo's last lines where it could not be played: what happened, what each process said last, and what to do."""
    yield f"\nTHE DEMO BROKE OFF: {type(error).__name__}: {error}"
    for log in sorted(home.glob("*.log")):
        said = log.read_text(errors="replace").splitlines()[-SAID:]
        yield from (f"  {log.stem}: {line}" for line in said)
    if kept is None:
        yield "Try again; with ARGS='--keep my-demo' what each process said stays in my-demo/*.log."
    else:
        yield f"What each process said is in {kept}/*.log. To try again: rm -r {shlex.quote(str(kept))}, or choose a new folder."


def _who(api_url: str, event_id: str) -> Any:
    return httpx.get(f"{api_url}/v1/events/{event_id}/who-triggered").raise_for_status().json()


def _run(answer: Any) -> str:
    """The run of the agent in an answer's path."""
    found: str = next(step["execution_id"] for step in answer["path"] if step["execution_id"] is not None)
    return found
