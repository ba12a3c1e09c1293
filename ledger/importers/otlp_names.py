"""What dialects call the same thing, in the order in which they are asked: the more telling name comes first."""

from __future__ import annotations

from typing import Final

INPUTS: Final = (
    "gen_ai.input.messages", "ai.prompt.messages", "ai.prompt", "pydantic_ai.all_messages", "all_messages_events",
    "gen_ai.prompt", "gen_ai.content.prompt", "traceloop.entity.input", "input.value", "langfuse.observation.input",
    "langfuse.trace.input",    "gcp.vertex.agent.llm_request", "llm.prompts", "mlflow.spanInputs", "inputs", "input",
)  # fmt: skip
OUTPUTS: Final = (
    "gen_ai.output.messages", "ai.response.text", "ai.response.object", "gen_ai.completion", "gen_ai.content.completion",
    "traceloop.entity.output", "output.value", "langfuse.observation.output", "langfuse.trace.output",
    "gcp.vertex.agent.llm_response", "final_result", "mlflow.spanOutputs", "outputs", "output",
)  # fmt: skip
FLAT_INPUTS: Final = ("llm.input_messages", "gen_ai.prompt")
FLAT_OUTPUTS: Final = ("llm.output_messages", "gen_ai.completion")
ARGUMENTS: Final = (
    "gen_ai.tool.call.arguments", "tool_arguments", "tool.parameters", "ai.toolCall.args", "gcp.vertex.agent.tool_call_args",
    "input.value", "traceloop.entity.input", "langfuse.observation.input", "inputs", "input",
)  # fmt: skip
RESULTS: Final = (
    "gen_ai.tool.call.result", "tool_response", "ai.toolCall.result", "gcp.vertex.agent.tool_response", "output.value",
    "traceloop.entity.output", "langfuse.observation.output", "outputs", "output",
)  # fmt: skip
USERS: Final = (
    "user.id",
    "enduser.id",
    "langfuse.user.id",
    "ai.telemetry.metadata.userId",
    "traceloop.association.properties.user_id",
    "langsmith.metadata.user_id",
)
CONVERSATIONS: Final = (
    "gen_ai.conversation.id", "session.id", "langfuse.session.id", "ai.telemetry.metadata.sessionId",
    "traceloop.association.properties.session_id", "langsmith.trace.session_id", "langsmith.metadata.session_id",
    "langsmith.metadata.thread_id",
)  # fmt: skip
EVENT_ROLES: Final = {
    "gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}  # fmt: skip
DETAILS: Final = ("gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion")
