"""What a payload may not hold. Judged when it is recorded, not when it is made: whoever reads must be able to hold anything."""

from __future__ import annotations

from typing import Any, Final

from ledger.errors import InvalidEvent
from ledger.format.kinds.plan import PLANS, Plan, strings_at
from ledger.format.kinds.shape import Field, Kind, Part

SHAPES: Final = 256
"""Combinations of types that are remembered as good for each class; what comes beyond is judged field by field each time."""
SHOWN: Final = 60
"""Characters of a wrong value that a message shows."""
INT64: Final = 1 << 63


def check(payload: Kind) -> None:
    """Raises ``InvalidEvent`` for a value that schema or closed list does not allow; the sentence names field and value.

    Lengths of texts are not judged here: they are limits of the format, not of a kind.
    """
    plan = PLANS[payload.__class__]
    strings_of(plan, payload, plan.values(payload))


def strings_of(plan: Plan, payload: Kind, values: tuple[Any, ...]) -> list[str]:
    """Every string in a payload that was taken apart; raises as ``check``."""
    strings: list[str] = []
    fault = fault_of(plan, payload, values, strings)
    if fault is None and "\0" in "".join(strings):
        fault = "a string holds U+0000, which no store takes; remove it"
    if fault:
        raise InvalidEvent(f"{payload.KIND}: {fault}")
    return strings


def fault_of(plan: Plan, payload: Part, values: tuple[Any, ...], strings: list[str]) -> str | None:
    """What is wrong with a payload or part, in words; None if nothing is. Its strings are added to ``strings``."""
    types = tuple(map(type, values))
    take = plan.seen.get(types)
    if take is None:
        for field, value in zip(plan.fields, values, strict=True):
            if fault := fault_of_type(field, value):
                return fault
        take = strings_at(types)
        if len(plan.seen) < SHAPES:
            plan.seen[types] = take
    strings += take(values)
    for i, allowed in plan.closed:
        if values[i] not in allowed:
            return f"{plan.names[i]} is {shown(values[i])}; it must be one of {', '.join(plan.fields[i].values)}"
    for i, size in plan.fixed:
        if (held := values[i]) is not None and len(held) != size:
            return f"{plan.names[i]} has {len(held)} bytes; it must have {size}"
    for i in plan.numbers:
        if (held := values[i]) is not None and not -INT64 <= held < INT64:
            return f"{plan.names[i]} is {shown(held)}; it must fit in 64 bits"
    return fault_inside(plan, payload, values, strings)


def fault_inside(plan: Plan, payload: Part, values: tuple[Any, ...], strings: list[str]) -> str | None:
    """What is wrong in arrays and parts, and between fields."""
    for i in plan.arrays:
        if held := values[i]:
            if fault := fault_of_items(plan.fields[i], held):
                return fault
            if plan.fields[i].type is str:
                strings += held
    for i, name, many, part in plan.parts:
        if held := values[i]:
            for each in held if many else (held,):
                if fault := fault_of(part, each, part.values(each), strings):
                    return f"in {name}, {fault}"
    return payload.fault()


def fault_of_type(field: Field, value: Any) -> str | None:
    """Why ``value`` cannot stand in ``field`` by its type."""
    if value is None and field.optional:
        return None
    wanted = tuple if field.many else field.type
    if isinstance(value, wanted) and not isinstance(value, bool):
        return None
    kind = f"a tuple of {field.type.__name__}" if field.many else field.type.__name__
    if value is None:
        return f"{field.name} is missing; give {kind}"
    return f"{field.name} is of type {type(value).__name__}; it must be {kind}{' or None' if field.optional else ''}"


def fault_of_items(field: Field, items: tuple[Any, ...]) -> str | None:
    """Why an array cannot stand in ``field``."""
    size = field.fixed.size if field.fixed else None
    for each in items:
        if not isinstance(each, field.type):
            return f"{field.name} holds a {type(each).__name__}; it must hold {field.type.__name__} only"
        if size is not None and isinstance(each, bytes) and len(each) != size:
            return f"{field.name} holds {len(each)} bytes; each must have {size}"
    return None


def shown(value: object) -> str:
    """``value`` as a message shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
