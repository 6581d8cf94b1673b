"""Questions of an agent in one list, answered by an operator in place of the caller."""

import asyncio
from pathlib import Path
from typing import Any

from tests.agents import SCRIPTED, Agent, running_agent, write_project

HITL = """
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def act(state: MessagesState):
    request = {
        "action_requests": [{"name": "pay", "args": {"amount": 5}, "description": "Pay 5?"}],
        "review_configs": [{"action_name": "pay", "allowed_decisions": ["approve", "reject"]}],
    }
    return {"messages": [("ai", str(interrupt(request)["decisions"][0]["type"]))]}

graph = StateGraph(MessagesState)
graph.add_node(act)
graph.add_edge(START, "act")
"""
ADMIN = {"Authorization": "Bearer admin-token-of-the-test"}


async def _decide(agent: Agent, task_id: str, **body: Any) -> tuple[int, dict[str, Any]]:
    response = await agent.http.post(f"/api/v1/decisions/{task_id}", json=body, headers=ADMIN)
    return response.status_code, response.json()


async def _listed(agent: Agent, **query: Any) -> dict[str, Any]:
    response = await agent.http.get("/api/v1/decisions", params=query, headers=ADMIN)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_of_fifty_answers_at_once_one_has_an_effect(tmp_path: Path, database_url: str) -> None:
    project = write_project(tmp_path, SCRIPTED)
    tokens = {"admin_token": "admin-token-of-the-test", "a2a_tokens": "ada=ada-token-of-the-test"}
    async with running_agent(project, database_url, migrate=False, **tokens) as agent:
        first = (await agent.send("ask Pay?", token="ada-token-of-the-test"))["task"]
        await agent.send("ask Or not?", token="ada-token-of-the-test")
        page = await _listed(agent, limit=1)
        (question,) = page["decisions"]
        assert (question["task_id"], question["caller"], question["text"]) == (first["id"], "ada", "Pay?")
        rest = await _listed(agent, limit=1, cursor=page["next_cursor"])
        assert [one["text"] for one in rest["decisions"]] == ["Or not?"]
        assert rest["next_cursor"] is None
        status, refused = await _decide(agent, first["id"], answer="yes", digest="0" * 64)
        assert (status, refused["error"]["code"]) == (409, "CONFLICT")
        assert (await _decide(agent, first["id"], decision="approve"))[0] == 400
        answers = await asyncio.gather(
            *(_decide(agent, first["id"], answer=f"yes {n}", digest=question["digest"]) for n in range(50))
        )
        assert sorted(status for status, _ in answers) == [200] + [409] * 49
        lost = [body["error"] for status, body in answers if status == 409]
        assert {error["decided_by"] for error in lost} == {"ADMIN_TOKEN"}
        while (await _state(agent, first["id"])) != "TASK_STATE_COMPLETED":
            await asyncio.sleep(0.02)
        assert len([line for line in agent.journal() if line == "end ask Pay?"]) == 1
        assert [one["text"] for one in (await _listed(agent))["decisions"]] == ["Or not?"]
        assert (await _decide(agent, "no-such-task", answer="yes"))[0] == 404


async def test_a_request_to_approve_tool_calls_is_decided_by_a_word(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, HITL), database_url) as agent:
        task = (await agent.send("go"))["task"]
        (question,) = (await _listed(agent))["decisions"]
        assert question["decisions"] == ["approve", "reject"]
        assert question["schema"]["required"] == ["decisions"]
        status, refused = await _decide(agent, task["id"], decision="respond", message="no")
        assert (status, refused["error"]["field"]) == (400, "decision")
        status, taken = await _decide(agent, task["id"], decision="reject", message="too much")
        assert (status, taken["data"]["decided_by"]) == (200, "local")
        while (await _state(agent, task["id"])) != "TASK_STATE_COMPLETED":
            await asyncio.sleep(0.02)
        assert (await agent.messages(task["contextId"]))[-1]["content"] == "reject"


async def _state(agent: Agent, task_id: str) -> str:
    response = await agent.rpc("GetTask", {"id": task_id}, token="ada-token-of-the-test")
    return str(response["result"]["status"]["state"])
