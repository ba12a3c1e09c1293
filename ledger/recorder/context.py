"""Where nested code finds the run it belongs to and what it follows from: a context variable, one for each thread and task.

**The rule of links.** An event recorded inside ``execution()`` cites, besides the ``causes`` that it is given itself:

1. everything that the enclosing ``caused_by()`` blocks name;
2. unless one of these leads to triggers already: the run's trigger, ``started_by`` – its first prompt, or until there is one
   what the execution was ``started_by`` – and its latest prompt, ``steered_by``, if that is another.

A prompt is a trigger itself: the first of a run cites what the execution was started by, each later one ``continues`` the
prompt before it. So from anything in a run a path of trigger relations leads to all of its prompts. Where ``caused_by`` or
``causes`` names no relation, kinds decide: see ``default_relation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final, NamedTuple

from ledger.errors import InvalidEvent
from ledger.format.content import Person
from ledger.format.event import (
    AUTHORIZED_BY,
    COMPLETES,
    CONTINUES,
    INFORMED_BY,
    RESULT_OF,
    SAME_ACTION,
    SCHEDULED_BY,
    STARTED_BY,
    STEERED_BY,
    TO_TRIGGERS,
    Cause,
)
from ledger.format.kinds import ApiAction, Kind, Prompt


class Recorded(NamedTuple):
    """An event that was recorded, to be cited. ``number`` is its place in this process's spool; 0 where it was dropped."""

    event_id: bytes
    digest: bytes
    kind: str
    action_id: str | None = None
    phase: str | None = None
    number: int = 0

    def cause(self, relation: str) -> Cause:
        """The link to this event under ``relation``."""
        return Cause(self.event_id, self.digest, relation)


class Remote(NamedTuple):
    """An event of another service, as its ``Answerable-Context`` names it."""

    event_id: bytes
    digest: bytes | None
    execution_id: bytes | None = None
    action_id: str | None = None

    def cause(self, relation: str) -> Cause:
        """The link to that event under ``relation``."""
        return Cause(self.event_id, self.digest, relation)


Reference = Recorded | Remote
"""An earlier event."""


class Followed(NamedTuple):
    """An earlier event and the relation to it; None leaves it to the kinds."""

    reference: Reference
    relation: str | None


class Execution:
    """A run, while it is recorded. Shared by all threads and tasks that belong to it."""

    __slots__ = ("execution_id", "first_prompt", "latest_prompt", "started_by")

    def __init__(self, execution_id: bytes, started_by: Sequence[Cause] = ()) -> None:
        self.execution_id = execution_id
        self.started_by = tuple(started_by)
        self.first_prompt: Recorded | None = None
        self.latest_prompt: Recorded | None = None

    def prompted(self, prompt: Recorded) -> None:
        """``prompt`` was recorded in this run."""
        if self.first_prompt is None:
            self.first_prompt = prompt
        self.latest_prompt = prompt

    def causes_of(self, kind: str) -> tuple[Cause, ...]:
        """What an event of ``kind`` cites by the second part of the rule."""
        first, latest = self.first_prompt, self.latest_prompt
        if first is None or latest is None:
            return self.started_by
        if kind == Prompt.KIND:
            return (latest.cause(CONTINUES),)
        if latest is first:
            return (first.cause(STARTED_BY),)
        return (first.cause(STARTED_BY), latest.cause(STEERED_BY))


class Context(NamedTuple):
    """What holds for the code that runs now."""

    execution: Execution | None = None
    follows: tuple[Followed, ...] = ()
    tenant: str | None = None
    agent_id: str | None = None
    agent_instance: str | None = None
    principal: Person | None = None
    correlation: tuple[str, ...] = ()
    trace_id: bytes | None = None


NOWHERE: Final = Context()
CURRENT: Final[ContextVar[Context]] = ContextVar("answerable", default=NOWHERE)

_BY_KIND: Final = {
    "prompt": STARTED_BY,
    "handoff": STARTED_BY,
    "trigger_registration": SCHEDULED_BY,
    "execution_control": CONTINUES,
    "token_issuance": AUTHORIZED_BY,
    "grant": AUTHORIZED_BY,
    "policy_decision": AUTHORIZED_BY,
    "oversight": AUTHORIZED_BY,
    "agent_registration": AUTHORIZED_BY,
}
_RESULTS: Final = frozenset({"observation", "memory", "token_issuance"})


def default_relation(effect: Kind, cause: Reference) -> str:
    """The relation of ``effect`` to ``cause`` where the caller names none.

    Two accounts of one action: the outcome ``completes`` its attempt of this process, else ``same_action``. An event of another
    service: ``started_by``. A prompt or hand-off: ``started_by``; a schedule: ``scheduled_by``; a run's start or resumption:
    ``continues``. Tokens, grants, decisions, approvals and owners: ``authorized_by``. What an action brought in is its
    ``result_of``. Anything else: ``informed_by``.
    """
    if isinstance(effect, ApiAction) and cause.action_id == effect.action_id:
        if isinstance(cause, Recorded) and (cause.phase, effect.phase) == ("intended", "completed"):
            return COMPLETES
        return SAME_ACTION
    if isinstance(cause, Remote):
        return STARTED_BY
    if cause.kind == ApiAction.KIND:
        return RESULT_OF if effect.KIND in _RESULTS else INFORMED_BY
    return _BY_KIND.get(cause.kind, INFORMED_BY)


def referred(given: Reference, what: str) -> Reference:
    """``given``, where it is an event that can be cited; raises ``InvalidEvent``."""
    if not isinstance(given, Recorded | Remote):
        raise InvalidEvent(
            f"{what} is given as {type(given).__name__}; give what record() returned, or of what extract() returned the remote"
        )
    return given


def causes_of(payload: Kind, given: Sequence[Cause | Reference], context: Context) -> tuple[Cause, ...]:
    """All that an event of ``payload`` cites: what is given, then what the context adds; each event and relation once."""
    if not given and not context.follows:
        return context.execution.causes_of(payload.KIND) if context.execution is not None else ()
    found = [
        each if isinstance(each, Cause) else referred(each, "a cause").cause(default_relation(payload, each))
        for each in given
    ]
    found += [
        each.reference.cause(each.relation or default_relation(payload, each.reference)) for each in context.follows
    ]
    if context.execution is not None and not any(each.relation in TO_TRIGGERS for each in found):
        found += context.execution.causes_of(payload.KIND)
    return tuple(dict.fromkeys(found))
