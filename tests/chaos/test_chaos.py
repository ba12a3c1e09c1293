"""One round of ``make chaos``, short: faults of every sort come together, and nothing is lost, doubled or accused."""

from __future__ import annotations

import inspect
import os
import random
import time
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from ledger.format import ids
from ledger.recorder.journal import Journal, recover
from tests.attribution.scenario import read_scenario, scenario_files
from tests.attribution.stored import store
from tests.chaos.checker import REFUSALS, forked, misstated, refused_without_cause, too_long, unanswered
from tests.chaos.faults import _FILES, FAULTS, Trouble, _troubled, _waiting, executable_lines, tear
from tests.chaos.parties import THREADS, record, serve, watch, work
from tests.chaos.play import LOSING, SAY_SECONDS, Active, Schedule, play, wrongly_answered
from tests.chaos.sentinels import awaited, sentinel_faults
from tests.chaos.stage import Party, Stage
from tests.chaos.task import WORKERS, Account, Promised, Role, Task, read_notes
from tests.seeded import ACME, OTHER
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases
from tests.services.forge import LEDGER

SEED = int(os.environ.get("CHAOS_SEED", "1"))
SECONDS = 90.0


@pytest.mark.kafka
@pytest.mark.timeout(480)
@pytest.mark.usefixtures("kafka")  # for the jars, and for what is said where they cannot be had
def test_ninety_seconds_of_faults_leave_nothing_wrong(tmp_path: Path) -> None:
    verdict = play(tmp_path / "stage", seed=SEED, seconds=SECONDS)
    assert not verdict.faults, f"CHAOS_SEED={SEED}: {verdict.faults}"
    assert verdict.counts["faults"] >= 8, verdict.counts
    assert verdict.events > 1000, verdict.counts
    assert verdict.counts["strict events promised"] >= 3, verdict.counts


def test_a_torn_tail_is_cut_back_and_the_frames_before_it_are_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "events", segment_bytes=1 << 16)
    for number in range(20):
        journal.append(b"frame %d" % number)
    journal.close()
    (path,) = tmp_path.glob("events-*.seg")
    assert tear(path, random.Random(SEED)) == 1
    assert [frame.body for frame in recover(tmp_path, "events")] == [b"frame %d" % number for number in range(20)]


def test_faults_die_at_lines_that_the_product_has() -> None:
    assert len(executable_lines("ledger/recorder/sender.py")) > 100
    assert _FILES.keys() == {"recorder", *WORKERS}
    assert all(executable_lines(file) for files in _FILES.values() for file in files)
    assert all(fault.seconds[0] <= fault.seconds[1] for fault in FAULTS.values())


