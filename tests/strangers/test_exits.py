"""Graphs whose code raises what ends processes: their turn fails, once, and nobody else notices."""

import asyncio
from pathlib import Path

from agent_runtime.turns.running import MAX_RUNS
from groundwork.postgres.pool import Pool
from tests.agent_runtime.turns.test_crash import outcome, send_and_go
from tests.agents import write_project
from tests.processes import agent_process
from tests.strangers.serving import Serve, say, state_of, status_text

# Where a message says, it raises what it says; `journal` has a line for each time.
EXITS = """
import asyncio, os, sys
from pathlib import Path
from typing import Annotated

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

HERE = Path(__file__).parent

class Own(BaseException):
    pass

RAISED = {
    "sys.exit": lambda: sys.exit("the secret reason"),
    "interrupt": lambda: raise_(KeyboardInterrupt()),
    "own": lambda: raise_(Own("the secret reason")),
    "generator": lambda: raise_(GeneratorExit()),
    "cancelled": lambda: raise_(asyncio.CancelledError()),
    "os._exit": lambda: os._exit(70),
}

def raise_(error):
    raise error

def at(place, text):
    where, _, what = text.partition(" ")
    if where == place:
        with (HERE / "journal").open("a") as journal:
            journal.write(text + "\\n")
        RAISED.get(what, str)()

def text_of(state):
    return next(message.text for message in reversed(state["messages"]) if message.type == "human")

def reduce(old, new):
    at("reducer", new or "")
    return new

class State(MessagesState):
    said: Annotated[str, reduce]

@tool
def sync_tool(text: str) -> str:
    "A tool."
    at("sync_tool", text)

@tool
async def async_tool(text: str) -> str:
    "A tool."
    at("async_tool", text)

class Callback(AsyncCallbackHandler):
    raise_error = True
    async def on_tool_start(self, serialized, input_str, **kwargs):
        at("callback", kwargs["inputs"]["text"])

def sync_node(state):
    at("sync_node", text_of(state))

async def async_node(state):
    text = text_of(state)
    if text.startswith("hold"):
        while not (HERE / f"release-{text}").exists():
            await asyncio.sleep(0.02)
        at("hold", text)
    at("async_node", text)
    asyncio.create_task(background(text))
    await asyncio.sleep(0.05)
    call = ToolCall(name="async_tool" if "async_tool" in text else "sync_tool", args={"text": text}, id="1")
    return {"messages": [AIMessage("", tool_calls=[call])], "said": text}

async def background(text):
    at("background", text)

def route(state):
    at("router", text_of(state))
    return "tools"

def answer(state):
    return {"messages": [AIMessage("fine")]}

graph = StateGraph(State)
graph.add_node(sync_node)
graph.add_node(async_node)
graph.add_node("tools", ToolNode([sync_tool, async_tool]).with_config(callbacks=[Callback()]))
graph.add_node(answer)
graph.add_edge(START, "sync_node")
graph.add_edge("sync_node", "async_node")
graph.add_conditional_edges("async_node", route, ["tools"])
graph.add_edge("tools", "answer")
"""

NAMES = {
    "sys.exit": "SystemExit",
    "interrupt": "KeyboardInterrupt",
    "own": "Own",
    "generator": "GeneratorExit",
    "cancelled": "CancelledError",
}
PLACES = ("sync_tool", "async_tool", "sync_node", "async_node", "router", "reducer", "callback")


async def test_a_turn_whose_code_wants_to_end_the_process_fails_once_and_the_others_go_on(serve: Serve) -> None:
    agent = await serve(EXITS)
    innocent = asyncio.create_task(say(agent, "hold this"))
    said = [f"{place} {what}" for what in NAMES for place in PLACES]
    for text in said:
        task = await say(agent, text)
        told, name = status_text(task), NAMES[text.split()[1]]
        assert (state_of(task), name in told, "secret" in told) == ("failed", True, False), (text, told)
    harmless = [f"background {what}" for what in NAMES]
    for text in harmless:
        assert state_of(await say(agent, text)) == "completed", text
    agent.release("hold this")
    assert state_of(await innocent) == "completed"
    assert agent.journal() == [*said, *harmless, "hold this"]


async def test_a_turn_that_kills_its_process_is_given_up_and_the_turns_beside_it_are_not(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    directory = write_project(tmp_path, EXITS)
    said = ["hold os._exit", "hold one", "hold two"]
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        tasks = [await send_and_go(agent, text, text) for text in said]
        (directory / "release-hold os._exit").touch()
        assert await asyncio.to_thread(agent.process.wait, 60) == 70
    async with pool.connection() as conn:
        # As if three more processes had died of it, with the others in them.
        await conn.execute("UPDATE agent_turns SET runs = %s", (MAX_RUNS - 1,))
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        assert await asyncio.to_thread(agent.process.wait, 60) == 70
    for text in said:
        (directory / f"release-{text}").touch()
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        ended = [await outcome(agent, task_id) for task_id in tasks]
    assert [state_of(task) for task in ended] == ["failed", "completed", "completed"]
    assert status_text(ended[0]) == "the agent died 5 times while it worked on this"
    assert (directory / "journal").read_text().splitlines() == ["hold os._exit"] * 2 + ["hold one", "hold two"]
