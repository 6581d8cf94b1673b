"""Attributes of spans in OpenTelemetry's conventions for generative AI, by which viewers know what they see.

What was said is in none of them.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

Value = str | int
Attributes = Mapping[str, Value]

_PROVIDERS = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""LangChain's names of providers, where the conventions have others."""


def model_call(provider: str, model: str, conversation_id: str = "") -> Attributes:
    return _given(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
            "gen_ai.request.model": model,
            "gen_ai.conversation.id": conversation_id,
        }
    )


def model_answer(model: str | None, input_tokens: int | None, output_tokens: int | None) -> Attributes:
    """Of what the model said of itself; what nobody told is left out."""
    return _given(
        {
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
        }
    )


def tool_call(name: str, call_id: str | None = None, conversation_id: str = "") -> Attributes:
    return _given(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.type": "function",
            "gen_ai.conversation.id": conversation_id,
        }
    )


def agent_call(name: str, agent_id: str = "", conversation_id: str = "") -> Attributes:
    return _given(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": name,
            "gen_ai.agent.id": agent_id,
            "gen_ai.conversation.id": conversation_id,
        }
    )


def server_of(url: str | None) -> Attributes:
    """Which server is called, without paths and queries, which may hold secrets."""
    try:
        parts = urlsplit(url or "")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return {}
    return _given({"server.address": parts.hostname, "server.port": port})


def _given(attributes: Mapping[str, Value | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None and value != ""}
