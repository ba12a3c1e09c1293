"""Prometheus metrics of the HTTP server, in a registry of each application's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.faults import ALL
from api.pulse import Sample

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


class Metrics:
    """Counts and times requests by route, never by path: what a caller sends makes no new series. And how the server is."""

    def __init__(self, sample: Callable[[], Sample]) -> None:
        self._registry = CollectorRegistry()
        self._state = _State(sample)
        self._registry.register(self._state)
        self._requests = Counter(
            "answerable_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "answerable_http_request_duration_seconds",
            "Time to the answer",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._replaced = Counter(
            "answerable_api_workers_replaced",
            "Processes of the API that ended by themselves and were started again",
            registry=self._registry,
        )

    def text(self) -> bytes:
        """The exposition format; of several processes that count together, what all of them counted."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # the library's, without types
        together.register(self._state)
        return generate_latest(together)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def replaced(self) -> None:
        """A process that answers ended by itself and is started again."""
        self._replaced.inc()


class _State(Collector):
    """What the pulse last saw; what it cannot know is absent, not zero."""

    def __init__(self, sample: Callable[[], Sample]) -> None:
        self._sample = sample

    def collect(self) -> Iterator[GaugeMetricFamily]:
        sample = self._sample()
        fault = GaugeMetricFamily("answerable_api_fault", "1 while it is wrong; /v1/health says more", labels=["name"])
        for each in ALL:
            fault.add_metric([each.name], float(each in sample.faults))
        yield fault
        ready = not any(each.down for each in sample.faults)
        yield GaugeMetricFamily("answerable_api_ready", "1 while the store can be asked", value=float(ready))
        if sample.records is not None:
            yield GaugeMetricFamily(
                "answerable_api_lag_records", "Records in the log, not in the store", value=sample.records
            )
        if sample.seconds is not None:
            yield GaugeMetricFamily(
                "answerable_api_lag_seconds", "For how long the oldest of them was seen waiting", value=sample.seconds
            )


class Measured:
    """Observes every request that passes."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        start = time.perf_counter()

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            route = getattr(scope.get("route") or _meant(scope), "path", "(none)")
            self._metrics.observe(scope["method"], route, status, time.perf_counter() - start)


def _meant(scope: Scope) -> BaseRoute | None:
    """The route that a request was meant for, which did not get there: no turn came."""
    return next((each for each in scope["app"].routes if each.matches(scope)[0] is Match.FULL), None)


_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
