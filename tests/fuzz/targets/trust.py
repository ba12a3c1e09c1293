"""What an auditor was given: the trust bundle, against the stranger's reader of the same bytes; keys; heads of chains."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import rfc8785
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from ledger.format.batch import Chain
from ledger.format.heads import KnownHead, format_heads, parse_heads
from ledger.trust.bundle import TrustBundle, TrustError, prefix_of, read_bundle
from ledger.trust.keys import KeyRefused, b64url, b64url_decode, jwk_of, read_jwk
from tests import stranger
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.sealing import KEY, LEDGER, ROOT, START, bundle_of, key_statement

REVOCATION = {"type": "revocation", "key_id": KEY.key_id, "from": START}
_WORDS = (
    b'"type":"key"', b'"type":"revocation"', b'"until":null', b'"from":', b'"tenants":["*"]', b'"role":"importer"',
    b'"signature"', b'"statement"', b'"number":', b'"previous":', b'"ledger":', b'"kinds":', b'"services":', b'"key":', b'"d":""',
)  # fmt: skip
_DEEP = 256
"""Levels of nesting that every verifier reads (docs/format.md, section 7); beyond them two may differ."""


def bundle(data: bytes) -> None:
    """The file as it is."""
    agree(data)


def signed(data: bytes) -> None:
    """Parts are statements, in RFC 8785 form or not, that the root signs as they are; what chains them is put in."""
    lines = b""
    for number, part in enumerate(pieces.split(data)[:4]):
        previous = sha256(lines.split(b"\n")[-2]).hexdigest() if lines else "0" * 64
        statement = _chained(part, number, previous)
        signature = b64url(ROOT.sign(b"answerable/trust/v1\0" + statement))
        lines += b'{"signature":"%b","statement":%b}\n' % (signature.encode(), statement)
    agree(lines)


def _chained(part: bytes, number: int, previous: str) -> bytes:
    """A statement with number, previous and ledger set right where it is an object and does not say them."""
    try:
        said = json.loads(part)
        if isinstance(said, dict):
            return rfc8785.dumps({"number": number, "previous": previous, "ledger": LEDGER, **said})
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass
    return part


def agree(data: bytes) -> None:
    ours: TrustBundle | None
    try:
        ours = read_bundle(data, ROOT.public, LEDGER)
    except TrustError:
        ours = None
    theirs: list[dict[str, Any]] | None
    try:
        theirs = stranger.read_bundle(data, VerifyKey(ROOT.public.raw), LEDGER)
    except (ValueError, KeyError, TypeError, RecursionError, CryptoError):
        theirs = None
    if _deepest(data) <= _DEEP:
        assert (ours is None) == (theirs is None), (
            f"accepted by us: {ours is not None}, by the stranger: {theirs is not None}"
        )
    if ours is None or theirs is None:
        return
    keys = {each["key_id"] for each in theirs if each["type"] == "key"}
    revoked = [(each["key_id"], each["from"]) for each in theirs if each["type"] == "revocation"]
    earliest = {key_id: min((at for name, at in revoked if name == key_id), default=None) for key_id in keys}
    assert {key_id: key.revoked_from for key_id, key in ours.keys.items()} == earliest
    assert prefix_of(ours, len(ours.lines)).keys.keys() == ours.keys.keys()


def _deepest(data: bytes) -> int:
    """No less than how deep any line nests: brackets inside strings count too."""
    return max((line.count(b"[") + line.count(b"{") for line in data.split(b"\n")), default=0)


def jwk(data: bytes) -> None:
    try:
        key = read_jwk(json.loads(data))
    except (KeyRefused, ValueError, RecursionError):
        return
    assert read_jwk(jwk_of(key.raw)).key_id == key.key_id
    assert key.verifies(b"message", data[:64]) in (False, True)


def heads(data: bytes) -> None:
    """A file of heads: what is read of it and written again is read alike."""
    found = list(parse_heads(io.BytesIO(data), LEDGER))
    again = b"".join(format_heads(found))
    assert list(parse_heads(io.BytesIO(again), LEDGER)) == found


def base64url(data: bytes) -> None:
    assert b64url_decode(b64url(data)) == data
    text = data.decode("utf-8", "replace")
    try:
        decoded = b64url_decode(text)
    except KeyRefused:
        return
    assert b64url(decoded) == text


def _bundles() -> Iterator[bytes]:
    yield bundle_of(key_statement())
    yield bundle_of(key_statement(), REVOCATION, key_statement(until=START + 1, kinds=["prompt", "oversight"]))
    for vector in pieces.vectors():
        if vector["bundle_verdict"] == "refused":
            yield base64.b64decode(vector["bundle"])


def _statements() -> Iterator[bytes]:
    yield pieces.join([rfc8785.dumps(key_statement())])
    yield pieces.join([rfc8785.dumps(key_statement()), rfc8785.dumps(REVOCATION)])
    yield pieces.join([rfc8785.dumps(key_statement(more=[1.5, {"a": True}], until=START))])


def _heads() -> list[bytes]:
    chain = Chain(LEDGER, "acme", "flights", KEY.key_id, bytes(16))
    return [b"".join(format_heads([KnownHead(chain, 3, bytes(32), 7, START)] * 2))]


TARGETS = (
    Target(
        "heads", heads, _heads, short=500, words=(b'"ledger":', b'"seal_number":', b'"sealed_at":', b"true", b"1.0")
    ),
    Target("bundle", bundle, _bundles, words=_WORDS, short=500),
    Target("bundle-signed", signed, _statements, words=_WORDS, short=500),
    Target(
        "jwk", jwk, lambda: [json.dumps(jwk_of(KEY.public.raw)).encode()], words=(b'"kty"', b'"OKP"', b'"EC"', b'"d"')
    ),
    Target("base64url", base64url, lambda: [KEY.key_id.encode(), b""]),
)
