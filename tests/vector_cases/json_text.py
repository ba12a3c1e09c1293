"""What JSON a statement may be (section 7 of the page): in members that are ignored anything goes, in its RFC 8785 form."""

from __future__ import annotations

from collections.abc import Iterator

import rfc8785

from ledger.trust.keys import jwk_of
from tests.sealing import KEY, START, bundle_of, event, key_statement, opening, seal
from tests.vector_cases.bundles import bundle_refused, signed_text, whole_of
from tests.vector_cases.case import Case, Expected, Sent, one

NUMBERS = (
    "0 -1 1.5 -1.5 4.35 0.002 0.000001 1e-7 1.5e-10 1e-27 5e-324 333333333.3333333 9007199254740991 -9007199254740991"
    " 1e+21 1.5e+21 1e+23 1.7976931348623157e+308"
)
"""As ECMAScript writes them."""
SORTED = '{"\\r":1,"1":2,"\u0080":3,"ö":4,"€":5,"😀":6,"\ufb33":7}'
"""Names by UTF-16 code units: U+1F600 stands before U+FB33."""
STRINGS = '["\\u0000\\b\\t\\n\\f\\r\\u001f\\"\\\\/","\x7f\u2028é€😀"]'


def cases() -> Iterator[Case]:
    yield from _read()
    for name, title, value in _not_canonical():
        yield bundle_refused(f"json-{name}", title, signed_text(_with(value)))


def _with(value: str) -> bytes:
    """A good statement with a further member of exactly this text."""
    return rfc8785.dumps(whole_of(key_statement(further="@"))).replace(b'"@"', value.encode("utf-8", "surrogatepass"))


def _read() -> Iterator[Case]:
    """Bundles that hold, each with a record that shows it."""
    sent = Sent(seal([opening(), event(1)]))
    values = f"[{NUMBERS.replace(' ', ',')},true,false,null,[],{{}},{STRINGS},{SORTED}]"
    title = "a further member with every sort of value"
    yield one("good-bundle-further-member", title, sent, bundle=signed_text(_with(values)))
    # The line is the first level, the statement the second.
    nested = "[" * 254 + "]" * 254
    yield one("good-bundle-256-levels", "256 levels of nesting", sent, bundle=signed_text(_with(nested)))
    jwk = {**jwk_of(KEY.public.raw), "alg": "EdDSA", "kid": "mine", "use": 1.5}
    adding = [key_statement(kinds=["chain_open"]), key_statement(kinds=["chain_heartbeat"], key=jwk)]
    title = "two JWKs of one key, one with further members, are one key"
    yield one("good-bundle-two-jwks", title, sent, bundle=bundle_of(*adding))
    for name, title, revocation in (
        ("revocation-no-thumbprint", "a revocation of what is no thumbprint", {"key_id": ""}),
        ("revocation-members", "a revocation with the members of a key's statement", {"role": "friend", "kinds": 1}),
    ):
        statement = {"type": "revocation", "key_id": "other", "from": START, **revocation}
        yield one(f"good-bundle-{name}", title, sent, bundle=bundle_of(key_statement(), statement))
    roles = bundle_of(key_statement(role="importer"), key_statement(role="source", kinds=["prompt"]))
    yield one("good-bundle-source-later", "a later statement makes it a source", sent, bundle=roles)
    roles = bundle_of(key_statement(role="importer"), key_statement(tenants=["other"]))
    expected = Expected(role="importer")
    title = "a source for another tenant is an importer here"
    yield one("good-bundle-source-elsewhere", title, sent._replace(expected=expected), bundle=roles)
    yield Case("bundle-empty-accepted", "a bundle of no bytes is accepted", [], bundle=b"")


def _not_canonical() -> Iterator[tuple[str, str, str]]:
    for name, value in (
        ("2-53", "9007199254740992"),
        ("minus-2-53", "-9007199254740992"),
        ("1e20", "100000000000000000000"),
        ("5000-digits", "1" * 5000),
    ):
        yield f"integer-{name}", "an integer of 2^53 or more", value
    for name, value in (
        ("fraction-zero", "1.0"),
        ("exponent-plain", "1e21"),
        ("exponent-capital", "1E+21"),
        ("exponent-zero", "1e-07"),
        ("exponent-small", "1e-6"),
        ("exponent-needless", "1e+2"),
        ("minus-zero", "-0"),
        ("minus-zero-float", "-0.0"),
        ("more-digits", "0.10000000000000000"),
        ("beyond-doubles", "1e+999"),
        ("nan", "NaN"),
        ("infinity", "Infinity"),
    ):
        yield f"number-{name}", f"a number written {value}", value
    for name, title, value in (
        ("escape-capital", "an escape in capitals", '"\\u001F"'),
        ("escape-long", "a line feed by its code", '"\\u000a"'),
        ("escape-slash", "an escaped slash", '"\\/"'),
        ("escape-letter", "an escaped letter", '"\\u0061"'),
        ("escape-missing", "a control character as it is", '"\t"'),
        ("half-escaped", "half of a surrogate pair, escaped", '"\\ud83d"'),
        ("half-raw", "half of a surrogate pair in UTF-8", '"\ud83d"'),
        ("half-name", "half of a surrogate pair as a name", '{"\\ude00":1}'),
        ("name-twice", "a name twice", '{"a":1,"a":1}'),
        ("sorted-by-code-point", "names sorted by code point", '{"\ufb33":1,"😀":2}'),
        ("unsorted", "names that are not sorted", '{"b":1,"a":2}'),
        ("space", "a space inside", "[ ]"),
        ("trailing-comma", "a comma after the last", "[1,]"),
        ("single-quotes", "single quotes", "'a'"),
    ):
        yield name, title, value
    yield "too-deep", "10,000 levels of nesting", "[" * 10_000 + "]" * 10_000
