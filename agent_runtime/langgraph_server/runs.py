"""A run on its way in, and what it streams."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.turns.types import TurnRequest

Strategy = Literal["enqueue", "reject", "interrupt", "rollback"]

Ending = Literal["completed", "failed", "interrupted", "cancelled"]
"""How a run has ended; `interrupted` is one that waits for an answer."""

END = "end"
"""The event of the frame after everything that a run has streamed. Who follows the run is not shown it."""


def end_frame(ending: Ending) -> StreamFrame:
    """Return the frame that ends a run."""
    return StreamFrame(END, f'{{"event":"{ending}"}}')


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
    webhook: str | None = None

    @property
    def place(self) -> str:
        """The path of the run."""
        return f"/threads/{quote(self.thread_id, safe='')}/runs/{self.task_id}"

    @property
    def headers(self) -> dict[str, str]:
        """What tells a client where the run is that it has begun."""
        return {"Content-Location": self.place}


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
        return self.frame.event == END
