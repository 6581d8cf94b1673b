"""Calls of models and tools as a turn sees them: in its trace, and which of them are no part of the answer."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.constants import TAG_NOSTREAM

from groundwork.telemetry import genai, tracing


def call_handlers(thread_id: str) -> list[BaseCallbackHandler]:
    """Return what a graph is configured with; its calls show in traces where there are any."""
    return [_Internal(), _Spans(thread_id)] if tracing.is_on() else [_Internal()]


class _Internal(BaseCallbackHandler):
    """Keeps out of the stream what a model fills in for the program: the JSON of `with_structured_output`."""

    run_inline = True  # before LangGraph's own handler looks at the tags
    ignore_llm = ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = True

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, tags: list[str] | None = None, **more: Any
    ) -> None:
        if tags is not None and "ls_structured_output_format" in (more.get("options") or {}):
            tags.append(TAG_NOSTREAM)


class _Spans(BaseCallbackHandler):
    """A span per call, named after the model or the tool. What was said is not told."""

    run_inline = True  # where the call is made, and so in its place in the trace

    def __init__(self, thread_id: str) -> None:
        self._thread_id = thread_id
        self._open: dict[UUID, tracing.End] = {}

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **more: Any) -> None:
        metadata = more.get("metadata") or {}
        name = metadata.get("ls_model_name") or (serialized or {}).get("name") or more.get("name") or ""
        attributes = genai.model_call(metadata.get("ls_provider") or "", name, self._thread_id)
        self._begin(run_id, f"model {name}".strip(), attributes, client=True)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **more: Any) -> None:
        self.on_chat_model_start(serialized, prompts, run_id=run_id, **more)

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **more: Any) -> None:
        name = (serialized or {}).get("name") or more.get("name") or ""
        attributes = genai.tool_call(name, more.get("tool_call_id"), self._thread_id)
        self._begin(run_id, f"tool {name}".strip(), attributes)

    def on_llm_end(self, response: Any, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id, known=_told_by(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id, error)

    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id, error)

    def _begin(self, run_id: UUID, name: str, attributes: tracing.Attributes, *, client: bool = False) -> None:
        if (opened := tracing.begin(name, attributes, client=client)) is not None:
            self._open[run_id] = opened

    def _end(
        self, run_id: UUID, error: BaseException | None = None, known: tracing.Attributes | None = None
    ) -> None:
        if (opened := self._open.pop(run_id, None)) is not None:
            opened(error, known or {})


def _told_by(response: Any) -> tracing.Attributes:
    """What a model's answer says of the model and of tokens; nothing of it is sure to be there."""
    generations = response.generations[0] if response.generations else []
    message = getattr(generations[0], "message", None) if generations else None
    metadata: Mapping[str, Any] = getattr(message, "response_metadata", None) or {}
    usage: Mapping[str, Any] = getattr(message, "usage_metadata", None) or {}
    model = metadata.get("model_name") or metadata.get("model")
    return genai.model_answer(model, usage.get("input_tokens"), usage.get("output_tokens"))