class Cast(Stage):
    """One process of each role, none of which runs."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.counts, self.amiss = directory, {}, []
        self.jumped = self.server_says = frozenset()
        given = {"directory": str(directory), "log": "", "store": ""}
        self.parties = {role: Party(Task(role=role, name=role, **given)) for role in get_args(Role)}


def test_only_the_clock_of_a_process_that_reads_it_jumps(tmp_path: Path) -> None:
    (tmp_path / "clocks").mkdir()
    stage = Cast(tmp_path)
    for seed in range(100):
        list(FAULTS["clock"].body(stage, random.Random(seed)))
    playing = {"recorder": record, "materializer": work, "contents": work, "sentinel": watch, "api": serve}
    assert playing.keys() == set(get_args(Role))
    reading = {role for role, play in playing.items() if "JumpingClock(task.clock)" in inspect.getsource(play)}
    assert {path.name for path in (tmp_path / "clocks").iterdir()} == reading
    assert stage.counts["clock jumps"] == 100


def test_who_has_a_trouble_and_does_not_say_so_is_found(tmp_path: Path) -> None:
    stage = Cast(tmp_path)
    schedule = Schedule(stage, SEED, (), print)
    told: dict[str, frozenset[str]] = {"": frozenset()}

    def lasted(seconds: float) -> list[str]:
        trouble = Trouble("all is away", frozenset({"recorder", "api"}), lambda: told[""])
        now = time.monotonic()
        schedule._active.append(Active(FAULTS["cluster away"], iter(()), trouble, now - seconds, now, set()))
        schedule._listen()
        schedule._end_those_over(float("inf"))
        found, stage.amiss = stage.amiss, []
        return found

    assert lasted(SAY_SECONDS - 2) == []
    (found,) = lasted(SAY_SECONDS + 2)
    assert found.startswith("all is away, and ['api', 'recorder'] did not say so")
    told[""] = frozenset({"recorder"})
    assert "['api'] did not say so" in lasted(SAY_SECONDS + 2)[0]
    told[""] = frozenset({"recorder", "api", "contents"})
    assert lasted(SAY_SECONDS + 2) == []


def test_the_servers_health_says_which_of_store_and_log_is_away(tmp_path: Path) -> None:
    stage = Cast(tmp_path)
    for said, waiting, troubled in (("", False, False), ("store_away", True, False), ("log_away", False, True)):
        stage.server_says = frozenset({said})
        assert (_waiting(stage), _troubled(stage)) == (
            frozenset({"api"} if waiting else ()),
            frozenset({"api"} if troubled else ()),
        )


def notes_of(directory: Path, *lines: str) -> Account:
    (directory / "notes").mkdir(exist_ok=True)
    (directory / "notes" / "best-effort").write_text("\n".join(lines) + "\n")
    return read_notes(directory)


def test_losses_that_the_ledger_understates_or_overstates_are_found(tmp_path: Path) -> None:
    dropped = [line for number in range(10) for line in ("o 7", f"d 7 {number:032x}")]
    for ending, holds in (("e 7", {10}), ("t 7 6", {6, 7, 10}), ("t 7 10", {10})):
        account = notes_of(tmp_path, *dropped, ending)
        for stated in range(13):
            assert (not misstated(account, stated)) == (stated in holds | set(range(min(holds), 11))), (ending, stated)
    account = notes_of(tmp_path, *dropped, "o 7", "t 7 10")  # killed in the middle of a call
    assert [misstated(account, stated) == [] for stated in (9, 10, 11, 12)] == [False, True, True, False]


def test_a_call_without_an_answer_is_found_unless_its_process_was_cut_short(tmp_path: Path) -> None:
    answered = ["o 7", f"r 7 {1:032x} {2:064x} {ACME}", "o 7", f"d 7 {3:032x}", "o 7", "x 7 SpoolFull"]
    assert unanswered(notes_of(tmp_path, *answered, "q 7")) == []
    for ending, well in (("q 7", False), ("", True)):  # whatever another process had in hand when it was killed
        account = notes_of(tmp_path, *answered, "o 7", "o 8", "o 8", *([ending] if ending else []))
        assert (unanswered(account) == []) is well
        assert account.in_hand == 3
    assert unanswered(notes_of(tmp_path, *["o 7"] * (THREADS + 1)))
    assert unanswered(notes_of(tmp_path, *answered[1:]))  # an answer to what was never asked


def test_a_refusal_that_no_fault_asks_for_is_found(tmp_path: Path) -> None:
    assert refused_without_cause(notes_of(tmp_path, *(f"x 7 {name}" for name in sorted(REFUSALS)))) == []
    (found,) = refused_without_cause(notes_of(tmp_path, "x 7 InvalidEvent", "x 7 InvalidEvent"))
    assert found == "2 calls were refused as InvalidEvent"


def test_children_of_forks_that_fail_or_cannot_record_are_found(tmp_path: Path) -> None:
    recorded = ["o 8", f"r 8 {1:032x} {2:064x} {ACME}", "q 8", "f 8 0"]
    assert forked(notes_of(tmp_path, *recorded, "o 9", "x 9 SpoolFull", "q 9", "f 9 0", "f 10 -9")) == []
    assert forked(notes_of(tmp_path, *recorded, "f 9 1")) == ["the child 9 of a fork ended with 1"]
    refused = [
        line for child in (8, 9) for line in (f"o {child}", f"x {child} SpoolFailed", f"q {child}", f"f {child} 0")
    ]
    assert forked(notes_of(tmp_path, *refused)) == ["none of 2 children of forks could record"]


def test_an_answer_that_lies_is_found_and_one_that_is_not_there_once_all_is_healed() -> None:
    event = Promised("recorder-0", "7", bytes(16), bytes(32), ACME, None)
    lost, others = event._replace(recorder=LOSING), event._replace(tenant=OTHER)

    def said(*subjects: str | None) -> dict[str, object]:
        triggers = [{"who": None if each == "" else {"subject": each}} for each in subjects]
        return {"asked": ids.text(event.event_id), "triggers": triggers}

    def wrong(asked: Promised, status: int, body: object = None) -> tuple[bool, bool]:
        """While faults go on, and when all is healed."""
        return tuple(wrongly_answered(asked, status, body, healed=healed) is not None for healed in (False, True))  # type: ignore[return-value] # of two

    assert wrong(event, 200, said("alice")) == (False, False)
    assert wrong(event, 200, said("mallory")) == (True, True)
    assert wrong(event, 200, said("alice", "alice")) == (True, True)
    assert wrong(event, 200, said("alice") | {"asked": ids.text(b"another event id")}) == (True, True)
    assert wrong(event, 200, said(None)) == (False, True)
    assert wrong(event, 200, said()) == (False, True)
    assert wrong(lost, 200, said()) == (False, False)
    assert wrong(lost, 200, said(None)) == (False, True)
    assert wrong(event, 404) == wrong(event, 503) == wrong(others, 503) == (False, True)
    assert wrong(others, 404) == (False, False)
    assert wrong(others, 200, said("alice")) == (True, True)
    assert wrong(event, 500) == (True, True)


def test_a_call_that_takes_long_is_found_and_the_time_of_a_stop_is_not_its(tmp_path: Path) -> None:
    account = notes_of(tmp_path, "m plain 12000", "m strict 12000", "e 7")
    assert [sentence.split()[1] for sentence in too_long(account, 0.0)] == ["plain"]
    assert too_long(account, 3.0) == []


def test_a_sentinel_that_left_something_accused_somebody_or_judged_otherwise_is_found(postgres: Databases) -> None:
    url = postgres.fresh()
    (path,) = [each for each in scenario_files() if each.stem == "rule_revoked_token"]
    bundle = store(url, read_scenario(path.read_text(), path.stem))
    assert "not swept" in awaited(url)
    sentinel(url, bundle)
    assert awaited(url) == ""
    (found,) = sentinel_faults(url, LEDGER, bundle, {})
    assert "accuse" in found
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("delete from contradictions")
        connection.execute("update judgements set grade = 'sealed', class = 'archived'")
    (found,) = sentinel_faults(url, LEDGER, bundle, {})
    assert "a fresh sentinel comes to others: " in found
    assert "rows of judgements" in found
    assert awaited(url) == ""
    postgres.drop(url)
