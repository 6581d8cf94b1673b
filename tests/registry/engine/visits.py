"""Visits of nodes for tests that call executors directly."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from groundwork.postgres.pool import Pool
from registry.engine.executors import EXECUTORS
from registry.engine.plan import Plan
from registry.engine.toolbox import WorkerContext
from registry.engine.visits import Visit
from registry.executions.events import ExecutionRef, Outcome
from registry.outbound.clients import OutboundClients
from registry.outbound.models import Models
from registry.queue.jobs import Jobs
from registry.settings import RegistrySettings
from registry.workflows.validation import read_workflow


def settings(**given: Any) -> RegistrySettings:
    return RegistrySettings(_env_file=None, **given)


def visit_of(
    pool: Pool,
    models: Models,
    document: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    *,
    node: str = "",
    output: Any = None,
) -> Visit:
    """A first visit of the workflow's start node, or of another one, for the tenant `default`."""
    workflow = read_workflow(document)
    return Visit(
        execution=ExecutionRef(uuid4(), "default", workflow),
        plan=Plan(workflow),
        node=workflow.nodes[node or workflow.start_node],
        state=state or {},
        output=output,
        attempt=0,
        wake=None,
        idempotency_key="key",
        worker_context=WorkerContext(
            settings(), pool, Jobs(), EXECUTORS, "worker", models, OutboundClients(settings())
        ),
    )


async def run(visit: Visit) -> Outcome:
    return await EXECUTORS[type(visit.node.kind)](visit)
