"""What two runs did differently: their steps aligned by structure, and for each step in both what of it differs.

What is another in every run says nothing and is left out: ids, times, token ids, counts of tokens. Texts are compared where their
contents stand; their digests are salted and cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ledger.attribution.alignment import STEPS, Pair, Step, align, steps_of
from ledger.attribution.json_form import rfc3339
from ledger.attribution.path import summary
from ledger.attribution.subgraph import KnownPerson, Node
from ledger.format import ids
from ledger.format.event import AUTHORIZED_BY, SAME
from ledger.format.kinds import PolicyDecision

Value = Any
"""What JSON holds."""

# fmt: off
_OF_THE_RUN: Final = frozenset({
    "action_id", "authentication", "auth_time", "decision_id", "effective_at", "ended_at", "expires_at", "first_at",
    "idempotency_key", "index", "input_tokens", "issued_at", "issued_before", "jti", "not_before", "oversight_id",
    "oversight_ids", "output_tokens", "peer_digest", "peer_event_id", "reference", "response_id", "session",
    "task_id", "token", "actor_token", "subject_token", "txn",
})
# fmt: on
"""Fields that are another in every run."""
_TEXT_SHOWN: Final = 500
DECISIONS: Final = 2000
"""Events that authorized steps, of both runs, that are looked at."""


class Change(NamedTuple):
    """A field that differs, with its value in each run."""

    field: str
    a: Value
    b: Value


class Row(NamedTuple):
    """A step of one run or of both. ``candidates`` above 1: other steps of a run fit as well."""

    status: str
    a: int | None
    b: int | None
    moved: bool
    candidates: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two runs beside each other. ``truncated`` names the runs (a, b) of which only the first steps were compared, and
    `decisions` where steps cite more of what authorized them than is looked at."""

    runs: tuple[bytes, bytes]
    steps: tuple[Sequence[Step], Sequence[Step]]
    rows: Sequence[Row]
    truncated: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether everything that was compared is the same, and all of both runs was."""
        return not self.truncated and all(row.status == "same" and not row.moved for row in self.rows)


def texts_wanted(a: Sequence[Node], b: Sequence[Node]) -> set[bytes]:
    """The contents whose bytes ``compare`` can use."""
    return {digest for node in (*a[:STEPS], *b[:STEPS]) for digest in node.header.contents}


def decisions_wanted(a: Sequence[Node], b: Sequence[Node]) -> list[bytes]:
    """The ids of what steps were authorized by, of which ``compare`` tells the policy's decisions."""
    steps = (*a[:STEPS], *b[:STEPS])
    cited = (cause.event_id for node in steps for cause in node.header.causes if cause.relation == AUTHORIZED_BY)
    return list(dict.fromkeys(cited))


def compare(
    runs: tuple[bytes, bytes],
    a: Sequence[Node],
    b: Sequence[Node],
    persons: Mapping[bytes, KnownPerson],
    texts: Mapping[bytes, str],
    truncated: Sequence[str] = (),
    authorizing: Sequence[Node] = (),
) -> Difference:
    """``a`` and ``b`` are the events of each run; ``texts`` what stands of their contents, by digest, as text; ``authorizing``
    what ``decisions_wanted`` asks for."""
    left, right = steps_of(a[:STEPS]), steps_of(b[:STEPS])
    by_id: dict[bytes, list[Node]] = {}
    for node in authorizing:
        by_id.setdefault(node.event_id, []).append(node)
    said = _Said(persons, texts, by_id)
    cut = {*truncated, *(["a"] if len(a) > STEPS else []), *(["b"] if len(b) > STEPS else [])}
    shown = [[_fields(step.node, persons, texts) for step in steps] for steps in (left, right)]
    for steps, fields in zip((left, right), shown, strict=True):
        for at, each in enumerate(fields):
            each["decisions"] = _decisions(steps, at, said)
    pairs = align(left, right, (list(map(repr, shown[0])), list(map(repr, shown[1]))))
    number_of_b = {pair.a: pair.b for pair in pairs}
    rows: list[Row] = []
    at = 0
    for i, pair in enumerate(_by_a(left, pairs)):
        if pair is None:
            rows.append(Row("only_a", i, None, False, 1, ()))
            continue
        while not pair.moved and at < pair.b:
            rows += [] if _paired(at, pairs) else [Row("only_b", None, at, False, 1, ())]
            at += 1
        changes = _changes((left[i], shown[0][i]), (right[pair.b], shown[1][pair.b]), number_of_b)
        rows.append(Row("changed" if changes else "same", i, pair.b, pair.moved, pair.candidates, changes))
        at = at if pair.moved else pair.b + 1
    rows += [Row("only_b", None, j, False, 1, ()) for j in range(at, len(right)) if not _paired(j, pairs)]
    return Difference(runs=runs, steps=(left, right), rows=rows, truncated=tuple(sorted(cut)))


def difference_json(found: Difference) -> dict[str, Any]:
    """The difference as JSON: ids as UUID text, digests in hex."""
    count = {
        status: sum(row.status == status for row in found.rows) for status in ("same", "changed", "only_a", "only_b")
    }
    return {
        "a": ids.text(found.runs[0]),
        "b": ids.text(found.runs[1]),
        "same": found.same,
        "counts": {**count, "moved": sum(row.moved for row in found.rows)},
        "rows": [_row_json(found, row) for row in found.rows],
        "truncated": list(found.truncated),
        "limits": {"steps": STEPS, "decisions": DECISIONS},
    }


