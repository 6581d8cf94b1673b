"""What a turn has used and come to: counted while it runs, and told in one line of the log at its end."""

import json
import logging
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from agent_runtime.graph.outputs import Completed, Failed, NeedsInput, Outcome, Rejected, Replied
from agent_runtime.turn_records.models import EndState, Failure
from agent_runtime.turn_records.prices import Prices
from agent_runtime.turns.types import Turn
from groundwork.telemetry.logs import field_of, redact, request_id

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1000
_LONGEST_IN_LOG = 300
_LONGEST_NAME = 200
_MOST_MODELS = 50
_OTHER_MODELS = "(others)"

_STATES: dict[type[Outcome], EndState] = {
    Completed: "completed",
    Replied: "replied",
    NeedsInput: "input_required",
    Rejected: "rejected",
    Failed: "failed",
}


def state_of(outcome: Outcome) -> EndState:
    return _STATES[type(outcome)]


def failure_of(error: BaseException, project: Path | None = None) -> Failure:
    """Return what operators are told of an error, without secrets. `project` is where the author's own code is."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if project is not None and _is_own(Path(frame.filename), project)]
    at = _place_of(own[-1], project) if own and project else ""
    message = _storable(redact(str(error))[:_LONGEST_MESSAGE])
    return Failure(type(error).__name__, message, _storable(at), request_id.get())


def _place_of(frame: traceback.FrameSummary, project: Path) -> str:
    return f"{Path(frame.filename).relative_to(project)}:{frame.lineno} {frame.name}"


def _is_own(file: Path, project: Path) -> bool:
    return file.is_relative_to(project) and "site-packages" not in file.parts


def _storable(text: str) -> str:
    """The text without what PostgreSQL's JSON cannot hold."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


@dataclass
class ModelUse:
    """What the calls of one model have used. `input_tokens` hold those that the provider had cached, too."""

    model_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    def add(self, usage: Mapping[str, Any]) -> None:
        self.input_tokens += usage.get("input_tokens") or 0
        self.output_tokens += usage.get("output_tokens") or 0
        self.cached_tokens += (usage.get("input_token_details") or {}).get("cache_read") or 0


class _Counter(BaseCallbackHandler):
    """Counts what every call of a model or a tool in a run uses, in subgraphs, sub-agents and threads too."""

    run_inline = True  # a turn that ends with the call counts it
    ignore_chain = ignore_retriever = ignore_custom_event = True

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = threading.Lock()  # tools that are not async run in threads
        self._names: dict[UUID, str] = {}
        self.models: dict[str, ModelUse] = {}
        self.tool_calls = 0
        self.changes = 0

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **more: Any) -> None:
        name = (more.get("metadata") or {}).get("ls_model_name")
        with self._lock:
            self._names[run_id] = str(name or "")

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **more: Any) -> None:
        self.on_chat_model_start(serialized, prompts, run_id=run_id, **more)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **more: Any) -> None:
        self._count(run_id, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """Called for a stream that breaks off, too, with what had come by then."""
        self._count(run_id, more.get("response"))

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **more: Any) -> None:
        with self._lock:
            self.tool_calls += 1
            self.changes += 1

    def _count(self, run_id: UUID, response: LLMResult | None) -> None:
        generations = [one for many in response.generations for one in many] if response else []
        messages = [one.message for one in generations if isinstance(one, ChatGeneration)]
        answers = [message for message in messages if isinstance(message, AIMessage)]
        said = next((name for one in answers if (name := one.response_metadata.get("model_name"))), "")
        with self._lock:
            name = _storable(str(self._names.pop(run_id, "") or said or self._model)[:_LONGEST_NAME])
            if name not in self.models and len(self.models) >= _MOST_MODELS:
                name = _OTHER_MODELS
            use = self.models.setdefault(name, ModelUse())
            use.model_calls += 1
            for answer in answers:
                use.add(answer.usage_metadata or {})
            self.changes += 1


