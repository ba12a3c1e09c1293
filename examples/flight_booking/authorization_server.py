"""The authorization server: logs Alice in, records her grant, every token that it issues, and her approvals.

It also registers the agent, since it is where agents get their credentials.
"""

from __future__ import annotations

import os
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from examples.flight_booking.issuer import MINUTE, Grant, Issuer, Login, OAuthError
from examples.flight_booking.party import form, serve, urls
from ledger import Person, Recorded, Recorder
from ledger.format.kinds import Authentication

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name, not a secret
SECOND = 1_000_000


def create_app(recorder: Recorder) -> FastAPI:
    where = urls()
    issuer = Issuer(
        url=where.authorization_server,
        people={"alice": (os.environ["ALICE_PASSWORD"], os.environ["ALICE_TOTP_SECRET"])},
        clients={"travel-agent": os.environ["AGENT_SECRET"]},
    )
    grants: dict[str, Recorded] = {}
    app = FastAPI(title="authorization server")

    def person(subject: str) -> Person:
        """Whom a subject of ours is. Names are contents in the ledger: they can be erased, the event stays."""
        return Person(issuer=issuer.url, subject=subject, name={"alice": "Alice Ash"}.get(subject))

    recorder.agent_registration(
        agent_id=where.agent_id,
        state="active",
        name="travel agent",
        owner=Person(issuer=issuer.url, subject="dana", name="Dana Okafor"),
        client_ids=("travel-agent",),
        version="1.0",
        purpose="books flights for employees",
        scopes=("flight:search", "flight:reserve", "booking:create"),
    )

    @app.exception_handler(OAuthError)
    def refuse(_: Request, error: OAuthError) -> Response:
        return JSONResponse({"error": error.code, "error_description": error.detail}, status_code=400)

    @app.get("/jwks")
    def jwks() -> dict[str, Any]:
        return {"keys": [issuer.key.as_dict(private=False)]}

    @app.get("/authorize")
    def authorize(request: Request) -> dict[str, str]:
        """Begins a login (RFC 6749 §4.1, with PKCE); the page posts back to ``/login``."""
        asked = request.query_params
        login = Login(
            client_id=asked["client_id"],
            redirect_uri=asked["redirect_uri"],
            scope=asked["scope"],
            state=asked["state"],
            challenge=asked["code_challenge"],
            agent=asked["agent"],
        )
        return {
            "request": issuer.begin(login),
            "state": login.state,
            "consent": f"Let {login.agent} use {login.scope}?",
        }

    @app.post("/login")
    def login(fields: Annotated[dict[str, str], Depends(form)]) -> Response:
        """Alice's name and password, and her consent: this is the grant."""
        granted, code = issuer.consent(fields["request"], fields["username"], fields["password"])
        grants[granted.grant_id] = recorder.grant(
            grant_id=granted.grant_id,
            action="give",
            issuer=issuer.url,
            grantor=person(granted.subject),
            delegate=granted.agent,
            scopes=granted.scopes,
            audiences=("flight-api",),
            method="explicit",
            expires_at=granted.expires_at * SECOND,
            authentication=Authentication(issuer=issuer.url, amr=("pwd",)),
            principal=person(granted.subject),
        )
        return RedirectResponse(f"{fields['redirect_uri']}?{urlencode({'code': code, 'state': fields['state']})}", 303)

    @app.post("/token")
    def token(request: Request, fields: Annotated[dict[str, str], Depends(form)]) -> dict[str, Any]:
        with recorder.caused_by(recorder.extract(request.headers)):
            if fields["grant_type"] == "authorization_code":
                return redeem(fields)
            issuer.authenticate(fields["client_id"], fields["client_secret"])
            return exchange(fields) if fields["grant_type"] == TOKEN_EXCHANGE else own(fields)

    def redeem(fields: dict[str, str]) -> dict[str, Any]:
        """Alice's own token, for the agent that she consented to."""
        granted = issuer.redeem(fields["code"], fields["code_verifier"], fields["client_id"], fields["redirect_uri"])
        raw = issuer.issue(
            lifetime=60 * MINUTE,
            sub=granted.subject,
            aud="travel-agent",
            scope=" ".join(granted.scopes),
            client_id=fields["client_id"],
            may_act={"sub": "travel-agent", "iss": issuer.url},
            grant_id=granted.grant_id,
        )
        return issued(raw, "authorization_code", granted)

    def exchange(fields: dict[str, str]) -> dict[str, Any]:
        """RFC 8693: the agent shows Alice's token and gets one of its own, in which she is the subject and it the actor."""
        subject = issuer.check(fields["subject_token"])
        granted = issuer.grants[subject["grant_id"]]
        wanted = fields["scope"].split()
        if not set(wanted) <= set(granted.scopes) or subject["may_act"]["sub"] != fields["client_id"]:
            raise OAuthError("invalid_scope", f"the grant is for {' '.join(granted.scopes)}")
        raw = issuer.issue(
            lifetime=MINUTE if wanted == ["booking:create"] else 5 * MINUTE,
            sub=subject["sub"],
            act={"sub": fields["client_id"], "iss": issuer.url},
            aud=fields["audience"],
            scope=" ".join(wanted),
            client_id=fields["client_id"],
        )
        return issued(raw, TOKEN_EXCHANGE, granted, subject_token=fields["subject_token"])

    def own(fields: dict[str, str]) -> dict[str, Any]:
        """The agent for itself (client credentials): no person stands behind such a token."""
        raw = issuer.issue(
            lifetime=MINUTE,
            sub=fields["client_id"],
            aud=fields["audience"],
            scope=fields["scope"],
            client_id=fields["client_id"],
        )
        recorder.record_token(raw, verification="issuer", observer="issuer", grant_type="client_credentials")
        return {"access_token": raw, "token_type": "Bearer"}

    def issued(raw: str, grant_type: str, granted: Grant, subject_token: str | None = None) -> dict[str, Any]:
        """Records the issuance: claims and digest of the token, never the token."""
        recorder.record_token(
            raw,
            verification="issuer",
            observer="issuer",
            grant_type=grant_type,
            grant_id=granted.grant_id,
            subject_token=subject_token,
            causes=(grants[granted.grant_id],),
            principal=person(granted.subject),
        )
        return {
            "access_token": raw,
            "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
        }

    @app.post("/approvals")
    def approve(request: Request, asked: Annotated[dict[str, str], Body()]) -> dict[str, str]:
        """Alice approves exactly these parameters, with her second factor."""
        subject = issuer.check(asked["token"])["sub"]
        approval = issuer.approve(subject, asked["totp"], asked["operation"], asked["parameter_digest"])
        with recorder.caused_by(recorder.extract(request.headers)):
            recorder.oversight(
                oversight_id=approval.approval_id,
                action="approve",
                by=person(subject),
                authentication=Authentication(issuer=issuer.url, amr=("pwd", "otp")),
                binding="digest",
                bound_digest=bytes.fromhex(approval.parameter_digest),
                operation=approval.operation,
                uses_allowed=1,
                expires_at=approval.expires_at * SECOND,
            )
        return {"approval_id": approval.approval_id}

    @app.post("/approvals/{approval_id}/uses")
    def use(approval_id: str, asked: Annotated[dict[str, str], Body()]) -> dict[str, str]:
        """Whoever acts on an approval asks here first: it is good once."""
        issuer.use(approval_id, asked["operation"], asked["parameter_digest"])
        return {"approval_id": approval_id}

    return app


if __name__ == "__main__":
    serve("authorization-server", create_app)
