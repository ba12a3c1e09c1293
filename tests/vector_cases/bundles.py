"""Trust bundles, which are refused whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ledger.trust.keys import b64url, jwk_of
from tests.sealing import KEY, LEDGER, ROOT, bundle_of, key_statement
from tests.vector_cases.case import OTHER, Case


def cases() -> Iterator[Case]:
    two = bundle_of(key_statement(), key_statement(OTHER))
    one_line, other_line = two.splitlines(keepends=True)
    text = one_line.decode()
    loose = text.replace('","statement"', '", "statement"').encode()
    signature = text.index('"signature":"') + len('"signature":"')
    flipped = text[:signature] + ("B" if text[signature] == "A" else "A") + text[signature + 1 :]
    for name, title, bad in (
        ("cut-short", "the last line has no end", two[:-1]),
        ("half-line", "the last line is cut", one_line + other_line[:40] + b"\n"),
        ("swapped", "two lines in the other order", other_line + one_line),
        ("first-missing", "the first line is missing", other_line),
        ("repeated", "a line twice", one_line + one_line),
        ("blank-line", "an empty line", one_line + b"\n"),
        ("other-root", "signed by another root key", bundle_of(key_statement(), root=OTHER)),
        ("other-ledger", "for another ledger", bundle_of(key_statement(), ledger="other.example")),
        ("not-canonical", "a space in the JSON", loose),
        ("signature", "a changed signature", flipped.encode()),
        ("not-json", "no JSON", b"trust me\n"),
        ("not-utf8", "a line that is not UTF-8", b"\xff\xfe\n"),
    ):
        yield Case(f"bundle-{name}", title, [], bundle=bad, refused_bundle=True)
    for name, title, statement in (
        ("type", "an unknown type of statement", {"type": "blessing"}),
        ("role", "an unknown role", key_statement(role="friend")),
        ("no-tenants", "no tenant", key_statement(tenants=[])),
        ("time", "a negative time", key_statement(**{"from": -1})),
        (
            "reserved",
            "a key of a reserved algorithm",
            key_statement(key={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        ),
        ("private", "a private key", key_statement(key={**jwk_of(KEY.public.raw), "d": "AA"})),
        ("short-key", "a key of 31 bytes", key_statement(key={**jwk_of(KEY.public.raw), "x": b64url(bytes(31))})),
    ):
        yield Case(f"bundle-{name}", title, [], bundle=_unchecked(statement), refused_bundle=True)
    whole = {**key_statement(), "number": 1, "previous": "0" * 64, "ledger": LEDGER}
    yield Case("bundle-number", "numbers begin at 1", [], bundle=_line(whole), refused_bundle=True)
    whole = {**key_statement(), "number": False, "previous": "0" * 64, "ledger": LEDGER}
    yield Case("bundle-number-false", "a number that is false", [], bundle=_line(whole), refused_bundle=True)


def _unchecked(statement: dict[str, Any]) -> bytes:
    """A first line that is well signed, whatever it says."""
    return _line({**statement, "number": 0, "previous": "0" * 64, "ledger": LEDGER})


def _line(whole: dict[str, Any]) -> bytes:
    import rfc8785

    signature = b64url(ROOT.sign(b"answerable/trust/v1\0" + rfc8785.dumps(whole)))
    return rfc8785.dumps({"signature": signature, "statement": whole}) + b"\n"