def _row_json(found: Difference, row: Row) -> dict[str, Any]:
    return {
        "status": row.status,
        "moved": row.moved,
        "candidates": row.candidates,
        "a": None if row.a is None else _step_json(found.steps[0], row.a),
        "b": None if row.b is None else _step_json(found.steps[1], row.b),
        "changes": [each._asdict() for each in row.changes],
    }


def _step_json(steps: Sequence[Step], at: int) -> dict[str, Any]:
    node = steps[at].node
    return {
        "step": at,
        "event_id": ids.text(node.event_id),
        "digest": node.digest.hex(),
        "kind": node.kind,
        "summary": summary(node),
        "occurred_at": rfc3339(node.at),
        "causes": _causes_shown(steps[at]),
    }


def _causes_shown(step: Step) -> list[dict[str, Any]]:
    return [{"relation": relation, "step": None if at < 0 else at} for relation, at in step.causes]


def _by_a(left: Sequence[Step], pairs: Sequence[Pair]) -> list[Pair | None]:
    found = {pair.a: pair for pair in pairs}
    return [found.get(i) for i in range(len(left))]


def _paired(j: int, pairs: Sequence[Pair]) -> bool:
    return any(pair.b == j for pair in pairs)


class _Said(NamedTuple):
    """What is known beside the steps: people and texts by digest, and what steps were authorized by."""

    persons: Mapping[bytes, KnownPerson]
    texts: Mapping[bytes, str]
    authorizing: Mapping[bytes, Sequence[Node]]


def _changes(
    a: tuple[Step, Mapping[str, Value]], b: tuple[Step, Mapping[str, Value]], number_of_b: Mapping[int, int]
) -> tuple[Change, ...]:
    fields = [{**said} for _, said in (a, b)]
    fields[0]["causes"] = sorted(
        [relation, "outside" if at < 0 else f"step {number_of_b[at]}" if at in number_of_b else f"step {at} of a alone"]
        for relation, at in a[0].causes
    )
    fields[1]["causes"] = sorted([relation, "outside" if at < 0 else f"step {at}"] for relation, at in b[0].causes)
    names = sorted({*fields[0], *fields[1]})
    return tuple(
        Change(name, fields[0].get(name), fields[1].get(name))
        for name in names
        if fields[0].get(name) != fields[1].get(name)
    )


def _decisions(steps: Sequence[Step], at: int, said: _Said) -> list[str]:
    """What policies decided about a step, or about the attempt that it completes."""
    nodes = [steps[at].node]
    nodes += [steps[place].node for relation, place in steps[at].causes if relation in SAME and place >= 0]
    cited = [cause for node in nodes for cause in node.header.causes if cause.relation == AUTHORIZED_BY]
    facts = (
        node.fact
        for cause in cited
        for node in said.authorizing.get(cause.event_id, ())
        if node.effective and cause.digest in (None, node.digest)
    )
    return sorted({_decided(fact) for fact in facts if isinstance(fact, PolicyDecision)})


def _decided(fact: PolicyDecision) -> str:
    policy = " ".join(each for each in (fact.engine, fact.policy_id, fact.policy_version) if each)
    why = f": {'; '.join(fact.reasons)}" if fact.reasons else ""
    return f"{fact.decision} {fact.action} by {policy or 'a policy not named'}{why}"


def _fields(node: Node, persons: Mapping[bytes, KnownPerson], texts: Mapping[bytes, str]) -> dict[str, Value]:
    """What of a step is comparable between runs."""
    known = set(node.header.contents) | ({node.header.principal} if node.header.principal else set())
    shown: dict[str, Value] = {
        "service": node.service,
        "agent_id": node.header.agent_id,
        "effective": node.effective,
        "findings": sorted(node.findings),
        "principal": _content(node.header.principal, persons, texts),
        "payload": "erased or unknown" if node.payload is None else "there",
    }
    for name, value in (node.payload or {}).items():
        if name not in _OF_THE_RUN:
            shown[name] = _plain(value, known, persons, texts)
    return shown


def _plain(value: Any, known: set[bytes], persons: Mapping[bytes, KnownPerson], texts: Mapping[bytes, str]) -> Value:
    if isinstance(value, Mapping):
        return {name: _plain(held, known, persons, texts) for name, held in value.items() if name not in _OF_THE_RUN}
    if isinstance(value, list | tuple):
        return [_plain(each, known, persons, texts) for each in value]
    if isinstance(value, bytes):
        return _content(value, persons, texts) if value in known else value.hex()
    return value


def _content(digest: bytes | None, persons: Mapping[bytes, KnownPerson], texts: Mapping[bytes, str]) -> Value:
    """Whom or what a digest stands for; of what cannot be read only that it is there, for salted digests always differ."""
    if digest is None:
        return None
    known = persons.get(digest)
    if known is not None:
        return known.person.key if known.person is not None else known.state
    text = texts.get(digest)
    return "(a text that is not here)" if text is None else text
