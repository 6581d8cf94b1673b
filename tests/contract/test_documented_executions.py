"""The examples of JamJet's REST API reference about workflows and executions, answered as it says.

Where the page prints `{ ... }` or `[ ... ]` stands a small workflow with the nodes that its other examples name.
"""

import asyncio
import json
import re
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.registry.registries import running_registry

IR: dict[str, Any] = {
    "workflow_id": "research-agent",
    "version": "0.1.0",
    "state_schema": {"query": "str", "answer": "str"},
    "nodes": {
        "search": {"id": "search", "kind": {"type": "wait", "correlation_key": "payment-received"}},
        "manager-review": {"id": "manager-review", "kind": {"type": "human_approval", "description": "Fine?"}},
        "synthesize": {"id": "synthesize", "kind": {"type": "condition"}},
    },
    "edges": [{"from": "search", "to": "manager-review"}, {"from": "manager-review", "to": "synthesize"}],
}

START = """
{
  "workflow_id": "research-agent",
  "workflow_version": "0.1.0",
  "input": {
    "query": "Latest AI agent frameworks?"
  }
}
"""

APPROVAL = """
{
  "decision": "approved",
  "node_id": "manager-review",
  "user_id": "user-42",
  "comment": "Looks good, proceed.",
  "state_patch": {
    "priority": "high"
  }
}
"""

EXTERNAL_EVENT = """
{
  "correlation_key": "payment-received",
  "payload": {
    "amount": 500,
    "currency": "USD"
  }
}
"""


@pytest.fixture
async def developer(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        client = await served.client_of("developer")
        client.headers["Content-Type"] = "application/json"
        await client.post("/workflows", content=json.dumps({"ir": IR}))
        yield client


async def start(client: httpx.AsyncClient) -> str:
    execution_id: str = (await client.post("/executions", content=START)).json()["execution_id"]
    return execution_id


async def reach(client: httpx.AsyncClient, execution_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while True:
            execution: dict[str, Any] = (await client.get(f"/executions/{execution_id}")).json()
            if execution["status"] == status:
                return execution
            await asyncio.sleep(0.02)


async def complete(client: httpx.AsyncClient) -> str:
    """An execution that was told of the payment, approved, and ran to its end."""
    execution_id = await start(client)
    await reach(client, execution_id, "paused")
    told = await client.post(f"/executions/{execution_id}/external-event", content=EXTERNAL_EVENT)
    assert told.json() == {"execution_id": execution_id, "accepted": True}
    await approve(client, execution_id, APPROVAL)
    await reach(client, execution_id, "completed")
    return execution_id


async def approve(client: httpx.AsyncClient, execution_id: str, body: str) -> dict[str, Any]:
    """The answer to the decision, once the execution waits for it."""
    async with asyncio.timeout(15):
        while True:
            answer = await client.post(f"/executions/{execution_id}/approve", content=body)
            if answer.status_code == 200:
                accepted: dict[str, Any] = answer.json()
                return accepted
            await asyncio.sleep(0.02)


async def test_post_workflows(developer):
    answer = await developer.post("/workflows", content=json.dumps({"ir": IR}))
    assert answer.status_code == 201
    assert {"workflow_id": "research-agent", "version": "0.1.0"}.items() <= answer.json().items()


async def test_a_workflow_without_an_id_is_refused_as_the_page_prints_it(developer):
    answer = await developer.post("/workflows", content=json.dumps({"ir": {**IR, "workflow_id": None}}))
    assert (answer.status_code, answer.json()) == (400, {"error": "bad request: ir.workflow_id is required"})


async def test_post_executions(developer):
    answer = await developer.post("/executions", content=START)
    assert answer.status_code == 201
    assert re.fullmatch(r"exec_[0-9a-f]+", answer.json()["execution_id"])


async def test_get_an_execution(developer):
    execution = await reach(developer, await complete(developer), "completed")
    assert execution["state"]["query"] == "Latest AI agent frameworks?"
    assert execution["state"]["priority"] == "high"
    assert execution["state"]["amount"] == 500
    assert execution["steps_executed"] == 3
    assert datetime.fromisoformat(execution["created_at"]) <= datetime.fromisoformat(execution["completed_at"])


async def test_get_executions(developer):
    execution_id = await complete(developer)
    [listed] = (await developer.get("/executions?status=completed&limit=50&offset=0")).json()["executions"]
    assert (listed["execution_id"], listed["workflow_id"]) == (execution_id, "research-agent")
    assert (await developer.get("/executions?status=running")).json() == {"executions": []}


async def test_get_the_events(developer):
    events = (await developer.get(f"/executions/{await complete(developer)}/events")).json()["events"]
    first = {"sequence": 1, "kind": "WorkflowStarted", "node_id": None}
    assert first.items() <= events[0].items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", events[0]["created_at"])
    completed = [event["node_id"] for event in events if event["kind"] == "NodeCompleted"]
    assert completed == ["search", "manager-review", "synthesize"]
    assert {"NodeScheduled", "ApprovalReceived", "ExternalEventReceived"} <= {event["kind"] for event in events}


async def test_post_cancel(developer):
    execution_id = await start(developer)
    answer = await developer.post(f"/executions/{execution_id}/cancel")
    assert answer.json() == {"execution_id": execution_id, "status": "cancelled"}


async def test_only_the_decision_of_an_approval_is_required(developer):
    execution_id = await start(developer)
    await reach(developer, execution_id, "paused")
    await developer.post(f"/executions/{execution_id}/external-event", content=EXTERNAL_EVENT)
    answer = await approve(developer, execution_id, '{"decision": "approved"}')
    assert {"execution_id": execution_id, "accepted": True}.items() <= answer.items()


async def test_an_execution_that_is_not_there(developer):
    answer = await developer.get("/executions/exec_abc123")
    assert (answer.status_code, answer.json()) == (404, {"error": "not found: execution exec_abc123"})
