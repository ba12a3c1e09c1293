"""The story of the demo, whole, on both sets of URLs: six processes record, the ledger answers, a forged byte is found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.flight_booking.asking import closing, names, questions
from examples.flight_booking.forge import change_one_byte
from examples.flight_booking.story import (
    KINDS,
    REFUSED,
    ROOT,
    Played,
    child_environment,
    ledger_served,
    played,
    wait_for,
)
from ledger.attribution.inventory.agent import REMARKS
from ledger.format.ids import parse
from tests.commands import commands
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)
TRIED = {"approval_spent", "scope_missing"}
"""What the story tries although it must not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What ``answerable demo --keep`` printed in ``home``, and the processes that were left of it."""

    home: Path
    status: int
    output: str
    left: list[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo") / "kept"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSWERABLE_")}
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", "demo", "--keep", str(home)],
        cwd=ROOT,
        env=kept,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Demo(home=home, status=done.returncode, output=done.stdout, left=_under(home))


def _under(directory: Path) -> list[str]:
    """The processes that were given something below ``directory``: in their command, or in what they inherited."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in known and process.name != str(os.getpid()):
            found.append(known.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


@contextmanager
def kept(demo: Demo, directory: Path) -> Iterator[Played]:
    """The demo's ledger, served once more: its parties have ended."""
    assert demo.status == 0, demo.output
    asked = re.findall(r"^=== .* answerable who-triggered (\S+)(?: --brief)?$", demo.output, re.MULTILINE)
    said = [json.loads(each) for each in re.findall(r"^agent: (.*)$", demo.output, re.MULTILINE)]
    parts = [{"event_id": event, "result": result} for event, result in zip(asked[:4], said, strict=True)]
    (processes,) = re.findall(r"^Processes: (.*)\.$", demo.output, re.MULTILINE)
    settings = {"ANSWERABLE_DATA_DIR": str(demo.home / "data"), "ANSWERABLE_API_PORT": "0"}
    with child_environment(settings), ledger_served(directory) as api_url:
        yield Played(
            environment=settings,
            api_url=api_url,
            pids={name: int(pid) for name, pid in (each.split() for each in processes.split(", "))},
            end_parties=lambda: None,
            **dict(zip(("booking", "above_limit", "approval_again", "search_token"), parts, strict=True)),
            no_prompt=asked[4],
        )


@pytest.fixture(scope="module", params=["embedded", pytest.param("production", marks=pytest.mark.kafka)])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Embedded: as ``make demo`` plays it, from beginning to end."""
    directory = tmp_path_factory.mktemp("story")
    if request.param == "embedded":
        with kept(request.getfixturevalue("demo"), directory) as story:
            yield story
        return
    kafka, postgres = request.getfixturevalue("kafka"), request.getfixturevalue("postgres")
    environment = {"ANSWERABLE_LOG_URL": f"kafka://{kafka}/story", "ANSWERABLE_STORE_URL": postgres.fresh()}
    with played(environment, directory, lambda _: None) as story:
        for event_id in (story.booking["event_id"], story.search_token["event_id"], story.no_prompt):
            wait_for(story, event_id)
        yield story


@pytest.fixture
def answer(story: Played) -> Callable[[str], Any]:
    def ask(event_id: str) -> Any:
        return httpx.get(f"{story.api_url}/v1/events/{event_id}/who-triggered").raise_for_status().json()

    return ask


def rules(answer: Any) -> set[str]:
    return {each["rule"] for each in answer["contradictions"]}


def test_the_demo_plays_to_its_end_and_leaves_nothing_running(demo: Demo) -> None:
    assert demo.status == 0, demo.output
    assert not demo.left
    assert "\nAll of it came out as it must.\n" in demo.output
    first = demo.output.partition("=== WHO TRIGGERED THE BOOKING?")[2].partition("\n=== ")[0]
    paragraphs = [each.splitlines()[0] for each in first.split("\n\n") if each.strip()]
    assert re.match(
        r"Agent travel agent \(owner Dana Okafor\) for Alice Ash under grant \S+, started by", paragraphs[1]
    )
    wanted = ["triggered by", "authority", "actors", "accountable", "what people said", "path, from the trigger on"]
    assert [each for each in paragraphs if each in wanted] == wanted


def test_each_party_is_a_process_with_a_chain_of_its_own(story: Played) -> None:
    assert len(set(story.pids.values())) == len(KINDS)
    chains = httpx.get(f"{story.api_url}/v1/chains").raise_for_status().json()["items"]
    assert sorted(each["service"] for each in chains) == sorted(KINDS)
    assert len({each["key_id"] for each in chains}) == len({each["chain_id"] for each in chains}) == len(KINDS)


def test_alice_triggered_the_booking_and_the_answer_says_how_it_knows(
    story: Played, answer: Callable[[str], Any]
) -> None:
    found = answer(story.booking["event_id"])
    assert found["class"] == "attributed"
    assert not found["contradictions"]
    assert not found["findings"]
    assert "for Alice Ash" in found["sentence"]
    assert "owner Dana Okafor" in found["sentence"]
    assert [(each["role"], each["grade"]) for each in found["triggers"]] == [("initiated", "sealed")]
    (approval,) = found["approvals"]
    assert approval["by"]["name"] == "Alice Ash"
    assert [each["decision"] for each in found["decisions"]] == ["allow"]
    assert [each["sub"] for each in found["actors"]] == ["travel-agent"]


def test_the_booking_above_the_limit_was_denied_by_a_policy_of_that_version(
    story: Played, answer: Callable[[str], Any]
) -> None:
    (decision,) = answer(story.above_limit["event_id"])["decisions"]
    assert decision["decision"] == "deny"
    assert decision["policy_version"]


def test_the_approval_tried_a_second_time_is_a_contradiction(story: Played, answer: Callable[[str], Any]) -> None:
    assert rules(answer(story.approval_again["event_id"])) == {"approval_spent"}


def test_the_search_token_shown_to_book_is_a_contradiction(story: Played, answer: Callable[[str], Any]) -> None:
    assert rules(answer(story.search_token["event_id"])) == {"scope_missing"}


def test_an_action_with_no_prompt_behind_it_is_unattributed_and_says_why(
    story: Played, answer: Callable[[str], Any]
) -> None:
    found = answer(story.no_prompt)
    assert found["class"] == "unattributed"
    assert found["reasons"] == ["no_trigger"]
    assert found["triggers"] == []


def test_what_must_not_work_was_refused_by_who_had_to(story: Played) -> None:
    assert "booking" in story.booking["result"]
    assert {part: getattr(story, part)["result"]["error"] for part in REFUSED} == REFUSED


def test_the_story_leaves_no_finding_but_what_was_tried_in_vain(story: Played) -> None:
    def found() -> set[str]:
        return {each["name"] for each in httpx.get(f"{story.api_url}/v1/findings").raise_for_status().json()["items"]}

    until(lambda: found() == TRIED)


def test_one_byte_changed_in_a_copy_of_the_log_is_named(
    request: pytest.FixtureRequest, story: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo, where it is the story, has done it itself."""
    if "ANSWERABLE_STORE_URL" in story.environment:
        for name, value in story.environment.items():
            monkeypatch.setenv(name, value)
        copy = tmp_path / "copy.avro"
        assert answerable("archive", str(copy)).returncode == 0
        assert answerable("verify", "--log", f"file:{copy}").returncode == 0
        change_one_byte(copy, parse(story.booking["event_id"]))
        judged = answerable("verify", "--log", f"file:{copy}")
        assert judged.returncode == 1
        said = judged.stdout
    else:
        said = request.getfixturevalue("demo").output.partition("\nchanged: ")[2]
    assert "bad_root" in said
    assert f"event {story.booking['event_id']}" in said.replace("\n", " ")
    assert "travel-agent" in said


def answerable(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [commands() / "answerable", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )


PAGE = (ROOT / "docs" / "questions.md").read_text()
ASKED = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def asking(story: Played) -> Mapping[str, str]:
    """The variables with which the page asks. Once: the other set of URLs gives the same answers, as the tests above show."""
    if "ANSWERABLE_STORE_URL" in story.environment:
        pytest.skip("the page is of the embedded ledger")
    wait_for(story, story.above_limit["event_id"])
    given = names(story.api_url, story.booking["event_id"], story.above_limit["event_id"])
    return {**os.environ, **story.environment, **given, "api": story.api_url}


@pytest.mark.parametrize(("script", "answer"), ASKED, ids=[each[0].splitlines()[0] for each in ASKED])
def test_each_question_of_the_page_is_answered_as_it_says(asking: Mapping[str, str], script: str, answer: str) -> None:
    environment = {**asking, "PATH": f"{commands()}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-ec", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in answer.splitlines():
        wanted = ".*".join(re.escape(part) for part in line.split("…"))
        assert re.search(wanted, done.stdout), f"{line}\n{done.stdout}"


def test_every_remark_of_the_inventory_stands_on_the_page() -> None:
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)) == dict(REMARKS)


def test_the_demo_ends_in_questions_that_can_be_asked(asking: Mapping[str, str], tmp_path: Path) -> None:
    first, *lines = closing(tmp_path, {name: asking[name] for name in ("run", "other_run", "person", "agent")})
    assert str(tmp_path / "ask.sh") in first
    assert [line.partition("#")[0].strip() for line in lines] == [command for _, command in questions()]
    read = subprocess.run(
        ["bash", "-c", f'. {tmp_path / "ask.sh"} && echo "$person"'], capture_output=True, text=True, check=True
    )
    assert read.stdout.strip() == asking["person"]
    assert "--keep" in next(closing(None, {}))


def test_when_the_parties_have_ended_their_chains_are_closed_and_nothing_of_them_becomes_overdue(
    story: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in story.environment.items():
        monkeypatch.setenv(name, value)
    story.end_parties()
    assert all(each["closed"] for each in httpx.get(f"{story.api_url}/v1/chains").raise_for_status().json()["items"])
    assert not list((Path(story.environment["ANSWERABLE_DATA_DIR"]) / "spool").glob("*/*"))
    judged = answerable("verify", "--at", "2100-01-01T00:00:00Z")
    assert judged.returncode == 0, judged.stdout
