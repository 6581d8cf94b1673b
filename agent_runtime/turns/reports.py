"""What a turn was and came to, as one line of the log at its end."""

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from agent_runtime.graph.outputs import Failed, Outcome
from agent_runtime.turns.types import Turn
from groundwork.telemetry.logs import field_of

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Failure:
    """Why a turn failed: the error's class, its message, and the last line of the project's own code in it."""

    kind: str
    message: str
    frame: str

    @classmethod
    def of(cls, error: BaseException, project: Path) -> "Failure":
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if _is_own(Path(frame.filename), project)]
        frame = f"{Path(own[-1].filename).relative_to(project)}:{own[-1].lineno} {own[-1].name}" if own else ""
        return cls(type(error).__name__, str(error)[:_LONGEST_MESSAGE], frame)


def _is_own(file: Path, project: Path) -> bool:
    return file.is_relative_to(project) and "site-packages" not in file.parts


class _Usage(AsyncCallbackHandler):
    """Counts the tokens of every model call of a run, those in subgraphs and tools too."""

    ignore_chain = True
    ignore_agent = True
    ignore_retriever = True

    def __init__(self) -> None:
        self.models: dict[str, None] = {}
        self.input_tokens = 0
        self.output_tokens = 0

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        for generation in (one for many in response.generations for one in many):
            message = generation.message if isinstance(generation, ChatGeneration) else None
            if isinstance(message, AIMessage) and (usage := message.usage_metadata):
                self.input_tokens += usage["input_tokens"]
                self.output_tokens += usage["output_tokens"]
            if isinstance(message, AIMessage) and (name := message.response_metadata.get("model_name")):
                self.models[str(name)] = None


# One hook for all runs: LangChain keeps each that is registered for ever.
_counting: ContextVar[_Usage | None] = ContextVar("_counting", default=None)
register_configure_hook(_counting, inheritable=True)


@dataclass
class _Report:
    model: str
    usage: _Usage = field(default_factory=_Usage)
    began: float = field(default_factory=time.monotonic)
    failure: Failure | None = None


# A turn is run and ended by one task, which ends with it.
_current: ContextVar[_Report | None] = ContextVar("_current", default=None)


@contextmanager
def reporting(model: str, project: Path) -> Iterator[None]:
    """Watch a run of a turn; `model` is named where no call of a model says which one it was. The failure's line
    of code is looked for below `project`."""
    report = _Report(model)
    _current.set(report)
    token = _counting.set(report.usage)
    try:
        yield
    except BaseException as error:
        report.failure = Failure.of(error, project)
        raise
    finally:
        _counting.reset(token)


def report_end(turn: Turn, outcome: Outcome, name: str) -> None:
    """Log the end of the turn that the current task has run, if it came to that. `name` is the outcome's."""
    report = _current.get() or _Report("")
    facts: dict[str, object] = {
        "task_id": turn.task_id,
        "thread_id": turn.thread_id,
        "caller": turn.caller,
        "model": ",".join(report.usage.models) or report.model,
        "input_tokens": report.usage.input_tokens,
        "output_tokens": report.usage.output_tokens,
        "duration_ms": round((time.monotonic() - report.began) * 1000),
        "outcome": name,
    }
    if isinstance(outcome, Failed):
        failure = report.failure or Failure("", outcome.reason, "")
        facts |= {"error": failure.kind, "message": failure.message, "at": failure.frame}
    fields = " ".join(field_of(name, value) for name, value in facts.items())
    logger.info("turn failed %s" if isinstance(outcome, Failed) else "turn completed %s", fields)
