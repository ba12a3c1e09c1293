"""Who is let in: tokens by hash, roles, addresses, hosts; and cursors that are good for their own list only."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import Tokens, check_address, is_loopback, read_tokens
from api.cursors import read_cursor, write_cursor
from api.problems import Forbidden, InvalidRequest, Unauthenticated
from ledger.errors import ConfigurationError

TOKEN = "a token"


def line(token: str = TOKEN, tenant: str = "acme", role: str = "auditor", name: str = "alice") -> str:
    return f"{sha256(token.encode()).hexdigest()} {tenant} {role} {name}\n"


def rewrite(path: Path, text: str, stamp: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(stamp, stamp))


def test_a_token_names_its_tenant_and_role(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# hashes\n\n" + line(tenant="a%20cme"))
    caller = Tokens(path, "default").caller(TOKEN)
    assert (caller.tenant, caller.role, caller.name) == ("a cme", "auditor", "alice")


@pytest.mark.parametrize("sent", [None, "", "another", TOKEN + " ", TOKEN * 1000, "\ud800"])
def test_what_is_not_a_token_of_the_file_is_refused(tmp_path: Path, sent: str | None) -> None:
    path = tmp_path / "tokens"
    path.write_text(line())
    with pytest.raises(Unauthenticated):
        Tokens(path, "default").caller(sent)


def test_a_token_that_was_deleted_from_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    rewrite(path, line() + line("other"), 1)
    tokens = Tokens(path, "default", reload_seconds=-1)
    assert tokens.caller(TOKEN).name == "alice"
    rewrite(path, line("other"), 2)
    with pytest.raises(Unauthenticated):
        tokens.caller(TOKEN)
    assert tokens.caller("other").name == "alice"


@pytest.mark.parametrize(
    "broken", ["not a line", "zz acme auditor alice", f"{'00' * 32} acme owner alice", "00 acme auditor a"]
)
def test_a_file_that_goes_bad_admits_nobody_and_one_that_begins_bad_starts_nothing(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "tokens"
    rewrite(path, line(), 1)
    tokens = Tokens(path, "default", reload_seconds=-1)
    rewrite(path, line() + broken, 2)
    with pytest.raises(Unauthenticated):
        tokens.caller(TOKEN)
    with pytest.raises(ConfigurationError, match="line"):
        Tokens(path, "default")


def test_a_file_of_tokens_that_is_missing_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Tokens(tmp_path / "tokens", "default")


def test_an_empty_file_of_tokens_admits_nobody(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("")
    tokens = Tokens(tmp_path / "tokens", "default")
    assert tokens.required
    with pytest.raises(Unauthenticated):
        tokens.caller(None)


def test_a_role_has_its_rights_and_no_others() -> None:
    callers = read_tokens(line("a", role="auditor") + line("o", role="operator") + line("b", role="admin"))
    allowed = {
        caller.role: [right for right in ("read", "watch") if _may(caller, right)] for caller in callers.values()
    }
    assert allowed == {"auditor": ["read"], "operator": ["watch"], "admin": ["read", "watch"]}


def _may(caller: object, right: str) -> bool:
    try:
        caller.require(right)  # type: ignore[attr-defined]
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104
def test_without_tokens_only_loopback_is_bound(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="ANSWERABLE_API_TOKENS"):
        check_address(host, Tokens(None, "default"))
    (tmp_path / "tokens").write_text(line())
    check_address(host, Tokens(tmp_path / "tokens", "default"))


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("127.0.0.1", True), ("[::1]", True), ("::1", True), ("localhost", True), ("127.0.0.1.evil.org", False)],
)
def test_loopback_is_told_by_the_whole_name(host: str, is_one: bool) -> None:
    assert is_loopback(host) is is_one


SCOPE = ["events", "acme", "kind=prompt"]


@given(st.lists(st.one_of(st.integers(-(2**62), 2**62), st.text(max_size=40)), min_size=1, max_size=4))
def test_a_cursor_gives_back_the_position(position: list[int | str]) -> None:
    cursor = write_cursor(SCOPE, position)
    assert read_cursor(SCOPE, cursor, [type(each) for each in position]) == position


@pytest.mark.parametrize(
    "scope", [["events", "other", "kind=prompt"], ["findings", "acme", "kind=prompt"], ["events", "acme", None]]
)
def test_a_cursor_is_refused_by_every_other_list(scope: list[object]) -> None:
    with pytest.raises(InvalidRequest):
        read_cursor(scope, write_cursor(SCOPE, [1, "a"]), [int, str])


@given(st.text(max_size=60), st.integers(0, 20))
def test_a_forged_cursor_is_refused(text: str, place: int) -> None:
    good = write_cursor(SCOPE, [1, "a"])
    changed = good[:place] + text + good[place:] if text else good[:-1]
    with pytest.raises(InvalidRequest):
        read_cursor(SCOPE, changed, [int, str])


def test_a_cursor_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_cursor(SCOPE, write_cursor(SCOPE, [True]), [int])
