"""A function for each kind of event. Written by ``tests/write_kind_functions.py``: change that, or the classes.

Where a payload refers to a content, the text itself may be given; where it refers to a person, the person.
"""

# ruff: noqa: A002 - fields are called as the schemas call them

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypedDict, Unpack

from ledger.format.event import Cause
from ledger.format.kinds import (
    Actor,
    ActorChain,
    AgentRegistration,
    ApiAction,
    Authentication,
    Configuration,
    ContentErasure,
    ExecutionControl,
    Grant,
    Handoff,
    Kind,
    Memory,
    Observation,
    Oversight,
    PolicyDecision,
    PolicyVersion,
    Prompt,
    ReasoningStep,
    TokenIssuance,
    TokenReference,
    TokenRevocation,
    ToolVersion,
    TriggerRegistration,
)
from ledger.recorder.contents import Named, Textual
from ledger.recorder.context import Recorded, Reference
from ledger.recorder.given import listed


class Shared(TypedDict, total=False):
    """What the header of any event may say beside its payload. What is not given comes from the context, see
    ``ledger.recorder.context``. ``occurred_at``: µs UTC, now by default. ``strict``: whether to wait for the log, whatever the
    recorder's mode.
    """

    causes: Sequence[Cause | Reference]
    correlation: Sequence[str]
    principal: Named | None
    agent_instance: str | None
    execution_id: bytes | None
    occurred_at: int | None
    tenant: str | None
    strict: bool | None


class Circumstances(Shared, total=False):
    """The same for events whose payload has no fields of these names. ``contents`` are kept beside those that the payload
    refers to.
    """

    agent_id: str | None
    contents: Sequence[Textual]


