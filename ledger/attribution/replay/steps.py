"""A page of a run, judged: each step with what held after it. Pure: what the store fetched goes in, a ``Replay`` comes out.

What held when the page began follows from the events before it (``earlier``), so that a page in the middle says what
a replay from the start would have said there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from ledger.attribution.index import Index
from ledger.attribution.links import Links
from ledger.attribution.replay.approvals import Asked, Said, approvals_of
from ledger.attribution.replay.around import crossings_of, taint_happenings, taint_of
from ledger.attribution.replay.silences import at_the_end, gap, missing_of
from ledger.attribution.replay.tokens import HeldToken, held_tokens
from ledger.attribution.replay.values import MOST, Change, Place, Promise, Replay, Silence, State, Step, Taint, place_of
from ledger.attribution.subgraph import Node, Ref, Subgraph

_T = TypeVar("_T")


def replay_page(
    subgraph: Subgraph,
    execution: bytes,
    earlier: Sequence[Node],
    page: Sequence[Node],
    promises: Mapping[Ref, Promise],
    *,
    silence: int,
    now: int,
    last: bool,
    truncated: Sequence[str] = (),
) -> Replay:
    """The steps of ``page``. ``earlier`` are the events of the run before it, ``subgraph`` holds both and what is around them;
    ``last``: no step comes after the page."""
    links = Links(Index(subgraph))
    held = _Held(links, [*earlier, *page])
    places = [place_of(node) for node in page]
    since = place_of(earlier[-1]) if earlier else Place(-1 << 63)
    crossings = crossings_of(links, execution, page)
    steps: list[Step] = []
    previous = earlier[-1] if earlier else None
    for node, place in zip(page, places, strict=True):
        silences = list(_silences(links, previous, node, promises, silence))
        if last and node is page[-1]:
            silences += at_the_end(links, execution, page, promises, now)
        steps.append(
            Step(
                node=node,
                state=held.state(place),
                changes=held.changes(since, place),
                crossings=tuple(held.cut("crossings", crossings.get(node.ref, ()))),
                silences=tuple(silences),
            )
        )
        since, previous = place, node
    return Replay(
        execution_id=execution,
        before=held.state(place_of(earlier[-1])) if earlier else State(),
        steps=tuple(steps),
        truncated=tuple(dict.fromkeys([*truncated, *held.full])),
        silence=silence,
        last=last,
        limits={"shown": MOST},
    )


def _silences(
    links: Links, previous: Node | None, node: Node, promises: Mapping[Ref, Promise], silence: int
) -> Iterator[Silence]:
    if previous is not None and (found := gap(previous, node, promises.get(previous.ref), silence)) is not None:
        yield found
    yield from missing_of(links, node)


class _Held:
    """Everything that the run holds at one time or another. ``full`` names what was cut."""

    def __init__(self, links: Links, run: Sequence[Node]) -> None:
        self.full: dict[str, None] = {}
        self._tokens: Sequence[HeldToken] = held_tokens(links, run)
        said, asked = approvals_of(links, run)
        self._said: Sequence[Said] = said
        self._asked: Sequence[Asked] = asked
        self._taint: Sequence[Taint] = taint_of(links, run)
        happenings = [
            *(each for token in self._tokens for each in token.happenings()),
            *(each for one in said for each in one.happenings()),
            *(each for one in asked for each in one.happenings()),
            *taint_happenings(self._taint, run),
        ]
        self._happenings = sorted(happenings, key=lambda each: (each[0], each[1].at))
        self._places = [place for place, _ in self._happenings]
        self._steps = {node.event_id: place_of(node) for node in run}

    def state(self, place: Place) -> State:
        """What is held after whatever stands at ``place``."""
        asked = [state for each in self._asked if each.enters <= place and (state := each.state(place)) is not None]
        said = [each.state(place) for each in self._said if each.enters <= place]
        return State(
            tokens=tuple(
                self.cut("tokens", [each.state(place) for each in self._tokens if (each.enters or place) <= place])
            ),
            approvals=tuple(self.cut("approvals", [*asked, *said])),
            taint=tuple(self.cut("taint", [each for each in self._taint if self._steps[each.step] <= place])),
        )

    def changes(self, since: Place, until: Place) -> tuple[Change, ...]:
        """What happened after ``since``, up to ``until``."""
        first, end = bisect_right(self._places, since), bisect_right(self._places, until)
        return tuple(self.cut("changes", [change for _, change in self._happenings[first:end]]))

    def cut(self, what: str, items: Sequence[_T]) -> Sequence[_T]:
        """The latest of them."""
        if len(items) > MOST:
            self.full[what] = None
        return items[-MOST:]
