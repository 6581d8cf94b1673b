"""What a run puts out is whole, however its writes and its end fall together."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from agent_runtime.graph.context import TurnContext
from agent_runtime.graph.outputs import Artifact, Output, Text
from agent_runtime.turns.graph_run import CHUNK_SECONDS, GraphRun, RunResult
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.models.offline.model import OfflineChatModel


class Receiver:
    """Takes outputs as slowly as a busy database would."""

    def __init__(self, seconds: float = 0) -> None:
        self.outputs: list[Output] = []
        self._seconds = seconds

    async def put(self, outputs: Sequence[Output]) -> None:
        await asyncio.sleep(self._seconds)
        self.outputs.extend(outputs)


async def run(receiver: Receiver, *, idle_seconds: float) -> RunResult:
    """Runs a graph that says something and is busy with something else before it ends."""

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("all of it")]}

    async def tidy(state: MessagesState) -> dict[str, Any]:
        await asyncio.sleep(idle_seconds)
        return {}

    graph = StateGraph(MessagesState).add_sequence([answer, tidy]).add_edge(START, "answer").compile()
    turn = Turn(1, "thread", "task", 1, "", 1)
    context = TurnContext("thread", "task", "message", "", None, OfflineChatModel())
    request = TurnRequest("thread", "task", "", "message", HumanMessage("go"))
    return await GraphRun(graph, turn, context, saver=None, durability="async", put=receiver.put).run(request)


def answer_of(outputs: Sequence[Output]) -> str:
    """The text as a client has it that adds what is to be added and replaces what is to be replaced."""
    text = ""
    for output in outputs:
        if isinstance(output, Artifact):
            said = "".join(part.text for part in output.parts if isinstance(part, Text))
            text = text + said if output.append else said
    return text


async def test_a_chunk_that_is_still_being_written_is_waited_for() -> None:
    receiver = Receiver(seconds=0.2)
    result = await run(receiver, idle_seconds=CHUNK_SECONDS + 0.05)
    assert answer_of([*receiver.outputs, *result.outputs]) == "all of it"
    assert receiver.outputs


async def test_the_closing_update_says_the_whole_answer_though_all_of_it_was_put_out_before() -> None:
    receiver = Receiver()
    result = await run(receiver, idle_seconds=CHUNK_SECONDS + 0.1)
    assert answer_of(receiver.outputs) == "all of it"
    (closing,) = result.outputs
    assert isinstance(closing, Artifact)
    assert (closing.last, closing.append, answer_of([closing])) == (True, False, "all of it")
