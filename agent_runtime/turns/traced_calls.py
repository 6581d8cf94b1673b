"""Calls of models and tools in the traces of their turns."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig

from groundwork import tracing


def traced_calls() -> RunnableConfig:
    """What a graph is configured with, so that its calls show in traces; nothing where there are none."""
    return RunnableConfig(callbacks=[_Spans()]) if tracing.is_on() else RunnableConfig()


class _Spans(BaseCallbackHandler):
    """A span per call, named after the model or the tool. What was said is not told."""

    run_inline = True  # where the call is made, and so in its place in the trace

    def __init__(self) -> None:
        self._open: dict[UUID, Any] = {}

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **more: Any) -> None:
        metadata = more.get("metadata") or {}
        name = metadata.get("ls_model_name") or (serialized or {}).get("name") or more.get("name") or ""
        self._begin(run_id, f"model {name}".strip())

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **more: Any) -> None:
        self._begin(run_id, "model")

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **more: Any) -> None:
        self._begin(run_id, f"tool {(serialized or {}).get('name') or more.get('name') or ''}".strip())

    def on_llm_end(self, response: Any, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id, error)

    def on_tool_end(self, output: Any, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self._end(run_id, error)

    def _begin(self, run_id: UUID, name: str) -> None:
        if (opened := tracing.begin(name)) is not None:
            self._open[run_id] = opened

    def _end(self, run_id: UUID, error: BaseException | None = None) -> None:
        if (opened := self._open.pop(run_id, None)) is not None:
            opened(error)
