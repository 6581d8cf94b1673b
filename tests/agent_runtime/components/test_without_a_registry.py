"""An agent that names components and has no registry works with what its project says."""

from pathlib import Path

from tests.agents import running_agent, write_project

PROMPTED = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    return {"messages": [AIMessage(runtime.context.prompts["system"])]}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""

TAKEN = """
[model]
component = "model"

[prompts.system]
component = "system"
template = "I am {{ agent_id }}, {{ agent_name }}"

[mcp.tools]
component = "tools"
"""


async def test_it_answers_with_its_own_prompt_and_says_what_is_missing(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, PROMPTED, extra=TAKEN)
    async with running_agent(directory, database_url) as agent:
        assert await agent.ask("hello") == "I am test-agent, test-agent"
        state = (await agent.http.get("/status")).json()["data"]["mcp"]["tools"]
        assert (state["connected"], state["component"]["status"]) == (False, "failed")
        assert state["last_error"] == "only a registry can say what it is, and none has so far"


async def test_it_has_nothing_to_reload(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, PROMPTED, extra=TAKEN)
    async with running_agent(directory, database_url, internal_runtime_control_enabled=True) as agent:
        for method, path in (("GET", "/api/v1/registry/metadata"), ("POST", "/api/v1/registry/reload")):
            answer = await agent.http.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RUNTIME_UNAVAILABLE")
