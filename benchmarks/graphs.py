"""The graphs that are measured, in process and served."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from agent_runtime.graph import Conversation, TurnContext
from benchmarks.prose import piece

TOKENS = 2_000
TOKEN_SECONDS = 0.0005


class Metronome(BaseChatModel):
    """A model that says 2,000 tokens, one every half millisecond: all together in as long as that takes."""

    @property
    def _llm_type(self) -> str:
        return "metronome"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("token " * TOKENS))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        started = time.perf_counter()
        for number in range(TOKENS):
            # By the clock: a token that came late does not make the following ones late, as with a real model.
            await asyncio.sleep(max(0, started + number * TOKEN_SECONDS - time.perf_counter()))
            yield ChatGenerationChunk(message=AIMessageChunk(content="token "))


async def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    return {"messages": [AIMessage(f"You said: {state['messages'][-1].text}")]}


async def answer_from_window(state: Conversation, runtime: Runtime[TurnContext]) -> dict[str, list[AIMessage]]:
    *_, last = runtime.context.prompt("Be brief.", state["messages"])
    # As long an answer as the question, and another one each time.
    return {"messages": [AIMessage(piece(len(state["messages"]), len(last.text)))]}


async def speak(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [await Metronome().ainvoke(state["messages"])]}


def chat() -> StateGraph[MessagesState]:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph


def tokens() -> StateGraph[MessagesState]:
    graph = StateGraph(MessagesState)
    graph.add_node("speak", speak)
    graph.add_edge(START, "speak")
    return graph


def long_chat() -> StateGraph[Conversation, TurnContext, Conversation, Conversation]:
    """With the state that scaffolded agents have, and the prompt that they make of it."""
    graph = StateGraph(Conversation, context_schema=TurnContext)
    graph.add_node("answer", answer_from_window)
    graph.add_edge(START, "answer")
    return graph


GRAPHS: dict[str, StateGraph[Any, Any, Any, Any]] = {"chat": chat(), "tokens": tokens(), "long_chat": long_chat()}
