"""What a stream shows of the answer is always the beginning of one message, and in the end the last one."""

import json
from typing import Any

from tests.agents import Agent, text_message
from tests.strangers.serving import Serve, say, state_of

STREAMING = """
import asyncio
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel

class Words(BaseChatModel):
    text: str
    seconds: float = 0.02

    @property
    def _llm_type(self):
        return "words"

    def _generate(self, messages, stop=None, run_manager=None, **more):
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.text))])

    async def _astream(self, messages, stop=None, run_manager=None, **more):
        for word in self.text.split(" "):
            chunk = ChatGenerationChunk(message=AIMessageChunk(word + " "))
            yield chunk
            await asyncio.sleep(self.seconds)

ONE = Words(text=" ".join(f"one{n}" for n in range(30)))
TWO = Words(text=" ".join(f"two{n}" for n in range(30)))
"""

TWO_AT_ONCE = """
def node(model):
    async def speak(state: MessagesState):
        return {"messages": [await model.ainvoke("go")]}
    return speak

graph = StateGraph(MessagesState)
graph.add_node("a", node(ONE))
graph.add_node("b", node(TWO))
graph.add_edge(START, "a")
graph.add_edge(START, "b")
"""

TWO_IN_A_NODE = """
async def speak(state: MessagesState):
    return {"messages": await asyncio.gather(ONE.ainvoke("go"), TWO.ainvoke("go"))}

graph = StateGraph(MessagesState)
graph.add_node("a", speak)
graph.add_edge(START, "a")
"""

INTERNAL = """
class Route(BaseModel):
    where: str

class Filling(Words):
    def with_structured_output(self, schema, **more):
        format = {"kwargs": {}, "schema": {"title": "Route", "type": "object"}}
        marked = self.bind(ls_structured_output_format=format)
        return marked | (lambda message: schema.model_validate_json(message.text))

FILLING = Filling(text='{"where": "there"}')

async def route(state: MessagesState):
    await FILLING.with_structured_output(Route).ainvoke("go")
    plain = await Words(text='{"said": "within the program"}').ainvoke("go")
    await asyncio.sleep(0.2)
    return {}

async def ask(state: MessagesState):
    return {"messages": [AIMessage("booked: " + interrupt("Which room?"))]}

graph = StateGraph(MessagesState)
graph.add_node(route)
graph.add_node(ask)
graph.add_edge(START, "route")
graph.add_edge("route", "ask")
"""


async def streamed(agent: Agent, text: str) -> list[dict[str, Any]]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": text_message(text)}}
    answer = await agent.http.post("/", json=body, headers={"A2A-Version": "1.0"})
    return [json.loads(line[5:])["result"] for line in answer.text.splitlines() if line.startswith("data:")]


def shown(events: list[dict[str, Any]]) -> list[str]:
    """The text of the answer after each update, as a client has it that appends and replaces."""
    texts = [""]
    for update in (event["artifactUpdate"] for event in events if "artifactUpdate" in event):
        text = "".join(part["text"] for part in update["artifact"]["parts"])
        texts.append(texts[-1] + text if update.get("append") else text)
    return texts[1:]


def words(name: str) -> str:
    return "".join(f"{name}{number} " for number in range(30))


async def test_two_nodes_that_speak_at_once_are_never_mixed(serve: Serve) -> None:
    for source in (TWO_AT_ONCE, TWO_IN_A_NODE):
        agent = await serve(STREAMING + source)
        texts = shown(await streamed(agent, "go"))
        assert len(texts) > 2
        assert all(words("one").startswith(text) or words("two").startswith(text) for text in texts), texts
        assert texts[-1] == words("two")


async def test_the_closing_update_has_the_whole_answer_and_the_task_one_text_part(serve: Serve) -> None:
    agent = await serve(STREAMING + TWO_AT_ONCE)
    events = await streamed(agent, "go")
    last = [event["artifactUpdate"] for event in events if "artifactUpdate" in event][-1]
    assert (last.get("append", False), last["lastChunk"]) == (False, True)
    assert [part["text"] for part in last["artifact"]["parts"]] == [words("two")]
    task = (await agent.rpc("GetTask", {"id": events[0]["task"]["id"]}))["result"]
    assert [part["text"] for artifact in task["artifacts"] for part in artifact["parts"]] == [words("two")]
    assert (await say(agent, "go"))["artifacts"][0]["parts"] == task["artifacts"][0]["parts"]


async def test_what_is_said_within_the_program_is_no_answer(serve: Serve) -> None:
    agent = await serve(STREAMING + INTERNAL)
    events = await streamed(agent, "go")
    assert state_of(events[-1]["statusUpdate"]) == "input-required"
    assert not any("where" in text for text in shown(events))
    assert shown(events)[-1:] in ([], [""])
    task = (await agent.rpc("GetTask", {"id": events[0]["task"]["id"]}))["result"]
    assert task.get("artifacts", []) == []
