from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel

from agent_runtime.graph import Data, File, Text, reply, send_artifact
from agent_runtime.graph.outputs import Artifact, Replied


@tool
def report(topic: str) -> str:
    """Sends a report."""
    return send_artifact("report", topic, artifact_id="r1")


def send_sync(state: MessagesState) -> dict[str, Any]:
    send_artifact("report", "text", artifact_id="r1")
    return {}


async def send_async(state: MessagesState) -> dict[str, Any]:
    return send_sync(state)


async def call_tool(state: MessagesState) -> dict[str, Any]:
    call = {"name": "report", "args": {"topic": "text"}, "id": "c1", "type": "tool_call"}
    result: dict[str, Any] = await ToolNode([report]).ainvoke({"messages": [AIMessage("", tool_calls=[call])]})
    return result


def one_node(node: Any) -> StateGraph[Any]:
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node")


async def invoke_inner(state: MessagesState) -> dict[str, Any]:
    await one_node(send_async).compile().ainvoke({"messages": []})
    return {}


async def outputs_of(node: Any) -> list[Any]:
    """What a node puts out, as the runtime listens to it."""
    stream = (
        one_node(node)
        .compile()
        .astream({"messages": [HumanMessage("hi")]}, stream_mode=["updates", "messages", "custom"], subgraphs=True)
    )
    return [output async for _, mode, output in stream if mode == "custom"]


@pytest.mark.parametrize(
    "node",
    [send_sync, send_async, call_tool, invoke_inner, one_node(send_async).compile()],
    ids=["sync node", "async node", "tool", "graph called in a node", "subgraph"],
)
async def test_an_artifact_can_be_sent_from_anywhere_in_the_graph(node: Any):
    assert await outputs_of(node) == [Artifact("r1", "report", (Text("text"),))]


async def test_chunks_share_the_id_that_the_first_one_returned():
    def node(state: MessagesState) -> dict[str, Any]:
        artifact_id = send_artifact("story", "Once", last=False)
        send_artifact("story", " upon", artifact_id=artifact_id, append=True, last=False)
        send_artifact("story", " a time.", artifact_id=artifact_id, append=True)
        return {}

    chunks = await outputs_of(node)
    assert len({chunk.artifact_id for chunk in chunks}) == 1
    assert [(chunk.append, chunk.last) for chunk in chunks] == [(False, False), (True, False), (True, True)]


async def test_an_artifact_carries_text_data_files_and_metadata():
    file = File(name="a.png", media_type="image/png", content=b"png")

    def node(state: MessagesState) -> dict[str, Any]:
        send_artifact("all", "text", Data({"a": [1]}), file, artifact_id="x", description="d", metadata={"k": 1})
        return {}

    (artifact,) = await outputs_of(node)
    assert artifact == Artifact(
        "x", "all", (Text("text"), Data({"a": [1]}), file), description="d", metadata={"k": 1}
    )


async def test_two_artifacts_have_two_ids():
    def node(state: MessagesState) -> dict[str, Any]:
        assert send_artifact("a", "1") != send_artifact("a", "1")
        return {}

    assert len(await outputs_of(node)) == 2


async def test_a_reply_is_one_bare_message():
    def node(state: MessagesState) -> dict[str, Any]:
        reply("pong", Data({"n": 1}))
        return {}

    assert await outputs_of(node) == [Replied((Text("pong"), Data({"n": 1})))]


class Ticket(BaseModel):
    title: str


@pytest.mark.parametrize(
    ("send", "complaint"),
    [
        (lambda: send_artifact(" ", "text"), "needs a name"),
        (lambda: send_artifact("a"), "at least one part"),
        (lambda: reply(), "at least one part"),
        (lambda: send_artifact("a", "text", append=True), "pass the artifact_id"),
        (lambda: send_artifact("a", "text", artifact_id=""), "1 to 255 characters"),
        (lambda: send_artifact("a", {"k": 1}), "not dict"),  # type: ignore[arg-type]
        (lambda: send_artifact("a", Data(float("nan"))), "must hold a JSON value"),
        (lambda: send_artifact("a", Data(Ticket(title="t"))), r"model_dump\(mode="),
        (lambda: send_artifact("a", "text", metadata={"k": object()}), "metadata must hold a JSON value"),
        (lambda: File(name="a"), "either content or a url"),
    ],
)
def test_what_a2a_cannot_carry_is_refused_where_it_is_sent(send: Callable[[], object], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        send()
