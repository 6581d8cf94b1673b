"""Chat models of providers, by name."""

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

API_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
"""The providers that come as extras of `agent-sidecar`, and the variable each takes its key from."""


class ModelUnusable(Exception):
    """The model cannot be used here; the message says what is missing or wrong, and shows no key."""


class KeyMissing(ModelUnusable):
    """The environment has no key for the provider."""


def build_chat_model(provider: str, name: str, base_url: str = "", **parameters: Any) -> BaseChatModel:
    """The model of that name, with `parameters` such as `temperature`. `provider` is one of LangChain's.

    A server of one's own at `base_url` needs no API key. The first call takes a second or two, for imports. Raises
    `ModelUnusable` when there is no such provider, its package is not installed, or its key is not set.
    """
    given = _counted(provider) | _connection(provider, base_url) | parameters
    # Here, because it takes a second that a process with the offline model need not spend at start.
    from langchain.chat_models import init_chat_model

    try:
        model: BaseChatModel = init_chat_model(name, model_provider=provider, **given)
    except ImportError as error:
        raise ModelUnusable(f"{_install(provider)} ({error})") from error
    except ValueError as error:
        raise ModelUnusable(_reason(error)) from error
    return model


def _counted(provider: str) -> dict[str, Any]:
    """Streams that say at their end what they have used; by default OpenAI's own server is asked for it alone."""
    return {"stream_usage": True} if provider == "openai" else {}


def _connection(provider: str, base_url: str) -> dict[str, Any]:
    key = API_KEYS.get(provider)
    if key is None or os.environ.get(key):
        return {"base_url": base_url} if base_url else {}
    if base_url:
        return {"base_url": base_url, "api_key": "none"}
    raise KeyMissing(f"set {key}")


def _install(provider: str) -> str:
    if provider in API_KEYS:
        return f"install what it needs: pip install 'agent-sidecar[{provider}]'"
    return f"install the LangChain package of provider {provider!r}"


def _reason(error: ValueError) -> str:
    if isinstance(error, ValidationError):  # whose text would repeat the values, an API key among them
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).strip().partition("\n")[0]
