"""What the published compilers emit, each document run to its end by the real `jamjet run`.

Somebody stands by who does what the workflows ask of others: works, decides, and tells what they wait to hear.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.jamjet import jamjet
from tests.registry.registries import running_registry
from tests.registry.workflows.samples import SAMPLES, load_sample

GIVEN = {
    "amount": 5,
    "currency": "EUR",
    "confidence": 0.95,
    "text": "Thank you.",
    "topic": "tea",
    "question": "Why?",
    "messages": [{"role": "user", "content": "Where is my order?"}],
}

AT_ONCE = 4
"""Each is a process of its own."""

REFUSED = "16-misc-kinds.0.12"
"""The registry cannot run `memory_retrieval`, and says so when the document is registered."""

ENDS = {
    # They name servers, agents and tools that are not there.
    "02-branch-bare.0.12": "failed",
    "15-waits-subgraph.0.12": "failed",
    "03-connectors.0.12": "failed",
    "13-eval-loop.0.6": "failed",
    "12-coordinator.0.12": "failed",
    # Its last scorer is a function of somebody's own.
    "04-hold-and-check.0.12": "failed",
}


async def test_every_document_runs_to_its_end(registry_dsn):
    async with running_registry(
        registry_dsn, worker=True, jamjet_model="offline", postgres_pool_size=10
    ) as served:
        token = await served.make_token("developer")
        documents = {name: load_sample(name) for name in SAMPLES if name != REFUSED}
        turns = asyncio.Semaphore(AT_ONCE)
        async with somebody_stands_by(served.http):
            runs = (run(served.url, token, document, turns) for document in documents.values())
            ends = await asyncio.gather(*runs)
        assert dict(zip(documents, ends, strict=True)) == {name: ENDS.get(name, "completed") for name in documents}


async def run(url: str, token: str, document: dict[str, Any], turns: asyncio.Semaphore) -> str:
    """The status at the end."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, verify=False) as http:
        registered = await http.post("/workflows", json={"ir": document})
        assert registered.status_code == 201, registered.text
    arguments = ("run", document["workflow_id"], "-o", "json", "--timeout", "50", "--input", json.dumps(GIVEN))
    async with turns:
        done = await jamjet(*arguments, runtime=f"{url}/jamjet", token=token)
    try:
        status: str = json.loads(done.stdout)["final_state"]["status"]
    except ValueError:
        return done.stdout + done.stderr
    return status


@asynccontextmanager
async def somebody_stands_by(http: httpx.AsyncClient) -> AsyncIterator[None]:
    async def help_out() -> None:
        while True:
            await do_work(http)
            for execution in (await http.get("/executions?status=paused")).json()["executions"]:
                await answer(http, execution["execution_id"])
            await asyncio.sleep(0.1)

    helping = asyncio.create_task(help_out())
    yield
    helping.cancel()


async def do_work(http: httpx.AsyncClient) -> None:
    body = {"worker_id": "somebody", "queue_types": ["python_tool", "java_tool"]}
    while (claimed := (await http.post("/work-items/claim", json=body)).json())["claimed"]:
        item = claimed["work_item"]
        done = {"output": {}, "state_patch": {}, "lease_fence": item["lease_fence"]}
        await http.post(f"/work-items/{item['id']}/complete", json=done)


async def answer(http: httpx.AsyncClient, execution_id: str) -> None:
    pending = (await http.get(f"/executions/{execution_id}/approvals")).json()["pending"]
    for asked in pending:
        decision = {"decision": "approved", "node_id": asked["node_id"]}
        await http.post(f"/executions/{execution_id}/approve", json=decision)
    if not pending:
        event = {"correlation_key": "payment-received", "payload": {}}
        await http.post(f"/executions/{execution_id}/external-event", json=event)
