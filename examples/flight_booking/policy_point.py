"""The policy decision point: answers AuthZEN evaluations by a Cedar policy file, and records each decision with its version."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import cedarpy
from fastapi import Body, FastAPI, Request, Response

from examples.flight_booking.party import parameter_digest, serve
from ledger import Person, Recorder

POLICY = Path(__file__).with_name("policy.cedar")


def create_app(recorder: Recorder) -> FastAPI:
    text = POLICY.read_text()
    digest = sha256(text.encode()).digest()
    names = {
        key: policy["annotations"]["id"]
        for key, policy in json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].items()
    }
    app = FastAPI(title="policy decision point")

    @app.post("/access/v1/evaluation")
    def evaluate(request: Request, response: Response, asked: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        subject, action, resource = asked["subject"], asked["action"]["name"], asked["resource"]
        parameters = asked["context"]["parameters"]
        result = cedarpy.is_authorized(
            {
                "principal": f'Agent::"{subject["id"]}"',
                "action": f'Action::"{action}"',
                "resource": f'{resource["type"]}::"{resource["id"]}"',
                "context": {name: value for name, value in parameters.items() if isinstance(value, int | str)},
            },
            text,
            [],
        )
        person = subject["properties"]["on_behalf_of"]
        reasons = [names[each] for each in result.diagnostics.reasons]
        decision_id = f"decision-{asked['context']['action_id']}"
        with recorder.caused_by(recorder.extract(request.headers)):
            recorded = recorder.policy_decision(
                decision="allow" if result.allowed else "deny",
                decision_id=decision_id,
                engine="cedar",
                policy_id="travel",
                policy_version=digest.hex()[:12],
                policy_digest=digest,
                determining_policies=reasons,
                subject=Person(issuer=person["iss"], subject=person["sub"]),
                subject_agent=subject["id"],
                action=action,
                resource_type=resource["type"],
                resource=resource["id"],
                action_id=asked["context"]["action_id"],
                parameter_digest=parameter_digest(parameters),
                reasons=reasons or ["no policy permits it"],
                obligations=("approval",) if result.allowed and action == "booking:create" else (),
            )
        recorder.inject(response.headers, recorded)
        return {"decision": result.allowed, "context": {"decision_id": decision_id, "reasons": reasons}}

    return app


if __name__ == "__main__":
    serve("policy-point", create_app)
