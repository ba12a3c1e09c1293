"""What doctor finds of a store that is not as it should be, and what it says to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from ledger.cli.doctor import store
from ledger.cli.doctor.check import Check, Here, Store
from ledger.settings import Settings
from ledger.store.partitions import make_years
from ledger.trust.bundle import TrustBundle
from tests.contract.test_store_stuck import in_a_copy, waited
from tests.services.forge import START, Forge, Trust, signer
from tests.services.stand import Stand
from tests.waiting import until

YEAR = 2026
SECOND = 1_000_000
TRUST = Trust().key(signer("alpha"), tenants=["acme"])


@dataclass(frozen=True)
class At:
    """A clock that stands."""

    time: int = START

    def now(self) -> int:
        return self.time


def looked_at(
    url: str, *checks: Callable[[Store], Iterator[Check]], now: int = START, bundle: TrustBundle | None = None
) -> list[Check]:
    with psycopg.connect(url, autocommit=True) as connection:
        here = Here(settings=Settings(), clock=At(now), bundle=bundle)
        return [found for check in checks for found in check(Store(here=here, connection=connection))]


def test_a_migrated_store_has_every_partition_and_right(url: str) -> None:
    assert {each.status for each in looked_at(url, store.years, store.roles)} == {"ok"}


def test_a_year_without_partition_is_found_before_it_begins_and_once_it_has(url: str) -> None:
    with psycopg.connect(url) as connection:
        (last,) = connection.execute(
            "select max(substr(relname, 8)::int) from pg_class where relname ~ '^events_2...$'"
        )
    (year,) = last
    summer, winter, after = (
        START + int((y - YEAR) * 365.2425 + days) * 86_400 * SECOND
        for y, days in ((year, 180), (year, 340), (year + 1, 5))
    )
    assert [each.status for each in looked_at(url, store.years, now=summer)] == ["ok"]
    (soon,) = looked_at(url, store.years, now=winter)
    (now,) = looked_at(url, store.years, now=after)
    assert (soon.status, now.status) == ("note", "wrong")
    assert f"{year + 1}: no partition" in soon.detail
    assert "answerable migrate" in now.remedy


def test_events_that_lie_in_default_though_their_year_is_past_are_found(url: str) -> None:
    old = bytes.fromhex("00dc6acfac00") + bytes.fromhex("7000") + b"\x80" + bytes(7)  # 1 January 2000
    stand, forge = Stand(url, TRUST.bundle), Forge()
    stand.put(forge, forge.seal(forge.make(event_id=old)))
    stand.close()
    (found,) = looked_at(url, store.years)
    assert (found.status, found.detail) == ("note", "DEFAULT holds events of 2000")
    with psycopg.connect(url, autocommit=True) as connection:
        make_years(connection, [2000])
    assert [each.status for each in looked_at(url, store.years)] == ["ok"]


def test_a_role_that_lost_its_rights_is_found_with_what_to_grant(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("revoke select on findings from answerable_reader")
        connection.execute("revoke insert on events, causes from answerable_writer")
    found = looked_at(url, store.roles)
    assert [each.remedy for each in found] == [
        "grant select on findings to answerable_reader",
        "grant insert on causes, events to answerable_writer",
    ]
    with psycopg.connect(url, autocommit=True) as connection:
        for each in found:
            connection.execute(each.remedy.encode())
    assert looked_at(url, store.roles) == []


def test_a_worker_that_stopped_in_the_middle_of_a_copy_is_found_and_one_that_goes_on_is_not(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "STUCK_SECONDS", 0.3)
    assert looked_at(url, store.sessions) == []
    with in_a_copy(url) as copying, psycopg.connect(url, autocommit=True) as looks:
        assert looked_at(url, store.sessions) == []
        until(lambda: waited(looks) > 0.3, 10)
        (found,) = looked_at(url, store.sessions)
        assert f"process {copying.connection.info.backend_pid} of role" in found.detail
        assert "waiting for its client" in found.detail
        assert "whoever needs its locks" in found.remedy
    with in_a_copy(url, worker=False), psycopg.connect(url, autocommit=True) as looks:
        until(lambda: waited(looks) > 0.3, 10)
        assert looked_at(url, store.sessions) == [], "a person's own affair"


@pytest.mark.parametrize(("offset", "status"), [(0.2, "ok"), (-5.0, "note"), (5.0, "note")])
def test_a_clock_that_differs_is_found(url: str, offset: float, status: str) -> None:
    with psycopg.connect(url) as connection:
        ((now,),) = connection.execute("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
    (found,) = looked_at(url, store.clock, now=now - int(offset * SECOND))
    assert found.status == status
    assert ("NTP" in found.remedy) == (status == "note")


def test_a_bundle_that_is_not_the_store_s_is_told_from_one_that_is_longer(url: str) -> None:
    Stand(url, TRUST.bundle).close()
    longer = Trust().key(signer("alpha"), tenants=["acme"]).key(signer("beta")).bundle
    other = Trust().key(signer("beta")).bundle
    states = {name: looked_at(url, store.judged, bundle=b)[0] for name, b in
              {"same": TRUST.bundle, "longer": longer, "other": other}.items()}  # fmt: skip
    assert [(each.status, bool(each.remedy)) for each in states.values()] == [
        ("ok", False),
        ("note", True),
        ("wrong", True),
    ]


def test_the_way_to_a_store_on_this_machine_needs_no_tls(url: str) -> None:
    assert looked_at(url, store.way) == []


def test_a_log_whose_clock_is_behind_is_found_where_every_services_last_seal_came_before_it_was_made(url: str) -> None:
    trust = Trust().key(signer("alpha"), tenants=["acme"]).key(signer("beta"), tenants=["acme"])
    stand, alpha, beta = Stand(url, trust.bundle), Forge(), Forge("beta", service="flights")
    stand.put(alpha, alpha.seal(alpha.make()), at=alpha.now - 7 * SECOND)
    (alone,) = looked_at(url, store.log_clock)
    assert "the clock of the only service is at least 7.000 s ahead of the log's" in alone.detail
    stand.put(beta, beta.seal(beta.make()), at=beta.now - 3 * SECOND)
    (both,) = looked_at(url, store.log_clock)
    assert (both.status, both.name) == ("note", "clock")
    assert "the clocks of all 2 services are at least 3.000 s ahead" in both.detail
    stand.put(beta, beta.seal(beta.make()), at=beta.now + SECOND)
    assert looked_at(url, store.log_clock) == []
    stand.close()


@pytest.mark.parametrize(("table", "what"), [("rights_since", "tokens and grants"), ("values_since", "every value")])
def test_what_a_release_before_did_not_keep_is_told_until_the_store_is_rebuilt(url: str, table: str, what: str) -> None:
    stand, forge = Stand(url, TRUST.bundle), Forge()
    for _ in range(3):
        stand.put(forge, forge.seal(forge.make()))
    stand.close()
    assert looked_at(url, store.unfilled) == []
    with psycopg.connect(url, autocommit=True) as connection:  # as the migration leaves a store that was filled
        second = "(select id from seals order by id offset 1 limit 1)"
        connection.execute(f"update {table} set seal = {second}".encode())  # noqa: S608 (constants only)
    (found,) = looked_at(url, store.unfilled)
    assert (found.status, found.detail.split()[0], what in found.detail) == ("note", "2", True)
    assert "answerable rebuild" in found.remedy
