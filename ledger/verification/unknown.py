"""What no verification of a log can tell, and what this one did not look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from ledger.attribution.json_form import rfc3339
from ledger.format.batch import Chain
from ledger.trust.verdict import Judge
from ledger.verification.chains import Held
from ledger.verification.completeness import overdue
from ledger.verification.report import Unknown


def unknown(
    chains: Mapping[Chain, Held], *, continued: AbstractSet[Chain], holes: int, judge: Judge, heads: int, at: int
) -> Iterator[Unknown]:
    """Each with what is known about its extent. ``holes``: offsets without a record; ``heads``: of how many chains were given."""
    going = [held for chain, held in chains.items() if not held.closed and chain not in continued]
    if silent := [held for held in going if held.next_within is None]:
        text = "chains that are open and promise no next seal: what they sealed last may have been cut off"
        yield Unknown("unpromised_tail", text, len(silent))
    if kept := [each for chain, each in chains.items() if each in going and _promised(chain, each, at)]:
        text = f"chains that are open and within their promise at {rfc3339(at)}: what they seal until then is not here"
        yield Unknown("open_tail", text, len(kept))
    if heads:
        yield Unknown("unheard_chains", "chains that neither the log nor the heads given name", None)
    else:
        yield Unknown(
            "unheard_chains", "chains of which the log holds nothing: give heads that were exported (--against)"
        )
    if holes:
        yield Unknown("holes", "offsets between those of the log that hold no record", holes)
    if erased := sum(held.erased for held in chains.values()):
        yield Unknown("erased_payloads", "events whose payload was erased: what they said beside their header", erased)
    yield Unknown("truth", "whether what was signed is true: a signature says who stated it")
    yield Unknown(
        "append_times",
        "whether the append times are right: they are the word of the log, or of whoever made the archive",
    )
    yield Unknown(
        "trust_root", f"whether the root key is the right one; under it the trust bundle is {judge.trusted.hex()}"
    )
    if not judge.canonical:
        yield Unknown("encoding", "whether headers and payloads are in their one encoding (--canonical)")
    yield Unknown(
        "causes", "whether cited causes are in the ledger, and the contents: ask the store, which has them all"
    )


def _promised(chain: Chain, held: Held, at: int) -> bool:
    return bool(held.next_within) and overdue(chain, held, at) is None
