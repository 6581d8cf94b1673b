"""The chat model that `AGENT_MODEL` names."""

from typing import Any

from langchain_core.language_models import BaseChatModel

from agent_runtime.errors import BadProject
from groundwork.models.chat_models import KeyMissing, ModelUnusable, build_chat_model
from groundwork.models.offline.model import OfflineChatModel


def build_model(spec: str, base_url: str = "", **parameters: Any) -> BaseChatModel:
    """The model for `provider:name`, with `parameters` such as `temperature`; the offline model when empty.

    A server of one's own at `base_url` needs no API key. Raises `BadProject` when there is no such
    provider, its package is not installed, or its key is not set.
    """
    if not spec:
        return OfflineChatModel(**parameters)
    provider, separator, name = spec.partition(":")
    if not (provider and separator and name):
        raise BadProject(f"AGENT_MODEL={spec!r}: must be provider:name, such as openai:gpt-4.1-mini, or empty")
    try:
        return build_chat_model(provider, name, base_url, **parameters)
    except KeyMissing as error:
        raise BadProject(
            f"AGENT_MODEL={spec!r}: {error}, or MODEL_BASE_URL to a server that needs no key"
        ) from error
    except ModelUnusable as error:
        raise BadProject(f"AGENT_MODEL={spec!r}: {error}") from error
