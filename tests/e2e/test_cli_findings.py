"""``findings`` on a terminal: what a person reads, what a script gets, and page after page the whole list."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

from ledger.cli.findings import CUT
from tests.e2e.conftest import Run
from tests.e2e.test_cli_coverage import judge

AGENT = "https://issuer.example#travel-agent"
RULES = [("acted_after_deny", "critical"), ("expired_token", "medium"), ("expired_token", "medium")]


@pytest.fixture
def accused(url: str) -> list[str]:
    """Three contradictions, the last of them closed, of two events of the agent and one that names none; their ids."""
    judge(url)
    with psycopg.connect(url, autocommit=True) as connection:
        events = connection.execute(
            "select event_id, tenant from judgements order by agent is null, event_id"
        ).fetchall()
        for number, ((event_id, tenant), (rule, severity)) in enumerate(zip(events, RULES, strict=True)):
            connection.execute(
                "insert into contradictions (tenant, event_id, rule, severity, detail, closes, evidence, opened_at, closed_at)"
                " values (%s, %s, %s, %s, %s, 'x', %s, %s, %s)",
                [
                    tenant,
                    event_id,
                    rule,
                    severity,
                    f"detail {number}",
                    [event_id],
                    1000 + number,
                    5000 if number == 2 else None,
                ],
            )
    return [str(each) for each, _ in events]


def items(run: Run, *arguments: str, status: int = 1) -> list[tuple[str, str]]:
    listed = json.loads(run("findings", "--json", *arguments, status=status).stdout)["items"]
    return [(each["name"], each["event_id"]) for each in listed if each["severity"] is not None]


def test_what_is_wrong_is_told_with_what_shows_it_and_what_would_close_it_and_is_exit_1(
    run: Run, accused: list[str]
) -> None:
    text = run("findings", "--rule", "acted_after_deny", "--utc", status=1).stdout
    first, means, shown_by, closes = text.splitlines()
    assert first == "critical · acted_after_deny  since 1970-01-01 00:00:00.001Z  travel-agent"
    assert means == "  it took effect although a policy or a person said no: detail 0"
    assert shown_by == f"  {accused[0]}"
    assert closes.startswith("  closes by: an allow of the same policy")


def test_findings_are_chosen_by_rule_severity_agent_state_and_time(run: Run, accused: list[str]) -> None:
    first, second, third = accused
    assert items(run) == [("acted_after_deny", first), ("expired_token", second)]
    assert items(run, "--rule", "expired_token") == [("expired_token", second)]
    assert items(run, "--severity", "critical") == [("acted_after_deny", first)]
    assert items(run, "--state", "closed", status=0) == [("expired_token", third)]
    assert items(run, "--state", "all", "--severity", "medium") == [("expired_token", second), ("expired_token", third)]
    assert [each for _, each in items(run, "--agent", AGENT, "--state", "all")] == [first, second]
    assert items(run, "--agent", "https://issuer.example#other", status=0) == []
    assert items(run, "--as-of", "1970-01-01T00:00:00.001001Z") == [
        ("acted_after_deny", first),
        ("expired_token", second),
    ]
    assert len(items(run, "--as-of", "1970-01-01T00:00:00.001002Z")) == 3


def test_pages_go_on_from_what_the_one_before_named(run: Run, accused: list[str]) -> None:
    page = run("findings", "--limit", "1", status=1)
    assert "acted_after_deny" in page.stdout
    assert "expired_token" not in page.stdout
    (after,) = re.findall(r"there may be more: --after (\S+)", page.stderr)
    listed = json.loads(run("findings", "--json", "--limit", "1", "--after", after, status=1).stdout)
    assert [each["event_id"] for each in listed["items"]] == [accused[1]]
    assert json.loads(run("findings", "--json", "--after", listed["after"], status=0).stdout)["items"] == []


def test_where_nothing_is_wrong_it_says_so_and_what_was_not_looked_at(run: Run, url: str) -> None:
    judge(url)
    told = run("findings", status=0)
    assert told.stdout == ""
    assert "nothing that was looked at is wrong" in told.stderr
    assert CUT["log"] in told.stderr
    assert "nothing that was looked at fits" in run("findings", "--state", "closed", status=0).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rule", "expired_tokens"], "there is no rule or finding 'expired_tokens' (expired_token?)"),
        (["--severity", "hihg"], "there is no severity 'hihg' (high?); there are critical"),
        (["--state", "shut"], "there is no state 'shut'"),
        (["--as-of", "noon"], "is not a time"),
        (["--after", "contradictions.x"], "--after is no place in this list"),
        (["--after", "nowhere.1"], "--after is no place in this list"),
        (["--after", "contradictions"], "--after is no place in this list"),
    ],
)
def test_what_cannot_be_asked_is_misuse_and_says_what_can(run: Run, arguments: list[str], says: str) -> None:
    assert says in run("findings", *arguments, status=2).stderr
