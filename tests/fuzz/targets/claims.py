"""What comes with a call: headers of context, tokens, and texts that may hold a token."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from ledger.format.kinds import TokenIssuance, check
from ledger.recorder.context import Remote
from ledger.recorder.headers import LONGEST, read_headers, write_context, write_traceparent
from ledger.recorder.secrets import fault_of_bytes
from ledger.recorder.tokens import issuance_fields, read_jwt, token_reference
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces

PUMPED = 30_000
"""Bytes to which a text is repeated, to see that time grows with length alone."""
_EVENT = bytes.fromhex("018f4c1e6a007cc398c4dc0c0c07398f")


def headers(data: bytes) -> None:
    """Parts are traceparent, context, and other headers' names and values; as bytes of HTTP are decoded, and as UTF-8."""
    for encoding in ("latin-1", "utf-8"):
        parts = [each.decode(encoding, "surrogateescape") for each in pieces.split(data)] or [""]
        named = {"Traceparent": parts[0], **dict(zip(parts[2::2], parts[3::2], strict=False))}
        if len(parts) > 1:
            named["answerable-context"] = parts[1]
        _read(named)


def _read(named: dict[str, str]) -> None:
    found = read_headers(named)
    assert all(len(each) < 100 for each in found.correlation)
    if found.remote is not None:
        again = write_context(found.remote.execution_id, found.remote, found.remote.action_id)
        if len(again) <= LONGEST:  # what was not percent-encoded is longer when it is
            assert read_headers({"Answerable-Context": again}).remote == found.remote
    if found.trace_id is not None and found.parent_span is not None:
        again = write_traceparent(found.trace_id, found.parent_span)
        assert read_headers({"traceparent": again}).trace_id == found.trace_id


def jwt(data: bytes) -> None:
    """Parts are a token's header and claims, encoded here, or one part: the whole token."""
    parts = pieces.split(data)
    if len(parts) == 1:
        token = parts[0].decode("utf-8", "surrogateescape")
    else:
        token = ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in (*parts[:2], b"signature"))
    reading = read_jwt(token)
    fields = issuance_fields(token, None)
    json.dumps(repr(fields))
    assert token_reference(token, reading.claims) == fields["token"]
    person, details = fields.pop("subject"), fields.pop("authorization_details")
    stated = TokenIssuance(
        status="issued",
        observer="issuer",
        verification="none",
        subject=bytes(32) if person else None,
        authorization_details=bytes(32) if details else None,
        **fields,
    )
    check(stated)


def secrets(data: bytes) -> None:
    """A text as it is, and repeated until it is long."""
    once = fault_of_bytes(data)
    if data:
        many = fault_of_bytes(data * (PUMPED // len(data)))
        assert many is not None or once is None


def _headers() -> Iterator[bytes]:
    remote = Remote(_EVENT, bytes(range(32)), _EVENT, "book 1/ü")
    trace = write_traceparent(b"\1" * 16, b"\2" * 8).encode()
    yield pieces.join([trace, write_context(_EVENT, remote, "book 1/ü").encode()])
    yield pieces.join(
        [b"cc" + trace[2:] + b"-more", write_context(None, Remote(_EVENT, None), None).encode(), b"x", b"y"]
    )


def _tokens() -> Iterator[bytes]:
    claims = {
        "iss": "https://idp", "sub": "alice", "jti": "1", "aud": ["a", "b"], "scope": "x y", "iat": 1.5, "exp": 10**9, "acr": "1",
        "amr": ["pwd"], "act": {"sub": "agent", "act": {"sub": "b"}}, "may_act": {"sub": "c"}, "cnf": {"jkt": "k"}, "roles": "r",
        "authorization_details": [{"type": "payment"}], "sid": "s", "txn": "t", "azp": "z",
    }  # fmt: skip
    yield pieces.join([b'{"typ":"at+jwt"}', json.dumps(claims).encode()])
    yield pieces.join([b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x"])


TARGETS = (
    Target("headers", headers, _headers, words=(b"v1;", b";", b"00-", b"%00", b"%ff", b"-01")),
    Target(
        "jwt",
        jwt,
        _tokens,
        words=(b'"act":', b'"cnf":', b'"aud":', b'"scope":', b'"authorization_details":', b"NaN", b"1e400"),
    ),
    Target(
        "secrets",
        secrets,
        lambda: [b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x", b"Authorization: Bearer abcdefghijklmnop12"],
        size=256,
        short=100,
        words=(b"eyJ", b"bearer ", b"dpop ", b"."),
    ),
)
