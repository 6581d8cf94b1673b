"""The chat model that `MODEL` names."""

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from agent_runtime.errors import BadProject
from agent_runtime.graph.offline import OfflineChatModel

API_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
"""The providers that come as extras of `agent-sidecar`, and the variable each takes its key from."""


def build_model(spec: str, base_url: str = "", **parameters: Any) -> BaseChatModel:
    """The model for `provider:name`, with `parameters` such as `temperature`; the offline model when empty.

    A server of one's own at `base_url` needs no API key. Raises `BadProject` when there is no such
    provider, its package is not installed, or its key is not set.
    """
    if not spec:
        return OfflineChatModel()
    provider, separator, name = spec.partition(":")
    if not (provider and separator and name):
        raise BadProject(f"MODEL={spec!r}: must be provider:name, such as openai:gpt-4.1-mini, or empty")
    given = _connection(spec, provider, base_url) | parameters
    # Here, because it takes a second that an agent with the offline model need not spend at start.
    from langchain.chat_models import init_chat_model

    try:
        model: BaseChatModel = init_chat_model(name, model_provider=provider, **given)
    except ImportError as error:
        raise BadProject(f"MODEL={spec!r}: {_install(provider)} ({error})") from error
    except ValueError as error:
        raise BadProject(f"MODEL={spec!r}: {_reason(error)}") from error
    return model


def _connection(spec: str, provider: str, base_url: str) -> dict[str, Any]:
    key = API_KEYS.get(provider)
    if key is None or os.environ.get(key):
        return {"base_url": base_url} if base_url else {}
    if base_url:
        return {"base_url": base_url, "api_key": "none"}
    raise BadProject(f"MODEL={spec!r}: set {key}, or MODEL_BASE_URL to a server that needs no key")


def _install(provider: str) -> str:
    if provider in API_KEYS:
        return f"install what it needs: pip install 'agent-sidecar[{provider}]'"
    return f"install the LangChain package of provider {provider!r}"


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):  # whose text would repeat the values, an API key among them
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).strip().partition("\n")[0]
