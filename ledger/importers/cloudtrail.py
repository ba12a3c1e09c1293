"""CloudTrail records: every call is an ``api_action``, every call that issued credentials also a ``token_issuance``.

A call under a role leads by its access key to the issuance with that key, which is the ``result_of`` the call of AssumeRole,
whose principal is its caller. The keys are identifiers and stay readable; session tokens and secret keys never do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from ledger.format.event import RESULT_OF
from ledger.format.kinds import ApiAction, Authentication, TokenIssuance, TokenReference
from ledger.importers.account import Refusal
from ledger.importers.cloudtrail_call import activity, is_personal, operation, outcome, resource, time_of
from ledger.importers.cloudtrail_identity import Identity, account_arn, identity_of, issuer_of, user_person
from ledger.importers.draft import Draft, Imported, Publication, refusal_of
from ledger.importers.json_text import (
    Json,
    Refused,
    Table,
    Twice,
    clean,
    digest_of,
    dumps,
    nested,
    parse,
    table,
    text,
)
from ledger.importers.redaction import mask_all, redact

MEDIA_TYPE: Final = "application/vnd.answerable.cloudtrail-record+json"
GIVES_SECRETS: Final = frozenset(
    {
        "GetSecretValue", "BatchGetSecretValue", "GetPasswordData", "GetParameter", "GetParameters", "GetParametersByPath",
        "GetParameterHistory", "Decrypt", "GenerateDataKey", "GenerateDataKeyPair", "GenerateRandom", "GetRandomPassword",
        "GetAuthorizationToken", "GetLoginProfile", "ExportCertificate", "CreateKeyPair", "GetSigninToken",
        "GetOpenIdToken", "GetOpenIdTokenForDeveloperIdentity", "InitiateAuth", "AdminInitiateAuth",
        "RespondToAuthChallenge", "CreateToken", "CreateTokenWithIAM", "GetSessionToken", "DescribeInstanceAttribute",
    }
)  # fmt: skip
"""Calls whose answer is a secret: of it only identifiers are kept."""
_IDENTIFIERS: Final = re.compile(
    r"(arn|id|ids|name|names|type|date|status|expiration|version|versionid|createdate|lastmodifieddate|keyspec|"
    r"keyfingerprint|xmlns|attribute|architecture)\Z",
    re.IGNORECASE,
)


def records_in(document: Json) -> Iterator[Json | Refusal]:
    """The records of a document, in whatever wrapping exports put them."""
    if isinstance(document, list):
        for each in document:
            yield from records_in(each) if isinstance(each, dict) else [each]
        return
    if isinstance(document, Twice):
        yield Refusal("duplicate_key", "an object names a member twice")
        return
    outer = table(document)
    for name, inner in (
        ("Records", None),
        ("Events", "CloudTrailEvent"),
        ("logEvents", "message"),
        ("events", "message"),
    ):
        if isinstance(listed := outer.get(name), list):
            for each in listed:
                yield each if inner is None else _embedded(table(each).get(inner))
            return
    if "logFiles" in outer and "digestStartTime" in outer:
        yield Refusal("digest_file", "a digest file holds no records")
        return
    for name in ("detail", "eventData"):
        if "eventName" not in outer and isinstance(inner_record := outer.get(name), dict):
            yield inner_record
            return
    yield _embedded(outer["CloudTrailEvent"]) if "CloudTrailEvent" in outer else document


def read_record(publication: Publication, record: Json) -> Imported | Refusal:
    """What one record becomes. Never raises, whatever the record."""
    try:
        return _read(publication, clean(record))
    except Refused as error:
        return refusal_of(error)


def _embedded(value: Json) -> Json | Refusal:
    """The record in a string, as the event history and log groups keep it."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except Refused as error:
        return refusal_of(error)


def _read(publication: Publication, cleaned: Json) -> Imported:
    if not isinstance(cleaned, dict):
        raise Refused("not_a_record", "not an object")
    if "insightDetails" in cleaned:
        raise Refused("not_an_action", "an Insights record tells of many calls")
    if text(cleaned.get("eventName")) is None:
        raise Refused("not_a_record", "no eventName")
    mask = publication.derivation.masked
    record = redact(cleaned, mask)
    if record["eventName"] in GIVES_SECRETS and record.get("responseElements"):
        record["responseElements"] = mask_all(
            record["responseElements"], mask, lambda name: bool(_IDENTIFIERS.search(name))
        )
    at = time_of(record.get("eventTime"))
    if at is None:
        raise Refused("bad_time", "eventTime is missing or malformed")
    draft = Draft(publication, _name_of(cleaned), at)
    identity = identity_of(record)
    _describe_caller(draft, record, identity)
    _add_action(draft, record, identity)
    _add_issuances(draft, record, identity, at)
    return draft.finish(MEDIA_TYPE, dumps(record))


def _name_of(record: Table) -> bytes:
    """What makes the record this one: account and eventID; its digest where it has none."""
    if event_id := text(record.get("eventID")):
        return f"cloudtrail\0{text(record.get('recipientAccountId')) or ''}\0{event_id}".encode()
    return b"cloudtrail\0" + sha256(json.dumps(record, sort_keys=True).encode()).digest()


