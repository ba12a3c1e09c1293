"""What a caller passes by mistake is refused with what to give in its place, before anything is signed for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import InvalidEvent
from ledger.format.kinds import AgentRegistration, ReasoningStep
from ledger.recorder.clock import SystemClock
from ledger.recorder.contents import Text
from ledger.recorder.context import Recorded
from ledger.recorder.recorder import Recorder
from tests.recording import ALICE, recorder_on, stated
from tests.services.memory_log import MemoryLog

STEP = ReasoningStep(status="completed", visibility="withheld")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


@pytest.fixture
def recorder(log: MemoryLog, tmp_path: Path) -> Iterator[Recorder]:
    with recorder_on(log, tmp_path) as recorder:
        yield recorder


Misuse = Callable[[Any, Recorded], object]
"""Calls a recorder, of which nothing is known to be typed, with an event that it recorded."""


def within(manager: Any) -> None:
    with manager:
        pass


def step(recorder: Any, **about: Any) -> object:
    return recorder.reasoning_step(status="completed", visibility="withheld", **about)


def named(**person: Any) -> Any:
    return type(ALICE)(**({"issuer": "https://idp", "subject": "alice"} | person))


ONE_FOR_MANY: dict[str, Misuse] = {
    "correlation": lambda r, _: step(r, correlation="trace:abc"),
    "correlation, a mapping": lambda r, _: step(r, correlation={"trace": "abc"}),
    "correlation of a run": lambda r, _: within(r.execution(correlation="trace:abc")),
    "causes": lambda r, _: step(r, causes="abc"),
    "causes, an event": lambda r, event: step(r, causes=event),
    "causes, a link": lambda r, event: step(r, causes=event.cause("informed_by")),
    "causes of a payload": lambda r, _: r.record(STEP, causes="abc"),
    "contents": lambda r, _: step(r, contents="text"),
    "contents, kept": lambda r, _: step(r, contents=r.keep("text")),
    "scopes": lambda r, _: r.grant(grant_id="g", action="give", method="explicit", scopes="booking:create"),
    "attachments": lambda r, _: r.prompt(trigger_kind="human", trust="trusted", attachments="text"),
    "reasons": lambda r, _: r.policy_decision(decision="deny", action="book", reasons="limit"),
    "resources": lambda r, _: r.record_token("t", verification="none", observer="client", resources="https://api"),
    "subjects": lambda r, _: r.keep(Text(value="text", subjects="https://idp#alice")),
}
NO_EVENT: dict[str, Misuse] = {
    "causes": lambda r, _: step(r, causes=["abc"]),
    "causes, what came in": lambda r, _: step(r, causes=[r.extract({})]),
    "caused_by": lambda r, _: within(r.caused_by("abc")),
    "caused_by, a list": lambda r, event: within(r.caused_by([event])),
    "caused_by, none": lambda r, _: within(r.caused_by(None)),
    "started_by": lambda r, _: within(r.execution(started_by=["abc"])),
    "started_by, no list": lambda r, _: within(r.execution(started_by="abc")),
    "inject": lambda r, _: r.inject({}, "abc"),
}
NOBODY: dict[str, Misuse] = {
    "no issuer": lambda r, _: step(r, principal=named(issuer="")),
    "no subject": lambda r, _: r.identify(named(subject="")),
    "neither, in a run": lambda r, _: _inside(r, named(issuer="", subject="")),
    "neither, in a payload": lambda r, _: r.agent_registration(
        agent_id="https://as#a", state="active", owner=named(issuer="", subject="")
    ),
    "a number": lambda r, _: step(r, principal=named(subject=7)),
    "a name that is none": lambda r, _: step(r, principal=named(name=7)),
    "a third kind": lambda r, _: step(r, principal=named(kind="agent")),
    "half a character": lambda r, _: step(r, principal=named(name="\ud800")),
}
NO_AGENT = ["a", "", "travel agent", "//acme/agent", "https:///agent", "spiffe:/agent", "9p://a", 7]
AGENTS = [
    "spiffe://acme.example/travel",
    "https://issuer.example#client_id",
    "https://issuer.example#a client of spaces",
    "https://issuer.example:8443/tenant#Über",
    "urn:example:agent:7",
    "did:web:agents.example",
    "arn:aws:bedrock:eu-west-1:123456789012:agent/A",
]


def _inside(recorder: Any, principal: Any) -> None:
    with recorder.execution(principal=principal):
        step(recorder)


@pytest.mark.parametrize("case", ONE_FOR_MANY)
def test_a_single_thing_where_many_are_meant_is_refused(case: str, recorder: Recorder, log: MemoryLog) -> None:
    name = case.partition(",")[0].partition(" ")[0]
    _refused(ONE_FOR_MANY[case], recorder, log, rf"^{name} is given as \w+; give a list")


@pytest.mark.parametrize("case", NO_EVENT)
def test_what_is_no_event_cannot_be_cited(case: str, recorder: Recorder, log: MemoryLog) -> None:
    _refused(NO_EVENT[case], recorder, log, "give what record")


@pytest.mark.parametrize("case", NOBODY)
def test_a_person_whom_nothing_tells_from_others_is_refused(case: str, recorder: Recorder, log: MemoryLog) -> None:
    _refused(NOBODY[case], recorder, log, "^a person .*(give Person|it must be|decode it)")


@pytest.mark.parametrize("agent_id", NO_AGENT)
@pytest.mark.parametrize("where", ["event", "run", "registration", "made by hand"])
def test_an_agent_is_named_with_its_authority(where: str, agent_id: Any, recorder: Recorder, log: MemoryLog) -> None:
    ways: dict[str, Misuse] = {
        "event": lambda r, _: step(r, agent_id=agent_id),
        "run": lambda r, _: within(r.execution(agent_id=agent_id)),
        "registration": lambda r, _: r.agent_registration(agent_id=agent_id, state="active"),
        "made by hand": lambda r, _: r.record(AgentRegistration(agent_id=agent_id, state="active")),
    }
    _refused(ways[where], recorder, log, "no URI with an authority; give one such as spiffe://")


def test_every_form_of_an_agents_uri_is_taken(recorder: Recorder, log: MemoryLog) -> None:
    for agent_id in AGENTS:
        with recorder.execution(agent_id=agent_id):
            step(recorder)
        recorder.agent_registration(agent_id=agent_id, state="active")
    assert recorder.flush(5)
    assert [each.header.agent_id for each in stated(log)][::2] == AGENTS


def test_any_other_row_of_things_is_a_list(recorder: Recorder, log: MemoryLog) -> None:
    first = recorder.record(STEP)
    step(recorder, correlation=(each for each in ["request:r", "trace:t"]), causes={first}, contents=iter(["text"]))
    assert recorder.flush(5)
    header = stated(log)[1].header
    assert [*header.correlation] == ["request:r", "trace:t"]
    assert [each.event_id for each in header.causes] == [first.event_id]
    assert len(header.contents) == 1


def _refused(misuse: Misuse, recorder: Recorder, log: MemoryLog, says: str) -> None:
    event = recorder.record(STEP)
    with pytest.raises(InvalidEvent, match=says):
        misuse(recorder, event)
    assert recorder.flush(5)
    assert [each.digest for each in stated(log)] == [event.digest]
