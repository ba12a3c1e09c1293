"""Links between events as lines for a person on a terminal, and which of them say something new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from ledger.attribution.answer import Link
from ledger.cli.output import clean
from ledger.format.event import SAME, SAME_ACTION
from ledger.format.ids import text as id_text

_STYLES: Final = {"corroborated": "bold green", "sealed": "green", "asserted": "yellow", "inferred": "magenta"}


def link_line(link: Link) -> Text:
    """What an event comes from, by which join, and how sure that is."""
    join = f" by {link.join}" if link.join is not None else ""
    # Several accounts of one action all are accounts of it: there is nothing to choose.
    candidates = 1 if link.relation == SAME_ACTION else link.candidates
    said = clean(f"{link.relation} {id_text(link.cause)}{join}")
    return Text.assemble("    ← ", said, *grade_text(link.grade, candidates))


def grade_text(grade: str | None, candidates: int) -> Iterator[str | tuple[str, str]]:
    """A grade in its colour, and how many events fitted where it was not one alone."""
    if grade is not None:
        yield "  "
        yield (grade, _STYLES.get(grade, ""))
    if candidates > 1:
        yield (f" (one of {candidates} that fit)", "magenta")


def without_echoes(events: Sequence[Sequence[Link]]) -> list[list[Link]]:
    """The links of events in their order, without those that only say again that two events are accounts of one thing: a join
    beside a stated link, or the same join the other way."""
    told = {_pair(link) for links in events for link in links if link.relation in SAME and link.join is None}
    kept: list[list[Link]] = []
    for links in reversed(events):
        new = [link for link in links if link.relation not in SAME or link.join is None or _pair(link) not in told]
        told.update(_pair(link) for link in new if link.relation in SAME)
        kept.append(new)
    return kept[::-1]


def _pair(link: Link) -> frozenset[tuple[bytes, bytes]]:
    return frozenset({(link.effect, link.effect_digest), (link.cause, link.cause_digest)})
