"""What is wrong with what was recorded: findings, what was refused, what was set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ledger.attribution.contradictions import BY_NAME
from ledger.cli.doctor.check import Check, Store
from ledger.cli.output import show_time
from ledger.schema_files import load_schemas
from ledger.store import overview
from ledger.store.nodes import Reading
from ledger.store.sentinel import behind
from ledger.store.survey import Asked, At, survey
from ledger.store.wrong import Wrong
from ledger.trust.reasons import REASONS

SECONDS: Final = 10
"""How long the store is asked for what is computed."""
PAGE: Final = 1_000
_LEFT: Final = {
    "continuations": "only the latest chains were read for what continues what",
    "cycles": "a walk for cycles was cut short",
    "trust": "nothing can be verified without a trust bundle",
}


def stored(store: Store) -> Iterator[Check]:
    """What the store counts."""
    counts = overview.counts(store.connection)
    for name, count in counts.findings.items():
        yield _counted("findings", f"{count} open, stored: {name}", name)
    for name, count in counts.rejected.items():
        yield _counted("rejected", f"{count} refused: {name}", name)
    if counts.quarantined:
        detail = f"{counts.quarantined} records killed a worker twice"
        yield Check("quarantine", "wrong", detail, "see its log; `answerable rebuild` tries them again")
    if not (counts.findings or counts.rejected or counts.quarantined):
        yield Check("findings", "ok", "none about chains and events is stored, and nothing was refused")


def computed(store: Store) -> Iterator[Check]:
    """What depends on the state as of now, tenant by tenant, within ``SECONDS``; and how far that looked."""
    now = overview.clock(store.connection)
    at = show_time(now, utc=store.here.settings.utc)
    found, looked, left = _survey(store, now)
    for name, (count, first) in sorted(found.items()):
        where = f"service {first.service}: {first.detail}"
        yield _counted("findings", f"{count} computed as of {at}: {name}; the first: {where}", name)
    extent = ", ".join(f"{count} {what}" for what, count in sorted(looked.items()))
    detail = (
        f"{sum(count for count, _ in found.values()) or 'none'} computed as of {at}, looking at {extent or 'nothing'}"
    )
    if left:
        yield Check(
            "findings", "note", f"{detail}; {', '.join(left)}", "`/v1/findings?origin=computed` goes on page by page"
        )
    elif not found:
        yield Check("findings", "ok", detail)


def _survey(store: Store, now: int) -> tuple[dict[str, tuple[int, Wrong]], Counter[str], list[str]]:
    """What is found, by name: how often, and the first; how much was looked at, by source; and what was not."""
    found: dict[str, tuple[int, Wrong]] = {}
    looked: Counter[str] = Counter()
    left: dict[str, None] = {}
    end = store.here.clock.now() + SECONDS * 1_000_000
    reading = Reading(load_schemas(), store.here.settings.require_ledger(), lambda: store.here.bundle)
    for tenant in overview.tenants(store.connection):
        after: At | None = None
        while True:
            asked = Asked(tenant, now, origin="computed")
            page = survey(store.connection, reading, asked, after=after, limit=PAGE)
            for each in page.found:
                count, first = found.get(each.name, (0, each))
                found[each.name] = count + 1, first
            looked.update(page.looked)
            left |= {f"{tenant}: {_LEFT[each]}": None for each in page.truncated if each in _LEFT}
            after = page.next
            if after is None:
                break
            if store.here.clock.now() > end:
                return found, looked, [*left, f"not further after {SECONDS} s"]
    return found, looked, list(left)


def _counted(check: str, what: str, name: str) -> Check:
    reason = REASONS.get(name)
    return Check(check, "note", f"{what}, {reason.meaning}", reason.remedy) if reason else Check(check, "note", what)


def judged(store: Store) -> Iterator[Check]:
    """How far the sentinel is, and what contradicts what."""
    far = behind(store.connection)
    late = 0 if far.since is None else max(0, (store.here.clock.now() - far.since) // 1_000_000)
    detail = f"{far.unswept + far.stale} events are not judged yet, for {late} s"
    if late > LATE_SECONDS:
        yield Check(
            "sentinel", "note", detail, "is `answerable sentinel` running? coverage and contradictions lack them"
        )
    else:
        yield Check("sentinel", "ok", detail if far.since is not None else "every event of consequence is judged")
    rows = store.connection.execute(_CONTRADICTED).fetchall()
    for rule, count, first, said in rows:
        known = BY_NAME.get(rule)
        severity = known.severity if known else "of a rule unknown here"
        remedy = f"`answerable who-triggered {first}`" + (f"; it closes by {known.closes}" if known else "")
        yield Check("contradictions", "note", f"{count} open, {severity}: {rule}; the latest: {said}", remedy)


LATE_SECONDS: Final = 60
_CONTRADICTED: Final = """
select rule, count(*), (array_agg(event_id::text order by id desc))[1], (array_agg(detail order by id desc))[1]
  from contradictions where closed_at is null group by 1 order by 2 desc, 1"""
CHECKS: Final = (stored, computed, judged)
