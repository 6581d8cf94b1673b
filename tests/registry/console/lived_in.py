"""A registry in which something of everything is there, with markup in every text that others write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.registry.agents.agents import run_agent
from tests.registry.engine.workflows import document
from tests.registry.executions.runs import REVIEW, paused, start, until
from tests.registry.registries import Served, running_registry

CANARY = "<script>alert(1)</script><b>\"'&{{ 7*7 }}"


@dataclass
class LivedIn(Served):
    execution_id: str = ""
    """Of one that waits for a decision."""


@asynccontextmanager
async def living_in(dsn: str) -> AsyncIterator[LivedIn]:
    async with running_registry(dsn, worker=True) as registry:
        http = registry.http
        await run_agent(
            http, "canary", name=CANARY, description=CANARY, version=CANARY, skills=[CANARY], incarnation="one"
        )
        await http.post(
            "/agents/canary/heartbeat", json={"incarnation": "one", "health": "failing", "reason": CANARY}
        )
        for template in ("first", CANARY):
            await http.put("/components/prompt/canary", json={"template": template})
        use = {"kind": "prompt", "id": "canary", "status": "failed", "error": CANARY}
        await http.put("/agents/canary/components", json={"incarnation": "one", "refs": [use]})
        workflow = REVIEW | {"workflow_id": "canary", "name": CANARY, "description": CANARY}
        execution_id = await paused(http, workflow, text=CANARY)
        fails = document({"ask": {"type": "agent", "agent_ref": "nobody", "mode": "sync"}}, [])
        await until(http, await start(http, fails | {"workflow_id": "fails"}))
        job = {"name": CANARY, "cron_expression": "@daily", "workflow_id": "canary"}
        assert (await http.post("/cron", json=job)).status_code == 201
        await http.post("/tokens", json={"role": "viewer", "name": CANARY})
        await http.post("/tenants", json={"id": "acme", "name": CANARY})
        yield LivedIn(**vars(registry), execution_id=execution_id)
