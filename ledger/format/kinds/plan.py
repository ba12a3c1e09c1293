"""Payloads to and from Avro datums, and what they refer to. One plan a class, made once: this is in the way of every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from ledger.format.kinds.shape import Field, Part, fields_of


class Plan(NamedTuple):
    """How to take one class apart. Positions are those of its fields."""

    cls: type[Part]
    fields: tuple[Field, ...]
    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    parts: tuple[tuple[int, str, bool, Plan], ...]
    """The fields that hold parts: position, name, whether an array, plan of the part."""
    digests: tuple[tuple[int, bool], ...]
    """The fields that refer to contents or persons: position, whether an array."""
    refers: bool
    """Whether it or a part of it has such fields."""
    closed: tuple[tuple[int, frozenset[str | None]], ...]
    """The fields with a closed list, and what they may hold."""
    fixed: tuple[tuple[int, int], ...]
    """The fields of fixed length: position, bytes."""
    numbers: tuple[int, ...]
    arrays: tuple[int, ...]
    seen: dict[tuple[type, ...], Callable[[tuple[Any, ...]], tuple[str, ...]]]
    """Combinations of the values' types that were judged good, and what takes the strings out of such values."""
    made: Callable[[Mapping[str, Any]], Part]
    """Makes one of a datum that has every field; raises ``KeyError`` where one is missing."""


class Plans(dict[type[Part], Plan]):
    """The plan of each class, made when it is first asked for: a look-up is on the way of every event."""

    def __missing__(self, cls: type[Part]) -> Plan:
        plan = self[cls] = make_plan(cls)
        return plan


def make_plan(cls: type[Part]) -> Plan:
    """How to take a payload's or part's class apart. Every class has two fields or more, else ``values`` gives no tuple."""
    fields = fields_of(cls)
    names = tuple(each.name for each in fields)
    at = range(len(fields))
    parts = tuple((i, names[i], fields[i].many, PLANS[fields[i].type]) for i in at if issubclass(fields[i].type, Part))
    digests = tuple((i, fields[i].many) for i in at if (fixed := fields[i].fixed) and fixed.refers)
    return Plan(
        cls=cls,
        fields=fields,
        names=names,
        values=attrgetter(*names),
        parts=parts,
        digests=digests,
        refers=bool(digests) or any(part.refers for *_, part in parts),
        closed=tuple(
            (i, frozenset((*fields[i].values, None) if fields[i].optional else fields[i].values))
            for i in at
            if fields[i].values
        ),
        fixed=tuple((i, fixed.size) for i in at if (fixed := fields[i].fixed) and not fields[i].many),
        numbers=tuple(i for i in at if fields[i].type is int and not fields[i].many),
        arrays=tuple(i for i in at if fields[i].many),
        seen={},
        made=_maker(cls, fields, {name: part for _, name, _, part in parts}),
    )


def _maker(
    cls: type[Part], fields: tuple[Field, ...], parts: Mapping[str, Plan]
) -> Callable[[Mapping[str, Any]], Part]:
    """Written out, each field set by its slot: the class's own ``__init__``, being frozen, takes four times as long."""
    known: dict[str, Any] = {"new": object.__new__, "cls": cls}
    lines = ["def make(datum):", " made = new(cls)"]
    for at, field in enumerate(fields):
        known[f"set{at}"] = getattr(cls, field.name).__set__
        value = f"datum[{field.name!r}]"
        if (part := parts.get(field.name)) is not None:
            known[f"make{at}"] = part.made
            one = f"make{at}(held)"
            value = f"tuple([{one} for held in {value}])" if field.many else f"{one} if (held := {value}) else held"
        elif field.many:
            value = f"(*{value},)"
        lines.append(f" set{at}(made, {value})")
    exec("\n".join([*lines, " return made"]), known)  # noqa: S102 - of names of fields alone
    make: Callable[[Mapping[str, Any]], Part] = known["make"]
    return make


PLANS: Final = Plans()


def to_avro(payload: Part) -> dict[str, Any]:
    """The datum of ``payload``, in the schema's order; its values are not judged (``check`` does)."""
    return datum_of(PLANS[payload.__class__], payload)


def datum_of(plan: Plan, payload: Part) -> dict[str, Any]:
    datum = dict(zip(plan.names, plan.values(payload)))  # noqa: B905 - as long as each other by construction; strict costs
    for _, name, many, part in plan.parts:
        if held := datum[name]:
            datum[name] = [datum_of(part, each) for each in held] if many else datum_of(part, held)
    return datum


def strings_at(types: tuple[type, ...]) -> Callable[[tuple[Any, ...]], tuple[str, ...]]:
    """What takes the strings out of values of these types."""
    at = [i for i, each in enumerate(types) if issubclass(each, str)]
    if len(at) > 1:
        return itemgetter(*at)
    return (lambda values: (values[at[0]],)) if at else lambda _: ()


def from_datum(plan: Plan, datum: Mapping[str, Any]) -> Part:
    """The value in a decoded datum. Fields unknown to the class are left out, missing ones get their default."""
    try:
        return plan.made(datum)  # as nearly always: every field is there
    except KeyError:
        pass
    given = {field.name: datum[field.name] for field in plan.fields if field.name in datum}
    given |= {field.name: tuple(given[field.name]) for field in plan.fields if field.many and field.name in given}
    for _, name, many, part in plan.parts:
        if held := given.get(name):
            given[name] = tuple(from_datum(part, each) for each in held) if many else from_datum(part, held)
    return plan.cls(**given)


def content_digests(payload: Part) -> list[bytes]:
    """Every content and person that ``payload`` refers to, each once, its own fields first: for ``EventHeader.contents``."""
    plan = PLANS[payload.__class__]
    return list(dict.fromkeys(digests_in(plan, plan.values(payload))))


def digests_said(plan: Plan, datum: Mapping[str, Any]) -> list[bytes]:
    """The same of a decoded datum, whose class need not be made for it."""
    found: list[bytes] = []
    for i, many in plan.digests:
        if held := datum.get(plan.names[i]):
            found += held if many else (held,)
    for _, name, many, part in plan.parts:
        if part.refers and (held := datum.get(name)):
            for each in held if many else (held,):
                found += digests_said(part, each)
    return found


def digests_in(plan: Plan, values: tuple[Any, ...]) -> list[bytes]:
    """``content_digests`` of a payload that was taken apart; one may occur twice."""
    found: list[bytes] = []
    for i, many in plan.digests:
        if held := values[i]:
            found += held if many else (held,)
    for i, _, many, part in plan.parts:
        if (held := values[i]) and part.refers:
            for each in held if many else (held,):
                found += digests_in(part, part.values(each))
    return found
