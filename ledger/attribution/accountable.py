"""Who answers for it, on both sides: the agent with its owner, the person with their grant; and what of that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.attribution.answer import Accountable, Authority, Owner, Party


def read_accountable(agent: str | None, owners: Sequence[Owner], authority: Sequence[Authority]) -> Accountable:
    """From what an answer says otherwise: nothing is looked up, and whoever triggered it is not taken for whom it was done."""
    registered = next((each for each in owners if each.agent_id == agent), None)
    owner = registered.owner if registered is not None else None
    person = _person_of(authority)
    grant = _grant_of(authority, person)
    return Accountable(
        agent_id=agent,
        owner=owner,
        state=registered.state if registered is not None else None,
        person=person,
        grant_id=grant.grant_id if grant is not None else None,
        missing=tuple(_missing(agent, owner, person, grant)),
    )


def _person_of(authority: Sequence[Authority]) -> Party | None:
    """On whose behalf: a human whose rights were used, else a workload in its own name."""
    subjects = [each.subject for each in authority if each.subject is not None]
    return next((each for each in subjects if each.kind != "workload"), subjects[0] if subjects else None)


def _grant_of(authority: Sequence[Authority], person: Party | None) -> Authority | None:
    """The person's grant: as given, else as a token of theirs names it."""
    named = [
        each
        for each in authority
        if each.grant_id is not None
        and (each.subject is None or (person is not None and each.subject.identity == person.identity))
    ]
    return next((each for each in named if each.source == "grant"), named[0] if named else None)


def _missing(agent: str | None, owner: Party | None, person: Party | None, grant: Authority | None) -> Iterable[str]:
    if agent is None:
        yield "agent"
    elif owner is None:
        yield "owner"
    elif owner.state == "unresolved":
        yield "owner_unresolved"
    if person is None:
        yield "person"
    elif person.state == "unresolved":
        yield "person_unresolved"
    if grant is None:
        yield "grant"
    elif grant.source != "grant":
        yield "grant_not_recorded"
