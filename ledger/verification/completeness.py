"""What is missing, as far as the evidence shows it: promises not kept, and heads that somebody knew of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ledger.attribution.json_form import rfc3339
from ledger.format.batch import Chain
from ledger.format.limits import SECOND
from ledger.verification.chains import Claim, Held
from ledger.verification.report import Fault, meaning
from ledger.verification.source import Lost


def lost(ranges: list[Lost]) -> Iterator[Fault]:
    """Offsets that the log no longer has, and no archive given."""
    for each in ranges:
        detail = f"records {each.first} to {each.until} are in none of the logs given; add the archive"
        yield Fault("lost_to_retention", detail, partition=each.partition, offset=each.first, until=each.until)


def due(held: Held) -> int | None:
    """Until when a chain promised its next seal; None where it promises none."""
    return held.last_append + held.next_within * SECOND if held.next_within and not held.closed else None


def overdue(chain: Chain, held: Held, at: int) -> Fault | None:
    """The promise that a chain broke by ``at``, if it did. Whoever continues the chain ended it: see ``continued``."""
    until = due(held)
    if until is None or until >= at:
        return None
    number = held.state.last_number + 1
    detail = f"promised by {rfc3339(until)}; the time is {rfc3339(at)}"
    return Fault("overdue", detail, chain=chain, chain_id=chain.chain_id, seal=number)


def claimed(claim: Claim, held: Held | None) -> Fault | None:
    """Where the log does not bear a claim out. A number inside the chain must be among those watched or settled."""
    if claim.number is None:
        return None
    says = (
        f"its successor {claim.by.chain_id.hex()} continues it after" if claim.by is not None else "the head given is"
    )
    chain, number = claim.chain, claim.number
    where = Fault("missing_chain", f"{says} seal {number}", chain, chain.chain_id, seal=0, until=number)
    if held is None or not held.state.runs:
        return where
    if number > held.state.last_number:
        ends = min(held.ends)
        detail = f"{meaning('truncated')}: {says} seal {number}, here it ends at seal {ends.number}"
        first, last = ends.next_sequence, max(ends.next_sequence, claim.next_sequence - 1)
        return where._replace(name="truncated", detail=detail, seal=ends.number + 1, first=first, last=last)
    known = held.seen.get(number) or {mark.digest for mark in held.ends if mark.number == number}
    if known and claim.digest not in known:
        return where._replace(
            name="other_seal", detail=f"{meaning('other_seal')}: {says} another seal {number}", seal=number
        )
    return None


def twice_continued(chains: Mapping[Chain, Held]) -> Iterator[Fault]:
    """Chains that two others continue."""
    by: dict[Chain, set[Chain]] = {}
    for held in chains.values():
        for claim in held.claims:
            if claim.by is not None:
                by.setdefault(claim.chain, set()).add(claim.by)
    for chain, successors in by.items():
        if len(successors) > 1:
            named = ", ".join(sorted(each.chain_id.hex() for each in successors))
            detail = f"{meaning('double_continuation')}: {named}"
            yield Fault("double_continuation", detail, chain=chain, chain_id=chain.chain_id)
