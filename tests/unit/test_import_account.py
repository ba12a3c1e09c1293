"""A record is imported, refused or a duplicate, and nothing else."""

from __future__ import annotations

import pytest

from ledger.importers.account import REASONS, Account, Refusal, Tally


def test_an_account_adds_up() -> None:
    tally = Tally(range(4))
    for number in tally:
        if number == 3:
            tally.refuse(Refusal("not_json", "no JSON"))
        else:
            tally.settle("duplicate" if number == 2 else "imported")
    account = tally.account(events=5, contents=7)
    assert account.line() == "read 4 = imported 2 + refused 1 + duplicate 1"
    assert dict(account.reasons) == {"not_json": 1}


def test_an_account_that_does_not_add_up_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="3 records read"):
        Account(read=3, imported=1, duplicate=0, reasons={"not_json": 1}, events=1, contents=1)


def test_a_record_cannot_be_passed_over() -> None:
    tally = Tally(range(2))
    with pytest.raises(ValueError, match="settled once"):
        for _ in tally:
            pass
    with pytest.raises(ValueError, match="settled once"):
        Tally(range(1)).settle("imported")


def test_a_record_cannot_be_counted_twice() -> None:
    tally = Tally(range(1))
    for _ in tally:
        tally.settle("imported")
        with pytest.raises(ValueError, match="settled once"):
            tally.refuse(Refusal("not_json", ""))


def test_only_listed_reasons_refuse() -> None:
    tally = Tally(range(1))
    next(iter(tally))
    with pytest.raises(ValueError, match="no reason"):
        tally.refuse(Refusal("because", ""))
    assert all(meaning for meaning in REASONS.values())