def _describe_caller(draft: Draft, record: Table, identity: Identity) -> None:
    draft.agent_id = identity.agent_id
    draft.agent_instance = draft.derivation.pseudonym(identity.session) if identity.session else None
    if identity.principal is not None:
        draft.principal = draft.person(identity.principal)
    for where in ("requestParameters", "responseElements"):
        named = text(nested(record, where, "userName"))
        if named and record.get("eventSource") == "iam.amazonaws.com":
            draft.subjects.append(user_person(identity.partition, record.get("recipientAccountId"), named).key)
    if identity.session:
        account = account_arn(identity.partition, nested(record, "userIdentity", "accountId"))
        draft.subjects.append(f"{account}#{identity.session}")


def _add_action(draft: Draft, record: Table, identity: Identity) -> None:
    derivation = draft.derivation
    source = text(record.get("eventSource"))
    ended = outcome(record)
    parameters = record.get("requestParameters")
    touched, touched_type = resource(record)
    if touched is not None and is_personal(touched):
        touched = derivation.pseudonym(touched)
    payload = ApiAction(
        action_id=derivation.fitting(_action_id(record, draft)),
        phase="completed",
        operation=derivation.fitting(operation(record)),
        activity=activity(record),
        resource_type=_fitting(draft, touched_type),
        resource=_fitting(draft, touched),
        target_system=_fitting(draft, source),
        domain="api",
        token=_key_reference(identity.partition, identity.access_key),
        parameter_digest=None if parameters is None else digest_of(parameters),
        arguments=draft.content("application/json", dumps(parameters)) if parameters else None,
        result=draft.content("application/json", dumps(record["responseElements"]))
        if record.get("responseElements")
        else None,
        outcome=ended,
        effect="none" if ended == "denied" else "full" if ended == "success" else None,
        status=_fitting(draft, text(record.get("errorCode"))),
        error_type=_fitting(draft, text(record.get("errorCode"))),
        observer="importer",
        origin=_origin(draft, record),
    )
    names = (("request", "requestID"), ("aws_event", "eventID"), ("shared_event", "sharedEventID"))
    correlation = [f"{namespace}:{held}" for namespace, name in names if (held := text(record.get(name)))]
    draft.event("action", payload, correlation=correlation)


def _add_issuances(draft: Draft, record: Table, identity: Identity, at: int) -> None:
    """An issuance for each access key in the answer, or a refused one where AssumeRole and its like failed."""
    name = record["eventName"]
    issues = record.get("eventSource") == "sts.amazonaws.com" and re.match(r"Assume|Get(Session|Federation)Token", name)
    keys = [] if re.match(r"(List|Delete|Update|Describe)", name) else _keys_in(record.get("responseElements"), 6)
    if not keys and issues and record.get("errorCode"):
        draft.event("issuance", _issuance(draft, record, identity, at, None), because=[("action", RESULT_OF)])
    for number, credentials in enumerate(keys[:16]):
        role = f"issuance/{number}" if number else "issuance"
        draft.event(role, _issuance(draft, record, identity, at, credentials), because=[("action", RESULT_OF)])


def _issuance(draft: Draft, record: Table, identity: Identity, at: int, credentials: Table | None) -> TokenIssuance:
    service = (text(record.get("eventSource")) or "").partition(".")[0]
    subject = draft.principal
    if credentials is not None and (named := text(credentials.get("userName"))):
        subject = draft.person(user_person(identity.partition, record.get("recipientAccountId"), named))
    role = text(nested(record, "requestParameters", "roleArn")) or text(
        nested(record, "responseElements", "assumedRoleUser", "arn")
    )
    key = None if credentials is None else text(credentials.get("accessKeyId"))
    audience = text(nested(record, "responseElements", "audience"))
    return TokenIssuance(
        status="issued" if key else "refused",
        error_type=_fitting(draft, text(record.get("errorCode"))),
        token=_key_reference(identity.partition, key),
        token_type="aws:temporary" if key is None or key.startswith("ASIA") else "aws:long-term",
        grant_type=draft.derivation.fitting(f"{service}:{record['eventName']}"),
        subject=subject,
        audiences=(audience,) if audience else (),
        roles=(draft.derivation.fitting(role),) if role else (),
        issued_at=at if key else None,
        expires_at=time_of(credentials.get("expiration")) if credentials else None,
        subject_token=_key_reference(identity.partition, identity.access_key),
        authentication=Authentication(issuer=issuer_of(identity.partition), amr=("mfa",)) if identity.mfa else None,
        verification="none",
        observer="importer",
    )


def _keys_in(value: Json, depth: int) -> list[Table]:
    """Every object in an answer that holds an access key."""
    if depth == 0:
        return []
    if isinstance(value, list):
        return [found for each in value for found in _keys_in(each, depth - 1)]
    inner = table(value)
    own = [inner] if text(inner.get("accessKeyId")) else []
    return own + [
        found for each in inner.values() if isinstance(each, dict | list) for found in _keys_in(each, depth - 1)
    ]


def _key_reference(partition: str, key: str | None) -> TokenReference | None:
    return TokenReference(issuer=issuer_of(partition), jti=key) if key and len(key) <= 256 else None


def _action_id(record: Table, draft: Draft) -> str:
    """The same in the accounts of caller and resource, which share an id."""
    return text(record.get("sharedEventID")) or text(record.get("eventID")) or draft.event_id("action").hex()


def _fitting(draft: Draft, value: str | None) -> str | None:
    return None if value is None else draft.derivation.fitting(value)


def _origin(draft: Draft, record: Table) -> str | None:
    """An AWS service by its name, any other address as a pseudonym."""
    address = text(record.get("sourceIPAddress"))
    if address is None:
        return None
    named = address == "AWS Internal" or address.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return draft.derivation.fitting(address) if named else draft.derivation.pseudonym(address)
