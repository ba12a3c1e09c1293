"""What is worth asking after an answer: commands that can be pasted, with the ids that the answer itself shows in words only."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from ledger.attribution.answer import Answer
from ledger.attribution.triggers import beginnings
from ledger.cli.output import clean
from ledger.format.ids import text as id_text

_LONGEST: Final = 300
"""Characters of a name that is worth pasting."""

Question = tuple[str, str]
"""A command, and what it answers."""


def next_questions(answer: Answer, options: str = "") -> list[Question]:
    """What to ask next, the nearest first. ``options`` stand behind each: the tenant and time that were asked about.

    What is no plain text is in no command: a terminal or a shell would take it for another.
    """
    asked = [(words, why) for *words, why in _asked(answer) if all(map(_is_plain, words))]
    return [(shlex.join(("answerable", *words)) + options, clean(why)) for words, why in asked]


def _asked(answer: Answer) -> Iterator[tuple[str, ...]]:
    event = id_text(answer.asked)
    if "nodes" in answer.coverage.truncated:
        nodes = str(min(10 * answer.coverage.limits.nodes, 100_000))
        yield "who-triggered", event, "--nodes", nodes, "the same, of more events: this answer was cut short"
    token = next((each for each in answer.authority if each.issuer and each.token), None)
    if token is not None:
        yield "lineage", f"token:{token.issuer}#{token.token}", "where its token came from, and what was done with it"
    if answer.class_ == "unattributed":
        yield from _whoever(answer)
    if (run := _run_of(answer)) is not None:
        yield "replay", id_text(run), "its run, step by step"
    yield "lineage", event, "--down", "what came of it"
    for who in [each.who for each in beginnings(answer.triggers) if each.who is not None][:1]:
        if who.state == "named" and who.issuer and who.subject:
            yield "touched", "person", f"{who.issuer}#{who.subject}", f"what else {who.label} triggered"
    for each in [each for each in answer.influences if each.trust == "untrusted" and each.uri][:1]:
        yield "touched", "document", each.uri or "", "what else this untrusted content led to"
    if answer.accountable.agent_id is not None:
        yield "agents", answer.accountable.agent_id, "what is known of the agent, and what about it does not fit"


def _whoever(answer: Answer) -> Iterator[tuple[str, ...]]:
    """Who it may have been, where nobody is known: whose credential it was, and what else was done so."""
    subjects = [each.subject for each in answer.authority if each.subject is not None and each.subject.state == "named"]
    workload = next((each for each in subjects if each.kind == "workload" and each.issuer and each.subject), None)
    if workload is not None and answer.accountable.agent_id is None:
        yield (
            "agents",
            f"{workload.issuer}#{workload.subject}",
            "whether whoever called is an agent that somebody registered",
        )
    if answer.reasons and answer.coverage.as_of is None:  # what was judged is known as of now only
        yield "find", "--class", "unattributed", "--reason", answer.reasons[0], "what else is known so little of"


def _run_of(answer: Answer) -> bytes | None:
    """The run in which it was done; of an account without one, the last on the way to it."""
    own = [step.execution_id for step in answer.path if step.event_id in answer.events]
    way = [step.execution_id for step in reversed(answer.path)]
    return next((each for each in (*own, *way) if each is not None), None)


def _is_plain(word: str) -> bool:
    option = word.startswith("-") and word not in ("--down", "--nodes", "--class", "--reason")
    return len(word) <= _LONGEST and not option and clean(word) == word


__all__ = ["next_questions"]