class KindFunctions(ABC):
    """The functions of a ``Recorder`` that record one kind each. They raise as ``Recorder.record`` does."""

    @abstractmethod
    def _record_kind(self, kind: type[Kind], about: Shared, fields: dict[str, Any]) -> Recorded: ...

    def prompt(
        self,
        *,
        trigger_kind: Literal["human", "schedule", "webhook", "agent", "queue", "self", "unknown"],
        channel: str | None = None,
        trust: Literal["trusted", "untrusted", "unknown"],
        origin: str | None = None,
        text: Textual | None = None,
        attachments: Sequence[Textual] = (),
        trigger_id: str | None = None,
        token: TokenReference | None = None,
        authentication: Authentication | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """Somebody or something gave an agent a task or steered it: the beginning of a run, or an input in the middle of one."""
        return self._record_kind(
            Prompt,
            about,
            {
                "trigger_kind": trigger_kind,
                "channel": channel,
                "trust": trust,
                "origin": origin,
                "text": text,
                "attachments": listed(attachments, "attachments") if attachments else (),
                "trigger_id": trigger_id,
                "token": token,
                "authentication": authentication,
            },
        )

    def reasoning_step(
        self,
        *,
        index: int | None = None,
        operation: str | None = None,
        provider: str | None = None,
        request_model: str | None = None,
        response_model: str | None = None,
        response_id: str | None = None,
        status: Literal["completed", "failed", "cancelled", "unknown"],
        error_type: str | None = None,
        finish_reasons: Sequence[str] = (),
        visibility: Literal["full", "summary", "withheld"],
        reasoning: Textual | None = None,
        input: Textual | None = None,
        output: Textual | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        ended_at: int | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A step in which a model was asked or an agent planned."""
        return self._record_kind(
            ReasoningStep,
            about,
            {
                "index": index,
                "operation": operation,
                "provider": provider,
                "request_model": request_model,
                "response_model": response_model,
                "response_id": response_id,
                "status": status,
                "error_type": error_type,
                "finish_reasons": listed(finish_reasons, "finish_reasons") if finish_reasons else (),
                "visibility": visibility,
                "reasoning": reasoning,
                "input": input,
                "output": output,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "ended_at": ended_at,
            },
        )

    def token_issuance(
        self,
        *,
        status: Literal["issued", "refused", "unknown"],
        error_type: str | None = None,
        token: TokenReference | None = None,
        token_type: str | None = None,
        grant_type: str | None = None,
        grant_id: str | None = None,
        subject: Named | None = None,
        act: ActorChain | None = None,
        may_act: Sequence[Actor] = (),
        client_id: str | None = None,
        audiences: Sequence[str] = (),
        resources: Sequence[str] = (),
        scopes: Sequence[str] = (),
        roles: Sequence[str] = (),
        authorization_details: Textual | None = None,
        issued_at: int | None = None,
        not_before: int | None = None,
        expires_at: int | None = None,
        confirmation_method: str | None = None,
        confirmation: str | None = None,
        subject_token: TokenReference | None = None,
        actor_token: TokenReference | None = None,
        session: str | None = None,
        txn: str | None = None,
        authentication: Authentication | None = None,
        verification: Literal["issuer", "signature", "introspection", "none", "unknown"],
        observer: Literal["issuer", "client", "resource", "intermediary", "importer"],
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A token was issued, exchanged or refused, as its issuer states or as somebody who holds or received it read it."""
        return self._record_kind(
            TokenIssuance,
            about,
            {
                "status": status,
                "error_type": error_type,
                "token": token,
                "token_type": token_type,
                "grant_type": grant_type,
                "grant_id": grant_id,
                "subject": subject,
                "act": act,
                "may_act": listed(may_act, "may_act") if may_act else (),
                "client_id": client_id,
                "audiences": listed(audiences, "audiences") if audiences else (),
                "resources": listed(resources, "resources") if resources else (),
                "scopes": listed(scopes, "scopes") if scopes else (),
                "roles": listed(roles, "roles") if roles else (),
                "authorization_details": authorization_details,
                "issued_at": issued_at,
                "not_before": not_before,
                "expires_at": expires_at,
                "confirmation_method": confirmation_method,
                "confirmation": confirmation,
                "subject_token": subject_token,
                "actor_token": actor_token,
                "session": session,
                "txn": txn,
                "authentication": authentication,
                "verification": verification,
                "observer": observer,
            },
        )

    def policy_decision(
        self,
        *,
        decision: Literal["allow", "deny", "modify"],
        decision_id: str | None = None,
        engine: str | None = None,
        engine_version: str | None = None,
        policy_id: str | None = None,
        policy_version: str | None = None,
        policy_digest: bytes | None = None,
        determining_policies: Sequence[str] = (),
        subject_type: str | None = None,
        subject: Named | None = None,
        subject_agent: str | None = None,
        action: str,
        resource_type: str | None = None,
        resource: str | None = None,
        action_id: str | None = None,
        parameter_digest: bytes | None = None,
        modified_parameter_digest: bytes | None = None,
        reasons: Sequence[str] = (),
        obligations: Sequence[str] = (),
        errors: Sequence[str] = (),
        context: Textual | None = None,
        response: Textual | None = None,
        token: TokenReference | None = None,
        grant_id: str | None = None,
        expires_at: int | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A policy engine was asked whether something may be done, and what it answered."""
        return self._record_kind(
            PolicyDecision,
            about,
            {
                "decision": decision,
                "decision_id": decision_id,
                "engine": engine,
                "engine_version": engine_version,
                "policy_id": policy_id,
                "policy_version": policy_version,
                "policy_digest": policy_digest,
                "determining_policies": listed(determining_policies, "determining_policies")
                if determining_policies
                else (),
                "subject_type": subject_type,
                "subject": subject,
                "subject_agent": subject_agent,
                "action": action,
                "resource_type": resource_type,
                "resource": resource,
                "action_id": action_id,
                "parameter_digest": parameter_digest,
                "modified_parameter_digest": modified_parameter_digest,
                "reasons": listed(reasons, "reasons") if reasons else (),
                "obligations": listed(obligations, "obligations") if obligations else (),
                "errors": listed(errors, "errors") if errors else (),
                "context": context,
                "response": response,
                "token": token,
                "grant_id": grant_id,
                "expires_at": expires_at,
            },
        )

    def api_action(
        self,
        *,
        action_id: str,
        phase: Literal["intended", "completed", "unknown"],
        attempt: int | None = None,
        idempotency_key: str | None = None,
        operation: str,
        activity: Literal["create", "read", "update", "delete", "other"] | None = None,
        resource_type: str | None = None,
        resource: str | None = None,
        target_system: str | None = None,
        domain: Literal["api", "mcp", "saas", "on_prem"] | None = None,
        token: TokenReference | None = None,
        grant_id: str | None = None,
        decision_id: str | None = None,
        oversight_ids: Sequence[str] = (),
        parameter_digest: bytes | None = None,
        arguments: Textual | None = None,
        result: Textual | None = None,
        outcome: Literal["success", "failure", "denied", "cancelled", "unknown"] | None = None,
        effect: Literal["none", "partial", "full"] | None = None,
        status: str | None = None,
        error_type: str | None = None,
        observer: Literal["agent", "resource", "intermediary", "importer"],
        origin: str | None = None,
        ended_at: int | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A call on a tool or another system, as one of its observers saw it."""
        return self._record_kind(
            ApiAction,
            about,
            {
                "action_id": action_id,
                "phase": phase,
                "attempt": attempt,
                "idempotency_key": idempotency_key,
                "operation": operation,
                "activity": activity,
                "resource_type": resource_type,
                "resource": resource,
                "target_system": target_system,
                "domain": domain,
                "token": token,
                "grant_id": grant_id,
                "decision_id": decision_id,
                "oversight_ids": listed(oversight_ids, "oversight_ids") if oversight_ids else (),
                "parameter_digest": parameter_digest,
                "arguments": arguments,
                "result": result,
                "outcome": outcome,
                "effect": effect,
                "status": status,
                "error_type": error_type,
                "observer": observer,
                "origin": origin,
                "ended_at": ended_at,
            },
        )

    def grant(
        self,
        *,
        grant_id: str,
        action: Literal["give", "change", "withdraw"],
        issuer: str | None = None,
        grantor: Named | None = None,
        delegate: str | None = None,
        scopes: Sequence[str] = (),
        audiences: Sequence[str] = (),
        authorization_details: Textual | None = None,
        method: Literal["explicit", "standing", "admin", "delegated", "unknown"],
        consent: Textual | None = None,
        parent_grant_id: str | None = None,
        uses_allowed: int | None = None,
        not_before: int | None = None,
        expires_at: int | None = None,
        authentication: Authentication | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A principal let a delegate act on their behalf, changed that, or withdrew it."""
        return self._record_kind(
            Grant,
            about,
            {
                "grant_id": grant_id,
                "action": action,
                "issuer": issuer,
                "grantor": grantor,
                "delegate": delegate,
                "scopes": listed(scopes, "scopes") if scopes else (),
                "audiences": listed(audiences, "audiences") if audiences else (),
                "authorization_details": authorization_details,
                "method": method,
                "consent": consent,
                "parent_grant_id": parent_grant_id,
                "uses_allowed": uses_allowed,
                "not_before": not_before,
                "expires_at": expires_at,
                "authentication": authentication,
            },
        )

    def oversight(
        self,
        *,
        oversight_id: str,
        action: Literal["approve", "deny", "edit", "override", "stop", "review"],
        by: Named | None = None,
        role: str | None = None,
        authentication: Authentication | None = None,
        binding: Literal["digest", "reference", "standing"],
        bound_digest: bytes | None = None,
        reference: str | None = None,
        operation: str | None = None,
        edited_digest: bytes | None = None,
        uses_allowed: int | None = None,
        expires_at: int | None = None,
        external_system: str | None = None,
        external_id: str | None = None,
        shown: Textual | None = None,
        reason: Textual | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A person, or a system that stands for one, approved, denied, changed, stopped or reviewed what an agent does."""
        return self._record_kind(
            Oversight,
            about,
            {
                "oversight_id": oversight_id,
                "action": action,
                "by": by,
                "role": role,
                "authentication": authentication,
                "binding": binding,
                "bound_digest": bound_digest,
                "reference": reference,
                "operation": operation,
                "edited_digest": edited_digest,
                "uses_allowed": uses_allowed,
                "expires_at": expires_at,
                "external_system": external_system,
                "external_id": external_id,
                "shown": shown,
                "reason": reason,
            },
        )

    def execution_control(
        self,
        *,
        action: Literal["start", "suspend", "resume", "end"],
        name: str | None = None,
        conversation: str | None = None,
        environment: str | None = None,
        outcome: Literal["success", "failure", "cancelled", "timed_out", "unknown"] | None = None,
        reason: str | None = None,
        by: Named | None = None,
        result: Textual | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A run was started, suspended, resumed or ended."""
        return self._record_kind(
            ExecutionControl,
            about,
            {
                "action": action,
                "name": name,
                "conversation": conversation,
                "environment": environment,
                "outcome": outcome,
                "reason": reason,
                "by": by,
                "result": result,
            },
        )

    def configuration(
        self,
        *,
        software_version: str | None = None,
        software_digest: bytes | None = None,
        provider: str | None = None,
        model: str | None = None,
        parameters: Textual | None = None,
        system_prompt: Textual | None = None,
        system_prompt_digest: bytes | None = None,
        tool_manifest: Textual | None = None,
        tool_manifest_digest: bytes | None = None,
        tools: Sequence[ToolVersion] = (),
        policies: Sequence[PolicyVersion] = (),
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """What an agent ran with: recorded at its start and at each change."""
        return self._record_kind(
            Configuration,
            about,
            {
                "software_version": software_version,
                "software_digest": software_digest,
                "provider": provider,
                "model": model,
                "parameters": parameters,
                "system_prompt": system_prompt,
                "system_prompt_digest": system_prompt_digest,
                "tool_manifest": tool_manifest,
                "tool_manifest_digest": tool_manifest_digest,
                "tools": listed(tools, "tools") if tools else (),
                "policies": listed(policies, "policies") if policies else (),
            },
        )

    def trigger_registration(
        self,
        *,
        trigger_id: str,
        action: Literal["register", "change", "remove"],
        trigger_kind: Literal["schedule", "webhook", "queue"],
        by: Named | None = None,
        owner: Named | None = None,
        authentication: Authentication | None = None,
        token: TokenReference | None = None,
        target_agent: str | None = None,
        specification: str | None = None,
        time_zone: str | None = None,
        prompt: Textual | None = None,
        grant_id: str | None = None,
        expires_at: int | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A schedule, webhook or subscription that will start an agent was set up, changed or removed."""
        return self._record_kind(
            TriggerRegistration,
            about,
            {
                "trigger_id": trigger_id,
                "action": action,
                "trigger_kind": trigger_kind,
                "by": by,
                "owner": owner,
                "authentication": authentication,
                "token": token,
                "target_agent": target_agent,
                "specification": specification,
                "time_zone": time_zone,
                "prompt": prompt,
                "grant_id": grant_id,
                "expires_at": expires_at,
            },
        )

    def observation(
        self,
        *,
        source: Literal["tool", "document", "memory", "web", "message", "dataset", "agent", "unknown"],
        uri: str | None = None,
        version: str | None = None,
        digest: bytes | None = None,
        origin: str | None = None,
        trust: Literal["trusted", "untrusted", "unknown"],
        dataset: str | None = None,
        dataset_version: str | None = None,
        labels: Sequence[str] = (),
        operation: str | None = None,
        action_id: str | None = None,
        status: Literal["success", "failure", "unknown"],
        result: Textual | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """What a tool, document, memory or other source gave an agent to read: it may inform, and may mislead."""
        return self._record_kind(
            Observation,
            about,
            {
                "source": source,
                "uri": uri,
                "version": version,
                "digest": digest,
                "origin": origin,
                "trust": trust,
                "dataset": dataset,
                "dataset_version": dataset_version,
                "labels": listed(labels, "labels") if labels else (),
                "operation": operation,
                "action_id": action_id,
                "status": status,
                "result": result,
            },
        )

    def memory(
        self,
        *,
        action: Literal["write", "read", "delete"],
        store: str | None = None,
        scope: str | None = None,
        key: str | None = None,
        version: str | None = None,
        value: Textual | None = None,
        trust: Literal["trusted", "untrusted", "unknown"],
        expires_at: int | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """An agent wrote, read or deleted something that outlives the run."""
        return self._record_kind(
            Memory,
            about,
            {
                "action": action,
                "store": store,
                "scope": scope,
                "key": key,
                "version": version,
                "value": value,
                "trust": trust,
                "expires_at": expires_at,
            },
        )

    def handoff(
        self,
        *,
        direction: Literal["sent", "received"],
        peer_ledger: str | None = None,
        peer_event_id: bytes | None = None,
        peer_digest: bytes | None = None,
        peer_agent: str | None = None,
        protocol: str | None = None,
        task_id: str | None = None,
        token: TokenReference | None = None,
        message: Textual | None = None,
        evidence: Textual | None = None,
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """Work went over to, or came from, a party that keeps another ledger."""
        return self._record_kind(
            Handoff,
            about,
            {
                "direction": direction,
                "peer_ledger": peer_ledger,
                "peer_event_id": peer_event_id,
                "peer_digest": peer_digest,
                "peer_agent": peer_agent,
                "protocol": protocol,
                "task_id": task_id,
                "token": token,
                "message": message,
                "evidence": evidence,
            },
        )

    def token_revocation(
        self,
        *,
        extent: Literal["token", "grant", "session", "subject", "client"],
        token: TokenReference | None = None,
        grant_id: str | None = None,
        issuer: str | None = None,
        client_id: str | None = None,
        session: str | None = None,
        subject: Named | None = None,
        by: Named | None = None,
        reason: str | None = None,
        effective_at: int | None = None,
        issued_before: int | None = None,
        derived_tokens: Literal["revoked", "kept", "unknown"],
        **about: Unpack[Circumstances],
    ) -> Recorded:
        """A token, or tokens of one origin, stopped being valid."""
        return self._record_kind(
            TokenRevocation,
            about,
            {
                "extent": extent,
                "token": token,
                "grant_id": grant_id,
                "issuer": issuer,
                "client_id": client_id,
                "session": session,
                "subject": subject,
                "by": by,
                "reason": reason,
                "effective_at": effective_at,
                "issued_before": issued_before,
                "derived_tokens": derived_tokens,
            },
        )

    def agent_registration(
        self,
        *,
        agent_id: str,
        state: Literal["active", "suspended", "retired"],
        name: str | None = None,
        owner: Named | None = None,
        by: Named | None = None,
        parent_agent: str | None = None,
        client_ids: Sequence[str] = (),
        provider: str | None = None,
        model: str | None = None,
        version: str | None = None,
        purpose: str | None = None,
        description: Textual | None = None,
        scopes: Sequence[str] = (),
        risk_class: str | None = None,
        effective_at: int | None = None,
        expires_at: int | None = None,
        **about: Unpack[Shared],
    ) -> Recorded:
        """Who owns an agent and what it is for, from now on."""
        return self._record_kind(
            AgentRegistration,
            about,
            {
                "agent_id": agent_id,
                "state": state,
                "name": name,
                "owner": owner,
                "by": by,
                "parent_agent": parent_agent,
                "client_ids": listed(client_ids, "client_ids") if client_ids else (),
                "provider": provider,
                "model": model,
                "version": version,
                "purpose": purpose,
                "description": description,
                "scopes": listed(scopes, "scopes") if scopes else (),
                "risk_class": risk_class,
                "effective_at": effective_at,
                "expires_at": expires_at,
            },
        )

    def content_erasure(
        self,
        *,
        contents: Sequence[bytes] = (),
        events: Sequence[bytes] = (),
        basis: str,
        by: Named | None = None,
        request: str | None = None,
        **about: Unpack[Shared],
    ) -> Recorded:
        """Contents, or payloads of events, are to be erased."""
        return self._record_kind(
            ContentErasure,
            about,
            {
                "contents": listed(contents, "contents") if contents else (),
                "events": listed(events, "events") if events else (),
                "basis": basis,
                "by": by,
                "request": request,
            },
        )
