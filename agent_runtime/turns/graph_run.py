"""One run of the user's graph for one turn: what goes in, what comes out, where it goes on after a crash."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphRecursionError
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.types import StateSnapshot

from agent_runtime.errors import InvalidValue, TurnSuperseded
from agent_runtime.graph.answers import TurnRejected
from agent_runtime.graph.inputs import MESSAGES, MESSAGES_ONLY, GraphInput
from agent_runtime.graph.outputs import (
    Artifact,
    Completed,
    CustomEvent,
    Data,
    Failed,
    Outcome,
    Output,
    Rejected,
    Replied,
)
from agent_runtime.turns.answer import AnswerText, ToolLog
from agent_runtime.turns.final import (
    STRUCTURED,
    conversation_of,
    final_parts,
    jsonable,
    last_words,
    output_fields,
)
from agent_runtime.turns.open_calls import close_open_calls
from agent_runtime.turns.questions import AnswerRefused, Pause, is_invalid_resume, pause_of, reached_breakpoint
from agent_runtime.turns.saver import Durability, TurnSaver
from agent_runtime.turns.traced_calls import call_handlers
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.checkpoint_values import NotStorable
from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)

Graph = CompiledStateGraph[Any, Any, Any, Any]
Put = Callable[[Sequence[Output]], Awaitable[None]]
"""Hands outputs to the caller's side; each call is a write, so they come gathered."""

CHUNK_SECONDS = 0.1
"""How long text and custom events are gathered before they are put out, so that many tokens cost little more than
their text."""

MOST_WAITING_EVENTS = 256
"""A graph that writes more custom events than this within that time waits until they are written."""

CANNOT_WAIT = (
    "the agent asked a question, but cannot wait for an answer: it keeps no conversations"
    " (MEMORY_ENABLED=false, or no AGENT_ID)"
)

_INTERRUPT = "__interrupt__"


@dataclass(frozen=True)
class RunResult:
    """How the run ended, with the outputs not put out yet and the conversation as it stands. `unsaved` is what the
    run has written to its checkpoints and what is to be stored with the turn's end."""

    outcome: Outcome
    outputs: Sequence[Output]
    messages: Sequence[BaseMessage]
    unsaved: CheckpointRows | None = None


