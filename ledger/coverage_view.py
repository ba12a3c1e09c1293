"""How coverage is told: what a slice sums up to, the same for HTTP, ``--json`` and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ledger.attribution.json_form import rfc3339
from ledger.store.coverage import By, Count, Covered
from ledger.store.judged import CLASSES


class Sums(NamedTuple):
    """Events of a slice, or of one group of it, by class, by reason (of those attributed to nobody), and by grade."""

    events: int
    classes: Mapping[str, int]
    reasons: Mapping[str, int]
    grades: Mapping[str, int]


def sums(counts: Iterable[Count]) -> Sums:
    """What counts sum up to."""
    classes = dict.fromkeys(CLASSES, 0)
    reasons: Counter[str] = Counter()
    grades: Counter[str] = Counter()
    for each in counts:
        alone = each.events - each.responsible if each.class_ == "unattended" else 0
        classes[each.class_] = classes.get(each.class_, 0) + each.events - alone
        classes["unattended_alone"] += alone
        if each.reason is not None:
            reasons[each.reason] += each.events
        grades[each.grade or "none"] += each.events
    return Sums(sum(classes.values()), classes, dict(sorted(reasons.items())), dict(sorted(grades.items())))


def groups(covered: Covered) -> list[tuple[str | None, Sums]]:
    """The groups told apart, the largest first."""
    found: dict[str | None, list[Count]] = {}
    for each in covered.counts:
        found.setdefault(each.group, []).append(each)
    told = [(group, sums(counts)) for group, counts in found.items()]
    return sorted(told, key=lambda each: (-each[1].events, each[0] or ""))


def show_coverage(covered: Covered, by: By | None) -> dict[str, Any]:
    """As JSON. What is summed beyond the groups told apart is in ``others`` alone."""
    whole = sums(covered.counts)
    return {
        "judged": covered.total,
        "not_judged": covered.not_judged,
        "not_judged_exact": covered.exact,
        "stale": covered.stale,
        "behind_since": None if covered.since is None else rfc3339(covered.since),
        **_shown(whole),
        "by": by,
        "groups": []
        if by is None
        else [{"group": name, "judged": each.events, **_shown(each)} for name, each in groups(covered)],
        "others": covered.others,
    }


def _shown(told: Sums) -> dict[str, Any]:
    return {"classes": dict(told.classes), "reasons": dict(told.reasons), "grades": dict(told.grades)}
