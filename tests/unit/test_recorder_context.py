"""How events are linked by the context they are recorded in, and how it travels between services."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.format import ids
from ledger.format.content import Person
from ledger.format.event import TO_TRIGGERS
from ledger.recorder.clock import SystemClock
from ledger.recorder.context import Recorded, Remote
from ledger.recorder.headers import read_context, read_headers, read_traceparent, write_context
from ledger.recorder.recorder import Recorder
from tests.recording import Stated, recorder_on, stated, verified
from tests.services.memory_log import MemoryLog

Links = set[tuple[str, str, str]]


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


@pytest.fixture
def recorder(log: MemoryLog, tmp_path: Path) -> Iterator[Recorder]:
    recorder = recorder_on(log, tmp_path)
    yield recorder
    recorder.close()


def step(recorder: Recorder) -> Recorded:
    return recorder.reasoning_step(status="completed", visibility="withheld")


def prompt(recorder: Recorder) -> Recorded:
    return recorder.prompt(trigger_kind="human", trust="trusted")


def attempt(recorder: Recorder, action_id: str = "a") -> Recorded:
    return recorder.api_action(action_id=action_id, phase="intended", operation="book", observer="agent")


def outcome(recorder: Recorder, action_id: str = "a") -> Recorded:
    return recorder.api_action(action_id=action_id, phase="completed", operation="book", observer="agent")


def by_id(log: MemoryLog, recorder: Recorder) -> dict[bytes, Stated]:
    assert recorder.flush(5)
    return {each.header.event_id: each for each in stated(log)}


def links(log: MemoryLog, recorder: Recorder, effect: Recorded) -> set[tuple[bytes, str]]:
    """What ``effect`` cites; each link with the digest of the event cited."""
    events = by_id(log, recorder)
    causes = events[effect.event_id].header.causes
    for cause in causes:
        assert cause.event_id not in events or events[cause.event_id].digest == cause.digest
    return {(cause.event_id, cause.relation) for cause in causes}


def test_outside_of_any_context_an_event_cites_what_it_is_given(recorder: Recorder, log: MemoryLog) -> None:
    first = step(recorder)
    second = recorder.reasoning_step(status="completed", visibility="withheld", causes=[first, first.cause("retries")])
    assert links(log, recorder, first) == set()
    assert links(log, recorder, second) == {(first.event_id, "informed_by"), (first.event_id, "retries")}


def test_in_an_execution_everything_is_started_by_its_prompt(recorder: Recorder, log: MemoryLog) -> None:
    with recorder.execution() as run:
        before = step(recorder)
        asked = prompt(recorder)
        thought = step(recorder)
        tried = attempt(recorder)
    after = step(recorder)
    assert links(log, recorder, before) == set()
    assert links(log, recorder, asked) == set()
    assert links(log, recorder, thought) == {(asked.event_id, "started_by")}
    assert links(log, recorder, tried) == {(asked.event_id, "started_by")}
    assert links(log, recorder, after) == set()
    events = by_id(log, recorder)
    assert {events[each.event_id].header.execution_id for each in (before, asked, tried)} == {run.execution_id}
    assert events[after.event_id].header.execution_id is None


def test_a_later_prompt_steers_and_continues_the_one_before(recorder: Recorder, log: MemoryLog) -> None:
    with recorder.execution():
        first, second, third = prompt(recorder), prompt(recorder), prompt(recorder)
        tried = attempt(recorder)
    assert links(log, recorder, second) == {(first.event_id, "continues")}
    assert links(log, recorder, third) == {(second.event_id, "continues")}
    assert links(log, recorder, tried) == {(first.event_id, "started_by"), (third.event_id, "steered_by")}


def test_nested_code_cites_what_encloses_it_and_still_reaches_the_prompt(recorder: Recorder, log: MemoryLog) -> None:
    with recorder.execution():
        asked = prompt(recorder)
        thought = step(recorder)
        with recorder.caused_by(thought):
            decided = recorder.policy_decision(decision="allow", action="book")
            with recorder.caused_by(decided):
                tried = attempt(recorder)
            with recorder.caused_by(tried):
                done = outcome(recorder)
                read = recorder.observation(source="tool", trust="untrusted", status="success")
        unrelated = step(recorder)
    trigger = (asked.event_id, "started_by")
    informed = (thought.event_id, "informed_by")
    assert links(log, recorder, tried) == {trigger, informed, (decided.event_id, "authorized_by")}
    assert links(log, recorder, done) == {trigger, informed, (tried.event_id, "completes")}
    assert links(log, recorder, read) == {trigger, informed, (tried.event_id, "result_of")}
    assert links(log, recorder, unrelated) == {trigger}


def test_a_run_inside_another_is_nobodys_until_it_says_whose(recorder: Recorder, log: MemoryLog) -> None:
    bob = Person(issuer="https://idp", subject="bob")
    trace = recorder.extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    outer = {"agent_id": "https://as#outer", "agent_instance": "7", "principal": bob}
    with recorder.execution(**outer, tenant="other", started_by=trace, correlation=["request:r"]):
        asked = prompt(recorder)
        with recorder.execution(), recorder.caused_by():
            nobody = step(recorder)
        with recorder.execution(
            started_by=asked, agent_id="https://as#inner", principal=bob, correlation=["request:s"]
        ) as run:
            inner = step(recorder)
            headers: dict[str, str] = {}
            recorder.inject(headers)
        after = step(recorder)
    events = by_id(log, recorder)
    first, last = events[asked.event_id].header, events[after.event_id].header
    assert (last.agent_id, last.agent_instance, last.principal) == (first.agent_id, "7", first.principal)
    assert [*last.correlation] == [*trace.correlation, "request:r"]
    bare = events[nobody.event_id].header
    assert (bare.agent_id, bare.agent_instance, bare.principal, [*bare.correlation]) == (None, None, None, [])
    own = events[inner.event_id].header
    assert (own.agent_id, own.agent_instance, own.principal) == ("https://as#inner", None, first.principal)
    assert [*own.correlation] == ["request:s"]
    assert links(log, recorder, nobody) == set()
    assert links(log, recorder, inner) == {(asked.event_id, "started_by")}
    assert headers["traceparent"].split("-")[1] == run.execution_id.hex()
    assert {batch.seal.tenant for batch in verified(log.events)} == {"other"}


def test_a_link_to_a_trigger_that_is_given_stands_alone(recorder: Recorder, log: MemoryLog) -> None:
    with recorder.execution():
        prompt(recorder)
        other = prompt(recorder)
        chosen = recorder.api_action(action_id="a", phase="unknown", operation="o", observer="agent", causes=[other])
        with recorder.caused_by(other, relation="steered_by"):
            steered = attempt(recorder)
    assert links(log, recorder, chosen) == {(other.event_id, "started_by")}
    assert links(log, recorder, steered) == {(other.event_id, "steered_by")}


def test_from_any_event_of_a_run_trigger_relations_lead_to_every_earlier_prompt(
    recorder: Recorder, log: MemoryLog
) -> None:
    with recorder.execution():
        prompts = [prompt(recorder) for _ in range(5)]
        with recorder.caused_by(step(recorder)):
            tried = attempt(recorder)
    events = by_id(log, recorder)
    reached, waiting = set(), [tried.event_id]
    while waiting:
        for cause in events[waiting.pop()].header.causes:
            if cause.relation in TO_TRIGGERS and cause.event_id not in reached:
                reached.add(cause.event_id)
                waiting.append(cause.event_id)
    assert reached == {each.event_id for each in prompts}


@pytest.mark.parametrize(
    ("make", "relation"),
    [
        (lambda r: r.prompt(trigger_kind="human", trust="trusted"), "started_by"),
        (lambda r: r.handoff(direction="received"), "started_by"),
        (
            lambda r: r.trigger_registration(trigger_id="t", action="register", trigger_kind="schedule"),
            "scheduled_by",
        ),
        (lambda r: r.execution_control(action="start"), "continues"),
        (lambda r: r.grant(grant_id="g", action="give", method="explicit"), "authorized_by"),
        (lambda r: r.oversight(oversight_id="o", action="approve", binding="standing"), "authorized_by"),
        (lambda r: r.memory(action="read", trust="unknown"), "informed_by"),
        (lambda r: r.configuration(), "informed_by"),
        (lambda r: attempt(r, "other"), "informed_by"),
    ],
)
def test_without_a_relation_the_kinds_decide(recorder, log, make, relation) -> None:  # type: ignore[no-untyped-def]
    cause = make(recorder)
    with recorder.caused_by(cause):
        effect = attempt(recorder)
    assert links(log, recorder, effect) == {(cause.event_id, relation)}


def test_tasks_and_threads_have_contexts_of_their_own(recorder: Recorder, log: MemoryLog) -> None:
    async def run(number: int) -> tuple[Recorded, Recorded]:
        with recorder.execution(agent_id=f"https://as#{number}"):
            asked = prompt(recorder)
            await asyncio.sleep(0)
            return asked, await asyncio.create_task(nested())

    async def nested() -> Recorded:
        await asyncio.sleep(0)
        return attempt(recorder)

    async def all_of_them() -> list[tuple[Recorded, Recorded]]:
        return await asyncio.gather(*(run(number) for number in range(10)))

    for asked, tried in asyncio.run(all_of_them()):
        assert links(log, recorder, tried) == {(asked.event_id, "started_by")}
    with recorder.execution():
        asked = prompt(recorder)
        found: list[Recorded] = []
        bare = threading.Thread(target=lambda: found.append(attempt(recorder)))
        copied = contextvars.copy_context()
        within = threading.Thread(target=lambda: found.append(copied.run(attempt, recorder)))
        for thread in (bare, within):
            thread.start()
            thread.join()
    assert links(log, recorder, found[0]) == set()
    assert links(log, recorder, found[1]) == {(asked.event_id, "started_by")}


def test_the_context_crosses_to_another_service(log: MemoryLog, tmp_path: Path) -> None:
    with (
        recorder_on(log, tmp_path / "a", service="agent") as agent,
        recorder_on(log, tmp_path / "b", service="api") as api,
    ):
        headers: dict[str, str] = {}
        with agent.execution() as run:
            asked = prompt(agent)
            tried = attempt(agent, "b;ook ü")
            with agent.caused_by(tried):
                agent.inject(headers)
        incoming = api.extract({name.upper(): value for name, value in headers.items()})
        assert incoming.remote == Remote(tried.event_id, tried.digest, run.execution_id, "b;ook ü")
        with api.execution(started_by=incoming) as served:
            decided = api.policy_decision(decision="allow", action="book")
            seen = api.api_action(
                action_id="b;ook ü", phase="completed", operation="book", observer="resource", causes=[incoming.remote]
            )
    events = {each.header.event_id: each.header for each in stated(log)}
    assert [*events[decided.event_id].causes] == [tried.cause("started_by")]
    assert [*events[seen.event_id].causes] == [tried.cause("same_action"), tried.cause("started_by")]
    assert events[seen.event_id].execution_id == served.execution_id != run.execution_id
    assert f"trace:{run.execution_id.hex()}" in events[seen.event_id].correlation
    assert f"parent_span:{tried.event_id[8:].hex()}" in events[seen.event_id].correlation
    assert asked.event_id in {cause.event_id for cause in events[tried.event_id].causes}


def test_a_trace_that_came_in_goes_out_again(recorder: Recorder) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    incoming = recorder.extract({"traceparent": f"00-{trace}-b7ad6b7169203331-00"})
    headers: dict[str, str] = {}
    with recorder.execution(started_by=incoming):
        prompt(recorder)
        recorder.inject(headers)
    assert headers["traceparent"].split("-")[1] == trace


def test_malformed_headers_are_named_counted_and_ignored(recorder: Recorder, log: MemoryLog) -> None:
    incoming = recorder.extract({"Answerable-Context": "v1;nonsense", "traceparent": "00-zz-yy-01"})
    assert incoming.malformed == ("Answerable-Context", "traceparent")
    assert recorder.health().malformed_headers == 2
    with recorder.execution(started_by=incoming), recorder.caused_by(incoming):
        alone = step(recorder)
    assert links(log, recorder, alone) == set()


EVENT = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "v1",
        "v2;;;;",
        "v1;;;;",
        "v1;;;;;",
        f"v1;;{EVENT};;;",
        f"v1;;{EVENT.upper()};;",
        f"v1;;{EVENT[:-1]};;",
        f"v1;x;{EVENT};;",
        f"v1;;{EVENT};00;",
        f"v1;;{EVENT};{'G' * 64};",
        f"v1;;{EVENT};;%ff",
        f"v1;;{EVENT};;%00",
        f"v1;;{EVENT};;{'a' * 513}",
        f"v1;;{EVENT};;\udcff",
        "v1;;00000000-0000-0000-0000-000000000000;;",
        "v1;;01890a5d-ac96-474b-bcce-b302099a8057;;",
        f"v1;;{EVENT};;" + "a" * 5000,
    ],
)
def test_a_malformed_context_is_none(value: str) -> None:
    assert read_context(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    ],
)
def test_a_malformed_traceparent_is_none(value: str) -> None:
    assert read_traceparent(value) is None


def test_a_traceparent_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = read_traceparent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what")
    assert found == (bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), bytes.fromhex("b7ad6b7169203331"))


@given(st.dictionaries(st.text(max_size=30) | st.sampled_from(["traceparent", "Answerable-Context"]), st.text()))
def test_reading_headers_never_fails(headers: dict[str, str]) -> None:
    read_headers(headers)


random_bytes = st.binary(min_size=10, max_size=10)


@given(
    random_bytes,
    st.none() | st.binary(min_size=32, max_size=32),
    st.none() | st.binary(min_size=16, max_size=16),
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=100),
)
def test_what_is_written_is_read(
    random: bytes, digest: bytes | None, execution: bytes | None, action: str | None
) -> None:
    remote = Remote(ids.uuid7(1_700_000_000_000_000, random), digest, execution, action)
    assert read_context(write_context(execution, remote, action)) == remote
