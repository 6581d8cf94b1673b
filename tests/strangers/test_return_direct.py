"""What a tool marked `return_direct` returns is the answer, with LangGraph's own nodes and LangChain's agent."""

import pytest

from tests.agents import text_message
from tests.strangers.serving import STRICT_MODEL, Serve, said, say, state_of

TOOL = """
@tool(return_direct=True)
def look_up(word: str) -> str:
    "Look a word up."
    return f"{word}: a thing"
"""
OWN = """
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

async def model(state: MessagesState):
    return {"messages": [await StrictModel().bind_tools([look_up]).ainvoke(state["messages"])]}

graph = StateGraph(MessagesState)
graph.add_node(model)
graph.add_node("tools", ToolNode([look_up]))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", END)
"""
CREATED = "from langchain.agents import create_agent\ngraph = create_agent(StrictModel(), [look_up])\n"


@pytest.mark.parametrize("graph", [OWN, CREATED])
async def test_the_result_of_a_tool_that_returns_directly_is_the_answer(serve: Serve, graph: str) -> None:
    agent = await serve(STRICT_MODEL + TOOL + graph)
    task = await say(agent, 'call look_up {"word": "ant"}\ncall look_up {"word": "bee"}')
    assert (state_of(task), said(task)) == ("completed", "ant: a thing\n\nbee: a thing")
    body = {"message": text_message('call look_up {"word": "cat"}')}
    async with agent.http.stream(
        "POST", "/a2a/message:stream", json=body, headers={"A2A-Version": "1.0"}
    ) as streamed:
        assert "cat: a thing" in "".join(
            [line async for line in streamed.aiter_lines() if "artifactUpdate" in line]
        )
