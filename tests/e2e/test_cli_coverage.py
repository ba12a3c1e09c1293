"""``coverage`` on a terminal: what a person reads, and the exit status that a script does; and doctor about the house rules."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from ledger.attribution.house import NO_RULES, HouseRules
from ledger.schema_files import load_schemas
from ledger.store.sentinel import PostgresSentinel
from tests.e2e.conftest import Run
from tests.sealing import LEDGER
from tests.seeded import bundle

RULES = "version = 1\n[[another_person]]\noperations = ['pay:*']\n[[decision]]\noperations = ['wipe']\n"


def judge(url: str, house: HouseRules = NO_RULES) -> None:
    sentinel = PostgresSentinel(url, load_schemas(), LEDGER, bundle, house)
    while sentinel.step().more:
        pass
    sentinel.close()


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_table_counts_each_class_its_share_and_why_the_rest_is_attributed_to_nobody(run: Run, url: str) -> None:
    judge(url)
    text = run("coverage", "--utc", status=1).stdout
    found = rows(text)
    assert found[0] == ["actions", "share", "accounts", "share", "attributed"]
    assert ["1", "50.0", "%", "2", "66.7", "%", "attributed"] in [each[:7] for each in found]
    assert ["1", "50.0", "%", "1", "33.3", "%", "unattributed"] in [each[:7] for each in found]
    assert ["1", "50.0", "%", "1", "33.3", "%", "no_trigger"] in [each[:7] for each in found]
    assert "2 actions judged; by grade of the weakest link: " in text
    assert "3 accounts tell of them: " in text
    assert "accounts not judged yet: 0\n" in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_the_events_that_a_number_counts_are_found_by_what_coverage_names(run: Run, url: str) -> None:
    judge(url)
    assert "answerable find --class unattributed" in run("coverage", status=1).stderr
    (found,) = json.loads(run("find", "--class", "unattributed", "--reason", "no_trigger", "--json").stdout)["items"]
    assert run("find", "--class", "unattributed").stdout.splitlines()[1].strip().startswith(found["event_id"])
    run("who-triggered", found["event_id"], status=1)
    run("find", "--class", "archived", status=1)
    assert "there is no class 'nobody'" in run("find", "--class", "nobody", status=2).stderr


def test_what_no_sentinel_has_judged_is_said_and_is_exit_1(run: Run) -> None:
    text = run("coverage", "--utc", status=1).stdout
    assert "0 actions judged; by grade of the weakest link: none" in text
    assert "accounts not judged yet: 3, behind since 20" in text


def test_told_apart_each_group_has_a_row_with_a_column_a_class(run: Run, url: str) -> None:
    judge(url)
    found = rows(run("coverage", "--by", "service", status=1).stdout)
    classes = ["attributed", "unattended", "alone", "external", "erased", "archived", "unattributed"]
    head = found.index(["service", "actions", "accounts", *classes])
    assert ["travel-agent", "2", "3", "1", "0", "0", "0", "0", "0", "1"] in found[head:]


def test_a_slice_that_is_all_attributed_is_exit_0_and_a_choice_that_is_none_is_misuse(run: Run, url: str) -> None:
    judge(url)
    run("coverage", "--agent", "https://issuer.example#travel-agent", status=0)
    assert "--by takes one of agent" in run("coverage", "--by", "colour", status=2).stderr
    assert "--kind takes one of api_action" in run("coverage", "--kind", "prompt", status=2).stderr


def test_the_commands_of_the_page_run_and_a_judgement_that_somebody_changed_is_found(run: Run, url: str) -> None:
    judge(url)
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    check, covered = page.partition("## The sentinel")[2].partition("```sh\n")[2].partition("```")[0].splitlines()
    assert "3 judgements are what the events say" in run(*check.split()[1:]).stderr
    assert "unattributed" in run(*covered.split()[1:], status=1).stdout
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update judgements set class = 'attributed', reason = null")
    assert "stored attributed, and the events say unattributed, no_trigger" in run(*check.split()[1:], status=1).stdout


def checks(run: Run) -> list[dict[str, str]]:
    told = json.loads(run("doctor", "--json", status=1).stdout)["checks"]
    return [each for each in told if each["name"] == "rules"]


@pytest.mark.parametrize(
    ("data", "why"),
    [(None, "cannot be read"), (b"\xff", "cannot be read"), (b"version = 1\n[[other_person]]\n", "means nothing")],
)
def test_doctor_finds_house_rules_that_are_unreadable_or_invalid(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes | None, why: str
) -> None:
    file = tmp_path / "rules.toml"
    if data is not None:
        file.write_bytes(data)
    monkeypatch.setenv("ANSWERABLE_RULES", str(file))
    (found,) = checks(run)
    assert (found["status"], str(file) in found["remedy"], why in found["remedy"]) == ("wrong", True, True)


def test_doctor_says_what_the_house_rules_ask_and_that_the_sentinel_has_others(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(url)
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    monkeypatch.setenv("ANSWERABLE_RULES", str(file))
    asked, differ = checks(run)
    assert (asked["status"], differ["status"]) == ("ok", "wrong")
    assert "1 duties of two people, 1 operations that need a decision, 0 operations of consequence" in asked["detail"]
    assert "other house rules than this process" in differ["detail"]
