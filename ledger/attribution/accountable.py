"""Who answers for it, on both sides: the agent with its owner, the person with their grant; and what of that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.attribution.answer import Accountable, Authority, Owner, Party


def read_accountable(agent: str | None, owners: Sequence[Owner], authority: Sequence[Authority]) -> Accountable:
    """From what an answer says otherwise: nothing is looked up, and whoever triggered it is not taken for whom it was done."""
    registered = [each for each in owners if each.agent_id == agent]
    owner = registered[0].owner if len(registered) == 1 else None
    people = people_of(authority)
    person = people[0] if len(people) == 1 else None
    grant = _grant_of(authority, people)
    return Accountable(
        agent_id=agent,
        owner=owner,
        state=registered[-1].state if registered else None,
        person=person,
        grant_id=grant.grant_id if grant is not None else None,
        missing=tuple(_missing(agent, registered, people, grant)),
    )


def people_of(authority: Sequence[Authority]) -> tuple[Party, ...]:
    """On whose behalf: a human whose rights were used, else a workload in its own name.

    Several where statements of one thing and of equal standing name different people: of one token, of grants of one id, or of
    services about whom they acted for. None of them is chosen."""
    given = [each for each in authority if each.subject is not None]
    first = next((each for each in given if not _is_workload(each)), given[0] if given else None)
    if first is None:
        return ()
    alike = [each for each in given if each is first or _speaks_of_the_same(each, first)]
    surest = [each for each in alike if _is_first_hand(each)] or alike
    people = {each.subject.identity: each.subject for each in surest if each.subject is not None}
    return tuple(people.values())


def _is_workload(each: Authority) -> bool:
    return each.subject is not None and each.subject.kind == "workload"


def _speaks_of_the_same(one: Authority, other: Authority) -> bool:
    """Whether two rows are statements of one thing. Nobody whose name is not known is shown to be another."""
    known = all(each.subject is not None and each.subject.state == "named" for each in (one, other))
    if not known or one.source != other.source or _is_workload(one) != _is_workload(other):
        return False
    if one.source == "token":
        return one.token is not None and (one.issuer, one.token) == (other.issuer, other.token)
    return one.source == "principal" or one.grant_id == other.grant_id


def _is_first_hand(each: Authority) -> bool:
    """Whether a service says of itself for whom it acted; an importer's log may name one caller in two ways."""
    return each.source != "principal" or each.grade in ("sealed", "corroborated")


def _grant_of(authority: Sequence[Authority], people: Sequence[Party]) -> Authority | None:
    """The person's grant: as given, else as a token of theirs names it. Of several people only one that is named for each."""
    found = [_grant_for(authority, person) for person in people] or [_grant_for(authority, None)]
    same = {each.grant_id if each is not None else None for each in found}
    return found[0] if len(same) == 1 else None


def _grant_for(authority: Sequence[Authority], person: Party | None) -> Authority | None:
    named = [
        each
        for each in authority
        if each.grant_id is not None
        and (each.subject is None or (person is not None and each.subject.identity == person.identity))
    ]
    return next((each for each in named if each.source == "grant"), named[0] if named else None)


_UNNAMED: Final = {"unresolved": "unresolved", "erased": "erased", "erased_since": "erased"}
"""States of whoever is known to be there and not by name. As of a time before the erasure the name is gone as well."""


def _missing(
    agent: str | None, registered: Sequence[Owner], people: Sequence[Party], grant: Authority | None
) -> Iterable[str]:
    owner = registered[0].owner if registered else None
    if agent is None:
        yield "agent"
    elif len(registered) > 1:
        yield "owner_ambiguous"
    elif owner is None:
        yield "owner"
    elif owner.state in _UNNAMED:
        yield f"owner_{_UNNAMED[owner.state]}"
    if not people:
        yield "person"
    elif len(people) > 1:
        yield "person_ambiguous"
    elif people[0].state in _UNNAMED:
        yield f"person_{_UNNAMED[people[0].state]}"
    if grant is None:
        yield "grant"
    elif grant.source != "grant":
        yield "grant_not_recorded"
