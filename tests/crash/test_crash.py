"""Ten of the places of ``make crash``: a process dies there, its successor delivers, and nothing is lost, doubled or accused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.__main__ import ATTEMPTS, Campaign
from tests.crash.tracing import Place
from tests.crash.trials import VICTIMS, Outcome, Scene, Victim, choose, seed_of, trial
from tests.services.databases import Databases

SEED = seed_of()
lines: dict[Victim, list[tuple[str, int, int]]] = {}


def first_run(postgres: Databases, directory: Path, victim: Victim) -> list[tuple[str, int, int]]:
    """The lines that a victim executes where nobody dies at one; once a session."""
    if victim not in lines:
        url = postgres.fresh()
        outcome = trial(Scene(directory=directory / "first", log=url, store=url), victim, None)
        assert not outcome.faults
        lines[victim] = outcome.lines
    return lines[victim]


def one_dies(postgres: Databases, directory: Path, number: int, log: str | None = None) -> None:
    victim = VICTIMS[number % len(VICTIMS)]
    executed = first_run(postgres, directory, victim)
    for attempt in range(5):
        place = choose(executed, f"{SEED}/{number}/{attempt}")
        url = postgres.fresh()
        prefixed = url if log is None else f"{log}{attempt}.?partitions=2&session_seconds=6"
        outcome = trial(Scene(directory=directory / str(attempt), log=prefixed, store=url), victim, place)
        assert not outcome.faults, f"CRASH_SEED={SEED}, {victim} at {place}: {outcome.faults}"
        postgres.drop(url)
        if outcome.killed:
            return
    pytest.fail(f"CRASH_SEED={SEED}: none of five places was reached a second time")


@pytest.mark.parametrize("number", range(8))
def test_what_dies_at_a_line_loses_and_doubles_nothing(postgres: Databases, tmp_path: Path, number: int) -> None:
    one_dies(postgres, tmp_path, number)


@pytest.mark.kafka
@pytest.mark.parametrize("number", [8, 10])
def test_nor_does_it_where_the_log_is_kafka(postgres: Databases, kafka_url: str, tmp_path: Path, number: int) -> None:
    one_dies(postgres, tmp_path, number, kafka_url)


def test_a_campaign_says_failed_where_no_place_was_reached(
    postgres: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[Place | None] = []

    def unreached(_scene: Scene, _victim: Victim, place: Place | None) -> Outcome:
        tried.append(place)
        return Outcome(killed=False, events=1, faults=[], lines=[("ledger/recorder/spool.py", 1, 1)])

    campaign = Campaign(tmp_path, SEED, "nowhere:1", postgres, unreached)
    campaign.place(2)
    assert len(tried) == 1 + ATTEMPTS
    assert campaign.failed == 1
    assert "FAILED trial 2, recorder: 0 events" in capsys.readouterr().out
