"""Everything that a person triggered, and everything that a token, grant, document, memory or policy version touched.

One way for all: the events that are the thing (a person's prompts and schedules, a token's issuance and uses, the readings of a
document …), a page of them, the latest first; and what came of these, across executions, bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, get_args

import psycopg

from ledger.attribution.findable import in_two
from ledger.attribution.joins import key_of, names_of
from ledger.attribution.subgraph import DEFAULT_LIMITS, KnownPerson, Limits, Node, Ref
from ledger.attribution.touched import Reached, reached
from ledger.errors import InvalidEvent
from ledger.format.content import is_digest
from ledger.store.connect import translated
from ledger.store.downwards import walk_below
from ledger.store.nodes import Reading
from ledger.store.persons import persons_listed
from ledger.store.queries import pseudonyms
from ledger.store.question import Question

What = Literal["person", "token", "grant", "document", "memory", "policy"]
WHAT: Final[Sequence[What]] = get_args(What)

STARTS: Final = 100
"""Events of the thing from which one page goes down."""
_KINDS: Final[Mapping[What, Sequence[str]]] = {
    "person": ("prompt", "handoff", "trigger_registration", "execution_control", "grant", "oversight"),
    "token": ("token_issuance", "api_action", "prompt", "handoff", "trigger_registration"),
    "grant": ("grant", "token_issuance", "api_action", "policy_decision", "trigger_registration"),
    "document": ("observation",),
    "memory": ("memory",),
    "policy": ("policy_decision",),
}
"""The kinds of event that are the thing, or its use."""
_USES: Final = frozenset({"token_use", "grant_use"})


class Touched(NamedTuple):
    """A page. ``starts`` are the events of the thing, ``uses`` those of them that used a token or grant rather than stated it;
    ``before`` is the id that the next page goes on from; ``truncated`` names limits that were hit."""

    starts: Sequence[Node]
    items: Sequence[Reached]
    persons: Mapping[bytes, KnownPerson]
    before: bytes | None
    truncated: tuple[str, ...]
    uses: frozenset[Ref] = frozenset()


def touched(
    connection: psycopg.Connection,
    reading: Reading,
    tenant: str,
    what: What,
    value: str,
    *,
    before: bytes = b"\xff" * 16,
    as_of: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Touched:
    """What came of the thing; empty where the tenant has nothing of it. Raises ``InvalidEvent`` for a value of no such form."""
    with translated():
        names, truncated = _names(connection, tenant, what, value)
        question = Question(connection, reading, tenant, limits, as_of)
        keys = [key_of(tenant, name) for name in names]
        given = {"keys": keys, "kinds": list(_KINDS[what]), "before": before.hex(), "starts": STARTS + 1}
        ids = sorted(question.fetch("touched_starts.sql", **given), reverse=True)[:STARTS]
        more = question.keep(ids, STARTS)
        starts = [node for node in question.decoded.values() if node.effective and _is(node, names)]
        starts.sort(key=lambda node: (node.event_id, node.digest), reverse=True)
        below = walk_below(question, [node.event_id for node in starts], accounts=True)
        nodes = question.nodes()
        people = {node.header.principal for node in nodes if node.header.principal is not None}
        persons = persons_listed(connection, reading, tenant, people, as_of=as_of)
    found = reached(question.subgraph(nodes, persons), [node.ref for node in starts]) if starts else []
    uses = frozenset(node.ref for node in starts if _is_use(node, names))
    return Touched(starts, found, persons, ids[-1] if more else None, (*truncated, *below.truncated), uses)


def _is(node: Node, names: Sequence[str]) -> bool:
    answers, follows = names_of(node.header, node.payload)
    return not set(names).isdisjoint([*answers, *follows])


def _is_use(node: Node, names: Sequence[str]) -> bool:
    """Whether an event of a token or grant says that it used it. What states it answers to its name, or is its issuance anew."""
    answers = set(names_of(node.header, node.payload)[0])
    used = {name for name in names if name.partition(":")[0] in _USES}
    return not used.isdisjoint(answers) and not answers.intersection(set(names) - used)


def _names(connection: psycopg.Connection, tenant: str, what: What, value: str) -> tuple[list[str], tuple[str, ...]]:
    """The names that the events of the thing answer to."""
    apart = in_two(value)
    if what == "person":
        digests, truncated = pseudonyms(connection, tenant, value)
        return [f"principal:{each}" for each in digests or ()], truncated
    if what == "token":
        if is_digest(value):
            return [f"token_digest:{value}", f"token_use:token_digest:{value}"], ()
        named = [f"token:{issuer}\0{jti}" for issuer, jti in apart if issuer]
        if not named:
            raise InvalidEvent(
                "a token is named by issuer#jti, or by its SHA-256 in hex; what is found by its jti names its issuer"
            )
        return [*named, *(f"token_use:{each}" for each in named)], ()
    if what == "grant":
        return [f"grant:{value}", f"grant_use:{value}"], ()
    if what == "document":
        return [f"resource:{value}"], ()
    if what == "memory":
        places = [*apart, ("", value)]
        of_value = [f"value:{key}" for _, key in places]  # what read it is found by the value that it states
        return [*(f"memory:{place}\0{key}" for place, key in places), *of_value], ()
    policy, at, version = value.rpartition("@")
    return [f"policy:{policy}\0{version}" if at else f"policy:{value}"], ()
