"""Secrets are found by name and by shape, and a keyed digest stands in their place."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.importers.redaction import mask_text, redact

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SESSION = "IQoJb3JpZ2luX2VjEGYaCXVzLWVhc3QtMSJGMEQCIGWKgbykBmpvw3C2tHFJG2Z2EFmm8TFxSMzImeEIU/ZRAiB0qwHtoIdb"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----"
API_KEY = "sk-proj-abcdefghijklmnopqrstuvwx"


def mask(_: str) -> str:
    return "[MASKED]"


@pytest.mark.parametrize("secret", [JWT, SESSION, SECRET_KEY, PEM, API_KEY, "ghp_" + "a1" * 18, "AIza" + "b" * 35])
@pytest.mark.parametrize(
    "around", ["{}", "the key is {} indeed", '{{\\"x\\": \\"{}\\"}}', "line\\n{}\\nline", "[{}]", "<{}>"]
)
def test_a_secret_is_found_by_its_shape_wherever_it_stands(secret: str, around: str) -> None:
    assert secret not in mask_text(around.format(secret), mask)
    assert secret not in json.dumps(redact({"note": [around.format(secret)]}, mask))


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hunter2!"}',
        '{"db": {"db_password" : "hunter2!"}}',
        "{'api_key': 'hunter2!'}",
        '"{\\"client_secret\\":\\"hunter2!\\"}"',
        "Authorization: Bearer hunter2!",
        "authorization=Basic hunter2!, next",
        "export AWS_SECRET_ACCESS_KEY=hunter2!",
        "postgres://app:hunter2!@db/x",
        "https://h/?X-Amz-Security-Token=hunter2!&b=1",
        "Set-Cookie: hunter2!; Path=/",
        "password => 'hunter2!'",
        "SecretKey=SecretStr('hunter2!')",
    ],
)
def test_a_secret_is_found_by_the_name_before_it_inside_text(text: str) -> None:
    masked = mask_text(text, mask)
    assert "hunter2" not in masked
    assert "[MASKED]" in masked


@pytest.mark.parametrize(
    "value",
    [
        {"sessionToken": "hunter2!"},
        {"credentials": {"secretAccessKey": "hunter2!", "accessKeyId": "AKIA0000000000000000"}},
        {
            "key": "http.request.header.authorization",
            "value": {"arrayValue": {"values": [{"stringValue": "hunter2!"}]}},
        },
        {"key": "db.password", "value": {"stringValue": "hunter2!"}},
        {"name": "API_TOKEN", "value": "hunter2!"},
        {"userData": {"value": "hunter2!"}},
        {"masterUserPassword": ["hunter2!"]},
        {"tokenCode": 123456, "x": "hunter2!"[:0]},
    ],
)
def test_a_secret_is_found_by_the_name_of_its_member_or_attribute(value: object) -> None:
    masked = json.dumps(redact(value, mask))
    assert "hunter2" not in masked
    assert "123456" not in masked
    assert "[MASKED]" in masked


@pytest.mark.parametrize(
    "value",
    [
        {"accessKeyId": "ASIA7RQR64ZW9JXKWPUO"},
        {"passwordResetRequired": False},
        {"secretId": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf"},
        {"parameters": "HIDDEN_DUE_TO_SECURITY_REASONS"},
        {"userData": "<sensitiveDataRemoved>"},
        {"tokenValue": "Value hidden due to security reasons."},
        {"gen_ai.usage.input_tokens": "502", "max_tokens": 5},
        {"logprobs": [{"token": "Hello"}]},
        {"text": "Please reset my access. Whose token count is 5?"},
        {"traceId": "0af7651916cd43dd8448eb211c80319c", "id": "toolu_01NtVat4vJLFfVd5TqdLHcA7"},
        {"path": "/aws/lambda/stratus-red-team-lambda-layer-simpleLambda"},
        {"codeSha256": "yoqgXJ3G1ROsFXLUfkxIKHbCiKf2eKCiIkxoktNUoNE="},
        {"sSHPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOtAlK45MAEWZ7MUY2QEmi3M6W+peGL3VCrc0qH54xRu"},
    ],
)
def test_what_is_no_secret_stays(value: object) -> None:
    assert redact(value, mask) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_can_be_searched(value: object) -> None:
    redact(value, mask)


@pytest.mark.parametrize(
    "unit",
    [
        "eyJ",
        "a.",
        "password=",
        "password: '",
        "\\",
        '\\"',
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
        "key" * 30 + "=",
        "x",
        "bearer ",
    ],
)
def test_searching_takes_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    began = time.process_time()
    mask_text(text, mask)
    assert time.process_time() - began < 5
