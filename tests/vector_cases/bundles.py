"""Trust bundles that are refused whole: their lines, and what the statements lack. What JSON they may be is in ``json_text``."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import rfc8785

from ledger.trust.keys import b64url, jwk_of
from tests.sealing import KEY, LEDGER, ROOT, START, bundle_of, key_statement
from tests.vector_cases.case import OTHER, Case

PLAIN = jwk_of(KEY.public.raw)
LABEL = b"answerable/trust/v1\0"


def cases() -> Iterator[Case]:
    for name, title, data in _lines():
        yield bundle_refused(name, title, data)
    for name, title, data in _signatures():
        yield bundle_refused(name, title, data)
    for name, title, second in _second_lines():
        yield bundle_refused(name, title, _first() + signed_line({"ledger": LEDGER, **second}))
    for name, title, statement in (*_statements(), *_keys(), *_revocations()):
        yield bundle_refused(name, title, first_line(statement))
    for member in (
        "type",
        "role",
        "key",
        "tenants",
        "services",
        "kinds",
        "from",
        "until",
        "ledger",
        "number",
        "previous",
    ):
        whole = whole_of(key_statement())
        del whole[member]
        yield bundle_refused(f"missing-{member}", f"a statement without {member}", signed_line(whole))


def bundle_refused(name: str, title: str, data: bytes) -> Case:
    return Case(f"bundle-{name}", title, [], bundle=data, refused_bundle=True)


def whole_of(statement: dict[str, Any]) -> dict[str, Any]:
    """A first statement with what every statement has."""
    return {"number": 0, "previous": "0" * 64, "ledger": LEDGER, **statement}


def first_line(statement: dict[str, Any]) -> bytes:
    """A first line that is well signed, whatever it says."""
    return signed_line(whole_of(statement))


def signed_line(whole: Any) -> bytes:
    return signed_text(rfc8785.dumps(whole))


def signed_text(statement: bytes, signature: str | None = None) -> bytes:
    """A line of exactly these bytes as statement, well signed unless another signature is given."""
    signature = b64url(ROOT.sign(LABEL + statement)) if signature is None else signature
    return b'{"signature":"%s","statement":%s}\n' % (signature.encode(), statement)


def _first() -> bytes:
    return bundle_of(key_statement())


def _lines() -> Iterator[tuple[str, str, bytes]]:
    two = bundle_of(key_statement(), key_statement(OTHER))
    one_line, other_line = two.splitlines(keepends=True)
    yield "cut-short", "the last line has no end", two[:-1]
    yield "half-line", "the last line is cut", one_line + other_line[:40] + b"\n"
    yield "swapped", "two lines in the other order", other_line + one_line
    yield "first-missing", "the first line is missing", other_line
    yield "repeated", "a line twice", one_line + one_line
    yield "blank-line", "an empty line", one_line + b"\n"
    yield "only-line-feed", "a line feed and nothing else", b"\n"
    yield "cr-lf", "lines that end with CR LF", one_line.replace(b"\n", b"\r\n")
    yield "mark", "a byte order mark", b"\xef\xbb\xbf" + one_line
    yield "other-root", "signed by another root key", bundle_of(key_statement(), root=OTHER)
    yield "other-ledger", "for another ledger", bundle_of(key_statement(), ledger="other.example")
    yield "not-json", "no JSON", b"trust me\n"
    yield "not-utf8", "a line that is not UTF-8", b"\xff\xfe\n"
    yield "not-canonical", "a space in the JSON", one_line.replace(b'","statement"', b'", "statement"')
    third = b'{"signature"', b'{"comment":"","signature"'
    yield "third-member", "a member beside signature and statement", one_line.replace(*third)
    yield "no-statement", "a line that is a signature only", one_line[: one_line.index(b',"statement"')] + b"}\n"
    yield "no-signature", "a line that is a statement only", b'{"statement":%s}\n' % rfc8785.dumps(whole_of({}))
    yield "array", "a line that is an array", b'["signature","statement"]\n'
    yield "number-line", "a line that is a number", b"1\n"
    for name, statement in (("array", []), ("string", "key"), ("null", None)):
        yield f"statement-{name}", "a signed statement that is no object", signed_line(statement)


def _signatures() -> Iterator[tuple[str, str, bytes]]:
    statement = rfc8785.dumps(whole_of(key_statement()))
    good = ROOT.sign(LABEL + statement)
    text = b64url(good)
    flipped = ("B" if text[0] == "A" else "A") + text[1:]
    yield "signature", "a changed signature", signed_text(statement, flipped)
    yield "signature-no-label", "a signature without its label", signed_text(statement, b64url(ROOT.sign(statement)))
    yield "signature-padded", "a padded signature", signed_text(statement, text + "==")
    yield "signature-tail-bits", "bits after the signature's last byte", signed_text(statement, _with_tail_bits(text))
    yield "signature-63", "a signature of 63 bytes", signed_text(statement, b64url(good[:-1]))
    yield "signature-65", "a signature of 65 bytes", signed_text(statement, b64url(good + b"\0"))
    yield "signature-number", "a signature that is a number", b'{"signature":1,"statement":%s}\n' % statement
    number = next(n for n in range(99) if set("-_") & set(b64url(ROOT.sign(LABEL + _dated(n)))))
    standard = b64url(ROOT.sign(LABEL + _dated(number))).replace("-", "+").replace("_", "/")
    yield "signature-plus", "a signature in base64's other alphabet", signed_text(_dated(number), standard)


def _dated(number: int) -> bytes:
    return rfc8785.dumps(whole_of(key_statement(**{"from": number})))


def _with_tail_bits(text: str) -> str:
    """base64url whose last digit holds more than the last byte: decoders in use ignore it."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + digits[digits.index(text[-1]) + 1]


