"""Waiting for the log without holding a loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from ledger.errors import BackendError
from ledger.recorder.acknowledgements import Acknowledgements
from ledger.recorder.clock import SystemClock
from tests.recording import STEP, recorder_on, stated
from tests.services.memory_log import MemoryLog


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(SystemClock())


def test_a_task_waits_for_the_log_while_its_loop_goes_on(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()

    async def run() -> None:
        waiting = asyncio.create_task(recorder.record_async(STEP))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        log.gate.set()
        recorded = await waiting
        assert [each.digest for each in stated(log)] == [recorded.digest]

    with recorder_on(log, tmp_path, mode="strict", linger=60) as recorder:
        asyncio.run(run())


def test_tasks_that_wait_share_an_append(log: MemoryLog, tmp_path: Path) -> None:
    async def run() -> None:
        log.gate.clear()
        tasks = [asyncio.create_task(recorder.record_async(STEP)) for _ in range(50)]
        await asyncio.sleep(0)
        log.gate.set()
        await asyncio.gather(*tasks)

    with recorder_on(log, tmp_path) as recorder:
        asyncio.run(run())
    assert len(stated(log)) == 50
    assert len(log.appends) <= 4


def test_a_typed_function_is_awaited_by_its_result(log: MemoryLog, tmp_path: Path) -> None:
    async def run() -> None:
        prompt = recorder.prompt(trigger_kind="human", trust="trusted", text="hello")
        assert await recorder.acknowledged(prompt) == prompt
        assert len(stated(log)) == 1

    with recorder_on(log, tmp_path, linger=60) as recorder:
        asyncio.run(run())


def test_a_task_is_told_where_the_log_does_not_answer(log: MemoryLog, tmp_path: Path) -> None:
    log.gate.clear()

    async def run() -> None:
        with pytest.raises(BackendError, match="do not record it again"):
            await recorder.record_async(STEP)

    with recorder_on(log, tmp_path, strict_timeout=0.02) as recorder:
        asyncio.run(run())
        log.gate.set()
    assert len(stated(log)) == 1


def test_who_waits_is_told_when_nothing_will_follow() -> None:
    acked = Acknowledgements()
    waiter = threading.Thread(target=lambda: results.append(acked.wait(5, 60)))
    results: list[bool] = []
    waiter.start()
    acked.advance(4)
    acked.end()
    waiter.join()
    assert results == [False]
    assert asyncio.run(acked.wait_async(5, 60)) is False
    assert asyncio.run(acked.wait_async(4, 60)) is True


def test_a_waiting_task_that_was_cancelled_or_whose_loop_closed_harms_nobody() -> None:
    acked = Acknowledgements()

    async def give_up() -> None:
        assert not await acked.wait_async(1, 0.01)

    asyncio.run(give_up())
    acked.advance(1)
    assert acked.wait(1, 0)
