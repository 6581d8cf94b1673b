"""What leaves the window is folded into a summary, beside the turns and never in their way."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.constants import TAG_NOSTREAM
from langgraph.graph import START, MessagesState, StateGraph

from agent_runtime.memory import summaries as module
from agent_runtime.memory.config import LiveMemoryConfig, MemoryConfig
from agent_runtime.memory.store import find_summary
from agent_runtime.memory.summaries import Summaries
from agent_runtime.threads.service import Threads
from agent_runtime.threads.store import claim_thread
from groundwork.postgres.pool import Pool


class Summariser(BaseChatModel):
    """Stands in for the paid model: answers as told, and keeps what it was given."""

    answer: Callable[[int], str] = lambda number: f"summary {number}"
    requests: list[list[BaseMessage]] = []  # noqa: RUF012 (pydantic copies it)
    tags_seen: list[list[str]] = []  # noqa: RUF012
    gate: Any = None

    @property
    def _llm_type(self) -> str:
        return "summariser"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        self.requests.append(messages)
        self.tags_seen.append(run_manager.tags)
        if self.gate is not None:
            await self.gate.wait()
        text = self.answer(len(self.requests))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    @property
    def conversations(self) -> list[str]:
        return [request[-1].text for request in self.requests]


class Conversation:
    """A thread that talks, and the summaries that are told of it after each turn."""

    def __init__(self, pool: Pool, model: BaseChatModel, memory: LiveMemoryConfig) -> None:
        self.pool = pool
        self.memory = memory
        self.summaries = Summaries(pool, lambda: model, memory)
        self.messages: list[BaseMessage] = []

    async def open(self) -> None:
        async with self.pool.connection() as conn, conn.transaction():
            self.owner_key = (await claim_thread(conn, "mine", "t", "")).owner_key

    def say(self, turns: int) -> None:
        for _ in range(turns):
            number = len(self.messages)
            self.messages += [HumanMessage(f"q{number}", id=f"{number}"), AIMessage("a", id=f"{number + 1}")]

    async def fold(self) -> None:
        self.summaries.consider("t", self.owner_key, self.messages)
        await settled()

    async def stored(self) -> tuple[str, int, str] | None:
        async with self.pool.connection() as conn:
            thread = await find_summary(conn, "t", self.owner_key)
        if thread is None:
            return None
        return thread.summary.text, thread.summary.messages, thread.summary.last_message_id


async def settled() -> None:
    """Waits until no summary is being made any more."""
    if running := [task for task in asyncio.all_tasks() if task.get_name().startswith("summary of")]:
        _, late = await asyncio.wait(running, timeout=10)
        assert not late


@pytest.fixture
def model() -> Summariser:
    return Summariser(requests=[], tags_seen=[])


@pytest.fixture
async def conversation(pool, model) -> Conversation:
    memory = LiveMemoryConfig(MemoryConfig(summarize=True, window_size=4, summarize_threshold=6))
    conversation = Conversation(pool, model, memory)
    await conversation.open()
    return conversation


async def test_nothing_is_summarised_up_to_the_threshold(conversation, model):
    conversation.say(turns=3)
    await conversation.fold()
    assert (model.requests, await conversation.stored()) == ([], ("", 0, ""))


async def test_nothing_is_summarised_while_it_is_switched_off(conversation, model):
    conversation.memory.change(summarize=False)
    conversation.say(turns=10)
    await conversation.fold()
    assert model.requests == []


async def test_what_is_older_than_the_window_is_summarised(conversation, model):
    conversation.say(turns=5)
    await conversation.fold()
    assert await conversation.stored() == ("summary 1", 6, "5")
    assert model.conversations == ["Conversation:\nhuman: q0\nai: a\nhuman: q2\nai: a\nhuman: q4\nai: a\n"]


async def test_the_next_summary_continues_the_one_before(conversation, model):
    for turns in (5, 1):
        conversation.say(turns)
        await conversation.fold()
    assert await conversation.stored() == ("summary 2", 8, "7")
    assert "summary 1" in model.conversations[1]
    assert "q6" in model.conversations[1]
    assert "q4" not in model.conversations[1]


async def test_what_is_summarised_already_is_not_summarised_again(conversation, model):
    conversation.say(turns=5)
    for _ in range(2):
        await conversation.fold()
    conversation.memory.change(window_size=6)
    await conversation.fold()
    assert len(model.requests) == 1
    assert await conversation.stored() == ("summary 1", 6, "5")


async def test_a_failed_summary_is_logged_and_made_up_for_at_the_next_turn(conversation, model, caplog):
    model.answer = lambda number: ["", " ", "at last"][number - 1]
    for turns in (4, 1, 1):
        conversation.say(turns)
        await conversation.fold()
    assert await conversation.stored() == ("at last", 8, "7")
    assert [record.levelno for record in caplog.records if "'t'" in record.getMessage()] == [logging.WARNING] * 2
    assert "q0" in model.conversations[2]


async def test_a_model_that_does_not_answer_is_given_up(conversation, model, monkeypatch, caplog):
    monkeypatch.setattr(module, "MODEL_SECONDS", 0.05)
    model.gate = asyncio.Event()
    conversation.say(turns=5)
    await conversation.fold()
    assert await conversation.stored() == ("", 0, "")
    assert "TimeoutError" in caplog.text


async def test_a_summary_that_the_database_cannot_hold_is_made_to_fit(conversation, model):
    model.answer = lambda number: "a\x00b \ud800" + "x" * 100_000
    conversation.say(turns=5)
    await conversation.fold()
    text, *_ = await conversation.stored()
    assert text.startswith("ab ?xxx")
    assert len(text) < 20_000


async def test_a_tool_call_and_its_results_are_summarised_together(conversation, model):
    calls = [{"name": "add", "args": {"a": 1}, "id": "c"}]
    conversation.messages = [
        HumanMessage("add", id="h0"),
        AIMessage("", tool_calls=calls, id="h1"),
        ToolMessage("two", tool_call_id="c", name="add", id="h2"),
    ]
    conversation.say(turns=3)
    await conversation.fold()
    assert (await conversation.stored())[1] == 5
    assert "ai: [calls add with {'a': 1}]\ntool add: two\n" in model.conversations[0]


async def test_a_very_long_conversation_is_folded_in_pieces(conversation, model):
    conversation.say(turns=200)
    for message in conversation.messages:
        message.content = f"{message.content} {'long ' * 2000}"
    await conversation.fold()
    assert await conversation.stored() == (f"summary {len(model.requests)}", 396, "395")
    assert len(model.requests) > 10
    assert all(len(conversation) < 30_000 for conversation in model.conversations)


async def test_pieces_that_were_folded_before_a_failure_are_kept(conversation, model):
    model.answer = lambda number: "first" if number == 1 else ""
    conversation.say(turns=200)
    for message in conversation.messages:
        message.content = "long " * 2000
    await conversation.fold()
    text, messages, _ = await conversation.stored()
    assert text == "first"
    assert 0 < messages < 396


async def test_messages_that_the_graph_has_removed_do_not_confuse_it(conversation, model):
    conversation.say(turns=5)
    await conversation.fold()
    conversation.say(turns=3)
    del conversation.messages[:4]
    await conversation.fold()
    assert await conversation.stored() == ("summary 2", 8, "11")
    assert "q4" not in model.conversations[1]
    assert "q6" in model.conversations[1]


async def test_a_summary_for_a_thread_that_was_deleted_meanwhile_is_thrown_away(conversation, model, pool):
    model.gate = asyncio.Event()
    conversation.say(turns=5)
    conversation.summaries.consider("t", conversation.owner_key, conversation.messages)
    await called(model)
    threads = Threads(pool, "mine", forget=lambda thread_ids: None)
    await threads.delete_thread("t")
    await threads.claim("t")  # the same name, another thread
    model.gate.set()
    await settled()
    assert await conversation.stored() == ("", 0, "")


async def test_of_two_processes_that_summarise_at_once_one_is_heard(conversation, model, pool):
    model.gate = asyncio.Event()
    other = Summaries(pool, lambda: model, conversation.memory)
    conversation.say(turns=5)
    for summaries in (conversation.summaries, other):
        summaries.consider("t", conversation.owner_key, conversation.messages)
    await called(model, times=2)
    model.gate.set()
    await settled()
    assert (await conversation.stored())[1:] == (6, "5")


async def test_one_summary_at_a_time_is_made_of_a_thread(conversation, model):
    model.gate = asyncio.Event()
    conversation.say(turns=5)
    for _ in range(3):
        conversation.summaries.consider("t", conversation.owner_key, conversation.messages)
    await called(model)
    model.gate.set()
    await settled()
    assert len(model.requests) == 1


async def test_a_summary_begun_inside_a_turn_stays_out_of_its_stream(conversation, model):
    conversation.say(turns=5)

    async def node(state: MessagesState) -> dict[str, list[BaseMessage]]:
        conversation.summaries.consider("t", conversation.owner_key, conversation.messages)
        await settled()
        return {"messages": [AIMessage("the answer")]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    stream = builder.compile().astream({"messages": []}, stream_mode="messages", version="v2")
    streamed = [part["data"][0].text async for part in stream if part["type"] == "messages"]
    assert streamed == ["the answer"]
    assert TAG_NOSTREAM in model.tags_seen[0]


async def test_draining_waits_for_what_runs_and_begins_nothing_new(conversation, model):
    conversation.say(turns=5)
    conversation.summaries.consider("t", conversation.owner_key, conversation.messages)
    await conversation.summaries.drain(10)
    assert await conversation.stored() == ("summary 1", 6, "5")
    conversation.say(turns=2)
    await conversation.fold()
    assert len(model.requests) == 1


async def test_draining_stops_what_takes_too_long(conversation, model):
    model.gate = asyncio.Event()
    conversation.say(turns=5)
    conversation.summaries.consider("t", conversation.owner_key, conversation.messages)
    await called(model)
    await conversation.summaries.drain(0.01)
    assert await conversation.stored() == ("", 0, "")


async def called(model: Summariser, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(model.requests) < times:
            await asyncio.sleep(0.01)