# One hook for all runs: LangChain keeps each that is registered for ever.
_counting: ContextVar[_Counter | None] = ContextVar("_counting", default=None)
register_configure_hook(_counting, inheritable=True)


class TurnReport:
    """One attempt of a turn, as this process sees it."""

    def __init__(self, turn: Turn, prices: Prices | None = None, model: str = "") -> None:
        """`model` is named where no call of a model says which one it was."""
        self.turn = turn
        self.failure: Failure | None = None
        self._prices = prices or Prices()
        self._counter = _Counter(model)
        self._noted = 0
        self._began_at = time.monotonic()

    @contextmanager
    def watching(self, project: Path) -> Iterator[None]:
        """Count what is called in the block, and keep why it failed."""
        token = _counting.set(self._counter)
        try:
            yield
        except BaseException as error:
            self.failure = failure_of(error, project)
            raise
        finally:
            _counting.reset(token)

    def models(self) -> dict[str, ModelUse]:
        return dict(self._counter.models)

    @property
    def tokens(self) -> int:
        return sum(use.input_tokens + use.output_tokens for use in self._counter.models.values())

    @property
    def tool_calls(self) -> int:
        return self._counter.tool_calls

    @property
    def cost(self) -> Decimal | None:
        """`None` where no price is known."""
        costs = [self.cost_of(name, use) for name, use in self.models().items()]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if known else None

    def cost_of(self, model: str, use: ModelUse) -> Decimal | None:
        return self._prices.cost_of(model, use.input_tokens, use.cached_tokens, use.output_tokens)

    def usage(self) -> str | None:
        """All that the attempt has used, as its turn's row keeps it; `None` when it has used nothing."""
        return json.dumps(self._usage()) if self._counter.changes else None

    def news(self) -> str | None:
        """The same, once for each change."""
        if self._noted == self._counter.changes:
            return None
        self._noted = self._counter.changes
        return self.usage()

    def ending(self, outcome: Outcome) -> str:
        """What goes into the turn's record, as JSON."""
        failure = self._failure(outcome)
        return json.dumps(
            {
                "state": state_of(outcome),
                "duration_ms": self._duration_ms(),
                "usage": self._usage(),
                "failure": failure and asdict(failure),
            }
        )

    def log(self, outcome: Outcome) -> None:
        """Log the end of the turn."""
        models = self._counter.models
        facts: dict[str, object] = {
            "task_id": self.turn.task_id,
            "thread_id": self.turn.thread_id,
            "caller": self.turn.caller,
            "model": ",".join(models),
            "input_tokens": sum(use.input_tokens for use in models.values()),
            "output_tokens": sum(use.output_tokens for use in models.values()),
            "tool_calls": self.tool_calls,
            "duration_ms": self._duration_ms(),
            "outcome": state_of(outcome),
        }
        if (failure := self._failure(outcome)) is not None:
            facts |= {"error": failure.error, "message": failure.message[:_LONGEST_IN_LOG], "at": failure.at}
        fields = " ".join(field_of(name, value) for name, value in facts.items())
        logger.info("turn failed %s" if isinstance(outcome, Failed) else "turn completed %s", fields)

    def _failure(self, outcome: Outcome) -> Failure | None:
        if not isinstance(outcome, Failed):
            return None
        return self.failure or Failure("", _storable(redact(outcome.reason)), "", request_id.get())

    @property
    def seconds(self) -> float:
        """For how long it has been going on."""
        return time.monotonic() - self._began_at

    def _duration_ms(self) -> int:
        return round(self.seconds * 1000)

    def _usage(self) -> dict[str, list[dict[str, object]]]:
        entries: list[dict[str, object]] = []
        for name, use in self.models().items():
            cost = self.cost_of(name, use)
            entries.append({"model": name, **asdict(use), "cost": None if cost is None else float(cost)})
        if self.tool_calls:
            entries.append({"tool_calls": self.tool_calls})
        return {str(self.turn.attempt): entries} if entries else {}
