"""The recorder: what a service calls to state what happened. See ``ledger.recorder.context`` for how events are linked."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Literal, Self, Unpack
from weakref import WeakSet

from ledger.errors import BackendError, InvalidEvent, RecorderClosed, SpoolFailed, SpoolFull
from ledger.format.batch import Chain
from ledger.format.codec import Schemas
from ledger.format.content import Person
from ledger.format.event import Cause
from ledger.format.heads import KnownHead
from ledger.format.kinds import KINDS, AgentRegistration, ApiAction, Kind, TokenReference
from ledger.format.kinds.plan import PLANS
from ledger.ports import Clock, Log, Signer
from ledger.recorder.chains import Delivery
from ledger.recorder.clock import SystemClock
from ledger.recorder.contents import Gathered, Kept, Named, Text, Textual
from ledger.recorder.context import CURRENT, Execution, Recorded, Reference, causes_of
from ledger.recorder.encoding import About
from ledger.recorder.frames import event_frame
from ledger.recorder.given import check_agent, listed
from ledger.recorder.headers import Incoming, read_headers
from ledger.recorder.health import NEVER_BEGUN, Health, closed_health, health_of
from ledger.recorder.kinds import Circumstances, KindFunctions, Shared
from ledger.recorder.linking import Start, caused_by, execution, forget_randomness, inject
from ledger.recorder.own import OWN_KINDS
from ledger.recorder.process import Plan, Process
from ledger.recorder.tokens import issuance_fields, token_reference
from ledger.schema_files import load_schemas

MEBIBYTE: Final = 1024 * 1024
AT_EXIT: Final = 5.0
"""Seconds that the end of the interpreter waits for the log. What is left stays in the spool for the next start."""


class Recorder(KindFunctions):
    """Records the events of one service. Any thread and task may use it; a forked child gets a spool and chains of its own.

    ``spool`` mode returns when the event is in the spool's page cache (it survives SIGKILL; the disk has it within 50 ms);
    ``strict`` when the log has acknowledged it; ``best_effort`` drops what the spool cannot take, and says so in
    ``chain_loss``. ``log`` may be a function that opens the log: it is then called in the sender's thread, again in each
    forked child, and closed with the recorder.
    """

    def __init__(
        self,
        *,
        log: Log | Callable[[], Log],
        signer: Signer,
        spool: str | PathLike[str],
        ledger: str,
        tenant: str,
        service: str,
        schemas: Schemas | None = None,
        clock: Clock | None = None,
        mode: Delivery = "spool",
        instance: str | None = None,
        linger: float = 0.02,
        heartbeat: float = 30.0,
        append_timeout: float = 30.0,
        strict_timeout: float = 30.0,
        spool_bytes: int = 256 * MEBIBYTE,
        segment_bytes: int = 4 * MEBIBYTE,
    ) -> None:
        self._plan = Plan(
            log=log,
            signer=signer,
            spool=Path(spool),
            ledger=ledger,
            tenant=tenant,
            service=service,
            schemas=schemas or load_schemas(),
            clock=clock or SystemClock(),
            mode=mode,
            instance=instance,
            linger=linger,
            heartbeat=heartbeat,
            append_timeout=append_timeout,
            strict_timeout=strict_timeout,
            spool_bytes=spool_bytes,
            segment_bytes=segment_bytes,
        )
        self._now = self._plan.clock.now
        self._tenant = tenant
        self._strict = mode == "strict"
        self._closed = False
        self._ended = NEVER_BEGUN
        self._heads: Mapping[Chain, KnownHead] = {}
        self._malformed_headers = 0
        self._starting = Lock()
        self._process: Process | None = Process(self._plan)
        _RECORDERS.add(self)
        atexit.register(self._at_exit)

    def record(self, payload: Kind, **about: Unpack[Circumstances]) -> Recorded:
        """Records an event. What ``about`` leaves out comes from the context; ``occurred_at`` is now by default.

        Raises ``InvalidEvent`` (and nothing is written), ``SpoolFull``, ``SpoolFailed``, ``RecorderClosed``; where it waits
        for the log, ``BackendError`` after ``strict_timeout``: the event is in the spool then and goes on being sent.
        """
        process = self._process or self._begin()
        return self._put(process, payload, self._gather(process, about), **about)

    def _record_kind(self, kind: type[Kind], about: Shared, fields: dict[str, Any]) -> Recorded:
        """Records the payload of ``fields``, in which texts and people stand as they were given."""
        process = self._process or self._begin()
        gathered = self._gather(process, about)
        for name, many, person in _REFERRING[kind]:
            if given := fields[name]:
                take = gathered.person if person else gathered.text
                fields[name] = tuple(map(take, given)) if many else take(given)
        return self._put(process, kind(**fields), gathered, **about)

    def _put(
        self,
        process: Process,
        payload: Kind,
        gathered: Gathered,
        *,
        causes: Sequence[Cause | Reference] = (),
        correlation: Sequence[str] = (),
        principal: Named | None = None,
        agent_id: str | None = None,
        agent_instance: str | None = None,
        execution_id: bytes | None = None,
        occurred_at: int | None = None,
        tenant: str | None = None,  # noqa: ARG002 - it was gathered for
        strict: bool | None = None,
        contents: Sequence[Textual] = (),
    ) -> Recorded:
        if not isinstance(payload, Kind) or payload.KIND not in KINDS:
            raise InvalidEvent(f"{type(payload).__name__} is no kind of event; use a class of ledger.format.kinds")
        kind = payload.KIND
        if kind in OWN_KINDS:
            raise InvalidEvent(f"{kind} is stated by the recorder itself; remove the call")
        if agent_id is not None:
            check_agent(agent_id)
        if kind == AgentRegistration.KIND:
            check_agent(payload.agent_id)  # type: ignore[attr-defined]
        if correlation:
            correlation = listed(correlation, "correlation")
        context = CURRENT.get()
        execution = context.execution
        now = self._now()
        principal = principal or context.principal
        if execution_id is None and execution is not None:
            execution_id = execution.execution_id
        about = About(
            now if occurred_at is None else occurred_at,
            execution_id,
            agent_id or context.agent_id,
            agent_instance or context.agent_instance,
            None if principal is None else gathered.person(principal),
            causes_of(payload, listed(causes, "causes") if causes else (), context),
            (*context.correlation, *correlation) if context.correlation else correlation,
            [gathered.text(each) for each in listed(contents, "contents")] if contents else (),
        )
        recorded = self._spool(process, payload, about, now, gathered)
        if kind == "prompt" and execution is not None:
            execution.prompted(recorded)
        if self._strict if strict is None else strict:
            self._await(process, recorded)
        return recorded

    def _spool(self, process: Process, payload: Kind, about: About, now: int, gathered: Gathered) -> Recorded:
        tenant = gathered.tenant
        encoded = process.encoder(tenant).encode(payload, about, now)
        frame = event_frame(
            tenant.encode(), about.occurred_at, encoded.digest, encoded.header, encoded.salt, encoded.payload
        )
        gathered.frames.append(frame)
        kind = payload.KIND
        try:
            number = process.spool.put(gathered.frames)
            gathered.spooled()
        except (SpoolFull, SpoolFailed) as failure:
            if process.spool.refusal is failure:
                process.troubles.begins("spool", f"events are not taken: {failure}")
            if self._plan.mode != "best_effort":
                raise
            number = 0
            full = isinstance(failure, SpoolFull)
            process.losses.add(tenant, kind, about.occurred_at, "spool_full" if full else "spool_failed")
        process.stored()
        action_id, phase = (payload.action_id, payload.phase) if isinstance(payload, ApiAction) else (None, None)
        return Recorded(encoded.event_id, encoded.digest, kind, action_id, phase, number)

    async def record_async(self, payload: Kind, **about: Unpack[Circumstances]) -> Recorded:
        """``record`` with ``strict``, for a task: its loop goes on until the log has acknowledged the event."""
        about["strict"] = False
        return await self.acknowledged(self.record(payload, **about))

    async def acknowledged(self, recorded: Recorded) -> Recorded:
        """Returns when the log has acknowledged ``recorded``, an event of this process; raises ``BackendError`` as ``record``."""
        process = self._process or self._begin()
        process.sender.hurry()
        if not await process.sender.acked.wait_async(_number(recorded), self._plan.strict_timeout):
            raise self._unacknowledged(process)
        return recorded

    def record_token(
        self,
        token: str,
        *,
        verification: Literal["issuer", "signature", "introspection", "none", "unknown"],
        observer: Literal["issuer", "client", "resource", "intermediary"],
        claims: Mapping[str, Any] | None = None,
        subject_token: str | TokenReference | None = None,
        actor_token: str | TokenReference | None = None,
        grant_type: str | None = None,
        grant_id: str | None = None,
        resources: Sequence[str] = (),
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """Records a ``token_issuance`` from a raw token: its claims, read leniently, and its digest, never the token.

        ``verification`` is how the caller knows the claims: nothing is verified here. ``claims`` stand in place of the token's
        own (introspection, RFC 7662). Raw tokens given as ``subject_token`` or ``actor_token`` become references.
        Raises ``InvalidEvent`` where the scope, or another list in it, is longer than an event keeps.
        """
        fields = issuance_fields(token, claims)
        fields |= {
            "status": "issued",
            "verification": verification,
            "observer": observer,
            "grant_type": grant_type,
            "grant_id": grant_id,
            "resources": resources,
            "subject_token": token_reference(subject_token) if isinstance(subject_token, str) else subject_token,
            "actor_token": token_reference(actor_token) if isinstance(actor_token, str) else actor_token,
        }
        return self.token_issuance(**fields, **about)

    def keep(self, text: str | bytes | Text, *, tenant: str | None = None) -> Kept:
        """Spools a content and returns its digest, for a payload that is made by hand."""
        return self._keep(tenant, lambda gathered: gathered.text(text))

    def identify(self, person: Person, *, tenant: str | None = None) -> Kept:
        """The digest that stands for ``person`` in this process; their content is in the spool when this returns."""
        return self._keep(tenant, lambda gathered: gathered.person(person))

    def _keep(self, tenant: str | None, gather: Callable[[Gathered], bytes]) -> Kept:
        process = self._process or self._begin()
        gathered = self._gather(process, {"tenant": tenant})
        digest = gather(gathered)
        if gathered.frames:
            process.spool.put(gathered.frames, events=0)
            gathered.spooled()
            process.stored()
        return Kept(digest)

    def execution(
        self,
        *,
        execution_id: bytes | None = None,
        started_by: Start | Sequence[Start] | None = None,
        agent_id: str | None = None,
        agent_instance: str | None = None,
        principal: Person | None = None,
        tenant: str | None = None,
        correlation: Sequence[str] = (),
    ) -> AbstractContextManager[Execution]:
        """``with recorder.execution(...):`` what is recorded inside belongs to one run; see ``ledger.recorder.context``.

        ``started_by``: events, or what ``extract`` returned, whose trace is then joined. Inside another one, agent and person
        are who is given here: nobody, where none is.
        """
        return execution(
            now=self._now(),
            execution_id=execution_id,
            started_by=started_by,
            agent_id=agent_id,
            agent_instance=agent_instance,
            principal=principal,
            tenant=tenant,
            correlation=correlation,
        )

    def caused_by(self, *references: Reference | Incoming, relation: str | None = None) -> AbstractContextManager[None]:
        """``with recorder.caused_by(step):`` what is recorded inside cites ``references``; without ``relation`` kinds decide."""
        return caused_by(references, relation)

    def inject(self, headers: MutableMapping[str, str], cited: Reference | None = None) -> None:
        """Writes ``traceparent`` and ``Answerable-Context`` into a request's headers: the receiver then cites ``cited``, by
        default the event of the closest ``caused_by``, else the run's latest prompt.
        """
        inject(headers, cited)

    def extract(self, headers: Mapping[str, str]) -> Incoming:
        """What a request's headers say, for ``execution(started_by=...)`` or ``caused_by``. Never raises: what is malformed is
        ignored, named in the result and counted in ``health``.
        """
        incoming = read_headers(headers)
        self._malformed_headers += len(incoming.malformed)
        return incoming

    @property
    def service(self) -> str:
        """Who records."""
        return self._plan.service

    def health(self) -> Health:
        """How this process's recorder fares; of a closed one, how it ended and what it left."""
        process = self._process
        if process is None and self._closed:
            return self._ended
        return health_of(process or self._begin(), self._malformed_headers)

    def heads(self) -> tuple[KnownHead, ...]:
        """Where this process's chains end in the log, as far as it acknowledged them; of closed ones, and once closed, too.

        Kept where the log's owner cannot reach them (``ledger.format_heads`` makes the lines), they let ``answerable verify
        --against`` find a log that lost its end.
        """
        process = self._process
        return tuple((process.sender.heads if process is not None else self._heads).values())

    def flush(self, timeout: float = 30.0) -> bool:
        """Whether the log has acknowledged, within ``timeout`` seconds, all that was recorded before."""
        process = self._process
        if process is None:
            return True
        process.sender.hurry()
        return process.sender.acked.wait(process.spool.events.next - 1, timeout)

    def close(self, timeout: float = 30.0) -> bool:
        """Sends all, closes the chains, ends the threads. False where the log did not take all within ``timeout`` seconds: the
        rest stays in the spool, and the next start of this service sends it. A second call does nothing.
        """
        with self._starting:
            process, self._process = self._process, None
            already, self._closed = self._closed, True
        if not already:
            atexit.unregister(self._at_exit)
        if process is None:
            return True
        self._ended = replace(health_of(process, self._malformed_headers), doing="closing")
        failure = process.spool.failure
        ended = process.end(timeout)
        self._heads = process.sender.heads
        self._ended = closed_health(process, self._malformed_headers, failure)
        for each in self._ended.problems:
            process.troubles.tell(each)
        return ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _gather(self, process: Process, about: Shared) -> Gathered:
        context = CURRENT.get()
        principal = about.get("principal") or context.principal
        tenant = about.get("tenant") or context.tenant or self._tenant
        return Gathered(process.contents, tenant, principal if isinstance(principal, Person) else None)

    def _begin(self) -> Process:
        """This process's part: raises once closed, made anew after a fork."""
        with self._starting:
            if self._closed:
                raise RecorderClosed("the recorder was closed; open another one")
            if self._process is None:
                self._process = Process(self._plan)
            return self._process

    def _await(self, process: Process, recorded: Recorded) -> None:
        process.sender.hurry()
        if not process.sender.acked.wait(_number(recorded), self._plan.strict_timeout):
            raise self._unacknowledged(process)

    def _unacknowledged(self, process: Process) -> BackendError:
        why = process.sender.state.error or process.spool.failure or "it is behind"
        return BackendError(
            f"the log has not acknowledged the event within {self._plan.strict_timeout} s ({why});"
            " it is in the spool and will be sent: do not record it again"
        )

    def _at_exit(self) -> None:
        self.close(AT_EXIT)

    def _after_fork(self) -> None:
        """In the child: lets go of what is the parent's; the next event makes a spool and chains of the child's own."""
        self._starting = Lock()
        self._heads = {}
        process, self._process = self._process, None
        if process is not None:
            process.forget()


class _Referring(dict[type[Kind], tuple[tuple[str, bool, bool], ...]]):
    """The fields of a kind that refer to contents: name, whether an array, whether a person. Found once a kind."""

    def __missing__(self, kind: type[Kind]) -> tuple[tuple[str, bool, bool], ...]:
        fields = [each for each in PLANS[kind].fields if each.fixed is not None and each.fixed.refers is not None]
        found = tuple(
            (each.name, each.many, each.fixed is not None and each.fixed.refers == "person") for each in fields
        )
        self[kind] = found
        return found


_REFERRING: Final = _Referring()


def _number(recorded: Recorded) -> int:
    if recorded.number == 0:
        raise BackendError("the event was dropped by a best_effort recorder: the log will never acknowledge it")
    return recorded.number


_RECORDERS: Final[WeakSet[Recorder]] = WeakSet()


def _forked() -> None:
    forget_randomness()
    for recorder in list(_RECORDERS):
        recorder._after_fork()


os.register_at_fork(after_in_child=_forked)
