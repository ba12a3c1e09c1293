"""The trust bundle: whole or nothing; who may sign what, when; and what a longer bundle changes."""

from __future__ import annotations

import json

import pytest

from ledger.trust.bundle import EMPTY, NAMED_KINDS, Authority, TrustBundle, TrustError, extend_bundle, read_bundle
from tests.sealing import KEY, LEDGER, ROOT, START, TENANT, bundle_of, key_statement, signer

OTHER = signer("other")
THREE = bundle_of(key_statement(), key_statement(OTHER), {"type": "revocation", "key_id": OTHER.key_id, "from": START})


def read(data: bytes) -> TrustBundle:
    return read_bundle(data, ROOT.public, LEDGER)


def authority(*statements: dict[str, object], at: int = START, tenant: str = TENANT) -> Authority | str:
    return read(bundle_of(*statements)).authority(KEY.key_id, tenant, "flights", at)


def revocation(start: int) -> dict[str, object]:
    return {"type": "revocation", "key_id": KEY.key_id, "from": start}


def test_a_bundle_cut_short_at_any_byte_is_refused_or_ends_with_a_whole_line() -> None:
    for cut in range(len(THREE)):
        data = THREE[:cut]
        if data.endswith(b"\n") or not data:
            assert read(THREE).extends(read(data).lines)
        else:
            with pytest.raises(TrustError, match="cut short"):
                read(data)


def test_any_changed_byte_is_refused() -> None:
    one = bundle_of(key_statement())
    for at in range(len(one)):
        for flip in (1, 0x20, 0x80):
            with pytest.raises(TrustError):
                read(one[:at] + bytes([one[at] ^ flip]) + one[at + 1 :])


def test_lines_in_another_order_are_refused() -> None:
    first, second, third = THREE.splitlines(keepends=True)
    for wrong in ([second, first, third], [first, third, second], [first, third], [first, first], [second]):
        with pytest.raises(TrustError, match="line"):
            read(b"".join(wrong))


def test_another_root_and_another_ledger_are_refused_and_named() -> None:
    with pytest.raises(TrustError, match="root"):
        read_bundle(THREE, OTHER.public, LEDGER)
    with pytest.raises(TrustError, match="another ledger"):
        read_bundle(THREE, ROOT.public, "other.example")


def test_json_that_is_not_canonical_is_refused() -> None:
    line = json.loads(bundle_of(key_statement()))
    for text in (
        json.dumps(line),
        json.dumps(line, indent=1).replace("\n", ""),
        json.dumps(line, separators=(",", ":"))[::-1],
    ):
        with pytest.raises(TrustError):
            read(text.encode() + b"\n")


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"1", b'"a"', b"null", b"{}", b"[" * 100_000, b"\xff", b"NaN", b"9" * 5000]
)
def test_hostile_lines_are_refused_in_words(line: bytes) -> None:
    with pytest.raises(TrustError):
        read(line + b"\n")


def test_an_empty_bundle_trusts_nobody() -> None:
    assert read(b"") == EMPTY
    assert EMPTY.authority(KEY.key_id, TENANT, "flights", START) == "unknown_key"


def test_a_longer_bundle_extends_a_shorter_and_a_different_one_does_not() -> None:
    whole, shorter = read(THREE), read(bundle_of(key_statement()))
    assert whole.extends(shorter.lines)
    assert not shorter.extends(whole.lines)
    assert not whole.extends(read(bundle_of(key_statement(OTHER))).lines)
    assert extend_bundle(bundle_of(key_statement()), LEDGER, key_statement(OTHER), ROOT.sign) == b"".join(
        THREE.splitlines(keepends=True)[:2]
    )


def test_a_statement_that_means_nothing_is_not_signed() -> None:
    with pytest.raises(ValueError, match="role"):
        bundle_of(key_statement(role="friend"))


@pytest.mark.parametrize(("at", "found"), [(-1, "expired_key"), (0, None), (9, None), (10, "expired_key")])
def test_from_is_included_and_until_is_not(at: int, found: str | None) -> None:
    judged = authority(key_statement(**{"from": START, "until": START + 10}), at=START + at)
    assert judged == found or (found is None and isinstance(judged, Authority))


@pytest.mark.parametrize(("at", "revoked"), [(-1, False), (0, True), (1, True)])
def test_a_revocation_holds_from_its_time_on_wherever_it_stands(at: int, *, revoked: bool) -> None:
    for statements in ([key_statement(), revocation(START)], [revocation(START), key_statement()]):
        assert (authority(*statements, at=START + at) == "revoked_key") == revoked


def test_a_revocation_dated_back_wins_over_a_later_one_and_no_statement_lifts_it() -> None:
    statements = [key_statement(), revocation(START + 100), revocation(START), key_statement()]
    assert authority(*statements, at=START + 1) == "revoked_key"


def test_a_revoked_key_is_revoked_whatever_its_scope() -> None:
    assert authority(key_statement(tenants=["other"]), revocation(START)) == "revoked_key"


def test_tenant_and_service_are_named_by_one_statement() -> None:
    assert authority(key_statement(tenants=["other"])) == "wrong_scope"
    assert authority(key_statement(tenants=["other"]), key_statement(services=["other"])) == "wrong_scope"
    assert isinstance(authority(key_statement(tenants=["*"], services=["flights"])), Authority)
    assert authority(key_statement(), tenant="acm") == "wrong_scope"


def test_the_star_leaves_out_the_kinds_that_must_be_named() -> None:
    star = authority(key_statement())
    named = authority(key_statement(kinds=["*", "oversight"]))
    assert isinstance(star, Authority)
    assert isinstance(named, Authority)
    assert star.allows("prompt")
    assert star.allows("a kind of tomorrow")
    assert not any(star.allows(kind) for kind in NAMED_KINDS)
    assert [kind for kind in sorted(NAMED_KINDS) if named.allows(kind)] == ["oversight"]


def test_statements_of_one_key_add_up_while_they_hold() -> None:
    importer = key_statement(kinds=["prompt"], role="importer")
    source = key_statement(kinds=["grant"], until=START + 1)
    both, later = authority(importer, source), authority(importer, source, at=START + 1)
    assert isinstance(both, Authority)
    assert isinstance(later, Authority)
    assert (both.role, later.role) == ("source", "importer")
    assert [both.allows(kind) for kind in ("prompt", "grant", "handoff")] == [True, True, False]
    assert not later.allows("grant")
