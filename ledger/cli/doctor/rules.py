"""The house rules: whether their file says what it should, and whether the sentinel judges by the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.attribution.house import HouseRules
from ledger.cli.doctor.check import Check, Here, Store
from ledger.store.criteria import Standing, criteria_of, standing


def asked(here: Here) -> Iterator[Check]:
    """What the house rules ask; where they cannot be read that was said before."""
    file = here.settings.rules
    if here.house is None or file is None:
        return
    asks = {
        "duties of two people": len(here.house.another_person),
        "operations that need a decision": len(here.house.decision),
        "operations of consequence": len(here.house.consequence),
    }
    if any(asks.values()):
        counts = ", ".join(f"{number} {what}" for what, number in asks.items())
        yield Check("rules", "ok", f"{file}: {counts}, {_name(here.house)}")
    else:
        yield Check(
            "rules", "note", f"{file} asks nothing", "write [[another_person]], [[decision]] or [consequence] in it"
        )


def judged_by(store: Store) -> Iterator[Check]:
    """Whether the judgements in the store are made by this process's house rules, and by this release."""
    found = standing(store.connection)
    if found.criteria.house == b"" or store.here.house is None:
        return
    yield from _compared(found, store.here.house)
    if found.again:
        yield Check(
            "rules", "note", "judgements by the rules of before are being made again", "new events come first; wait"
        )


def _compared(found: Standing, house: HouseRules) -> Iterator[Check]:
    ours = criteria_of(house)
    if found.criteria.house != ours.house:
        theirs = found.criteria.house.hex()[:12]
        detail = f"the sentinel judges by other house rules than this process: by {theirs}, not {_name(house)}"
        remedy = "give every process the same file by ANSWERABLE_RULES, and start sentinel and API again"
        yield Check("rules", "wrong", detail, remedy)
    elif found.criteria.release != ours.release:
        detail = "the sentinel that began last is of another release than this command"
        yield Check("rules", "note", detail, "update whichever is older, and start it again")
    else:
        yield Check("rules", "ok", "the sentinel judges by the same rules as this process")


def _name(house: HouseRules) -> str:
    return house.digest.hex()[:12]


CHECKS: Final = (asked,)
STORED: Final = (judged_by,)
