"""Metrics: their names by Prometheus' conventions, and every query of the dashboard and the alerts names some that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics
from api.pulse import Sample
from consumers.health import STATES, Health
from ledger.ports import Opened, Tally
from ledger.recorder.clock import SystemClock
from ledger.recorder.metrics import RecorderCollector
from ledger.recorder.recorder import Recorder
from ledger.trust.reasons import REASONS
from tests.recording import STEP, recorder_on
from tests.services.memory_log import MemoryLog

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
PAGE = (ROOT / "docs" / "operations.md").read_text()
WORKER = {"worker": "materializer"}


def worked() -> Health:
    health = Health("materializer")
    tally = Tally(records=3, events=7, copies=1, rejected={"bad_root": 2}, opened=[Opened("gap", 0, 0)])
    health.done(tally, 1_700_000_000_000_000)
    health.overdue(4)
    health.lag(5, 2.5)
    health.contradictions({"critical": 1, "high": 0})
    return health


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    log = MemoryLog(SystemClock())
    log.gate.clear()
    with closing(recorder_on(log, tmp_path, append_timeout=0.1)) as made:
        made.record(STEP)
        yield made
        log.gate.set()


def served(recorder: Recorder) -> dict[str, set[str]]:
    """Every metric that the project serves, as Prometheus names its samples, with the labels it has."""
    registry = CollectorRegistry()
    registry.register(RecorderCollector(recorder))
    api = Metrics(lambda: Sample(records=1, seconds=1.0))
    api.observe("GET", "/v1/events", 200, 0.1)
    found: dict[str, set[str]] = {}
    for text in (exposition(worked().registry), exposition(registry), api.text().decode()):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def exposition(registry: CollectorRegistry) -> str:
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()


def queries() -> dict[str, str]:
    """The dashboard's queries by panel, and the alerts' by name."""
    found = {f"panel {p['title']} {t['refId']}": t["expr"] for p in DASHBOARD["panels"] for t in p["targets"]}
    alerts = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)
    return found | {f"alert {name}": expression for name, expression in alerts}


def test_every_query_names_metrics_and_labels_that_exist(recorder: Recorder) -> None:
    known = served(recorder)
    assert len([name for name in queries() if name.startswith("alert")]) >= 8
    for where, expression in queries().items():
        names = re.findall(r"answerable_\w+", expression)
        assert names, where
        for name in names:
            assert name in known, f"{where}: {name}"
        labels = {each for name in names for each in known[name]}
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert set(re.split(r",\s*", group)) <= labels, where
        for name in re.findall(r"[{,]\s*(\w+)\s*=~?\"", expression):
            assert name in labels, where


def test_every_panel_is_about_something_and_stands_alone() -> None:
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"]) == len({p["id"] for p in DASHBOARD["panels"]})
    assert all(p["description"] and p["title"] for p in DASHBOARD["panels"])


def test_names_follow_the_conventions(recorder: Recorder) -> None:
    for name in served(recorder):
        assert re.fullmatch(r"answerable_[a-z_]+", name), name
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|count_total)$", name), name


def test_a_worker_s_figures_are_what_it_did() -> None:
    value = worked().registry.get_sample_value
    assert value("answerable_worker_events_total", WORKER) == 7
    assert value("answerable_worker_rejected_total", {**WORKER, "reason": "bad_root"}) == 2
    assert value("answerable_worker_findings_total", {**WORKER, "name": "gap"}) == 1
    assert value("answerable_worker_lag_seconds", WORKER) == 2.5
    assert value("answerable_worker_last_commit_timestamp_seconds", WORKER) == 1_700_000_000
    assert value("answerable_chains_overdue") == 4
    states = {state: value("answerable_worker_state", {**WORKER, "state": state.replace(" ", "_")}) for state in STATES}
    assert states == {state: float(state == "starting") for state in STATES}


def test_whatever_an_alert_counts_is_there_at_0_before_the_first_of_it() -> None:
    alerts = {name.removeprefix("alert "): query for name, query in queries().items() if name.startswith("alert")}
    named = set(re.findall(r'name=~"([^"]+)"', alerts["FindingOpened"])[0].replace("\\|", "|").split("|"))
    assert len(named) > 3
    assert named <= {each.name for each in REASONS.values()}
    value = Health("materializer").registry.get_sample_value
    for name in named:
        assert value("answerable_worker_findings_total", {**WORKER, "name": name}) == 0, name
    for reason in REASONS.values():
        if reason.refuses:
            assert value("answerable_worker_rejected_total", {**WORKER, "reason": reason.name}) == 0, reason.name


def test_who_does_not_count_overdue_chains_or_contradictions_says_nothing_of_them() -> None:
    served = exposition(Health("contents").registry)
    assert "answerable_chains_overdue" not in served
    assert "answerable_contradictions_open" not in served


def test_contradictions_are_told_by_severity_and_those_that_closed_are_gone() -> None:
    health = Health("sentinel")
    for critical, high in ((2, 1), (0, 1)):
        health.contradictions({"critical": critical, "high": high})
        value = health.registry.get_sample_value
        assert value("answerable_contradictions_open", {"severity": "critical"}) == critical
        assert value("answerable_contradictions_open", {"severity": "high"}) == high


def test_dashboard_and_alerts_show_how_far_the_sentinel_is_how_fast_and_what_is_open() -> None:
    for kind in ("panel", "alert"):
        asked = " ".join(expression for name, expression in queries().items() if name.startswith(kind))
        assert 'answerable_worker_lag_seconds{worker="sentinel"}' in asked
        assert "answerable_contradictions_open" in asked
    assert 'rate(answerable_worker_events_total{worker="sentinel"}' in str(queries())


def test_a_recorder_s_figures_are_those_of_its_health(recorder: Recorder) -> None:
    registry = CollectorRegistry()
    later = recorder.health().oldest_waiting_at or 0

    class Later:
        def now(self) -> int:
            return later + 3_000_000

    registry.register(RecorderCollector(recorder, Later()))
    value: Callable[[str], float | None] = lambda name: registry.get_sample_value(  # noqa: E731
        f"answerable_recorder_{name}", {"service": recorder.service}
    )
    health = recorder.health()
    assert value("waiting_events") == health.waiting_events == 1
    assert value("oldest_waiting_seconds") == 3.0
    assert value("spool_bytes") == health.spool_bytes > 0
    assert value("dropped_total") == 0
    assert value("well") in (0.0, 1.0)


def test_a_closed_recorder_has_no_figures_and_spoils_nobody_else_s(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with closing(recorder_on(MemoryLog(SystemClock()), tmp_path)) as made:
        registry.register(RecorderCollector(made))
        assert "answerable_recorder_well" in exposition(registry)
    assert exposition(registry) == ""
