"""The long-term summary: what has left the window is folded into a few paragraphs, beside the turns."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.constants import TAG_NOSTREAM

from agent_runtime.memory import store
from agent_runtime.memory.config import LiveMemoryConfig
from agent_runtime.memory.store import Summary
from agent_runtime.memory.window import split_groups, window_start
from groundwork.models.summarizing import INSTRUCTIONS
from groundwork.postgres.pool import Pool, connection
from groundwork.process.background import let_end

logger = logging.getLogger(__name__)

MODEL_SECONDS = 60.0
"""How long the model may take for one summary."""

CHUNK_CHARACTERS = 24_000
MESSAGE_CHARACTERS = 4_000
SUMMARY_CHARACTERS = 12_000


class SummaryEmpty(Exception):
    """The model answered without a word."""


class Summaries:
    """Keeps the summaries of threads up to date in the background, at most one at a time per thread."""

    def __init__(self, pool: Pool, model_for: Callable[[], BaseChatModel], memory: LiveMemoryConfig) -> None:
        self._pool = pool
        self._model_for = model_for
        self._memory = memory
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def consider(self, thread_id: str, owner_key: int, messages: Sequence[BaseMessage]) -> None:
        """Starts to fold what has left the window, when there is enough of it; returns at once.

        A failure is logged and left for the next call, which finds the same messages still to be folded.
        """
        config = self._memory.current
        if self._stopping or thread_id in self._running:
            return
        if not config.summarize or len(messages) <= config.summarize_threshold:
            return
        # In a context of its own, because in the turn's one LangChain would find the turn's callbacks and put the
        # summary into its stream.
        task = asyncio.get_running_loop().create_task(
            self._fold(thread_id, owner_key, list(messages), window_start(messages, config.window_size)),
            name=f"summary of {thread_id!r}",
            context=contextvars.Context(),
        )
        self._running[thread_id] = task
        task.add_done_callback(lambda done: self._ended(thread_id, done))

    async def drain(self, seconds: float) -> None:
        """Begins nothing new, lets what runs end for so long, and stops the rest."""
        self._stopping = True
        await let_end(list(self._running.values()), seconds)

    def _ended(self, thread_id: str, task: asyncio.Task[None]) -> None:
        del self._running[thread_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("summary failed, the next turn retries thread_id=%r", thread_id, exc_info=error)

    async def _fold(self, thread_id: str, owner_key: int, messages: Sequence[BaseMessage], end: int) -> None:
        """Brings the summary forward to message `end`. Each piece is stored as soon as it is folded, so that a
        long conversation that fails half way goes on from there."""
        async with connection(self._pool) as conn:
            thread = await store.find_summary(conn, thread_id, owner_key)
        if thread is None:
            return
        for stop, chunk in _chunks(messages, _reach(messages, thread.summary), end):
            text = await self._summarize(thread.summary.text, chunk)
            summary = Summary(text, stop, _storable(messages[stop - 1].id or ""))
            async with connection(self._pool) as conn:
                stored = await store.store_summary(conn, thread, summary)
            if not stored:
                return
            thread = replace(thread, summary=summary)

    async def _summarize(self, previous: str, conversation: str) -> str:
        request = f"Conversation:\n{conversation}"
        if previous:
            request = f"Summary of what came before, to be continued:\n{previous}\n\n{request}"
        async with asyncio.timeout(MODEL_SECONDS):
            answer = await self._model_for().ainvoke(
                [SystemMessage(INSTRUCTIONS), HumanMessage(request)],
                {"tags": [TAG_NOSTREAM], "run_name": "summary"},
            )
        text = _shorten(_storable(answer.text).strip(), SUMMARY_CHARACTERS)
        if not text:
            raise SummaryEmpty("the model answered with an empty summary")
        return text


def _reach(messages: Sequence[BaseMessage], summary: Summary) -> int:
    """How many of the messages the summary covers. A graph may have removed some since, so the last one that was
    covered is looked for by its id; when it is gone, everything that is left counts as new."""
    ids = [_storable(message.id or "") for message in messages]
    if summary.messages == 0 or ids[summary.messages - 1 : summary.messages] == [summary.last_message_id]:
        return summary.messages
    return ids.index(summary.last_message_id) + 1 if summary.last_message_id in ids else 0


def _chunks(messages: Sequence[BaseMessage], start: int, end: int) -> Iterator[tuple[int, str]]:
    """The messages from `start` to `end` as text, in pieces that a model can take; with each, where it ends.

    A tool call and its results are never in two pieces.
    """
    chunk, stop = "", start
    for group in split_groups(messages[start:end]):
        text = _shorten("\n".join(_line(messages[start + index]) for index in group), CHUNK_CHARACTERS)
        if chunk and len(chunk) + len(text) > CHUNK_CHARACTERS:
            yield stop, chunk
            chunk = ""
        chunk += f"{text}\n"
        stop = start + group.stop
    if chunk:
        yield stop, chunk


def _line(message: BaseMessage) -> str:
    speaker = f"tool {message.name or ''}".strip() if isinstance(message, ToolMessage) else message.type
    said = [str(message.text)]
    if not isinstance(message.content, str):
        kinds = [block.get("type", "data") for block in message.content if isinstance(block, dict)]
        said += [f"[{kind}]" for kind in kinds if kind != "text"]
    if isinstance(message, AIMessage):
        said += [f"[calls {call['name']} with {call['args']}]" for call in message.tool_calls]
    return f"{speaker}: {_shorten(' '.join(filter(None, said)), MESSAGE_CHARACTERS)}"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"


def _storable(text: str) -> str:
    """Without what PostgreSQL's text type cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
