"""What CloudTrail records become: who called what, with which key, and where that key came from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger.attribution.joins import names_of
from ledger.format.hashing import content_digest
from ledger.importers.draft import Imported
from tests.importing import by_kind, call, person, read_all, read_call, reason_of, seen, texts

ROLE = "arn:aws:iam::111122223333:role/deployer"
SESSION = "arn:aws:sts::111122223333:assumed-role/deployer/alice@example.com"
TOKEN = "IQoJb3JpZ2luX2VjEGYaCXVzLWVhc3QtMSJGMEQCIGWKgbykBmpvw3C2tHFJG2Z2EFmm8TFxSMzImeEIU"


def assumed(key: str = "ASIA1111111111111111", **more: Any) -> dict[str, Any]:
    context = {"sessionIssuer": {"type": "Role", "arn": ROLE, "userName": "deployer"}, **more}
    return {
        "type": "AssumedRole",
        "principalId": "AROA1:alice@example.com",
        "arn": SESSION,
        "accountId": "111122223333",
        "accessKeyId": key,
        "sessionContext": context,
    }


def assume_role(issued: str, **changes: Any) -> Any:
    credentials = {"accessKeyId": issued, "expiration": "Jul 30, 2024, 9:46:15 PM", "sessionToken": TOKEN}
    return read_call(
        eventSource="sts.amazonaws.com",
        eventName="AssumeRole",
        requestParameters={"roleArn": ROLE, "roleSessionName": "alice@example.com"},
        responseElements={"credentials": credentials, "assumedRoleUser": {"arn": SESSION}},
        **changes,
    )


def test_a_call_is_an_action_of_its_caller() -> None:
    imported = read_call()
    ((header, payload),) = seen(imported)
    assert header.kind == "api_action"
    assert header.occurred_at == 1_722_375_075_000_000
    assert (payload["operation"], payload["activity"], payload["outcome"]) == ("s3:GetBucketAcl", "read", "success")
    assert (payload["resource"], payload["target_system"]) == ("reports", "s3.amazonaws.com")
    assert payload["observer"] == "importer"
    assert payload["token"]["issuer"] == "https://sts.amazonaws.com"
    assert payload["token"]["jti"] == "AKIA0000000000000000"
    assert person(imported, header.principal) == {
        "issuer": "arn:aws:iam::111122223333:root",
        "subject": "arn:aws:iam::111122223333:user/alice",
        "kind": "human",
        "display_name": "alice",
    }
    assert "request:REQ-1" in header.correlation


def test_the_original_is_kept_and_every_content_is_cited() -> None:
    imported = read_call()
    assert isinstance(imported, Imported)
    ((header, _),) = seen(imported)
    assert set(header.contents) == set(texts(imported))
    assert all(content_digest(each.value) == each.digest for each in imported.contents)
    assert call() in [json.loads(each) for each in texts(imported).values()]


def test_people_and_addresses_stand_in_contents_only() -> None:
    imported = read_call(userIdentity=assumed(), requestParameters={"userName": "bob"}, eventSource="iam.amazonaws.com")
    assert isinstance(imported, Imported)
    for event in imported.events:
        for name in (b"alice", b"bob", b"198.51.100.7"):
            assert name not in event.header + event.payload


def test_assume_role_leads_from_the_key_it_issued_to_its_caller() -> None:
    issuance = by_kind(assume_role("ASIA1111111111111111"))["token_issuance"]
    action = by_kind(assume_role("ASIA1111111111111111"))["api_action"]
    used = by_kind(read_call(userIdentity=assumed(), eventID="other"))["api_action"]
    assert "token:https://sts.amazonaws.com\0ASIA1111111111111111" in names_of(*used)[1]
    assert "token:https://sts.amazonaws.com\0ASIA1111111111111111" in names_of(*issuance)[0]
    assert [(each.event_id, each.digest, each.relation) for each in issuance.header.causes] == [
        (action.header.event_id, None, "result_of")
    ]
    assert issuance.payload["subject"] == action.header.principal is not None
    assert issuance.payload["roles"] == [ROLE]
    assert issuance.payload["grant_type"] == "sts:AssumeRole"
    assert issuance.payload["expires_at"] == 1_722_375_975_000_000
    assert used.header.agent_id == ROLE
    assert used.header.principal is None, "a role acts for nobody until the chain says for whom"


def test_a_role_chain_leads_from_key_to_key() -> None:
    second = by_kind(assume_role("ASIA2222222222222222", userIdentity=assumed()))["token_issuance"]
    answers, follows = names_of(*second)
    assert "token:https://sts.amazonaws.com\0ASIA2222222222222222" in answers
    assert "token:https://sts.amazonaws.com\0ASIA1111111111111111" in follows


def test_a_refused_assume_role_is_a_refused_issuance() -> None:
    found = by_kind(
        read_call(
            eventSource="sts.amazonaws.com",
            eventName="AssumeRole",
            errorCode="AccessDenied",
            errorMessage="no",
            requestParameters=None,
        )
    )
    assert (found["token_issuance"].payload["status"], found["token_issuance"].payload["token"]) == ("refused", None)
    assert (found["api_action"].payload["outcome"], found["api_action"].payload["effect"]) == ("denied", "none")


@pytest.mark.parametrize(
    ("response", "key"),
    [
        ({"credentials": {"accessKeyId": "ASIA3333333333333333"}}, "ASIA3333333333333333"),
        ({"accessKey": {"accessKeyId": "AKIA3333333333333333", "userName": "eve"}}, "AKIA3333333333333333"),
        ({"roleCredentials": {"accessKeyId": "ASIA3333333333333333"}}, "ASIA3333333333333333"),
        ({"credentialSet": [{"credentials": {"accessKeyId": "ASIA3333333333333333"}}]}, "ASIA3333333333333333"),
    ],
)
def test_every_key_in_an_answer_was_issued(response: dict[str, Any], key: str) -> None:
    found = by_kind(read_call(eventName="CreateSomething", responseElements=response))["token_issuance"]
    assert found.payload["token"]["jti"] == key


def test_a_key_made_for_another_user_speaks_for_that_user() -> None:
    imported = read_call(
        eventSource="iam.amazonaws.com",
        eventName="CreateAccessKey",
        responseElements={"accessKey": {"accessKeyId": "AKIA3333333333333333", "userName": "eve"}},
    )
    found = by_kind(imported)["token_issuance"]
    assert person(imported, found.payload["subject"])["subject"].endswith(":user/eve")
    assert person(imported, found.header.principal)["subject"].endswith(":user/alice")


SSO: dict[str, Any] = {
    "type": "AssumedRole",
    "accountId": "1",
    "arn": "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_1",
    "principalId": "AROA1:kim@x.org",
    "sessionContext": {
        "sessionIssuer": {
            "type": "Role",
            "arn": "arn:aws:iam::1:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1",
            "userName": "AWSReservedSSO_Admin_1",
        }
    },
}
"""A session of IAM Identity Center whose name stands in its principal id alone."""


@pytest.mark.parametrize(
    ("identity", "subject", "kind"),
    [
        ({"type": "Root", "arn": "arn:aws:iam::1:root", "accountId": "1"}, "arn:aws:iam::1:root", "human"),
        ({"type": "SAMLUser", "userName": "kim", "identityProvider": "corp"}, "kim", "human"),
        ({"type": "WebIdentityUser", "userName": "repo:o/r:ref", "identityProvider": "gh"}, "repo:o/r:ref", "workload"),
        ({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/x"}, "arn:aws:sts::1:federated-user/x", "human"),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", "workload"),
        ({"type": "AWSAccount", "accountId": "2", "principalId": "AIDA9"}, "AIDA9", "human"),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:s"}}, "u-1", "human"),
        (assumed(sourceIdentity="kim"), "source-identity/kim", "human"),
        (
            assumed(webIdFederationData={"federatedProvider": "oidc", "attributes": {"oidc:sub": "system:serviceaccount:a:b"}}),
            "system:serviceaccount:a:b",
            "workload",
        ),
        (
            {"type": "AssumedRole", "accountId": "1", "arn": "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_1/kim@x.org"},
            "AWSReservedSSO_Admin_1/kim@x.org",
            "human",
        ),
        (SSO, "AWSReservedSSO_Admin_1/kim@x.org", "human"),
    ],
)  # fmt: skip
def test_each_type_of_identity_names_its_principal(identity: dict[str, Any], subject: str, kind: str) -> None:
    imported = read_call(userIdentity=identity)
    ((header, _),) = seen(imported)
    found = person(imported, header.principal)
    assert (found["subject"], found["kind"]) == (subject, kind)


@pytest.mark.parametrize(
    "identity",
    [None, "someone", {}, {"type": "Unknown", "userName": "x"}, {"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL"},
     {"type": "AWSAccount", "accountId": "2", "principalId": "AROA9:session"}, {"type": ["IAMUser"], "arn": 5}, assumed()],
)  # fmt: skip
def test_whoever_is_not_named_is_nobody(identity: Any) -> None:
    ((header, _),) = seen(read_call(userIdentity=identity))
    assert header.principal is None


def test_a_role_that_only_bears_the_name_of_one_of_identity_center_names_nobody() -> None:
    own = {**SSO["sessionContext"]["sessionIssuer"], "arn": "arn:aws:iam::1:role/AWSReservedSSO_Admin_1"}
    ((header, _),) = seen(read_call(userIdentity={**SSO, "sessionContext": {"sessionIssuer": own}}))
    assert header.principal is None


def test_both_accounts_of_a_shared_event_tell_of_one_action() -> None:
    caller = by_kind(read_call(eventID="a", sharedEventID="shared", recipientAccountId="1"))["api_action"]
    owner = by_kind(read_call(eventID="b", sharedEventID="shared", recipientAccountId="2"))["api_action"]
    assert caller.payload["action_id"] == owner.payload["action_id"] == "shared"
    assert caller.header.event_id != owner.header.event_id


def test_a_console_login_that_failed_was_denied() -> None:
    failed = {"ConsoleLogin": "Failure"}
    found = by_kind(read_call(eventName="ConsoleLogin", eventSource="signin.amazonaws.com", responseElements=failed))
    assert found["api_action"].payload["outcome"] == "denied"


def test_what_a_call_for_secrets_gave_is_masked() -> None:
    imported = read_call(
        eventName="GetSecretValue",
        eventSource="secretsmanager.amazonaws.com",
        responseElements={"aRN": "arn:x", "name": "db", "weird": {"member": "hunter2"}, "versionId": "v1"},
        requestParameters={"secretId": "db"},
    )
    kept = " ".join(texts(imported).values())
    assert "hunter2" not in kept
    assert '"versionId":"v1"' in kept


def test_session_tokens_and_user_data_are_masked_and_keys_are_not() -> None:
    imported = assume_role("ASIA1111111111111111")
    kept = " ".join(texts(imported).values())
    assert TOKEN[:30] not in kept
    assert "ASIA1111111111111111" in kept
    secret = read_call(eventName="RunInstances", requestParameters={"userData": "IyEvYmluL2Jhc2gK", "x": 1})
    assert "IyEvYmlu" not in " ".join(texts(secret).values())
    assert by_kind(secret)["api_action"].payload["parameter_digest"] is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"eventName": None}, "not_a_record"),
        ({"eventName": 5}, "not_a_record"),
        ({"eventTime": None}, "bad_time"),
        ({"eventTime": "yesterday"}, "bad_time"),
        ({"eventTime": "1969-12-31T23:59:59Z"}, "bad_time"),
        ({"eventTime": 1e300}, "bad_time"),
        ({"eventTime": True}, "bad_time"),
        ({"insightDetails": {"state": "Start"}}, "not_an_action"),
        ({"requestParameters": {"x": "y" * 9_000_000}}, "too_large"),
    ],
)
def test_a_record_that_is_none_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(read_call(**changes)) == reason


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("2024-07-30T21:31:15Z", 1_722_375_075_000_000),
        ("2024-07-30T21:31:15.250Z", 1_722_375_075_250_000),
        ("2024-07-30T23:31:15+02:00", 1_722_375_075_000_000),
        ("2024-07-30 21:31:15", 1_722_375_075_000_000),
        (1_722_375_075, 1_722_375_075_000_000),
        (1_722_375_075_250, 1_722_375_075_250_000),
    ],
)
def test_times_are_read_as_exports_write_them(time: Any, at: int) -> None:
    ((header, _),) = seen(read_call(eventTime=time))
    assert header.occurred_at == at


@pytest.mark.parametrize(
    "wrap",
    [
        lambda record: {"Records": [record]},
        lambda record: [record],
        lambda record: record,
        lambda record: [{"Records": [record]}],
        lambda record: {"Events": [{"EventId": "x", "CloudTrailEvent": json.dumps(record)}], "NextToken": None},
        lambda record: {"CloudTrailEvent": json.dumps(record)},
        lambda record: {"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": json.dumps(record)}]},
        lambda record: {"detail-type": "AWS API Call via CloudTrail", "detail": record},
        lambda record: {"eventMetadata": {}, "eventData": record},
    ],
)
def test_a_record_is_the_same_in_whatever_it_is_wrapped(wrap: Any) -> None:
    assert read_all("cloudtrail", wrap(call())) == read_all("cloudtrail", call())


def test_what_holds_no_records_is_refused() -> None:
    assert [reason_of(each) for each in read_all("cloudtrail", {"digestStartTime": "x", "logFiles": []})] == [
        "digest_file"
    ]
    assert [reason_of(each) for each in read_all("cloudtrail", ["a", None, 5])] == ["not_a_record"] * 3
    assert [reason_of(each) for each in read_all("cloudtrail", {"Events": [{"CloudTrailEvent": "{"}]})] == ["not_json"]
    assert read_all("cloudtrail", {"Records": []}) == []


def test_a_record_without_id_is_named_by_its_own_digest() -> None:
    once, again = (by_kind(read_call(eventID=None))["api_action"].header.event_id for _ in range(2))
    other = by_kind(read_call(eventID=None, requestID="REQ-2"))["api_action"].header.event_id
    assert once == again != other


def test_the_partition_decides_who_issues_keys() -> None:
    identity = {"type": "IAMUser", "arn": "arn:aws-cn:iam::1:user/x", "accountId": "1", "accessKeyId": "AKIA9"}
    ((_, payload),) = seen(read_call(userIdentity=identity))
    assert payload["token"]["issuer"] == "https://sts.amazonaws.com.cn"


def test_digests_of_parameters_are_those_of_rfc_8785() -> None:
    first, second = (
        seen(read_call(requestParameters=each))[0].payload["parameter_digest"]
        for each in ({"b": 1, "a": 2.0}, {"a": 2, "b": 1})
    )
    assert first == second
