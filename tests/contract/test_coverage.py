"""Coverage counts actions: all accounts of one are one, however many services told of it, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest

from ledger.coverage_view import show_coverage, sums
from ledger.store import coverage as store_coverage
from ledger.store.coverage import By, Covered, Slice, coverage
from tests.attribution.scenario import read_scenario
from tests.attribution.stored import store
from tests.sentinel.sweeping import sentinel
from tests.services.databases import Databases

TENANT = "acme"
TEXT = """
person alice Alice
person x7 !erased
p1 app prompt trigger_kind=human trust=trusted principal=alice
a1 bot api_action action_id=x phase=intended operation=pay observer=agent <- p1:started_by
a2 bot api_action action_id=x phase=completed operation=pay outcome=success observer=agent <- p1:started_by a1:completes
a3 bank api_action action_id=y phase=completed operation=pay target_system=b outcome=success observer=resource <- a2:same_action
p2 app prompt trigger_kind=human trust=trusted principal=x7
e1 bot api_action action_id=e phase=intended operation=pay observer=agent <- p2:started_by
e2 bank api_action action_id=e phase=completed operation=pay target_system=b outcome=success observer=resource <- e1:same_action
t1 idp token_issuance status=issued token=j1 verification=issuer observer=issuer <- p1:started_by
t2 bot token_issuance status=issued token=j1 verification=none observer=client <- t1:same_action
r1 bank api_action action_id=z phase=completed operation=pay target_system=b outcome=success observer=resource
"""
"""Alice's payment in three accounts, an erased person's in two, a token of two parties, a rogue call that the bank alone saw."""


class Stored(NamedTuple):
    url: str

    def covered(self, wanted: Slice = store_coverage.EVERYTHING, by: By | None = None) -> Covered:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return coverage(connection, TENANT, wanted, by=by)

    def classes(self, wanted: Slice = store_coverage.EVERYTHING) -> dict[str, tuple[int, int]]:
        """Actions and accounts of each class that has any."""
        return {name: tuple(each) for name, each in sums(self.covered(wanted).counts).classes.items() if each.accounts}


@pytest.fixture(scope="module")
def stored(postgres: Databases) -> Iterator[Stored]:
    url = postgres.fresh()
    sentinel(url, store(url, read_scenario(TEXT, TENANT), read_scenario(TEXT, "other")))
    yield Stored(url)
    postgres.drop(url)


def changed(stored: Stored, postgres: Databases, statement: str) -> Covered:
    """What coverage says of a copy of the store in which something was changed."""
    url = postgres.copy(stored.url)
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(statement.encode()).rowcount > 0
    found = Stored(url).covered()
    postgres.drop(url)
    return found


def test_an_action_is_counted_once_however_many_accounts_it_has(stored: Stored) -> None:
    found = stored.covered()
    assert (found.actions, found.accounts) == (4, 8)
    assert stored.classes() == {"attributed": (2, 5), "erased_principal": (1, 2), "unattributed": (1, 1)}


def test_a_slice_counts_the_actions_of_which_it_has_an_account(stored: Stored) -> None:
    rogue = ("unattributed", (1, 1))
    assert stored.classes(Slice(service="bank")) == dict([("attributed", (1, 1)), ("erased_principal", (1, 1)), rogue])
    assert stored.classes(Slice(service="bot")) == {"attributed": (2, 3), "erased_principal": (1, 1)}
    assert stored.classes(Slice(kind="token_issuance")) == {"attributed": (1, 2)}
    assert stored.classes(Slice(system="b"))["unattributed"] == (1, 1)


def test_told_apart_an_action_is_in_each_group_with_an_account_and_once_in_the_whole(stored: Stored) -> None:
    shown = show_coverage(stored.covered(by="service"), "service")
    assert [(each["group"], each["judged"]) for each in shown["groups"]] == [
        ("bot", {"actions": 3, "accounts": 4}),
        ("bank", {"actions": 3, "accounts": 3}),
        ("idp", {"actions": 1, "accounts": 1}),
    ]
    assert (shown["judged"], shown["classes"]["attributed"]) == (
        {"actions": 4, "accounts": 8},
        {"actions": 2, "accounts": 5},
    )


@pytest.mark.parametrize("by", [None, *store_coverage.BY])
def test_classes_reasons_and_grades_each_sum_up_to_what_was_judged(stored: Stored, by: By | None) -> None:
    shown = show_coverage(stored.covered(by=by), by)
    for each in (shown, *shown["groups"]):
        for unit in ("actions", "accounts"):
            assert sum(n[unit] for n in each["classes"].values()) == each["judged"][unit]
            assert sum(n[unit] for n in each["grades"].values()) == each["judged"][unit]
            assert sum(n[unit] for n in each["reasons"].values()) == each["classes"]["unattributed"][unit]


def test_an_action_whose_accounts_are_judged_differently_is_judged_as_the_one_that_is_attributed_least(
    stored: Stored, postgres: Databases
) -> None:
    found = changed(stored, postgres, _WORSE)
    told = sums(found.counts)
    assert (found.actions, told.classes["unattributed"]) == (4, (2, 2))
    assert told.classes["attributed"] == (1, 4)
    assert told.reasons["cycle"] == (1, 1)


def test_what_a_release_before_judged_counts_as_an_action_of_its_own_until_it_is_judged_again(
    stored: Stored, postgres: Databases
) -> None:
    found = changed(stored, postgres, "update judgements set action = null")
    assert (found.actions, found.accounts) == (8, 8)


def test_the_largest_groups_are_told_apart_and_the_others_summed(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_coverage, "GROUPS", 2)
    shown = show_coverage(stored.covered(by="service"), "service")
    assert [each["group"] for each in shown["groups"]] == ["bot", "bank"]
    assert (shown["others"], shown["judged"]["actions"]) == ({"actions": 1, "accounts": 1}, 4)


_WORSE = """
update judgements set class = 'unattributed', reason = 'cycle', grade = null
 where tenant = (select id from names where name = 'acme') and service = (select id from names where name = 'bank')
   and class = 'attributed'"""
