"""The flight API: checks the token by the issuer's keys, and records what it saw: who called, with what, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import uuid4

import httpx
from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse

from examples.flight_booking.party import parameter_digest, serve, urls
from examples.flight_booking.tokens import Bearer, Refused, TokenCheck
from ledger import Incoming, Person, Recorded, Recorder, token_reference

FLIGHTS = {
    "NYC": [
        {"flight": "UA-101", "to": "NYC", "cabin": "economy", "amount": 420, "currency": "USD"},
        {"flight": "UA-103", "to": "NYC", "cabin": "first", "amount": 780, "currency": "USD"},
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it came in."""

    operation: str
    resource: str
    scope: str
    parameters: dict[str, Any]
    approval_id: str | None = None


def create_app(recorder: Recorder) -> FastAPI:
    where = urls()
    check = TokenCheck(issuer=where.authorization_server, audience="flight-api")
    app = FastAPI(title="flight API")

    @app.get("/flights")
    def search(request: Request, to: str) -> JSONResponse:
        call = Call(operation="flight:search", resource=f"flights/{to}", scope="flight:search", parameters={"to": to})
        return answer(request, call, lambda: FLIGHTS.get(to, []))

    @app.post("/bookings")
    def book(request: Request, asked: Annotated[dict[str, Any], Body()]) -> JSONResponse:
        approval = request.headers.get("Approval")
        resource = f"flights/{asked['flight']}"
        call = Call(
            operation="booking:create",
            resource=resource,
            scope="booking:create",
            parameters=asked,
            approval_id=approval,
        )
        return answer(request, call, lambda: {"booking": uuid4().hex[:8], **asked})

    def answer(request: Request, call: Call, work: Any) -> JSONResponse:
        """Allows or refuses, works, and records the outcome whatever it is."""
        incoming, request_id = recorder.extract(request.headers), uuid4().hex
        bearer: Bearer | None = None
        try:
            bearer = check.bearer(request.headers.get("Authorization"))
            check.require(bearer, call.scope)
            use_approval(call)
        except Refused as refusal:
            seen = record(incoming, call, bearer, request, request_id, outcome="denied", error=refusal.reason)
            refused = {"error": refusal.reason, "error_description": str(refusal)}
            return JSONResponse(refused, status_code=403, headers=cited(seen, request_id))
        result = work()
        seen = record(incoming, call, bearer, request, request_id, outcome="success", error=None)
        return JSONResponse(result, headers=cited(seen, request_id))

    def cited(seen: Recorded, request_id: str) -> dict[str, str]:
        """Names the event that was recorded, so that the caller can cite it, and the request, so that anybody can ask for it."""
        headers = {"X-Request-ID": request_id}
        recorder.inject(headers, seen)
        return headers

    def use_approval(call: Call) -> None:
        if call.operation != "booking:create":
            return
        url = f"{where.authorization_server}/approvals/{call.approval_id}/uses"
        asked = {"operation": call.operation, "parameter_digest": parameter_digest(call.parameters).hex()}
        used = httpx.post(url, json=asked)
        if used.status_code != 200:
            raise Refused(used.json()["error"], used.json()["error_description"])

    def record(
        incoming: Incoming,
        call: Call,
        bearer: Bearer | None,
        request: Request,
        request_id: str,
        *,
        outcome: Any,
        error: str | None,
    ) -> Recorded:
        raw = request.headers.get("Authorization", "").partition(" ")[2]
        action_id = incoming.remote.action_id if incoming.remote is not None else None
        kind: Literal["human", "workload"] = "workload" if bearer is not None and bearer.is_own else "human"
        subject = Person(issuer=where.authorization_server, subject=bearer.subject, kind=kind) if bearer else None
        with recorder.caused_by(incoming):
            return recorder.api_action(
                action_id=action_id or f"unannounced-{uuid4()}",
                phase="completed",
                operation=call.operation,
                resource_type="flight",
                resource=call.resource,
                target_system="flight-api",
                domain="api",
                token=token_reference(raw) if raw else None,
                oversight_ids=(call.approval_id,) if call.approval_id else (),
                parameter_digest=parameter_digest(call.parameters),
                outcome=outcome,
                effect="full" if outcome == "success" else "none",
                status="200" if outcome == "success" else "403",
                error_type=error,
                observer="resource",
                origin=request.client.host if request.client is not None else None,
                correlation=(*incoming.correlation, f"request:{request_id}"),
                principal=subject,
            )

    return app


if __name__ == "__main__":
    serve("flight-api", create_app)
