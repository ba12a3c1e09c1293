"""Requests take turns: so many at once, the others in the order in which they came, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.metrics import Measured, Metrics
from api.pulse import Sample
from api.server import application
from api.turns import Turns
from ledger.settings import load_settings
from ledger.trust.keys import b64url
from tests.sealing import ROOT

Message = MutableMapping[str, Any]
PATH = "/v1/events/x/who-triggered"


class Kitchen:
    """An application whose answers are ready when the test says so; ``begun`` are those it works on, in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ready: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:  # noqa: ARG002 - as an application is called
        name = scope["query_string"].decode()
        self.begun.append(name)
        await self.ready.setdefault(name, asyncio.Event()).wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    def finish(self, name: str) -> None:
        self.ready.setdefault(name, asyncio.Event()).set()


async def _ask(app: Turns, name: str, path: str = PATH, *, reads: asyncio.Event | None = None) -> int:
    """The status of the answer; a client that reads only once ``reads`` is set."""
    statuses = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        elif reads is not None:
            await reads.wait()

    async def receive() -> Message:
        return {"type": "http.request"}

    await app({"type": "http", "path": path, "query_string": name.encode()}, receive, send)
    return statuses[0]


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_those_who_wait_have_their_turn_in_the_order_in_which_they_came() -> None:
    async def story() -> None:
        kitchen = Kitchen()
        app = Turns(kitchen, at_once=2, most=4, wait=60)
        asked = [asyncio.create_task(_ask(app, name)) for name in "abcd"]
        await _settle()
        assert kitchen.begun == ["a", "b"]
        kitchen.finish("b")
        await _settle()
        assert kitchen.begun == ["a", "b", "c"]
        for name in "acd":
            kitchen.finish(name)
        assert await asyncio.gather(*asked) == [200] * 4
        assert kitchen.begun == ["a", "b", "c", "d"]

    asyncio.run(story())


def test_one_whose_turn_does_not_come_in_time_is_told_to_come_again() -> None:
    async def story() -> None:
        kitchen = Kitchen()
        app = Turns(kitchen, at_once=1, most=4, wait=0.01)
        first = asyncio.create_task(_ask(app, "a"))
        await _settle()
        assert await _ask(app, "b") == 503
        kitchen.finish("a")
        assert await first == 200
        kitchen.finish("c")
        assert await _ask(app, "c") == 200
        assert kitchen.begun == ["a", "c"]

    asyncio.run(story())


def test_questions_that_take_long_make_way_as_long_as_there_are_places() -> None:
    async def story() -> None:
        kitchen = Kitchen()
        app = Turns(kitchen, at_once=1, most=3, wait=60, long=0.01)
        asked = [asyncio.create_task(_ask(app, name)) for name in "abcde"]
        async with asyncio.timeout(5):
            while len(kitchen.begun) < 3:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.03)  # the third takes long too
        assert kitchen.begun == ["a", "b", "c"]
        kitchen.finish("b")
        await _settle()
        assert kitchen.begun == ["a", "b", "c", "d"]
        for name in "acde":
            kitchen.finish(name)
        assert await asyncio.wait_for(asyncio.gather(*asked), 5) == [200] * 5
        kitchen.begun.clear()
        app = Turns(kitchen, at_once=1, most=3, wait=60)
        asked = [asyncio.create_task(_ask(app, name)) for name in "vw"]
        await _settle()
        assert kitchen.begun == ["v"]  # what is quick is worked alone
        for name in "vw":
            kitchen.finish(name)
        assert await asyncio.gather(*asked) == [200] * 2

    asyncio.run(story())


def test_one_that_waits_in_vain_for_a_place_takes_no_turn_with_it() -> None:
    async def story() -> None:
        kitchen = Kitchen()
        app = Turns(kitchen, at_once=1, most=1, wait=0.05, long=0.01)
        first = asyncio.create_task(_ask(app, "a"))
        await _settle()
        assert await _ask(app, "b") == 503
        kitchen.finish("a")
        kitchen.finish("c")
        assert await first == 200
        assert await _ask(app, "c") == 200

    asyncio.run(story())


def test_whoever_watches_the_server_does_not_wait() -> None:
    async def story() -> None:
        kitchen = Kitchen()
        app = Turns(kitchen, at_once=1, most=4, wait=60)
        first = asyncio.create_task(_ask(app, "a"))
        await _settle()
        for path in ("/v1/health/live", "/v1/health", "/metrics"):
            kitchen.finish(path)
            assert await _ask(app, path, path) == 200
        kitchen.finish("a")
        assert await first == 200

    asyncio.run(story())


def test_a_client_that_reads_slowly_keeps_nobody_waiting() -> None:
    async def story() -> None:
        kitchen = Kitchen()
        app = Turns(kitchen, at_once=1, most=4, wait=60)
        kitchen.finish("a")
        reads = asyncio.Event()
        slow = asyncio.create_task(_ask(app, "a", reads=reads))
        await _settle()
        kitchen.finish("b")
        assert await _ask(app, "b") == 200
        assert not slow.done()
        reads.set()
        assert await slow == 200

    asyncio.run(story())


def test_a_turn_ends_when_its_work_fails() -> None:
    async def story() -> None:
        async def fails(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError(scope["path"])

        app = Turns(fails, at_once=1, most=4, wait=60)
        for _ in range(2):
            with pytest.raises(RuntimeError, match=PATH):
                await asyncio.wait_for(_ask(app, "a"), 5)

    asyncio.run(story())


def test_one_that_had_no_turn_is_counted_under_the_route_it_was_meant_for() -> None:
    metrics = Metrics(Sample)
    app = FastAPI()
    app.get("/v1/events/{event_id}")(lambda event_id: event_id)
    app.add_middleware(Turns, at_once=0, most=4, wait=0.01)
    app.add_middleware(Measured, metrics=metrics)

    async def story() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            for path in ("/v1/events/x", "/v1/nothing"):
                assert (await client.get(path)).status_code == 503

    asyncio.run(story())
    told = metrics.text().decode()
    for route in ("/v1/events/{event_id}", "(none)"):
        assert f'answerable_http_requests_total{{method="GET",route="{route}",status="503"}} 1.0' in told


def test_the_settings_say_how_many_are_worked_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ANSWERABLE_LEDGER", "acme.example")
    monkeypatch.setenv("ANSWERABLE_TRUST_ROOT", b64url(ROOT.public.raw))
    monkeypatch.setenv("ANSWERABLE_API_AT_ONCE", "5")
    turns = [each for each in application(load_settings()).user_middleware if each.cls is Turns]
    assert [each.kwargs["at_once"] for each in turns] == [5]
