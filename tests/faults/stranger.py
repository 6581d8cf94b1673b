"""A stranger's graph on bad days: one task for each call of a message, which asks, blocks, exits or breaks.

A message is a number and the names of tools. `journal` has a line for each call that was made, after the answer
to what it asks: its time, its thread, the number of the message and its place there.
"""

import asyncio
import enum
import operator
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException, tool
from langgraph.graph import START, StateGraph, add_messages
from langgraph.prebuilt import ToolNode, ToolRuntime
from langgraph.types import Send, interrupt
from pydantic import BaseModel

from agent_runtime.graph import TurnContext

_JOURNAL = Path(__file__).with_name("journal")
_PATIENCE_SECONDS = 3.0


class Own(BaseException):
    pass


class Mood(enum.Enum):
    CALM = "calm"


class Receipt(BaseModel):
    number: int
    mood: Mood


@dataclass
class Calls:
    names: tuple[str, ...]


@dataclass
class State:
    """Typed throughout: nothing checks what a checkpoint gives back but `answer`."""

    messages: Annotated[list[AnyMessage], add_messages]
    mood: Mood = Mood.CALM
    calls: Calls | None = None
    receipts: Annotated[list[Receipt], operator.add] = field(default_factory=list)


def _raise(error: BaseException) -> NoReturn:
    raise error


EXITS = {
    "exit": lambda: sys.exit("enough"),
    "own": lambda: _raise(Own()),
    "interrupted": lambda: _raise(KeyboardInterrupt()),
    "generator": lambda: _raise(GeneratorExit()),
    "cancelled": lambda: _raise(asyncio.CancelledError()),
}
ODD: dict[str, Any] = {
    "object": object(),
    "set": {1, "a"},
    "bytes": b"\xff",
    "nan": float("nan"),
    "zero": "a\0b",
    "surrogate": "a \ud83d b",
    "large": 10**5000,
    "node": "the node gives what no node should",
    "message": ToolMessage("for nobody", tool_call_id="nobody"),
}


def note(place: str, config: RunnableConfig) -> None:
    line = f"{time.time()} {config['configurable']['thread_id']} {place}\n"
    with _JOURNAL.open("a") as journal:
        journal.write(line)


@tool
async def pay(place: str, config: RunnableConfig) -> str:
    """Pay."""
    note(place, config)
    return "paid"


@tool
def book(place: str, config: RunnableConfig) -> str:
    """Ask, then book."""
    agreed = interrupt(f"{place}?")
    note(place, config)
    return f"booked {agreed}"


@tool
async def block(place: str, config: RunnableConfig) -> str:
    """Keep the event loop from everybody."""
    note(place, config)
    time.sleep(2.5)  # noqa: ASYNC251  # as strangers do
    return "blocked"


@tool
async def fail(place: str, config: RunnableConfig) -> str:
    """Fail."""
    note(place, config)
    raise ToolException("out of order")


@tool
async def leave(place: str, how: str, config: RunnableConfig) -> None:
    """Raise what would end a process, in the loop."""
    note(place, config)
    EXITS[how]()


@tool
def leave_thread(place: str, how: str, config: RunnableConfig) -> None:
    """Raise what would end a process, in a thread."""
    note(place, config)
    EXITS[how]()


@tool
async def give(place: str, how: str, config: RunnableConfig) -> Any:
    """Return what no tool should return."""
    note(place, config)
    return ODD[how]


@tool
async def borrow(place: str, how: str, runtime: ToolRuntime[TurnContext]) -> str:
    """Call a tool of a server that misbehaves, whatever becomes of it."""
    note(place, runtime.config)
    borrowed = next((tool for tool in runtime.context.tools if tool.name == f"{how}_well"), None)
    if borrowed is None:
        return "away"
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return str(await borrowed.ainvoke({"place": place}))


TOOLS: list[BaseTool] = [pay, book, block, fail, leave, leave_thread, give, borrow]


async def plan(state: State) -> dict[str, Any]:
    number, *names = state.messages[-1].text.split(" ")
    calls = []
    for place, name in enumerate(names):
        called, _, how = name.partition(":")
        given = {"place": f"{number}.{place}"} | ({"how": how} if how else {})
        calls.append(ToolCall(name=called, args=given, id=f"{number}.{place}"))
    receipt = Receipt(number=int(number), mood=Mood.CALM)
    return {
        "messages": [AIMessage("", tool_calls=calls)],
        "receipts": [receipt],
        "calls": Calls(tuple(names)),
    }


def fan_out(state: State) -> list[Send]:
    last = state.messages[-1]
    assert isinstance(last, AIMessage)
    return [Send("tools", [call]) for call in last.tool_calls]


async def answer(state: State) -> dict[str, Any]:
    question = next(message.text for message in reversed(state.messages) if message.type == "human")
    number, *names = question.split(" ")
    assert state.calls == Calls(tuple(names)), state.calls
    assert state.mood is Mood.CALM
    assert state.receipts[-1] == Receipt(number=int(number), mood=Mood.CALM), state.receipts
    if "give:node" in names:
        return 42  # type: ignore[return-value]  # as strangers do
    return {"messages": [AIMessage(f"heard {number}")]}


graph = StateGraph(State, context_schema=TurnContext)
graph.add_node("plan", plan)
# Not every error: one that tells of an exit is an error as well, and would be handled.
graph.add_node("tools", ToolNode(TOOLS, handle_tool_errors=(ToolException, TimeoutError)))
graph.add_node("answer", answer)
graph.add_edge(START, "plan")
graph.add_conditional_edges("plan", fan_out, ["tools"])
graph.add_edge("tools", "answer")
