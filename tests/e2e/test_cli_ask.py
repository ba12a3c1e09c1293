"""The verbs that ask, on a seeded store: exit status, JSON, and what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.seeded import OTHER, Story, bundle, bundle_bytes
from tests.sentinel.sweeping import sentinel


def test_the_first_line_is_for_a_tired_person(run: Run, told: Story) -> None:
    first, *rest = run("who-triggered", told.outcome, "--utc").stdout.splitlines()
    assert first.startswith("Agent travel agent (owner Olga) for Alice, started by Alice")
    text = "\n".join(rest)
    for heading in ("triggered by", "authority", "accountable", "path, from the trigger on", "what this covers"):
        assert f"\n{heading}\n" in text
    assert "sealed" in text
    assert "verified up to sequence" in text


def test_json_is_the_whole_answer(run: Run, told: Story) -> None:
    answer = json.loads(run("who-triggered", told.outcome, "--json").stdout)
    assert (answer["asked"], answer["class"], answer["action_id"]) == (told.outcome, "attributed", "book-1")
    assert {step["event_id"] for step in answer["path"]} >= {told.prompt, told.step, told.action, told.outcome}


def test_nobody_to_be_named_is_exit_1(run: Run, told: Story) -> None:
    result = run("who-triggered", told.orphan, status=1)
    assert "not known" in result.stdout.splitlines()[0]
    assert "unattributed (no_trigger)" in result.stdout


@pytest.mark.parametrize("verb", ["who-triggered", "lineage"])
def test_another_tenants_event_is_as_unknown_as_one_that_never_was(run: Run, told: Story, verb: str) -> None:
    foreign = run(verb, told.foreign, status=1).stderr
    assert foreign == run(verb, told.orphan.replace("0", "1"), status=1).stderr.replace(
        told.orphan.replace("0", "1"), told.foreign
    )
    assert "somebody not named" in run("who-triggered", told.foreign, "--tenant", OTHER, status=1).stdout


def test_before_it_was_in_the_log_there_was_no_event(run: Run, told: Story) -> None:
    run("who-triggered", told.outcome, "--as-of", "2020-01-01T00:00:00Z", status=1)
    run("who-triggered", told.outcome, "--as-of", "2100-01-01T00:00:00Z")


UNKNOWN = "018f4c1e-0000-7000-8000-000000000000"
BY_ID = [["who-triggered"], ["lineage"], ["lineage", "--down"], ["replay"], ["find", "--execution"]]


@pytest.mark.parametrize("verb", BY_ID, ids=" ".join)
def test_an_unknown_id_is_exit_1_and_a_malformed_one_exit_2(run: Run, verb: list[str]) -> None:
    said = run(*verb, UNKNOWN, status=1)
    if verb[0] != "find":  # which finds nothing, and says so by its status alone
        assert UNKNOWN in said.stderr
    noun = "execution" if verb[0] in ("replay", "find") else "event"
    assert f"'book-1' is no {noun} id" in run(*verb, "book-1", status=2).stderr


@pytest.mark.parametrize("verb", BY_ID, ids=" ".join)
def test_a_malformed_id_is_misuse_whether_or_not_the_ledger_can_be_asked(
    run: Run, verb: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERABLE_STORE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert "is no" in run(*verb, "book-1", status=2).stderr
    assert "cannot be reached" in run(*verb, UNKNOWN, status=2).stderr


@pytest.mark.parametrize("verb", ["who-triggered", "lineage", "find", "replay"])
def test_the_help_says_the_exit_status_that_the_verb_has(run: Run, verb: str) -> None:
    assert "Exit 1 where" in run(verb, "--help").stdout
    assert "1 the evidence says no, or there is no such thing; 2 misuse" in " ".join(run("--help").stdout.split())


def test_an_action_that_nobody_recorded_is_exit_1(run: Run) -> None:
    run("find", "--action", "book-1")
    assert "no action 'unheard of'" in run("find", "--action", "unheard of", status=1).stderr
    assert "alone" in run("find", "--action", "book-1", "--kind", "prompt", status=2).stderr


@pytest.mark.parametrize("name", ["", "book-1", "018f4c1e", "\x1b[31m", "'; drop table events; --", "x" * 100_000])
def test_what_is_no_id_is_misuse_told_in_one_sentence(run: Run, name: str) -> None:
    said = run("who-triggered", name, status=2).stderr
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_lineage_goes_up_and_down(run: Run, told: Story) -> None:
    down = json.loads(run("lineage", told.prompt, "--down", "--json").stdout)
    assert {node["event_id"] for node in down["nodes"]} >= {told.prompt, told.step, told.action, told.outcome}
    text = run("lineage", told.outcome, "--up", "--utc").stdout
    assert text.index("human prompt") < text.index("POST /bookings intended")
    assert run("lineage", told.outcome, "--up", "--down", status=2).stderr
    assert "nothing is recorded that came of it" in run("lineage", told.outcome, "--down", status=1).stderr
    assert "nothing is recorded that it came from" in run("lineage", told.prompt, status=1).stderr


def test_doctor_finds_nothing_wrong_here_and_says_where_everything_came_from(run: Run, url: str) -> None:
    sentinel(url, bundle())
    report = json.loads(run("doctor", "--json").stdout)
    assert not [check for check in report["checks"] if check["status"] != "ok"]
    origins = {each["name"]: each["origin"] for each in report["settings"]}
    assert (origins["ANSWERABLE_LEDGER"], origins["ANSWERABLE_API_PORT"]) == ("environment", "default")


def test_doctor_names_what_is_wrong_and_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "trust.jsonl").write_bytes(bundle_bytes()[:-1])
    monkeypatch.setenv("ANSWERABLE_STORE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    monkeypatch.setenv("ANSWERABLE_STOREURL", "misspelt")
    text = run("doctor", status=1).stdout
    assert "cut short" in text
    assert "ANSWERABLE_STOREURL is no setting" in text
    assert "check STORE_URL" in text
    assert "secret" not in text.replace("importer.secret", "").replace("IMPORTER_SECRET", "")


def test_an_archive_holds_every_record_and_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    made = json.loads(run("archive", str(tmp_path / "log.avro"), "--json").stdout)
    assert made["records"] > 0
    assert "never overwritten" in run("archive", str(tmp_path / "log.avro"), status=2).stderr


def test_a_store_that_is_what_the_log_says_is_rebuilt_the_same(run: Run, url: str, told: Story) -> None:
    report = json.loads(run("rebuild", "--json").stdout)
    assert (report["before"], report["differs"]) == (report["after"], False)
    run("who-triggered", told.outcome)


def test_an_archive_without_contents_is_read_before_the_log_and_the_contents_come_from_the_log(
    run: Run, url: str, told: Story, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.avro"
    run("archive", str(copy))
    report = json.loads(run("rebuild", "--archive", str(copy), "--json").stdout)
    assert (report["before"], report["differs"]) == (report["after"], False)
    assert "for Alice" in run("who-triggered", told.outcome).stdout
    refused = run("--log-url", f"file:{copy}", "rebuild", status=2).stderr  # a store without contents is nobody's wish
    assert "does not hold ledger.contents" in refused


def test_a_store_that_was_tampered_with_is_mended_and_told(run: Run, url: str, told: Story) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("delete from events where event_id = %s", [told.orphan])
    assert "was not what the log says" in run("rebuild", status=1).stdout
    run("who-triggered", told.orphan, status=1)
    assert json.loads(run("rebuild", "--json").stdout)["differs"] is False


def test_nothing_that_an_event_says_moves_the_terminal(run: Run, told: Story) -> None:
    assert "\x1b" not in run("who-triggered", told.outcome).output


def test_a_run_is_replayed_page_by_page_with_what_it_holds(run: Run, told: Story) -> None:
    (shown,) = json.loads(run("find", "--action", "book-1", "--json").stdout)["items"][:1]
    execution = shown["execution_id"]
    whole = json.loads(run("replay", execution, "--json").stdout)
    steps = [step["event"]["event_id"] for step in whole["items"]]
    assert whole["after"] is None
    first = json.loads(run("replay", execution, "--limit", "1", "--json").stdout)
    assert first["after"] == steps[0]
    rest = json.loads(run("replay", execution, "--after", steps[0], "--json").stdout)
    assert first["items"] + rest["items"] == whole["items"]
    said = run("replay", execution, "--limit", "1", "--utc")
    assert "held after the last step:" in said.stdout
    assert f"--after {steps[0]}" in said.stderr
    assert "has no event" in run("replay", execution, "--after", UNKNOWN, status=1).stderr
    assert "is no event id" in run("replay", execution, "--after", "book-1", status=2).stderr