def _second_lines() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What follows a good line and does not follow from it."""
    previous = sha256(_first()[:-1]).hexdigest()
    fine = {**key_statement(OTHER), "number": 1, "previous": previous}
    yield "previous-zeros", "a second line that names none before it", {**fine, "previous": "0" * 64}
    whole = sha256(_first()).hexdigest()
    yield "previous-with-end", "the digest of the line before with its end", {**fine, "previous": whole}
    yield "previous-upper", "the digest of the line before in capitals", {**fine, "previous": previous.upper()}
    yield "previous-null", "a null for the digest of the line before", {**fine, "previous": None}
    yield "number-true", "a second number that is true", {**fine, "number": True}
    yield "number-text", "a second number that is a string", {**fine, "number": "1"}
    yield "number-twice", "a second number that is the first", {**fine, "number": 0}
    yield "number-skipped", "a second number that skips one", {**fine, "number": 2}
    yield "ledger-second", "a second line for another ledger", {**fine, "ledger": "other.example"}


def _statements() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "number", "numbers begin at 1", key_statement(number=1)
    yield "number-false", "a number that is false", key_statement(number=False)
    yield "number-null", "a number that is null", key_statement(number=None)
    yield "previous-first", "a first line that names one before it", key_statement(previous=sha256(b"").hexdigest())
    yield "ledger-list", "a ledger that is an array", key_statement(ledger=[LEDGER])
    yield "type", "an unknown type of statement", {"type": "blessing"}
    yield "type-known-members", "an unknown type with the members of a key's", key_statement(type="blessing")
    yield "type-null", "a type that is null", key_statement(type=None)
    yield "role", "an unknown role", key_statement(role="friend")
    yield "role-null", "a role that is null", key_statement(role=None)
    yield "role-list", "a role that is an array", key_statement(role=["source"])
    for member in ("tenants", "services", "kinds"):
        yield f"{member}-text", f"{member} that are a string", key_statement(**{member: "*"})
        yield f"{member}-object", f"{member} that are an object", key_statement(**{member: {"*": "*"}})
        yield f"{member}-number", f"a number among {member}", key_statement(**{member: ["*", 1]})
        yield f"{member}-null", f"a null among {member}", key_statement(**{member: [None]})
        yield f"{member}-empty", f"{member} that are empty", key_statement(**{member: []})
    for member in ("from", "until"):
        for name, value in (
            ("true", True),
            ("false", False),
            ("text", "0"),
            ("float", 0.5),
            ("negative", -1),
            ("list", [0]),
        ):
            yield f"{member}-{name}", f"{member} is {value!r}", key_statement(**{member: value})
    yield "from-null", "from is null", key_statement(**{"from": None})


def _keys() -> Iterator[tuple[str, str, dict[str, Any]]]:
    raw, x = KEY.public.raw, PLAIN["x"]
    for name, title, jwk in (
        ("reserved", "a key of a reserved algorithm", {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        ("kty", "another kty alone", {**PLAIN, "kty": "EC"}),
        ("crv", "another crv alone", {**PLAIN, "crv": "X25519"}),
        ("no-kty", "a key without kty", {"crv": "Ed25519", "x": x}),
        ("no-crv", "a key without crv", {"kty": "OKP", "x": x}),
        ("no-x", "a key without x", {"kty": "OKP", "crv": "Ed25519"}),
        ("x-number", "an x that is a number", {**PLAIN, "x": 5}),
        ("private", "a private key", {**PLAIN, "d": "AA"}),
        ("private-null", "a private key that is null", {**PLAIN, "d": None}),
        ("short-key", "a key of 31 bytes", {**PLAIN, "x": b64url(bytes(31))}),
        ("long-key", "a key of 33 bytes", {**PLAIN, "x": b64url(raw + b"\0")}),
        ("key-padded", "a padded x", {**PLAIN, "x": x + "="}),
        ("key-tail-bits", "bits after the key's last byte", {**PLAIN, "x": _with_tail_bits(x)}),
        ("key-text", "a key that is a string", x),
        ("key-null", "a key that is null", None),
    ):
        yield name, title, key_statement(key=jwk)


def _revocations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    fine = {"type": "revocation", "key_id": KEY.key_id, "from": START}
    yield "revocation-no-from", "a revocation without from", {"type": "revocation", "key_id": KEY.key_id}
    yield "revocation-no-key", "a revocation without key_id", {"type": "revocation", "from": START}
    yield "revocation-number", "a revocation of a number", {**fine, "key_id": 7}
    yield "revocation-null", "a revocation of null", {**fine, "key_id": None}
    yield "revocation-negative", "a revocation from before 1970", {**fine, "from": -1}
    yield "revocation-true", "a revocation from true", {**fine, "from": True}
    yield "revocation-never", "a revocation from null", {**fine, "from": None}
