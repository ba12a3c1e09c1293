"""Alice's side: her app, with her login and her second factor. It records what she typed, before anybody acts on it."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from typing import Annotated, Any

import httpx
import pyotp
from fastapi import Body, FastAPI, Request
from joserfc.util import urlsafe_b64encode

from examples.flight_booking.party import parameter_digest, serve, urls
from ledger import Person, Recorder, token_reference
from ledger.format.kinds import Authentication


def create_app(recorder: Recorder) -> FastAPI:
    where = urls()
    alice = Person(issuer=where.authorization_server, subject="alice", name="Alice Ash")
    session: dict[str, str] = {}
    codes: dict[str, str] = {}
    app = FastAPI(title="Alice's app")

    @app.post("/login")
    def login() -> dict[str, str]:
        """Authorization code flow with PKCE: Alice logs in, consents that the agent acts for her, and the app gets a token."""
        verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(8)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode()
        client = {"client_id": "alice-app", "redirect_uri": f"{where.alice}/callback"}
        asked = {
            **client,
            "response_type": "code",
            "scope": "flight:search flight:reserve booking:create",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "agent": where.agent_id,
        }
        page = httpx.get(f"{where.authorization_server}/authorize", params=asked).raise_for_status().json()
        typed = {"username": "alice", "password": os.environ["ALICE_PASSWORD"], "redirect_uri": client["redirect_uri"]}
        consent = {**typed, "request": page["request"], "state": state}
        httpx.post(f"{where.authorization_server}/login", data=consent, follow_redirects=True).raise_for_status()
        redeemed = {"grant_type": "authorization_code", "code": codes.pop(state), "code_verifier": verifier, **client}
        answer = httpx.post(f"{where.authorization_server}/token", data=redeemed).raise_for_status().json()
        session["token"] = answer["access_token"]
        return {"consent": page["consent"]}

    @app.get("/callback")
    def callback(code: str, state: str) -> dict[str, str]:
        codes[state] = code
        return {"status": "you may close this window"}

    @app.post("/say")
    def say(asked: Annotated[dict[str, str], Body()]) -> Any:
        """What Alice types. This is where everything begins. Her approvals are recorded where she gives them."""
        prompt = recorder.prompt(
            trigger_kind="human",
            channel="app",
            trust="trusted",
            text=asked["text"],
            token=token_reference(session["token"]),
            authentication=Authentication(issuer=where.authorization_server, amr=("pwd",)),
            principal=alice,
        )
        headers = {"Authorization": f"Bearer {session['token']}"}
        recorder.inject(headers, prompt)
        return (
            httpx.post(f"{where.travel_agent}/chat", json=asked, headers=headers, timeout=30).raise_for_status().json()
        )

    @app.post("/approval-requests")
    def approval_request(request: Request, asked: Annotated[dict[str, Any], Body()]) -> Any:
        """The agent asks. Alice reads the parameters on her own device and types the number that her authenticator shows."""
        totp = pyotp.TOTP(os.environ["ALICE_TOTP_SECRET"]).now()
        approval = {"token": session["token"], "totp": totp, "operation": asked["operation"]}
        approval["parameter_digest"] = parameter_digest(asked["parameters"]).hex()
        headers: dict[str, str] = {}
        with recorder.caused_by(recorder.extract(request.headers)):
            recorder.inject(headers)
        answer = httpx.post(f"{where.authorization_server}/approvals", json=approval, headers=headers)
        return answer.raise_for_status().json()

    return app


if __name__ == "__main__":
    serve("alice", create_app)
