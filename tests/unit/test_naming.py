"""Whether two names are of one thing, of two, or nobody can tell: each rule of it, both ways about."""

from __future__ import annotations

import pytest

from ledger.attribution.naming import (
    Thing,
    agents_named,
    covers,
    covers_scope,
    is_for,
    keys_of_agent,
    same_agent,
    same_operation,
    same_thing,
)

HOST = "https://h.example"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("acme://a/x", "acme://a/x", True),
        ("acme://a/x", "acme://a/y", False),
        ("acme://a/x", "acme://b/x", None),
        ("https://idp#x", "https://idp#y", False),
        ("as#x", "hr#x", None),
        ("as#x", "x", None),
    ],
)
def test_agents_of_one_authority_are_told_apart(one: str, other: str, same: bool | None) -> None:
    assert (same_agent(one, other), same_agent(other, one)) == (same, same)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Flight", "1"), ("flight", "1"), True),
        (("Flight", "1"), ("flight", "2"), False),
        (("flight", "1"), ("room", "1"), None),
        (("flight", "1"), (None, "2"), None),
        (("flight", "LH-441"), ("flight", "441"), False),
        (("flight", "hmac:aa"), ("flight", "hmac:bb"), False),
        (("flight", "hmac:aa"), ("flight", "LH-441"), None),
        ((None, "arn:aws:s3:::f/*"), (None, "arn:aws:s3:::f/1"), True),
        ((None, "arn:aws:s3:::f"), (None, "arn:aws:s3:::g"), False),
        ((None, "arn:aws:sns:eu:1:f"), (None, "arn:aws:sns:eu:1:f:g"), True),
        ((None, "arn:aws:s3:::f"), (None, "arn:aws:sns:::f"), None),
        ((None, "urn:isbn:1"), (None, "urn:isbn:2"), False),
        ((None, f"{HOST}/a"), (None, "a"), None),
        ((None, f"{HOST}/a"), (None, f"{HOST}/a/b"), True),
        ((None, f"{HOST}/a"), (None, f"{HOST}/a#b"), True),
        ((None, f"{HOST}/a"), (None, f"{HOST}/ab"), False),
        ((None, HOST), (None, f"{HOST}/a"), True),
        ((None, f"{HOST}/a"), (None, f"{HOST}/v1/a"), None),
        ((None, f"{HOST}/a"), (None, f"{HOST}/v1/ba"), False),
        ((None, f"{HOST}/a?x=1"), (None, f"{HOST}/a?x=1"), True),
        ((None, f"{HOST}/a?x=1"), (None, f"{HOST}/a"), True),
        ((None, f"{HOST}/a?x=1"), (None, f"{HOST}/a?x=2"), None),
        ((None, f"{HOST}/a?x=1"), (None, f"{HOST}/b?x=2"), False),
        ((None, f"{HOST}/a/%7Eb"), (None, "HTTPS://H.example:443/a/.//~b/"), True),
        ((None, f"{HOST}/a"), (None, "http://h.example/b"), None),
        ((None, f"{HOST}/a"), (None, f"{HOST}:8443/b"), None),
    ],
)
def test_things_are_told_apart_by_id_of_one_type_and_by_path_of_one_authority(
    one: tuple[str | None, str], other: tuple[str | None, str], same: bool | None
) -> None:
    first, second = Thing(*one), Thing(*other)
    assert (same_thing(first, second), same_thing(second, first)) == (same, same)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("pay:*", "pay:a/b", True),
        ("Payroll:*", "payroll:Delete", True),
        ("payroll:Delete", "payroll:DeleteAll", False),
        ("hr:Delete", "Delete", None),
        ("delete*", "mcp__hr__delete_payroll", True),
        ("flights.book", "book", True),
        ("deletePayroll", "delete-payroll", True),
        ("wipe", "delete", False),
        ("GET /a/b", "get/A/b", True),
        ("GET /a/", "GET /a", True),
        ("GET /a/{id}", "GET /a/7", True),
        ("GET /a/<id>", "GET /a/7", True),
        ("GET /a/:id", "GET /a/7", True),
        ("GET /a/{id}", "GET /ab", False),
        ("GET /a", "a", None),
    ],
)
def test_operations_are_told_apart_by_tool_by_route_and_by_api(one: str, other: str, same: bool | None) -> None:
    assert (same_operation(one, other), same_operation(other, one)) == (same, same)


def test_what_is_about_a_folder_covers_what_is_in_it_and_not_the_reverse() -> None:
    folder, inside = Thing(None, f"{HOST}/a"), Thing(None, f"{HOST}/a/b")
    pattern, beside = Thing(None, f"{HOST}/a/*"), Thing(None, f"{HOST}/c")
    assert covers(folder, folder)
    assert covers(folder, inside)
    assert covers(pattern, inside)
    assert not covers(inside, folder)
    assert not covers(folder, beside)
    assert not covers(Thing("flight", "1"), Thing("room", "1"))


@pytest.mark.parametrize(
    ("issuer", "subject", "names"),
    [
        ("idp", "travel", ["idp#travel"]),
        ("https://idp", "travel", ["https://idp#travel"]),
        ("", "travel", ["#travel", "travel"]),
        ("hr", "spiffe://x/travel", ["hr#spiffe://x/travel"]),
        ("x", "spiffe://x/travel", ["x#spiffe://x/travel", "spiffe://x/travel"]),
        ("spiffe://x", "spiffe://x/travel", ["spiffe://x#spiffe://x/travel", "spiffe://x/travel"]),
    ],
)
def test_whoever_would_be_registered_under_a_name_is_found_by_it(issuer: str, subject: str, names: list[str]) -> None:
    assert agents_named(issuer, subject) == names
    assert all(f"{issuer}#{subject}" in keys_of_agent(name) for name in names)


@pytest.mark.parametrize(
    ("audience", "called", "fits"),
    [
        ("flights", "flights", True),
        ("flights", "Flights", False),
        ("https://api.example", "https://API.example:443/", True),
        ("https://api.example", "https://api.example/v1", True),
        ("https://api.example/v1", "https://api.example", False),
        ("https://api.example/v1", "https://api.example/v10", False),
        ("https://api.example/v1?x=1", "https://api.example/v1", False),
        ("https://api.example", "http://api.example", False),
        ("https://api.example", "https://api.example.evil.test", False),
        ("https://api.example", "api.example", False),
    ],
)
def test_an_audience_is_whoever_is_called_or_has_it_below_its_path(audience: str, called: str, fits: bool) -> None:
    assert is_for(audience, called) == fits


@pytest.mark.parametrize(
    ("given", "asked", "covered"),
    [
        ("book", "book", True),
        ("book", "booking", False),
        ("flight:*", "flight:book", True),
        ("flight:*", "flights", False),
        ("https://mail.example/.default", "Mail.Read", True),
        ("https://mail.example/.default", "https://mail.example/Mail.Read", True),
        ("https://mail.example/.default", "https://files.example/Files.Read", False),
        ("https://mail.example/Mail.Read", "Mail.Read", True),
        ("Mail.Read", "https://mail.example/Mail.Read", True),
        ("https://mail.example/Mail.Read", "https://files.example/Mail.Read", False),
        ("https://mail.example/Mail.Read", "Mail.Send", False),
        ("https://mail.example/", "Mail.Send", False),
        ("", "book", False),
    ],
)
def test_a_scope_stands_for_another_only_where_its_words_say_so(given: str, asked: str, covered: bool) -> None:
    assert covers_scope(given, asked) == covered
