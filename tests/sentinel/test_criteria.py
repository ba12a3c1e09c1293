"""Judgements are made by the house rules and the release of now: a change has all judged again, and two never quarrel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import pytest

import ledger.attribution
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.cli.doctor import findings, rules
from ledger.cli.doctor.check import Check, Here, Store
from ledger.errors import BackendError
from ledger.recorder.clock import SystemClock
from ledger.schema_files import load_schemas
from ledger.settings import Settings
from ledger.store import criteria
from ledger.store.sentinel import PostgresSentinel
from ledger.store.sentinel_digest import sentinel_digest
from ledger.trust.bundle import TrustBundle
from tests.attribution.scenario import Story, read_scenario, scenario_files
from tests.attribution.stored import store
from tests.sentinel.sweeping import STEPS, connected
from tests.services.databases import Databases
from tests.services.forge import LEDGER

ACCUSED = 6
"""Actions of the scenario that one person did alone."""


@dataclass(frozen=True)
class Told:
    """A store in which ``rule_one_person_alone`` happened, and no sentinel was yet."""

    url: str
    bundle: TrustBundle
    house: HouseRules

    def sentinel(self, house: HouseRules | None = None) -> PostgresSentinel:
        return PostgresSentinel(
            self.url, load_schemas(), LEDGER, lambda: self.bundle, self.house if house is None else house
        )

    def accused(self) -> int:
        return self.one("select count(*) from contradictions where rule = 'one_person_alone'")

    def one(self, query: str) -> int:
        with connected(self.url) as connection:
            ((count,),) = connection.execute(query.encode())
        return int(count)

    def doctor(self, house: HouseRules | None = None) -> list[Check]:
        with connected(self.url) as connection:
            here = Here(settings=Settings(), clock=SystemClock(), bundle=self.bundle, house=house or self.house)
            given = Store(here=here, connection=connection)
            return [*findings.judged(given), *rules.judged_by(given)]


@pytest.fixture
def told(postgres: Databases) -> Iterator[Told]:
    url = postgres.fresh()
    yield Told(url, store(url, _story()), _story().house)
    postgres.drop(url)


def _story() -> Story:
    (path,) = [each for each in scenario_files() if each.stem == "rule_one_person_alone"]
    return read_scenario(path.read_text(), path.stem)


def run(sentinel: PostgresSentinel) -> None:
    for _ in range(STEPS):
        if not sentinel.step(limit=5).more:
            return
    raise AssertionError("the sentinel comes to no end")


def test_other_house_rules_have_everything_judged_again_to_what_they_alone_would_have_said(told: Told) -> None:
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    assert told.accused() == ACCUSED
    before = sentinel_digest(told.url)
    with closing(told.sentinel(NO_RULES)) as sentinel:
        run(sentinel)
    assert told.accused() == 0
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    assert sentinel_digest(told.url) == before


def test_judging_again_goes_on_where_a_sentinel_was_stopped(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criteria.again, "__kwdefaults__", {"limit": 2})
    with closing(told.sentinel(NO_RULES)) as sentinel:
        run(sentinel)
    with closing(told.sentinel()) as sentinel:
        for _ in range(3):
            assert sentinel.step().more
    assert 0 < told.accused() < ACCUSED
    assert told.one("select count(*) from sentinel_stale") <= 2
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    assert (told.accused(), told.one("select count(*) from sentinel where again is not null")) == (ACCUSED, 0)


def test_what_is_new_is_judged_before_what_is_made_again(told: Told) -> None:
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    with connected(told.url) as connection:
        connection.execute("update sentinel set again = '00000000-0000-0000-0000-000000000000'")
        connection.execute("insert into sentinel_stale select event_id, tenant, 0, true, 0 from judgements limit 1")
        assert not criteria.again(connection)
        connection.execute("delete from sentinel_stale")
        assert criteria.again(connection)


def test_a_release_is_told_by_the_code_that_judges(tmp_path: Path) -> None:
    code = Path(ledger.attribution.__path__[0])
    assert criteria.criteria_of(NO_RULES).release == criteria.code_digest(code)
    copytree(code, tmp_path / "code")
    assert criteria.code_digest(tmp_path / "code") == criteria.code_digest(code)
    with (tmp_path / "code" / "rules" / "duties.py").open("a") as file:
        file.write("\n")
    assert criteria.code_digest(tmp_path / "code") != criteria.code_digest(code)


def test_another_release_has_everything_judged_again(told: Told) -> None:
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    with connected(told.url) as connection:  # what a release of other severities left behind
        connection.execute("update contradictions set severity = 'low'")
        connection.execute("update sentinel set release = sha256('another')")
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    assert (
        told.one("select count(*) from contradictions where severity = 'high' and rule = 'one_person_alone'") == ACCUSED
    )


def test_a_sentinel_that_began_earlier_with_other_rules_stands_still_and_says_what_to_do(told: Told) -> None:
    with closing(told.sentinel(NO_RULES)) as earlier, closing(told.sentinel()) as later:
        run(earlier)
        run(later)
        for _ in range(3):
            with pytest.raises(BackendError, match="same file by ANSWERABLE_RULES"):
                earlier.step()
        run(later)
        assert told.accused() == ACCUSED


def test_a_sentinel_goes_on_in_a_store_that_was_rebuilt_and_has_no_criteria(told: Told) -> None:
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
        with connected(told.url) as connection:
            connection.execute(
                "truncate judgements, contradictions, judgement_waits, sentinel_positions, sentinel_looks"
            )
            connection.execute("update sentinel set house = '', release = ''")
        run(sentinel)
    assert told.accused() == ACCUSED


def test_nothing_is_judged_by_criteria_that_changed_since_they_were_looked_at(told: Told) -> None:
    ours, others = criteria.criteria_of(told.house), criteria.criteria_of(NO_RULES)
    with connected(told.url) as connection:
        criteria.adopt(connection, ours, first=True)
        criteria.adopt(connection, others, first=True)
        with pytest.raises(BackendError), connection.transaction():
            criteria.hold(connection, ours)


def test_doctor_tells_rules_that_differ_a_release_that_differs_and_what_is_made_again(told: Told) -> None:
    assert [each.name for each in told.doctor()] == ["sentinel"], "no sentinel was there: there is nothing to compare"
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    *_, same = told.doctor()
    assert (same.name, same.status) == ("rules", "ok")
    *_, other = told.doctor(NO_RULES)
    assert (other.name, other.status) == ("rules", "wrong")
    assert "same file by ANSWERABLE_RULES" in other.remedy
    with connected(told.url) as connection:
        connection.execute("update sentinel set release = sha256('another'), again = gen_random_uuid()")
    *_, release, again = told.doctor()
    assert (release.status, again.status) == ("note", "note")
    assert "of another release" in release.detail
    assert "being made again" in again.detail


def test_doctor_tells_a_sentinel_that_is_behind_and_the_contradictions_that_it_found(told: Told) -> None:
    behind, *_ = told.doctor()
    count = told.one("select sum(event_count) from seals")
    assert (behind.name, behind.status) == ("sentinel", "note"), "the events are of January"
    assert behind.detail.startswith(f"{count} events are not judged yet")
    assert "answerable sentinel" in behind.remedy
    with closing(told.sentinel()) as sentinel:
        run(sentinel)
    now, *contradictions, _ = told.doctor()
    assert (now.status, now.detail) == ("ok", "every event of consequence is judged")
    (alone,) = [each for each in contradictions if "one_person_alone" in each.detail]
    assert alone.detail.startswith(f"{ACCUSED} open, high: one_person_alone; the latest: ")
    assert "answerable who-triggered" in alone.remedy
    assert "an approval by somebody else" in alone.remedy
