# ruff: noqa: E501 - a row a case
"""Records that the bundle does not trust, and those that it just does."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sealing import CHAIN, KEY, SECOND, START, bundle_of, event, key_statement, opening, seal
from tests.vector_cases.case import CLEAN, DAY, HOUR, OTHER, Case, Sent, one, refused, rejected


def cases() -> Iterator[Case]:
    events = [opening(), event(1)]
    made = seal(events)
    value = made.value
    yield rejected("wrong_ledger", "other", "sealed for another ledger", seal(events, ledger="other.example").value)
    yield rejected("wrong_key", "other", "the record key is another chain's", value, key=bytes(16))
    yield rejected("wrong_key", "none", "no record key", value, key=None)
    yield rejected("wrong_key", "longer", "the record key has a byte more", value, key=CHAIN + b"\0")
    yield rejected("unknown_key", "never-named", "a key that no statement names", seal(events, key=OTHER).value)
    only = bundle_of({"type": "revocation", "key_id": KEY.key_id, "from": START + DAY})
    yield rejected("unknown_key", "only-revoked", "a key that only a revocation names", value, bundle=only)
    yield rejected("unknown_key", "empty-bundle", "a bundle of no bytes trusts nobody", value, bundle=b"")
    other = bundle_of(key_statement(tenants=["other"]))
    yield rejected("wrong_scope", "tenant", "a key for another tenant", value, bundle=other)
    other = bundle_of(key_statement(services=["other"]))
    yield rejected("wrong_scope", "service", "a key for another service", value, bundle=other)
    crossed = bundle_of(key_statement(tenants=["other"]), key_statement(services=["other"]))
    yield rejected(
        "wrong_scope", "crossed", "one statement for the tenant, another for the service", value, bundle=crossed
    )
    for name, title, tenant, tenants in (
        ("normal-form", "a tenant in another normal form of Unicode", "acm\u00e9", ["acme\u0301"]),
        ("case", "a tenant with another capital", "acme", ["Acme"]),
        ("pattern", "a star within a name is a letter", "acme", ["a*", "ac*e", "**"]),
        ("star", "a seal for a tenant called *", "*", ["acme"]),
        ("space", "a tenant with a space after it", "acme ", ["acme"]),
    ):
        named = bundle_of(key_statement(tenants=tenants))
        yield rejected("wrong_scope", name, title, seal(events, tenant=tenant).value, bundle=named)
    cased = seal(events, ledger="Ledger.example").value
    yield rejected("wrong_ledger", "case", "a ledger with another capital", cased)
    nameless = Sent(seal([opening()], tenant="", service=""))
    empty = bundle_of(key_statement(tenants=[""], services=["other", ""]))
    yield one("good-empty-names", "a tenant and a service of no letters", nameless, bundle=empty)
    at = START + 2 * SECOND
    for name, title, start, reason in (
        ("before", "revoked before append time", at - 1, "revoked_key"),
        ("at", "revoked from append time on", at, "revoked_key"),
        ("after", "revoked after append time: admitted", at + 1, None),
    ):
        revoked = bundle_of(key_statement(), {"type": "revocation", "key_id": KEY.key_id, "from": start})
        sent = Sent(made, refused(reason) if reason else CLEAN)
        yield one(f"{'revoked_key' if reason else 'good-revoked'}-{name}", title, sent, bundle=revoked)
    back = [{"type": "revocation", "key_id": KEY.key_id, "from": each} for each in (at - HOUR, at + HOUR)]
    dated = bundle_of(back[1], key_statement(), back[0], key_statement())
    yield rejected("revoked_key", "dated-back", "the earliest of two revocations holds, and no later statement lifts it", value, bundle=dated)  # fmt: skip
    both = bundle_of(key_statement(tenants=["other"]), {"type": "revocation", "key_id": KEY.key_id, "from": at})
    yield rejected("revoked_key", "and-out-of-scope", "revocation comes before scope", value, bundle=both)
    for name, title, spans, holds in (
        ("not-yet", "appended before the key's from", [(at + 1, None)], False),
        ("at-until", "appended at the key's until", [(START, at)], False),
        ("until-before-from", "an until before its from never holds", [(at, START), (at, at)], False),
        ("between", "appended between two statements", [(START, at), (at + 1, None)], False),
        ("beside-none", "another statement holds: admitted", [(at, START), (START, None)], True),
        ("at-from", "appended at the key's from: admitted", [(at, None)], True),
    ):
        spanned = bundle_of(*(key_statement(**{"from": low, "until": high}) for low, high in spans))
        sent = Sent(made, CLEAN if holds else refused("expired_key"))
        yield one(f"{'good-key' if holds else 'expired_key'}-{name}", title, sent, bundle=spanned)
