"""A recorder's figures for Prometheus, in the registry of the service that records.

    prometheus_client.REGISTRY.register(RecorderCollector(recorder))

They are read when they are asked for, and labelled by service. Needs ``prometheus-client``, which the base does not bring.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.recorder.clock import SystemClock
from ledger.recorder.health import CLOSED
from ledger.recorder.outlet import Doing

if TYPE_CHECKING:
    from ledger.ports import Clock
    from ledger.recorder.health import Health
    from ledger.recorder.recorder import Recorder

_PREFIX: Final = "answerable_recorder_"


class RecorderCollector(Collector):
    """The figures of one recorder; see ``ledger.recorder.health`` for what they are."""

    def __init__(self, recorder: Recorder, clock: Clock | None = None) -> None:
        self._recorder, self._clock = recorder, clock or SystemClock()
        self._service = recorder.service

    def collect(self) -> Iterator[Metric]:
        health = self._recorder.health()
        if health.doing == CLOSED:
            return
        for name, meaning, value in _gauges(health, self._clock.now()):
            yield self._one(GaugeMetricFamily(_PREFIX + name, meaning, labels=["service"]), value)
        yield self._one(
            CounterMetricFamily(_PREFIX + "dropped", "Events dropped (best_effort only)", labels=["service"]),
            health.dropped,
        )
        yield self._one(
            CounterMetricFamily(_PREFIX + "failures", "Attempts that failed and were made again", labels=["service"]),
            health.failures,
        )
        yield self._one(
            CounterMetricFamily(_PREFIX + "malformed_headers", "Headers of requests ignored", labels=["service"]),
            health.malformed_headers,
        )
        doing = GaugeMetricFamily(_PREFIX + "state", "1 for what the sender does now", labels=["service", "state"])
        for each in get_args(Doing):
            doing.add_metric([self._service, each], float(each == health.doing))
        yield doing

    def _one(self, family: GaugeMetricFamily | CounterMetricFamily, value: float) -> Metric:
        family.add_metric([self._service], value)
        return family


def _gauges(health: Health, now: int) -> Iterator[tuple[str, str, float]]:
    oldest = health.oldest_waiting_at
    age = 0.0 if oldest is None else max(0.0, (now - oldest) / 1e6)
    yield "waiting_events", "Events in the spool that the log has not acknowledged", health.waiting_events
    yield "waiting_bytes", "Their bytes, with those of their contents", health.waiting_bytes
    yield "oldest_waiting_seconds", "Age of the oldest of them", age
    yield "spool_bytes", "Bytes that the spool takes on disk", health.spool_bytes
    yield "left_spools", "Spools that cannot be read, by this release or by any", len(health.left_spools)
    yield "open_chains", "Chains that are open", len(health.open_chains)
    yield "well", "1 while events are taken and reach the log", float(health.well)
