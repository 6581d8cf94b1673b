"""Executions over HTTP: registered, started, and watched until they rest or end."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from tests.registry.engine.workflows import STEP, document

ENDED = ("completed", "failed", "cancelled", "limit_exceeded")

TWO_STEPS = document({"a": STEP, "b": STEP}, [("a", "b")])
REVIEW = document(
    {"review": {"type": "human_approval", "description": "Pay it?"}, "after": STEP}, [("review", "after")]
)
TWO_REVIEWS = document(
    {
        "both": {"type": "parallel", "branches": ["left", "right"]},
        "left": {"type": "human_approval"},
        "right": {"type": "human_approval"},
    },
    [],
)
PAYMENT = document(
    {
        "wait": {"type": "wait", "condition": "external_event", "correlation_key": "payment-received"},
        "after": STEP,
    },
    [("wait", "after")],
)


async def start(http: httpx.AsyncClient, workflow: Mapping[str, Any], **given: Any) -> str:
    """Registers the workflow and starts it with `given`; returns the execution's id."""
    (await http.post("/workflows", json={"ir": workflow})).raise_for_status()
    answer = await http.post("/executions", json={"workflow_id": workflow["workflow_id"], "input": given})
    assert answer.status_code == 201, answer.text
    execution_id: str = answer.json()["execution_id"]
    return execution_id


async def until(http: httpx.AsyncClient, execution_id: str, *statuses: str) -> dict[str, Any]:
    """The execution, once it has one of the statuses: by default, once it has ended."""
    async with asyncio.timeout(20):
        while True:
            execution: dict[str, Any] = (await http.get(f"/executions/{execution_id}")).json()
            if execution["status"] in (statuses or ENDED):
                return execution
            await asyncio.sleep(0.02)


async def paused(http: httpx.AsyncClient, workflow: Mapping[str, Any], **given: Any) -> str:
    """Like `start`, and waits until the execution needs somebody."""
    execution_id = await start(http, workflow, **given)
    await until(http, execution_id, "paused")
    return execution_id


async def approve(http: httpx.AsyncClient, execution_id: str, **body: Any) -> httpx.Response:
    """Says yes to what the execution asks, or what is in the body."""
    return await http.post(f"/executions/{execution_id}/approve", json={"decision": "approved"} | body)


async def events_of(http: httpx.AsyncClient, execution_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get(f"/executions/{execution_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events
