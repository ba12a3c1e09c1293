"""How coverage is told: what a slice sums up to, the same for HTTP, ``--json`` and the table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ledger.attribution.json_form import rfc3339
from ledger.store.coverage import By, Count, Covered
from ledger.store.judged import CLASSES


class Counted(NamedTuple):
    """Actions, and the accounts of them."""

    actions: int
    accounts: int


class Sums(NamedTuple):
    """A slice, or one group of it: all of it, and by class, by reason (of what is attributed to nobody), and by grade."""

    judged: Counted
    classes: Mapping[str, Counted]
    reasons: Mapping[str, Counted]
    grades: Mapping[str, Counted]


def sums(counts: Iterable[Count]) -> Sums:
    """What counts of one group sum up to."""
    counts = tuple(counts)
    classes = dict.fromkeys(CLASSES, Counted(0, 0)) | _by(counts, lambda each: each.class_)
    reasons = _by((each for each in counts if each.reason is not None), lambda each: each.reason or "")
    return Sums(_sum(counts), classes, reasons, _by(counts, lambda each: each.grade or "none"))


def _by(counts: Iterable[Count], named: Callable[[Count], str]) -> dict[str, Counted]:
    found: dict[str, list[Count]] = {}
    for each in counts:
        found.setdefault(named(each), []).append(each)
    return {name: _sum(found[name]) for name in sorted(found)}


def _sum(counts: Collection[Count]) -> Counted:
    return Counted(sum(each.actions for each in counts), sum(each.accounts for each in counts))


def groups(covered: Covered) -> list[tuple[str | None, Sums]]:
    """The groups told apart, the largest first."""
    found: dict[str | None, list[Count]] = {}
    for each in covered.groups:
        found.setdefault(each.group, []).append(each)
    told = [(group, sums(counts)) for group, counts in found.items()]
    return sorted(told, key=lambda each: (-each[1].judged.actions, -each[1].judged.accounts, each[0] or ""))


def show_coverage(covered: Covered, by: By | None) -> dict[str, Any]:
    """As JSON."""
    return {
        **_shown(sums(covered.counts)),
        "not_judged": covered.not_judged,
        "not_judged_exact": covered.exact,
        "stale": covered.stale,
        "behind_since": None if covered.since is None else rfc3339(covered.since),
        "by": by,
        "groups": [{"group": name, **_shown(each)} for name, each in groups(covered)],
        "others": covered.others._asdict(),
    }


def _shown(told: Sums) -> dict[str, Any]:
    apart = {"classes": told.classes, "reasons": told.reasons, "grades": told.grades}
    return {
        "judged": told.judged._asdict(),
        **{what: {name: each._asdict() for name, each in counted.items()} for what, counted in apart.items()},
    }
