"""Who made a CloudTrail call, as ``userIdentity`` tells it. Never fails, and never guesses a principal.

Users are principals, named by ARN under the account that vouches for them; roles are agents. A role acts for somebody only
where the record itself says for whom: a source identity, IAM Identity Center, or the web identity behind the session. Else
the way to the person leads by the access key to whoever called AssumeRole.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ledger.format.content import Person
from ledger.importers.json_text import Json, Table, nested, table, text

STS: Final = {
    "aws": "https://sts.amazonaws.com",
    "aws-cn": "https://sts.amazonaws.com.cn",
    "aws-us-gov": "https://sts.us-gov-west-1.amazonaws.com",
    "aws-iso": "https://sts.us-iso-east-1.c2s.ic.gov",
    "aws-iso-b": "https://sts.us-isob-east-1.sc2s.sgov.gov",
}
"""The STS endpoint that stands as issuer of a partition's credentials."""
_REGIONS: Final = (("cn-north", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso"))
_WORKLOAD_SUBJECTS: Final = ("system:serviceaccount:", "repo:", "project_path:", "spiffe://")
_SSO: Final = "AWSReservedSSO_"
_SSO_PATH: Final = ":role/aws-reserved/sso.amazonaws.com/"


class Identity(NamedTuple):
    """``session`` is the session's ARN, which may name a person; ``invoked_by`` the AWS service that stood between."""

    principal: Person | None
    agent_id: str | None
    session: str | None
    access_key: str | None
    invoked_by: str | None
    partition: str
    mfa: bool


class Arn(NamedTuple):
    partition: str
    service: str
    region: str
    account: str
    resource: str


def read_arn(value: Json) -> Arn | None:
    """The parts of an ARN, or None."""
    parts = (text(value) or "").split(":", 5)
    return Arn(*parts[1:]) if len(parts) == 6 and parts[0] == "arn" and parts[1] else None


def identity_of(record: Table) -> Identity:
    """Who made the call."""
    user = table(record.get("userIdentity"))
    partition = partition_of(record)
    mfa = nested(user, "sessionContext", "attributes", "mfaAuthenticated")
    return Identity(
        principal=_principal(user, partition),
        agent_id=_agent(user, partition),
        session=text(user.get("arn")) if user.get("type") == "AssumedRole" else None,
        access_key=text(user.get("accessKeyId")),
        invoked_by=text(user.get("invokedBy")),
        partition=partition,
        mfa=mfa is True or mfa == "true",
    )


def partition_of(record: Table) -> str:
    """The partition: by the caller's ARN, the role's, or the region."""
    user = record.get("userIdentity")
    for value in (
        nested(user, "arn"),
        nested(user, "sessionContext", "sessionIssuer", "arn"),
        nested(record, "requestParameters", "roleArn"),
        nested(record, "responseElements", "assumedRoleUser", "arn"),
    ):
        if arn := read_arn(value):
            return arn.partition
    region = text(record.get("awsRegion")) or ""
    return next((partition for start, partition in _REGIONS if region.startswith(start)), "aws")


def issuer_of(partition: str) -> str:
    return STS.get(partition, STS["aws"])


def account_arn(partition: str, account: Json) -> str:
    """The account as the authority that names its users."""
    return f"arn:{partition}:iam::{text(account) or 'unknown'}:root"


def user_person(partition: str, account: Json, name: str) -> Person:
    """An IAM user by name."""
    arn = f"arn:{partition}:iam::{text(account) or 'unknown'}:user/{name}"
    return Person(issuer=account_arn(partition, account), subject=arn, name=name)


def _principal(user: Table, partition: str) -> Person | None:
    account = account_arn(partition, user.get("accountId"))
    name, subject = text(user.get("userName")), text(user.get("arn")) or text(user.get("principalId"))
    kind = user.get("type")
    if behind := _on_behalf_of(user):
        return behind
    if kind in ("IAMUser", "Root", "FederatedUser", "Directory") and subject:
        return Person(issuer=account, subject=subject, name=name)
    if kind in ("SAMLUser", "WebIdentityUser") and (subject := name or subject):
        return _federated(text(user.get("identityProvider")) or account, subject)
    if kind == "AssumedRole":
        return _of_session(user, account)
    if kind == "AWSAccount" and subject and ":" not in subject and subject.startswith("AIDA"):
        return Person(issuer=account, subject=subject)
    service = text(user.get("invokedBy"))
    if kind == "AWSService" and service:
        return Person(issuer="https://amazonaws.com", subject=service, kind="workload")
    return None


def _on_behalf_of(user: Table) -> Person | None:
    """The user of IAM Identity Center for whom the session was made."""
    behind = table(user.get("onBehalfOf"))
    subject, issuer = text(behind.get("userId")), text(behind.get("identityStoreArn"))
    return Person(issuer=issuer or "https://identitystore.amazonaws.com", subject=subject) if subject else None


def _of_session(user: Table, account: str) -> Person | None:
    """For whom a role session acts, where the record says so."""
    context = user.get("sessionContext")
    if source := text(nested(context, "sourceIdentity")) or text(user.get("sourceIdentity")):
        return Person(issuer=account, subject=f"source-identity/{source}", name=source)
    web = table(nested(context, "webIdFederationData"))
    if provider := text(web.get("federatedProvider")):
        attributes = table(web.get("attributes"))
        subject = next((text(held) for name, held in attributes.items() if name.endswith(":sub")), None)
        return _federated(provider, subject) if subject else None
    if named := _of_identity_center(user):
        role, session = named
        return Person(issuer=account, subject=f"{role}/{session}", name=session)
    return None


def _of_identity_center(user: Table) -> tuple[str, str] | None:
    """Role and user of a session of IAM Identity Center, which alone assumes the roles under its path, and names the user.

    The session's name stands in the session's ARN and in its principal id; the path only in the ARN of the role.
    """
    issuer = table(nested(user, "sessionContext", "sessionIssuer"))
    role, session = _role_and_session(text(user.get("arn")))
    role = text(issuer.get("userName")) or role
    session = session or (text(user.get("principalId")) or "").partition(":")[2]
    arn = text(issuer.get("arn"))
    reserved = role is not None and role.startswith(_SSO) and (arn is None or _SSO_PATH in arn)
    return (role, session) if role and session and reserved else None


def _federated(provider: str, subject: str) -> Person:
    kind: Literal["human", "workload"] = "workload" if subject.startswith(_WORKLOAD_SUBJECTS) else "human"
    return Person(issuer=provider, subject=subject, name=subject, kind=kind)


def _agent(user: Table, partition: str) -> str | None:
    """The role, or the AWS service that acts on its own."""
    kind = user.get("type")
    if kind in ("AssumedRole", "Role"):
        if issuer := text(nested(user, "sessionContext", "sessionIssuer", "arn")):
            return issuer
        arn = text(user.get("arn"))
        role, _ = _role_and_session(arn)
        if role:
            account = read_arn(arn)
            return f"arn:{partition}:iam::{account.account if account else ''}:role/{role}"
        return arn if kind == "Role" else None
    service = text(user.get("invokedBy"))
    return f"https://{service}" if kind == "AWSService" and service else None


def _role_and_session(value: str | None) -> tuple[str | None, str | None]:
    arn = read_arn(value)
    parts = arn.resource.split("/") if arn else []
    return (parts[1], parts[-1]) if len(parts) >= 3 and parts[0] == "assumed-role" else (None, None)
