"""Setting the context that ``ledger.recorder.context`` describes, and carrying it between services."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager

from ledger.errors import InvalidEvent
from ledger.format import ids
from ledger.format.content import Person
from ledger.format.event import STARTED_BY, Cause
from ledger.recorder.context import CURRENT, Context, Execution, Followed, Recorded, Reference, Remote, referred
from ledger.recorder.given import check_agent, listed
from ledger.recorder.headers import CONTEXT, TRACEPARENT, Incoming, write_context, write_traceparent
from ledger.recorder.randomness import Randomness

Start = Cause | Reference | Incoming
"""What an execution may be started by."""


@contextmanager
def execution(
    *,
    now: int,
    execution_id: bytes | None,
    started_by: Start | Sequence[Start] | None,
    agent_id: str | None,
    agent_instance: str | None,
    principal: Person | None,
    tenant: str | None,
    correlation: Sequence[str],
) -> Iterator[Execution]:
    """A run: what is recorded inside belongs to it.

    Of an outer one only the tenant is kept: agent, person, trace and correlations that are not given again are nobody's and
    none, for another agent must not sign under the outer one's name by accident. Link to it by ``started_by``.
    """
    outer = CURRENT.get()
    if agent_id is not None:
        check_agent(agent_id)
    starts = _listed(started_by)
    incoming = next((each for each in starts if isinstance(each, Incoming)), Incoming())
    run = Execution(execution_id or ids.uuid7(now, _RANDOM.draw()[:10]), [c for each in starts for c in _causes(each)])
    context = Context(
        execution=run,
        tenant=tenant or outer.tenant,
        agent_id=agent_id,
        agent_instance=agent_instance,
        principal=principal,
        correlation=(*incoming.correlation, *listed(correlation, "correlation")),
        trace_id=incoming.trace_id,
    )
    token = CURRENT.set(context)
    try:
        yield run
    finally:
        CURRENT.reset(token)


@contextmanager
def caused_by(references: Sequence[Reference | Incoming], relation: str | None) -> Iterator[None]:
    """What is recorded inside cites ``references``, and those of the blocks around."""
    outer = CURRENT.get()
    found = [each.remote if isinstance(each, Incoming) else referred(each, "a cause") for each in references]
    followed = tuple(Followed(each, relation) for each in found if each is not None)
    token = CURRENT.set(outer._replace(follows=(*outer.follows, *followed)))
    try:
        yield
    finally:
        CURRENT.reset(token)


def inject(headers: MutableMapping[str, str], cited: Reference | None) -> None:
    """Writes the context into ``headers``: ``cited``, or the event that encloses the call most closely."""
    context = CURRENT.get()
    run = context.execution
    reference = _closest(context) if cited is None else referred(cited, "what is cited")
    trace_id = context.trace_id or (run.execution_id if run is not None else None)
    if reference is not None:
        action_id = reference.action_id
        headers[CONTEXT] = write_context(run.execution_id if run is not None else None, reference, action_id)
        trace_id = trace_id or reference.event_id
    if trace_id is not None:
        span = reference.event_id[8:] if isinstance(reference, Recorded) else _RANDOM.draw()[:8]
        headers[TRACEPARENT] = write_traceparent(trace_id, span)


def _closest(context: Context) -> Reference | None:
    if context.follows:
        return context.follows[-1].reference
    return context.execution.latest_prompt if context.execution is not None else None


_RANDOM = Randomness()


def forget_randomness() -> None:
    """In a forked child: its parent hands out the same block."""
    global _RANDOM  # noqa: PLW0603 - one for the process
    _RANDOM = Randomness()


def _listed(starts: Start | Sequence[Start] | None) -> list[Start]:
    if starts is None:
        return []
    if isinstance(starts, Cause | Incoming | Recorded | Remote):
        return [starts]
    if not isinstance(starts, list | tuple):
        raise InvalidEvent(f"started_by is a {type(starts).__name__}; give what record() or extract() returned")
    return list(starts)


def _causes(start: Start) -> list[Cause]:
    if isinstance(start, Cause):
        return [start]
    reference = start.remote if isinstance(start, Incoming) else referred(start, "what an execution is started_by")
    return [reference.cause(STARTED_BY)] if reference is not None else []
