"""The demo's own parts that the story does not reach each time: what its parties refuse, and a story that breaks off."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyotp
import pytest

from examples.flight_booking.asking import broken
from examples.flight_booking.issuer import Issuer, Login, OAuthError
from examples.flight_booking.story import collect, main
from examples.flight_booking.tokens import Refused, TokenCheck

SECRET = pyotp.random_base32()
CLAIMS = {"aud": "flight-api", "sub": "alice", "scope": "flight:search"}


def approve(code_of: float) -> None:
    issuer = Issuer(url="https://login.example", people={"alice": ("", SECRET)}, clients={})
    issuer.approve("alice", pyotp.TOTP(SECRET).at(int(code_of)), "booking:create", "00" * 32)


def test_a_code_of_the_period_beside_this_one_is_taken_and_an_older_one_is_not() -> None:
    approve(time.time() + 30)
    with pytest.raises(OAuthError, match="second factor"):
        approve(time.time() - 120)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer that publishes its keys on loopback."""
    issuer = Issuer(url="", people={"alice": ("right", SECRET)}, clients={"agent": "its secret"})

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [issuer.key.as_dict(private=False)]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        yield issuer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda issuer: _forged(issuer.issue(lifetime=60, **CLAIMS)), "signature"),
        (lambda issuer: Issuer(url=issuer.url, people={}, clients={}).issue(lifetime=60, **CLAIMS), "signature"),
        (lambda issuer: issuer.issue(lifetime=60, **{**CLAIMS, "iss": "https://login.example"}), "not issued by"),
        (lambda issuer: issuer.issue(lifetime=60, **{**CLAIMS, "aud": "travel-agent"}), "not issued by"),
        (lambda issuer: issuer.issue(lifetime=0, **CLAIMS), "expired"),
    ],
    ids=["claims changed", "another key", "another issuer", "another audience", "expired"],
)
def test_a_token_that_its_issuer_did_not_make_for_us_and_now_is_refused(
    issuer: Issuer, made: Callable[[Issuer], str], why: str
) -> None:
    check = TokenCheck(issuer.url, "flight-api")
    assert check.bearer(f"Bearer {issuer.issue(lifetime=60, **CLAIMS)}").subject == "alice"
    with pytest.raises(Refused, match=why) as refused:
        check.bearer(f"Bearer {made(issuer)}")
    assert refused.value.reason == "invalid_token"


def _forged(token: str) -> str:
    """The token of somebody else, under the signature of the true one."""
    header, _, signature = token.split(".")
    claims: dict[str, Any] = {**CLAIMS, "sub": "mallory", "exp": int(time.time()) + 60}
    return f"{header}.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


def test_a_scope_that_the_token_does_not_have_is_refused(issuer: Issuer) -> None:
    check = TokenCheck(issuer.url, "flight-api")
    bearer = check.bearer(f"Bearer {issuer.issue(lifetime=60, **CLAIMS)}")
    check.require(bearer, "flight:search")
    with pytest.raises(Refused) as refused:
        check.require(bearer, "booking:create")
    assert refused.value.reason == "insufficient_scope"


@pytest.mark.parametrize(
    "other",
    [{"verifier": "guessed"}, {"client_id": "another"}, {"redirect_uri": "https://elsewhere.example"}],
    ids=lambda other: str(*other),
)
def test_a_code_is_redeemed_once_and_by_who_began_it_alone(issuer: Issuer, other: dict[str, str]) -> None:
    def code() -> str:
        challenge = urlsafe_b64encode(sha256(b"kept").digest()).decode().rstrip("=")
        about = {"client_id": "agent", "redirect_uri": "https://agent.example", "scope": "flight:search"}
        request = issuer.begin(Login(**about, state="s", challenge=challenge, agent="agent"))
        return issuer.consent(request, "alice", "right")[1]

    right = {"verifier": "kept", "client_id": "agent", "redirect_uri": "https://agent.example"}
    taken = code()
    assert issuer.redeem(taken, **right).subject == "alice"
    for stolen, given in ((code(), {**right, **other}), (taken, right)):
        with pytest.raises(OAuthError) as refused:
            issuer.redeem(stolen, **given)
        assert refused.value.code == "invalid_grant"


def test_an_approval_is_for_exactly_its_parameters_and_is_used_once(issuer: Issuer) -> None:
    asked, other = "11" * 32, "22" * 32
    approval = issuer.approve("alice", pyotp.TOTP(SECRET).now(), "booking:create", asked).approval_id
    for operation, digest in (("booking:create", other), ("booking:cancel", asked)):
        with pytest.raises(OAuthError) as mismatch:
            issuer.use(approval, operation, digest)
        assert mismatch.value.code == "approval_mismatch"
    issuer.use(approval, "booking:create", asked)
    with pytest.raises(OAuthError) as again:
        issuer.use(approval, "booking:create", asked)
    assert again.value.code == "approval_used"


def test_a_demo_that_breaks_off_says_what_happened_where_to_look_and_how_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERABLE_API_HOST", "256.0.0.1")
    kept, said = tmp_path / "my demo", list[str]()
    told: list[Mapping[str, object]] = []
    assert main(kept, said.append, told.append) == 1
    assert told == [{"as_it_must": False, "directory": str(kept), "answers": []}]
    text = "\n".join(said)
    assert "THE DEMO BROKE OFF: RuntimeError" in text
    assert "  serve: error: the API does not bind to 256.0.0.1" in text
    assert said[-1].endswith(f"To try again: rm -r '{kept}', or choose a new folder.")
    *_, last = broken(kept, None, RuntimeError("gone"))
    assert last.startswith("Try again; with ARGS='--keep my-demo'")


def test_an_answer_that_is_collected_is_the_commands_json_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERABLE_DATA_DIR", str(tmp_path))
    answers: list[Mapping[str, object]] = []
    assert (collect(answers, "tokens", "list"), collect(answers, "tokens", "revoke", "nobody")) == (0, 1)
    first, second = answers
    assert first == {"command": ["answerable", "tokens", "list"], "status": 0, "answer": []}
    assert (second["status"], second["answer"]) == (1, None)
