"""The travel agent. It is deterministic: rules stand where a model would be asked, and it says so in each step that it records.

What it shows of the recorder: an execution, steps that lead to actions, an attempt before each call and its outcome after.
"""

from __future__ import annotations

import json
import os
from typing import Annotated, Any
from uuid import uuid4

import httpx
from fastapi import Body, FastAPI, Request

from examples.flight_booking.authorization_server import TOKEN_EXCHANGE
from examples.flight_booking.party import parameter_digest, serve, urls
from examples.flight_booking.tokens import Bearer, TokenCheck
from ledger import Person, Recorded, Recorder, Text, token_reference
from ledger.format import ids

Answer = dict[str, Any]


class Trip:
    """One request of one person, while it is worked on."""

    def __init__(self, recorder: Recorder, user: Bearer, memory: dict[str, str]) -> None:
        self._recorder = recorder
        self._user = user
        self._memory = memory
        self._where = urls()
        self._steps = 0

    def plan(self, text: str) -> Answer:
        """What to do about ``text``. The odd requests exist to be refused: see ``story``."""
        destination = "NYC" if "NYC" in text else "unknown"
        cabin = "first" if "first class" in text else "economy"
        with self.think(f"The request names {destination}: look for flights there.", text):
            search = self.exchange("flight:search flight:reserve")
            found, searched = self.act("flight:search", f"flights/{destination}", {"to": destination}, search)
            read = self.read(f"flights/{destination}", searched)
        flight = next(each for each in found if each["cabin"] == cabin)
        with self.think(
            f"{flight['flight']} is the {cabin} flight, for {flight['amount']} {flight['currency']}: book it.",
            read=read,
        ):
            return self.book({**flight, "card": "corporate"}, text, search)

    def book(self, parameters: dict[str, Any], text: str, search: str) -> Answer:
        """Books with a token of its own and an approval; two odd requests ask for less, and the flight API refuses them."""
        token = search if "without asking me" in text else None
        recalled = [self.recall()] if "same approval" in text else []
        approval = self._memory[self._user.subject] if recalled else None
        with self._recorder.caused_by(*recalled):
            result, recorded = self.act(
                "booking:create", f"flights/{parameters['flight']}", parameters, token, approval
            )
        return {"event_id": ids.text(recorded.event_id), "action_id": recorded.action_id, "result": result}

    def read(self, uri: str, searched: Recorded) -> Recorded:
        """Records what the agent reads of a search: it informs what is done next, and may mislead."""
        return self._recorder.observation(
            source="tool", uri=uri, trust="trusted", operation="flight:search", status="success", causes=[searched]
        )

    def recall(self) -> Recorded:
        """Records that the agent goes by the approval that it remembers from an earlier run."""
        return self._recorder.memory(action="read", store="travel-agent", key="last-approval", trust="trusted")

    def remember(self, approval: str) -> None:
        """Keeps an approval for later runs, and records it: what outlives a run may mislead the next one."""
        self._memory[self._user.subject] = approval
        self._recorder.memory(action="write", store="travel-agent", key="last-approval", trust="trusted")

    def think(self, reasoning: str, asked: str | None = None, read: Recorded | None = None) -> Any:
        """Records a reasoning step; what is recorded in the block follows from it."""
        self._steps += 1
        step = self._recorder.reasoning_step(
            index=self._steps - 1,
            operation="plan",
            provider="rules",
            request_model="deterministic-planner-1",
            status="completed",
            visibility="full",
            reasoning=reasoning,
            input=asked,
            causes=[read] if read is not None else (),
        )
        return self._recorder.caused_by(step)

    def act(
        self, operation: str, resource: str, parameters: dict[str, Any], token: str | None, approval: str | None = None
    ) -> tuple[Any, Recorded]:
        """Decision, token and approval, attempt, call, outcome. A refusal at any of them is an outcome too."""
        action_id = f"action-{uuid4()}"
        about = {"action_id": action_id, "operation": operation, "resource_type": "flight", "resource": resource}
        about |= {"target_system": "flight-api", "domain": "api", "parameter_digest": parameter_digest(parameters)}
        decision, causes = self.decide(operation, resource, parameters, action_id)
        about["decision_id"] = decision["context"]["decision_id"]
        if not decision["decision"]:
            result = {"error": "denied_by_policy", "reasons": decision["context"]["reasons"]}
            return result, self.outcome(about, causes, "denied", result)
        if operation == "booking:create" and token is None:
            approval = approval or self.ask_approval(operation, parameters, action_id)
            self.remember(approval)
            token = self.exchange("booking:create")
        about["token"] = token_reference(token or "")
        about["oversight_ids"] = (approval,) if approval else ()
        attempt = self._recorder.api_action(phase="intended", observer="agent", causes=causes, **about)
        response = self.call(operation, parameters, token or "", approval, attempt)
        result = response.json()
        return result, self.outcome(about, [attempt], "success" if response.status_code == 200 else "denied", result)

    def outcome(self, about: dict[str, Any], causes: Any, outcome: Any, result: Any) -> Recorded:
        return self._recorder.api_action(
            phase="completed",
            observer="agent",
            causes=causes,
            outcome=outcome,
            effect="full" if outcome == "success" else "none",
            error_type=result["error"] if outcome == "denied" else None,
            result=Text(value=json.dumps(result), media_type="application/json"),
            **about,
        )

    def decide(self, operation: str, resource: str, parameters: dict[str, Any], action_id: str) -> tuple[Any, Any]:
        """Asks the policy point (AuthZEN). Its answer names the event that it recorded, to be cited."""
        on_behalf_of = {"iss": self._where.authorization_server, "sub": self._user.subject}
        response = httpx.post(
            f"{self._where.policy_point}/access/v1/evaluation",
            headers=self.headers(),
            json={
                "subject": {"type": "agent", "id": self._where.agent_id, "properties": {"on_behalf_of": on_behalf_of}},
                "action": {"name": operation},
                "resource": {"type": "flight", "id": resource},
                "context": {"action_id": action_id, "parameters": parameters},
            },
        ).raise_for_status()
        decided = self._recorder.extract(response.headers).remote
        return response.json(), [decided.cause("authorized_by")] if decided is not None else []

    def exchange(self, scope: str) -> str:
        """A token for the flight API on behalf of the user (RFC 8693)."""
        return self.token(
            grant_type=TOKEN_EXCHANGE,
            subject_token=self._user.raw,
            subject_token_type="urn:ietf:params:oauth:token-type:access_token",
            scope=scope,
        )

    def token(self, **fields: str) -> str:
        client = {"client_id": "travel-agent", "client_secret": os.environ["AGENT_SECRET"], "audience": "flight-api"}
        url = f"{self._where.authorization_server}/token"
        response = httpx.post(url, headers=self.headers(), data={**client, **fields}).raise_for_status()
        return str(response.json()["access_token"])

    def ask_approval(self, operation: str, parameters: dict[str, Any], action_id: str) -> str:
        """Asks the person on their own device. What comes back is an id: the proof is the authorization server's event."""
        asked = {"operation": operation, "parameters": parameters, "action_id": action_id}
        response = httpx.post(f"{self._where.alice}/approval-requests", headers=self.headers(), json=asked)
        return str(response.raise_for_status().json()["approval_id"])

    def call(
        self, operation: str, parameters: dict[str, Any], token: str, approval: str | None, attempt: Recorded
    ) -> httpx.Response:
        headers = self.headers(attempt) | {"Authorization": f"Bearer {token}"}
        if operation == "flight:search":
            return httpx.get(f"{self._where.flight_api}/flights", params=parameters, headers=headers)
        if approval is not None:
            headers["Approval"] = approval
        return httpx.post(f"{self._where.flight_api}/bookings", json=parameters, headers=headers)

    def headers(self, cited: Recorded | None = None) -> dict[str, str]:
        """The context for the next service: it then cites what it follows from."""
        headers: dict[str, str] = {}
        self._recorder.inject(headers, cited)
        return headers


def create_app(recorder: Recorder) -> FastAPI:
    where = urls()
    check = TokenCheck(issuer=where.authorization_server, audience="travel-agent")
    memory: dict[str, str] = {}
    app = FastAPI(title="travel agent")

    @app.post("/chat")
    def chat(request: Request, asked: Annotated[dict[str, str], Body()]) -> Answer:
        user = check.bearer(request.headers.get("Authorization"))
        person = Person(issuer=where.authorization_server, subject=user.subject)
        started_by = recorder.extract(request.headers)
        with recorder.execution(started_by=started_by, agent_id=where.agent_id, principal=person):
            return Trip(recorder, user, memory).plan(asked["text"])

    return app


if __name__ == "__main__":
    serve("travel-agent", create_app)