class GraphRun:
    """One turn's run of a graph. `context` is what nodes find in their runtime, `configurable` in their config;
    `inputs` makes the graph's input of the message. `saver` is `None` when the agent keeps no memory."""

    def __init__(
        self,
        graph: Graph,
        turn: Turn,
        context: Any,
        *,
        inputs: GraphInput = MESSAGES_ONLY,
        configurable: Mapping[str, Any] | None = None,
        saver: TurnSaver | None,
        store: BaseStore | None = None,
        durability: Durability,
        put: Put,
    ) -> None:
        changes: dict[str, Any] = {"checkpointer": saver}
        self._graph = graph.copy(update=changes if store is None else {**changes, "store": store})
        self._turn = turn
        self._inputs = inputs
        self._context = context
        self._saver = saver
        self._durability = durability
        self._put = put
        self._answer = AnswerText(f"answer-{turn.turn_id}")
        self._tools = ToolLog()
        self._state: Any = {}
        self._first_state: Any = None
        self._answers = False
        self._events: list[Output] = []
        self._has_sent_artifacts = False
        self._stopped = False
        self._pause: Pause | None = None
        self._answering: Pause | None = None
        self._reply: Replied | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._gathering = False
        self._lost: Exception | None = None
        self._writing = asyncio.Lock()
        # The turn's id goes into the metadata of the checkpoints it writes: that is how a later attempt
        # knows whether its message is in the conversation already.
        self._config: RunnableConfig = {
            "configurable": {"thread_id": turn.thread_id, **(configurable or {})},
            "metadata": {"turn_id": turn.turn_id},
            "callbacks": call_handlers(turn.thread_id),
        }

    async def run(self, request: TurnRequest) -> RunResult:
        """Runs to the end, to an interrupt, or to a failure, which becomes an outcome.

        Raises `TurnSuperseded` and `DatabaseUnavailable`: then the outcome is not this process's to say.
        """
        try:
            result = await self._run(request)
            if self._saver is None:
                return result
            if isinstance(result.outcome, Completed):
                self._saver.remember(_delta_values(self._graph, self._state))
            return replace(result, unsaved=await self._saver.take())
        except BaseException:  # a run that is stopped, too: another process goes on from what is stored
            await self._save()
            raise

    async def _run(self, request: TurnRequest) -> RunResult:
        self._answers = request.answers
        try:
            entry = await self._entry(request)
            if self._pause is None:
                await self._stream(entry)
        except AnswerRefused as refusal:
            return self._asked_again(str(refusal))
        except TurnRejected as rejection:
            return self._broken_off(Rejected(str(rejection)))
        except GraphRecursionError:
            logger.warning("turn failed, recursion limit reached turn_id=%s", self._turn.turn_id)
            reason = "the agent gave up after too many steps without an answer"
            return self._broken_off(Failed(reason))
        except NotStorable as error:
            logger.warning("turn failed, state cannot be stored turn_id=%s: %s", self._turn.turn_id, error)
            return self._broken_off(Failed(str(error)))
        except Exception as error:
            if isinstance(error, KeyError) and (missing := self._inputs.explain(error, self._state)):
                logger.warning("turn failed, a field is missing turn_id=%s: %s", self._turn.turn_id, missing)
                return self._broken_off(Failed(missing))
            if self._answering is None or not is_invalid_resume(error):
                raise
            # Other questions that were answered with it may have been taken.
            self._answering = await self._where_it_waits() or self._answering
            return self._asked_again(f"The question does not take this answer: {error}")
        finally:
            await self._stop_flushing()
        if self._lost is not None:
            raise self._lost
        if self._stopped and self._saver is None:
            return self._broken_off(Failed(CANNOT_WAIT))
        if self._stopped:
            # Questions are raised in any order, and are answered in the order in which the graph's state has them.
            self._pause = await self._where_it_waits()
        return self._result()

    async def _save(self) -> None:
        """Stores what the run has come to, for whoever goes on with the turn, or looks into what went wrong."""
        if self._saver is None:
            return
        try:
            await self._saver.flush()
        except (TurnSuperseded, DatabaseUnavailable) as error:
            logger.info("storing checkpoints stopped turn_id=%s: %s", self._turn.turn_id, error)
        except Exception:  # what has ended the run is being raised, and says more
            logger.exception("storing the last checkpoints failed turn_id=%s", self._turn.turn_id)

    async def _entry(self, request: TurnRequest) -> Any:
        """What to start the graph with: the message, the answer to what it waits for, or `None` to go on. Nothing
        is to be started when that is a question again, which is then in `_pause`.

        Raises `AnswerRefused`, `TurnRejected`.
        """
        if self._saver is None:
            return self._fresh(request)
        if self._turn.attempt == 1 and not request.answers:
            return self._fresh(request, await self._graph.aget_state(self._config))
        state = await self._graph.aget_state(self._config, subgraphs=True)
        self._state = state.values
        if (state.metadata or {}).get("turn_id") == self._turn.turn_id:
            if state.interrupts or await self._stands(state):
                self._pause = pause_of(state)
            return None
        if self._turn.answered:
            # What waits now, if anything does, is another question: the graph asks it again as it goes on.
            if await self._stands(state):
                self._pause = pause_of(state)
            return None
        if request.answers and (pause := pause_of(state)):
            self._answering = pause
            return pause.resume(request)
        return self._fresh(request, state)

    def _fresh(self, request: TurnRequest, state: StateSnapshot | None = None) -> Any:
        """What the graph is given for a message, if it has all that it needs. Raises `TurnRejected`."""
        known = state.values if state is not None and isinstance(state.values, Mapping) else {}
        try:
            self._inputs.check(request.values, known)
            entry = self._inputs.build(request.message, request.values)
        except InvalidValue as error:
            raise TurnRejected(str(error)) from error
        if state is not None and isinstance(entry, dict) and MESSAGES in entry:
            entry[MESSAGES] = [*close_open_calls(state), *entry[MESSAGES]]
        return entry

    async def _where_it_waits(self) -> Pause | None:
        return pause_of(await self._graph.aget_state(self._config, subgraphs=True))

    async def _stands(self, state: StateSnapshot) -> bool:
        return await reached_breakpoint(self._graph, state, self._turn.turn_id)

    async def _stream(self, entry: Any) -> None:
        options: dict[str, Any] = {} if self._saver is None else {"durability": self._durability}
        stream = self._graph.astream(
            entry,
            self._config,
            context=self._context,
            stream_mode=["values", "messages", "custom", "updates"],
            subgraphs=True,
            **options,
        )
        async with aclosing(stream):  # type: ignore[type-var]  # annotated as an iterator, is a generator
            async for namespace, mode, chunk in stream:
                await self._read(namespace, mode, chunk)

    async def _read(self, namespace: tuple[str, ...], mode: str, chunk: Any) -> None:
        if self._lost is not None:
            raise self._lost
        if mode == "messages":
            message, metadata = chunk
            self._hear(message, metadata)
        elif mode == "custom":
            await self._take_custom(chunk)
        elif mode == "updates":
            # A breakpoint is an interrupt that asks nothing, and shows nowhere else.
            self._stopped |= not namespace and _INTERRUPT in chunk
        else:
            if not namespace:
                self._first_state = chunk if self._first_state is None else self._first_state
                self._state = chunk
            if outputs := self._tools.read(namespace, chunk):
                await self._flush(outputs)

    def _hear(self, message: BaseMessage, metadata: Mapping[str, Any]) -> None:
        if not isinstance(message, AIMessage) or TAG_NOSTREAM in metadata.get("tags", ()):
            return
        if self._answer.add(message):
            self._gather()

    async def _take_custom(self, chunk: Any) -> None:
        if isinstance(chunk, Replied):
            self._reply = chunk
        elif isinstance(chunk, Artifact):
            self._has_sent_artifacts = True
            await self._flush([chunk])
        else:
            self._events.append(CustomEvent(chunk))
            if len(self._events) < MOST_WAITING_EVENTS:
                self._gather()
            else:
                await self._flush([])

    def _gather(self) -> None:
        if not self._gathering:
            self._gathering = True
            self._flushing = asyncio.create_task(self._flush_soon(), name=f"flush-{self._turn.turn_id}")

    async def _flush_soon(self) -> None:
        await asyncio.sleep(CHUNK_SECONDS)
        self._gathering = False
        try:
            await self._flush([])
        except (TurnSuperseded, DatabaseUnavailable) as error:
            self._lost = error  # raised where the stream is read: that is what has to stop
        except Exception as error:
            logger.exception("recording the answer failed turn_id=%s", self._turn.turn_id)
            self._lost = error

    async def _flush(self, outputs: Sequence[Output]) -> None:
        """Put out what was gathered so far, then `outputs`, in this order whoever calls."""
        async with self._writing:
            if gathered := [*self._answer.take(), *self._take_events(), *outputs]:
                await self._put(gathered)

    def _take_events(self) -> list[Output]:
        events, self._events = self._events, []
        return events

    async def _stop_flushing(self) -> None:
        """What waits to be written is left for the end. A chunk that is being written is finished, because its
        words are not gathered again and the turn's end would overtake it."""
        if self._gathering and self._flushing is not None:
            self._flushing.cancel()
        async with self._writing:
            pass

    def _asked_again(self, problem: str) -> RunResult:
        assert self._answering is not None, "an answer was refused, so there was a question"
        return self._broken_off(self._answering.ask(problem))

    def _result(self) -> RunResult:
        if self._pause is not None:
            return self._broken_off(self._pause.ask())
        messages = conversation_of(self._state)
        if self._reply is not None:
            return RunResult(self._reply, [], messages)
        return RunResult(Completed(), [*self._take_events(), *self._final_outputs(messages)], messages)

    def _broken_off(self, outcome: Outcome) -> RunResult:
        """The result of a run without an answer. Of what was streamed the conversation decides what stays."""
        messages = conversation_of(self._state)
        parts = last_words(self._said_in_this_run(messages)) if self._answer.has_spoken else []
        return RunResult(outcome, [*self._take_events(), *self._answer.finish(parts)], messages)

    def _final_outputs(self, messages: Sequence[BaseMessage]) -> list[Output]:
        said = self._said_in_this_run(messages)
        structured = self._structured_response()
        parts = final_parts(said, tools=structured is None)
        if not parts and self._answer.has_spoken:
            parts = last_words(said)
        outputs: list[Output] = [*self._answer.finish(parts)]
        channels = self._graph.output_channels
        if structured is not None:
            outputs.append(self._data_artifact(STRUCTURED, structured))
        elif (not parts and not self._has_sent_artifacts) or "messages" not in channels:
            if (fields := output_fields(self._state, channels)) not in (None, {}):
                outputs.append(self._data_artifact("output", fields))
            elif not parts and not self._has_sent_artifacts:
                logger.warning(
                    "turn completed without an answer task_id=%s thread_id=%s",
                    self._turn.task_id,
                    self._turn.thread_id,
                )
        return outputs

    def _said_in_this_run(self, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """The messages without those that an earlier turn of the task has answered with, before its question."""
        if not self._answers or self._turn.attempt > 1:
            return messages
        known = {message.id for message in conversation_of(self._first_state) if message.id}
        return [message for message in messages if message.id not in known]

    def _structured_response(self) -> Any:
        """What the model was made to fill in, unless it is left over from an earlier turn."""
        if not isinstance(self._state, dict) or (value := self._state.get(STRUCTURED)) is None:
            return None
        before = self._first_state.get(STRUCTURED) if isinstance(self._first_state, dict) else None
        return None if value is before and self._turn.attempt == 1 else jsonable(value)

    def _data_artifact(self, name: str, value: Any) -> Artifact:
        return Artifact(f"{name}-{self._turn.turn_id}", name, (Data(value),))


def delta_channels(graph: Graph) -> list[str]:
    """The channels whose value is made from what the steps have added, and so from older checkpoints."""
    return [name for name, channel in graph.channels.items() if isinstance(channel, DeltaChannel)]


def _delta_values(graph: Graph, state: Any) -> dict[str, list[Any]]:
    """What the graph's delta channels hold at the end of a run, as far as its output shows."""
    if not isinstance(state, dict):
        return {}
    return {name: state[name] for name in delta_channels(graph) if isinstance(state.get(name), list)}
