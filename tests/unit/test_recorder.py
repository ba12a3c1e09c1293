"""What a recorder promises, on a log in memory whose records the verifier judges."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ledger.errors import BackendError, ConfigurationError, InvalidEvent, RecorderClosed
from ledger.format.kinds import ApiAction, ChainOpen, Observation, Prompt, ReasoningStep
from ledger.recorder.clock import SystemClock
from tests.recording import (
    SERVICE,
    TENANT,
    chain_events,
    chain_findings,
    recorder_on,
    stated,
    verified,
)
from tests.services.memory_log import MemoryLog

STEP = ReasoningStep(status="completed", visibility="withheld")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


def test_what_is_recorded_arrives_verified_in_order_and_the_chain_closes(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorded = [recorder.record(ReasoningStep(status="completed", visibility="full", index=i)) for i in range(1000)]
    events = stated(log)
    assert [each.digest for each in events] == [each.digest for each in recorded]
    assert [each.header.event_id for each in events] == [each.event_id for each in recorded]
    assert [each.payload["index"] for each in events] == list(range(1000))
    batches = verified(log.events)
    assert batches[-1].closes
    assert set(chain_findings(log).values()) == {frozenset()}
    assert {(batch.seal.tenant, batch.seal.service) for batch in batches} == {(TENANT, SERVICE)}
    closing = chain_events(log)[-1][2]
    assert closing == {"reason": "shutdown", "event_count": 1002, "lost_count": 0}
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_sent_for_a_recorder_that_recorded_nothing(log: MemoryLog, tmp_path: Path) -> None:
    assert recorder_on(log, tmp_path).close(5)
    assert log.records == []


def test_each_tenant_has_a_chain_of_its_own_from_its_first_event_on(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        recorder.record(STEP)
        assert recorder.flush(5)
        assert len(recorder.health().open_chains) == 1
        recorder.record(STEP, tenant="other")
        with recorder.execution(tenant="third"):
            recorder.record(STEP)
        assert recorder.flush(5)
        assert len(recorder.health().open_chains) == 3
    opened = [(chain.tenant, header.kind) for chain, header, _ in chain_events(log) if header.kind == "chain_open"]
    assert opened == [(TENANT, "chain_open"), ("other", "chain_open"), ("third", "chain_open")]


def test_an_append_that_failed_is_made_again_with_the_same_bytes(log: MemoryLog, tmp_path: Path) -> None:
    log.fail_before, log.fail_after = 2, 2
    with recorder_on(log, tmp_path) as recorder:
        recorder.record(STEP)
        assert recorder.flush(10)
        assert recorder.health().failures == 4
        assert recorder.health().error is None
    assert log.appends[0] == log.appends[1] == log.appends[2] == log.appends[3] == log.appends[4]
    assert set(chain_findings(log).values()) == {frozenset()}
    assert len(stated(log)) == 1


def test_contents_are_in_the_log_before_the_events_that_refer_to_them(log: MemoryLog, tmp_path: Path) -> None:
    log.fail_after = 1
    with recorder_on(log, tmp_path) as recorder:
        for i in range(50):
            recorder.prompt(trigger_kind="human", trust="trusted", text=f"prompt {i}")
    seen: set[bytes] = set()
    for record in log.records:
        if record.topic == "ledger.contents":
            assert record.key is not None
            seen.add(record.key[-32:])
        else:
            for event in verified([record])[0].events:
                assert seen.issuperset(event.header.contents)
    assert len(seen) == 50


def test_strict_returns_when_the_log_acknowledged(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path, mode="strict", linger=60) as recorder:
        recorded = recorder.record(STEP)
        assert [each.digest for each in stated(log)] == [recorded.digest]


def test_strict_raises_where_the_log_does_not_answer_and_the_event_is_kept(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    with recorder_on(log, tmp_path, strict_timeout=0.05) as recorder:
        with pytest.raises(BackendError, match="in the spool and will be sent"):
            recorder.record(STEP, strict=True)
        log.gate.set()
        assert recorder.flush(10)
    assert len(stated(log)) == 1


def test_strict_events_of_many_threads_share_appends(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path, mode="strict") as recorder:
        log.gate.clear()
        threads = [threading.Thread(target=recorder.record, args=(STEP,)) for _ in range(40)]
        for thread in threads:
            thread.start()
        while recorder.health().waiting_events < 40:
            threading.Event().wait(0.001)
        log.gate.set()
        for thread in threads:
            thread.join()
        assert len(log.appends) <= 4
    assert len(stated(log)) == 40


def test_heartbeats_keep_the_promise_of_a_next_seal(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path, heartbeat=0.02) as recorder:
        recorder.record(STEP)
        assert log.wait_until(lambda log: len(log.events) >= 4)
    beats = [payload for _, header, payload in chain_events(log) if header.kind == "chain_heartbeat"]
    assert len(beats) >= 3
    assert beats[0] == {"waiting_events": 0, "waiting_bytes": 0, "oldest_waiting_at": None}
    promises = [batch.seal.next_within for batch in verified(log.events)]
    assert promises[-1] == 0
    assert all(promise is not None and promise >= 1 for promise in promises[:-1])
    assert set(chain_findings(log).values()) == {frozenset()}


def test_events_over_the_limits_of_a_batch_are_cut_into_several(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        log.gate.clear()
        for _ in range(600):
            recorder.record(STEP)
        large = Observation(source="tool", trust="unknown", status="success", labels=("x" * 60_000,))
        for _ in range(40):
            recorder.record(large)
        log.gate.set()
    sizes = [batch.seal.event_count for batch in verified(log.events)]
    assert sum(sizes) == 642
    assert max(sizes) <= 256
    assert set(chain_findings(log).values()) == {frozenset()}


def test_a_closed_recorder_says_so(log: MemoryLog, tmp_path: Path) -> None:
    recorder = recorder_on(log, tmp_path)
    assert recorder.close(5)
    assert recorder.close(5)
    with pytest.raises(RecorderClosed, match="open another one"):
        recorder.record(STEP)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("mode", "strickt"), ("heartbeat", 0), ("linger", -1), ("strict_timeout", float("nan")), ("spool_bytes", 0)],
)
def test_a_setting_that_means_nothing_is_refused_by_its_name(
    log: MemoryLog, tmp_path: Path, setting: str, value: object
) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        recorder_on(log, tmp_path, **{setting: value})
    assert not list(tmp_path.iterdir())


def test_the_spool_may_be_named_by_a_string(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, str(tmp_path / "spool")) as recorder:
        recorder.prompt(trigger_kind="schedule", trust="trusted")
        assert list((tmp_path / "spool").iterdir())


def test_closing_in_time_fails_where_the_log_is_away_and_the_spool_stays(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()
    recorder = recorder_on(log, tmp_path)
    recorder.record(STEP)
    assert not recorder.close(0.2)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_caller_may_not_state_is_refused_and_nothing_is_written(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        with pytest.raises(InvalidEvent, match="no kind of event"):
            recorder.record({"kind": "prompt"})  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent, match="stated by the recorder itself"):
            recorder.record(ChainOpen(delivery="spool", software="mine"))
        with pytest.raises(InvalidEvent, match="must be one of"):
            recorder.record(Prompt(trigger_kind="alien", trust="trusted"))  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent, match="limit is 65536"):
            recorder.observation(source="tool", trust="unknown", status="success", labels=["x" * 70_000])
        with pytest.raises(InvalidEvent, match="limit is 8388608"):
            recorder.prompt(trigger_kind="human", trust="trusted", text="x" * (8 * 1024 * 1024 + 1))
        with pytest.raises(InvalidEvent, match=r"U\+0000"):
            recorder.prompt(trigger_kind="human", trust="trusted", channel="a\0b")
        with pytest.raises(InvalidEvent, match=r"U\+0000"):
            recorder.prompt(trigger_kind="human", trust="trusted", text="a\0b")
        with pytest.raises(InvalidEvent, match=r"U\+0000"):
            recorder.record(STEP, agent_id="https://a\0b")
        with pytest.raises(InvalidEvent, match="longer than 512"):
            recorder.record(STEP, correlation=["request:" + "x" * 512])
        with pytest.raises(InvalidEvent, match="half a surrogate"):
            recorder.record(STEP, agent_id="https://\ud800")
        with pytest.raises(InvalidEvent, match="half a surrogate"):
            recorder.prompt(trigger_kind="human", trust="trusted", channel="\ud800")
        with pytest.raises(InvalidEvent, match="half a surrogate"):
            recorder.prompt(trigger_kind="human", trust="trusted", text="\ud800")
        with pytest.raises(InvalidEvent, match="execution id has 3 bytes"):
            recorder.record(STEP, execution_id=b"abc")
        with pytest.raises(InvalidEvent, match="wrong type"):
            recorder.record(STEP, execution_id="0123456789abcdef")  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent, match="content is given as int"):
            recorder.prompt(trigger_kind="human", trust="trusted", text=5)  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent, match="person is given as str"):
            recorder.record(STEP, principal="alice")  # type: ignore[arg-type]
        with pytest.raises(InvalidEvent, match="tenant"):
            recorder.record(STEP, tenant="x" * 600)
        with pytest.raises(InvalidEvent, match="occurred_at"):
            recorder.record(STEP, occurred_at=-1)
        causes = [recorder.record(STEP) for _ in range(65)]
        with pytest.raises(InvalidEvent, match="65 causes and the limit is 64"):
            recorder.record(STEP, causes=causes)
    assert len(stated(log)) == 65
    assert log.contents == []


def test_an_event_of_the_largest_size_arrives(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:
        causes = [recorder.record(STEP) for _ in range(64)]
        recorder.observation(
            source="tool",
            trust="unknown",
            status="success",
            labels=["x" * 65_000],
            causes=causes,
            agent_id=f"urn:{'a' * 508}",
        )
        recorder.prompt(trigger_kind="human", trust="trusted", text=b"x" * (8 * 1024 * 1024))
    assert len(stated(log)) == 66
    assert len(log.contents) == 1


def test_threads_record_side_by_side(log: MemoryLog, tmp_path: Path) -> None:
    with recorder_on(log, tmp_path) as recorder:

        def work(number: int) -> None:
            with recorder.execution(agent_id=f"https://as#{number}") as run:
                for i in range(200):
                    action = ApiAction(action_id=f"{number}-{i}", phase="unknown", operation="op", observer="agent")
                    assert recorder.record(action).action_id == f"{number}-{i}"
                runs.add((f"https://as#{number}", run.execution_id))

        runs: set[tuple[str, bytes]] = set()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = stated(log)
    assert len({each.header.event_id for each in events}) == 1600
    assert {(each.header.agent_id, each.header.execution_id) for each in events} == runs
