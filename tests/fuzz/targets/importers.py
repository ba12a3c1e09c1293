"""Files of foreign records: whatever they hold, every record becomes events that the format allows, or a refusal."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any
from zlib import crc32

from ledger.format.content import decode_content
from ledger.format.event import decode_header
from ledger.format.kinds import check, from_avro
from ledger.importers.account import REASONS, Refusal
from ledger.importers.cloudtrail import MEDIA_TYPE as CLOUDTRAIL
from ledger.importers.files import documents
from ledger.importers.otlp import MEDIA_TYPE as OTLP
from ledger.importers.redaction import mask_text
from ledger.importers.run import FORMATS
from tests.fuzz.case import Target
from tests.fuzz.targets.scratch import scratch
from tests.importing import PUBLICATION, SCHEMAS, attributes, call, span, trace

PUMPED = 30_000
"""Bytes to which a text is repeated, to see that time grows with length alone."""
_FIRST = 3_000
_FAST, _SLOW = 0.001, 0.005
"""Seconds of processor time for ``_FIRST`` bytes. What takes less than the first and grows with the square is within bounds at
``PUMPED``; what takes more than the other one is not, if it grows with length alone."""


def _import(name: str, data: bytes) -> None:
    format_ = FORMATS[name]
    path = scratch("imports") / "file"
    path.write_bytes(data)
    for document in documents(path):
        for record in [document] if isinstance(document, Refusal) else format_.split(document):
            outcome = record if isinstance(record, Refusal) else format_.read(PUBLICATION, record)
            if isinstance(outcome, Refusal):
                assert outcome.reason in REASONS
                continue
            for event in outcome.events:
                header = decode_header(SCHEMAS, event.header)
                check(from_avro(header.kind, SCHEMAS.decode(event.payload, header.kind)))
                assert SCHEMAS.canonical(event.header)
                assert SCHEMAS.canonical(event.payload)
            for content in outcome.contents:
                kept = decode_content(SCHEMAS, content.value)
                if kept.media_type in (OTLP, CLOUDTRAIL):
                    json.loads(kept.bytes, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def otlp(data: bytes) -> None:
    _import("otlp", data)


def cloudtrail(data: bytes) -> None:
    _import("cloudtrail", data)


def redaction(data: bytes) -> None:
    """A text as it is, and repeated: until it is long where it was slow when it was shorter, and now and then at any rate."""
    text = data.decode("utf-8", "replace")
    mask_text(text, PUBLICATION.derivation.masked)
    if text and (_suspect(text) or crc32(data) % 16 == 0):
        _masked(text, PUMPED)


def _suspect(text: str) -> bool:
    """Whether the text is slow, or took over five times as long when it was four times as long."""
    spent = _masked(text, _FIRST)
    return spent > _FAST and (spent > _SLOW or spent > 5 * _masked(text, _FIRST // 4))


def _masked(text: str, size: int) -> float:
    """Seconds that the text takes, repeated to ``size``."""
    began = time.thread_time()
    mask_text(text * (size // len(text)), lambda _: "x")
    return time.thread_time() - began


def _dumped(*documents: Any) -> Iterator[bytes]:
    for each in documents:
        yield json.dumps(each).encode()


_MESSAGES = '[{"role":"user","content":"hi \\u0041"},{"role":"assistant","tool_calls":[{"id":"call_12345678"}]}]'


def _traces() -> Iterator[bytes]:
    plain = span()
    model = span({"gen_ai.operation.name": "chat", "gen_ai.input.messages": _MESSAGES, "gen_ai.usage.input_tokens": 3})
    tool = span(
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "call_12345678", "url.full": "http://u@h/p?q"},
        parentSpanId="00f067aa0ba902b7",
        links=[{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7"}],
        events=[{"name": "exception", "attributes": attributes({"exception.type": "E"})}],
    )
    flat = span(
        {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "x", "user.id": "u@v"}
    )
    yield from _dumped(trace(plain), trace(model), trace(tool), trace(flat), [trace(plain), trace(tool)], plain)
    yield b"\n".join(_dumped(trace(plain), trace(tool)))
    yield b"".join(_dumped(trace(plain), trace(plain)))
    yield json.dumps(trace(span({"large": 1.5}))).replace("1.5", "1e999").encode()
    yield gzip.compress(json.dumps(trace(plain)).encode(), mtime=0)


def _calls() -> Iterator[bytes]:
    role = {
        "type": "AssumedRole",
        "arn": "arn:aws:sts::1:assumed-role/r/s",
        "accessKeyId": "ASIA1",
        "sessionContext": {},
    }
    issued = {"credentials": {"accessKeyId": "ASIA2", "sessionToken": "t", "expiration": "Jul 30, 2024, 9:46:15 PM"}}
    assume = call(eventSource="sts.amazonaws.com", eventName="AssumeRole", responseElements=issued)
    yield from _dumped(call(), {"Records": [call(userIdentity=role), assume]}, {"CloudTrailEvent": json.dumps(call())})
    yield from _dumped(
        call(errorCode="AccessDenied", requestID=None, eventID=None),
        {"detail": call()},
        {"Events": [{"CloudTrailEvent": "{}"}]},
    )
    yield b"\n".join(_dumped(call(), call(eventName="GetSecretValue", responseElements={"secretString": "s"})))


_OTLP_WORDS = rb"""
"traceId": "attributes": "value": "stringValue": "arrayValue":{"values":[ "kvlistValue": "parts":[ "role":"tool"
"gen_ai.input.messages" "gen_ai.output.messages" \"content\":\"\\ud800\" \\u0000
""".split()
_CLOUDTRAIL_WORDS = b"""
"userIdentity": "eventTime": "eventName": "Records":[ "accessKeyId": "credentials": "resources": "responseElements":
"requestParameters": "sessionIssuer": "AssumedRole" "errorCode":
""".split()
_SECRETS = (
    b"eyJ",
    b"password=",
    b"-----BEGIN PRIVATE KEY-----",
    b"Bearer ",
    b"sk-",
    b"://u:p@",
    b'\\"',
    b"token: ",
    b"AKIA",
    b"sig=",
)

TARGETS = (
    Target("otlp", otlp, _traces, short=500, words=tuple(_OTLP_WORDS)),
    Target("cloudtrail", cloudtrail, _calls, short=500, words=tuple(_CLOUDTRAIL_WORDS)),
    Target(
        "redaction",
        redaction,
        lambda: [b"password: hunter22 and eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x"],
        size=256,
        short=60,
        words=_SECRETS,
    ),
)
