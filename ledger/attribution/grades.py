"""How surely a link or claim is known.

* ``corroborated``: stated by the keys of two services, each from its source.
* ``sealed``: cited by digest under a verified seal. The signer said so, and the cited event
  existed before; not that it caused it.
* ``asserted``: stated without digest, or imported.
* ``inferred``: joined on a name that both events bear; two candidates are an ambiguity, never a choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ledger.attribution.answer import Grade
from ledger.attribution.subgraph import Node
from ledger.format.event import SAME_ACTION, Cause

RANK: Final[dict[Grade, int]] = {"inferred": 0, "asserted": 1, "sealed": 2, "corroborated": 3}


def weakest(grades: Iterable[Grade], default: Grade = "corroborated") -> Grade:
    """The least of several: a chain of links is as sure as its weakest one."""
    return min(grades, key=RANK.__getitem__, default=default)


def strongest(grades: Iterable[Grade], default: Grade = "inferred") -> Grade:
    return max(grades, key=RANK.__getitem__, default=default)


def grade_of_claim(node: Node) -> Grade:
    """What one event says by itself: its signer said so, or somebody who copied it said that somebody else did."""
    return "asserted" if node.importer else "sealed"


def grade_of_cause(node: Node, cause: Cause, target: Node) -> Grade:
    """Of a cause that ``node`` states and that was found."""
    if node.importer or cause.digest is None:
        return "asserted"
    if cause.relation == SAME_ACTION and independent(node, target):
        return "corroborated"
    return "sealed"


def grade_of_claims(nodes: Iterable[Node]) -> Grade:
    """Of one claim that all of ``nodes`` state alike."""
    stated = list(nodes)
    if are_independent(stated):
        return "corroborated"
    return strongest((grade_of_claim(node) for node in stated), "asserted")


def are_independent(nodes: Iterable[Node]) -> bool:
    """Whether among events are the words of two services by two keys, each from its source."""
    authors = {node.author for node in nodes if not node.importer}
    return any(one[0] != other[0] and one[1] != other[1] for one in authors for other in authors)


def independent(one: Node, other: Node) -> bool:
    """Whether two events are the word of two services by two keys, each from its source."""
    return one.service != other.service and one.key_id != other.key_id and not (one.importer or other.importer)
