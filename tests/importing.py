"""What tests of the importers share: a fixed secret, records of their own, and a look into what a record became."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ledger.format.content import decode_content
from ledger.format.event import EventHeader, decode_header
from ledger.importers.account import Refusal
from ledger.importers.derivation import Derivation
from ledger.importers.draft import Imported, Publication
from ledger.importers.files import documents
from ledger.importers.index import FileIndex
from ledger.importers.run import FORMATS
from ledger.importers.sink import Sink
from ledger.ports import EVENTS, Log
from ledger.schema_files import load_schemas
from tests.sealing import LEDGER, START, signer

SCHEMAS = load_schemas()
SECRET = b"an importer secret of 32 bytes !"
TENANT = "acme"
PUBLICATION = Publication(SCHEMAS, Derivation(SECRET, TENANT))
DATA = Path(__file__).parents[2] / "shared" / "data"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Stopped:
    """A clock that stands still."""

    def now(self) -> int:
        return START


@contextmanager
def importing_into(log: Log, index: Path) -> Iterator[Sink]:
    """Where an importer puts what it reads: a log, at one moment, with the index of imports in that file."""
    with closing(FileIndex(index, log.identity(EVENTS))) as known:
        yield Sink(
            log=log,
            signer=signer("importer"),
            clock=Stopped(),
            schemas=SCHEMAS,
            known=known,
            ledger=LEDGER,
            tenant=TENANT,
            service="import",
        )


class Seen(NamedTuple):
    """An event as a reader sees it."""

    header: EventHeader
    payload: dict[str, Any]


def data_files(name: str) -> list[Path]:
    """The recorded files of a format; skips where they are not beside the checkout."""
    found = sorted((DATA / name).glob("*.json"))
    if not found:
        pytest.skip(f"no recorded files: {DATA / name} is not beside this checkout")
    return found


def outcomes(format_name: str, path: Path) -> Iterator[Imported | Refusal]:
    """What became of each record of a file."""
    format_ = FORMATS[format_name]
    for document in documents(path):
        for record in [document] if isinstance(document, Refusal) else format_.split(document):
            yield record if isinstance(record, Refusal) else format_.read(PUBLICATION, record)


def seen(imported: Imported | Refusal) -> list[Seen]:
    assert isinstance(imported, Imported), imported
    return [Seen(decode_header(SCHEMAS, each.header), SCHEMAS.decode(each.payload)) for each in imported.events]


def by_kind(imported: Imported | Refusal) -> dict[str, Seen]:
    return {each.header.kind: each for each in seen(imported)}


def texts(imported: Imported | Refusal) -> dict[bytes, str]:
    """Every content, by its digest."""
    assert isinstance(imported, Imported), imported
    return {each.digest: decode_content(SCHEMAS, each.value).bytes.decode() for each in imported.contents}


def person(imported: Imported | Refusal, digest: bytes | None) -> dict[str, Any]:
    assert digest is not None
    named: dict[str, Any] = json.loads(texts(imported)[digest])
    return named


def reason_of(imported: Imported | Refusal) -> str:
    assert isinstance(imported, Refusal), imported
    return imported.reason


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """As OTLP writes them."""
    return [{"key": name, "value": any_value(value)} for name, value in values.items()]


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes(value)}}
    return {"stringValue": value}


def span(of: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A span with attributes ``of``; ``changes`` None leaves a member out."""
    whole = {
        "traceId": TRACE,
        "spanId": "b7ad6b7169203331",
        "name": "work",
        "kind": 1,
        "startTimeUnixNano": "1749650492598000128",
        "endTimeUnixNano": "1749650499588999936",
        "attributes": attributes(of or {}),
        "status": {},
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def trace(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    scopes = [{"scope": {"name": "tests"}, "spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource or {})}, "scopeSpans": scopes}]}


def read_all(format_name: str, document: Any) -> list[Imported | Refusal]:
    format_ = FORMATS[format_name]
    return [each if isinstance(each, Refusal) else format_.read(PUBLICATION, each) for each in format_.split(document)]


def read_span(of: dict[str, Any] | None = None, *, resource: dict[str, Any] | None = None, **changes: Any) -> Any:
    (only,) = read_all("otlp", trace(span(of, **changes), resource=resource))
    return only


def call(**changes: Any) -> dict[str, Any]:
    """A CloudTrail record; ``changes`` None leaves a member out."""
    whole = {
        "eventVersion": "1.09",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDA0000000000000000",
            "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": "111122223333",
            "accessKeyId": "AKIA0000000000000000",
            "userName": "alice",
        },
        "eventTime": "2024-07-30T21:31:15Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetBucketAcl",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.0",
        "requestParameters": {"bucketName": "reports"},
        "responseElements": None,
        "requestID": "REQ-1",
        "eventID": "11111111-2222-3333-4444-555555555555",
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
    }
    return {name: value for name, value in (whole | changes).items() if value is not None or name == "responseElements"}


def read_call(**changes: Any) -> Imported | Refusal:
    (only,) = read_all("cloudtrail", call(**changes))
    return only


Make = Callable[..., Any]
