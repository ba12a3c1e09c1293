"""Metrics: their names by Prometheus' conventions; every query of the dashboard and the alerts reads, and selects what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import promql_parser as promql
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics
from api.pulse import Sample
from consumers.health import STATES, Health
from ledger.attribution.contradictions import SEVERITIES
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
KINDS = {
    kind for path in (ROOT / "consumers").glob("*.py") for kind in re.findall(r'\bHealth\("(\w+)"\)', path.read_text())
}


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


Served = dict[str, dict[str, set[str]]]


def served(recorder: Recorder) -> Served:
    """Every metric that the project serves from a start on, as Prometheus names its samples: the values of each of its labels."""
    registry = CollectorRegistry()
    registry.register(RecorderCollector(recorder))
    api = Metrics(lambda: Sample(records=1, seconds=1.0))
    api.observe("GET", "/v1/events", 200, 0.1)
    workers = {kind: Health(kind) for kind in KINDS}
    workers["materializer"].overdue(0)
    workers["sentinel"].contradictions(dict.fromkeys(SEVERITIES, 0))
    found: Served = {}
    for text in (*(exposition(each.registry) for each in workers.values()), exposition(registry), api.text().decode()):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
    return found


class Selected(NamedTuple):
    """A selector of a query, and the labels that aggregations and operators around it name."""

    selector: promql.VectorSelector
    around: tuple[str, ...]


def selected(expression: str) -> list[Selected]:
    """What a query selects; raises ``ValueError`` where an alert, or a graph, could not be made of it."""
    around: list[list[str]] = []
    found: list[Selected] = []

    def before(each: promql.Expr) -> None:
        modifier = getattr(each, "modifier", None)
        matching = modifier.matching if isinstance(each, promql.BinaryExpr) and modifier else modifier
        around.append(matching.labels if matching else [])
        if isinstance(each, promql.VectorSelector):
            found.append(Selected(each, tuple(label for labels in around for label in labels)))

    def after(_: promql.Expr) -> None:
        around.pop()

    read = promql.parse(expression)
    if isinstance(read, promql.MatrixSelector | promql.StringLiteral):
        raise ValueError(f"not one value at a time: {expression}")
    promql.walk(read, before, after)
    return found


def wrong(asked: Selected, known: Served) -> str | None:
    """What a selector asks for that nobody serves."""
    metric, matchers = asked.selector.name, asked.selector.matchers
    if metric not in known:
        return f"metric {metric}"
    each_of = [*matchers.matchers, *(each for group in matchers.or_matchers for each in group)]
    if strange := {*asked.around, *(each.name for each in each_of)} - known[metric].keys():
        return f"{metric} by {strange}"
    for each in each_of:
        is_pattern = each.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
        for value in each.value.split("|") if is_pattern else [each.value]:
            if value not in known[metric][each.name]:
                return f"{each.name} {value}"
    return None


def exposition(registry: CollectorRegistry) -> str:
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()


def queries() -> dict[str, str]:
    """The dashboard's queries by panel, and the alerts' by name."""
    found = {f"panel {p['title']} {t['refId']}": t["expr"] for p in DASHBOARD["panels"] for t in p["targets"]}
    alerts = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \d+[smh] \|", PAGE, re.MULTILINE)
    return found | {f"alert {name}": expression.replace("\\|", "|") for name, expression in alerts}


def test_every_query_reads_and_selects_metrics_labels_and_values_that_exist(recorder: Recorder) -> None:
    known = served(recorder)
    for where, expression in queries().items():
        asked = selected(expression)
        assert asked, where
        assert [said for each in asked if (said := wrong(each, known))] == [], where


@pytest.mark.parametrize(
    "expression",
    [
        "max(answerable_chains_overdues)",
        "sum by (workers) (answerable_worker_state)",
        "max(answerable_chains_overdue) / on (worker) sum by (worker) (answerable_worker_state)",
        'answerable_worker_state{worker="sentinels"}',
        'sum(rate(answerable_worker_failures_total{workers=~".+"}[5m])) > 0',
        'answerable_worker_state{worker=~"sentinel|materialiser"}',
        '{__name__=~"answerable_.+"}',
    ],
)
def test_what_a_query_asks_for_and_nobody_serves_is_seen(recorder: Recorder, expression: str) -> None:
    assert any(wrong(each, served(recorder)) for each in selected(expression))


def test_every_row_of_the_table_of_alerts_is_one() -> None:
    rows = re.findall(r"^\| alert \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)[0].splitlines()
    assert len(rows) == sum(where.startswith("alert") for where in queries()) >= 8


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("max(answerable_chains_overdue", "unclosed left parenthesis"),
        ("rate(answerable_worker_events_total)", "expected type matrix"),
        ("answerable_worker_events_total[5m]", "one value at a time"),
        ("'answerable_worker_events_total'", "one value at a time"),
        ('answerable_worker_state{worker=~"(sentinel"}', "illegal regex"),
        ("1 > 0", "must use BOOL"),
    ],
)
def test_what_prometheus_would_make_no_alert_of_does_not_read(expression: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        selected(expression)


@pytest.mark.parametrize(
    ("about", "unit", "expression"),
    [
        ("lag in seconds", "s", "max by (worker) (answerable_worker_lag_seconds)"),
        ("rate", None, "sum by (worker) (rate(answerable_worker_events_total[5m]))"),
        ("rejects by reason", None, "sum by (reason) (rate(answerable_worker_rejected_total[5m]))"),
        ("findings", None, "sum by (name) (increase(answerable_worker_findings_total[1h]))"),
        ("spool depth, in events", None, "sum by (service) (answerable_recorder_waiting_events)"),
        ("spool depth, in bytes", "bytes", "sum by (service) (answerable_recorder_spool_bytes)"),
        ("oldest unsealed event", "s", "max by (service) (answerable_recorder_oldest_waiting_seconds)"),
        ("chains overdue", None, "max(answerable_chains_overdue)"),
    ],
)
def test_the_dashboard_has_a_panel_for_each_thing_that_is_watched(
    about: str, unit: str | None, expression: str
) -> None:
    showing = [p for p in DASHBOARD["panels"] if expression in [t["expr"] for t in p["targets"] if not t.get("hide")]]
    assert len(showing) == 1, about
    if unit is not None:
        assert showing[0]["fieldConfig"]["defaults"]["unit"] == unit


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
    named = set(re.findall(r'name=~"([^"]+)"', alerts["FindingOpened"])[0].split("|"))
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
