"""The facts of one CloudTrail call: what was called, on what, with what outcome, when. Nothing here raises."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, Literal

from ledger.importers.cloudtrail_identity import read_arn
from ledger.importers.json_text import Json, Table, items, nested, table, text

Activity = Literal["create", "read", "update", "delete", "other"]
Outcome = Literal["success", "failure", "denied", "unknown"]
_DENIED: Final = re.compile(
    r"AccessDenied|Unauthori[sz]ed|NotAuthorized|Forbidden|AuthFailure|InvalidClientTokenId|ExpiredToken|SignatureDoesNotMatch|"
    r"OptInRequired|Failed authentication",
    re.IGNORECASE,
)
_ACTIVITIES: Final[tuple[tuple[Activity, re.Pattern[str]], ...]] = (
    (
        "read",
        re.compile(
            r"(Get|List|Describe|BatchGet|Head|Lookup|Search|Query|Scan|Select|View|Check|Test|Validate|Simulate|Estimate)"
        ),
    ),
    ("delete", re.compile(r"(Delete|Terminate|Remove|Deregister|Purge|BatchDelete|Destroy|Release)")),
    ("create", re.compile(r"(Create|Run|Allocate|Register|Import|Copy|Upload|Issue|Request|Generate)")),
    (
        "update",
        re.compile(
            r"(Put|Update|Modify|Attach|Detach|Associate|Disassociate|Set|Tag|Untag|Start|Stop|Reboot|Enable|Disable|Add|Change|"
            r"Reset|Replace|Restore|Rotate|Authorize|Revoke|Move|Leave|Join|Share|Write|Batch)"
        ),
    ),
)
_NAMING: Final = (
    "roleArn", "resourceArn", "functionName", "bucketName", "instanceId", "secretId", "keyId", "tableName", "queueUrl",
    "topicArn", "trailName", "clusterName", "cluster", "dBInstanceIdentifier", "dBSnapshotIdentifier", "snapshotId", "imageId",
    "volumeId", "groupId", "vpcId", "subnetId", "modelId", "policyArn", "roleName", "groupName", "stackName", "domainName",
    "repositoryName", "logGroupName", "streamName", "stateMachineArn", "documentName", "name", "arn", "resourceId", "target",
)  # fmt: skip
"""Request parameters that name the resource, where the record lists none."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LOCALE_TIME: Final = re.compile(r"([A-Z][a-z]{2}) (\d{1,2}),? (\d{4}),? (\d{1,2}):(\d{2}):(\d{2})\s([AP])M")
_PERSONAL: Final = ("user/", "assumed-role/", "federated-user/", "mfa/", "u2f/", "sms-mfa/")


def operation(record: Table) -> str:
    source = text(record.get("eventSource")) or "unknown"
    return f"{source.removesuffix('.amazonaws.com')}:{record['eventName']}"


def activity(record: Table) -> Activity:
    name = str(record["eventName"])
    if record.get("readOnly") is True and not name.startswith("Assume"):
        return "read"
    return next((activity for activity, verbs in _ACTIVITIES if verbs.match(name)), "other")


def outcome(record: Table) -> Outcome:
    error = text(record.get("errorCode"))
    login = nested(record, "responseElements", "ConsoleLogin")
    if error and _DENIED.search(error):
        return "denied"
    if login == "Failure" or (record.get("eventName") == "ConsoleLogin" and record.get("errorMessage")):
        return "denied"
    if error or record.get("errorMessage"):
        return "failure"
    return "success"


def resource(record: Table) -> tuple[str | None, str | None]:
    """The resource and its type: the first that the record lists, else the parameter that names one."""
    for each in items(record.get("resources")):
        if arn := text(table(each).get("ARN")) or text(table(each).get("arn")):
            return arn, text(table(each).get("type"))
    parameters = table(record.get("requestParameters"))
    if named := text(parameters.get("userName")):
        return f"user/{named}", "AWS::IAM::User" if record.get("eventSource") == "iam.amazonaws.com" else None
    bucket, key = text(parameters.get("bucketName")), text(parameters.get("key"))
    if bucket and key:
        return f"arn:aws:s3:::{bucket}/{key}", "AWS::S3::Object"
    found = next((text(parameters[name]) for name in _NAMING if text(parameters.get(name))), None)
    listed = items(nested(parameters, "instancesSet", "items"))
    return found or (text(table(listed[0]).get("instanceId")) if listed else None), None


def is_personal(resource: str) -> bool:
    arn = read_arn(resource)
    return (arn.resource if arn else resource).startswith(_PERSONAL)


def time_of(value: Json) -> int | None:
    """µs UTC of an ISO time, a time as the STS prints it, or seconds or milliseconds since 1970; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if value > 100_000_000_000 else value
        return int(seconds * 1_000_000) if 0 <= seconds < 253_402_300_800 else None
    written = text(value)
    if written is None or len(written) > 64:
        return None
    try:
        moment = _locale_time(written) or datetime.fromisoformat(written.replace(" UTC", "Z"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _locale_time(written: str) -> datetime | None:
    found = _LOCALE_TIME.fullmatch(written)
    if found is None or found[1] not in _MONTHS:
        return None
    hour = int(found[4]) % 12 + (12 if found[7] == "P" else 0)
    return datetime(
        int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2]), hour, int(found[5]), int(found[6]), tzinfo=UTC
    )
