"""A run on its way in, and what it streams."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.turns.types import TurnRequest

Strategy = Literal["enqueue", "reject", "interrupt", "rollback"]

END = StreamFrame("end", "null")
"""Stands after everything that a run has streamed; nobody is shown it."""


@dataclass(frozen=True)
class RunRequest(TurnRequest):
    """A turn request with what LangGraph's API wants of its acceptance. `asked` is what readers of the run are
    shown of the request, as JSON."""

    assistant_id: str = ""
    run_metadata: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    strategy: Strategy = "enqueue"
    must_exist: bool = False
    after_seconds: float = 0
    is_temporary: bool = False


@dataclass(frozen=True)
class RunFrame:
    """One frame that a run has streamed, at its place."""

    version: int
    frame: StreamFrame

    @property
    def is_all(self) -> bool:
        return False

    @property
    def ends(self) -> bool:
        return self.frame.event == END.event
