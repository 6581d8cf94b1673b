"""Visits of nodes for tests that call executors directly."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from groundwork.postgres.pool import Pool
from registry.engine.executors import build_executors
from registry.engine.plan import Plan
from registry.engine.visits import Visit
from registry.executions.events import ExecutionRef, Outcome
from registry.outbound.clients import OutboundClients
from registry.outbound.models import Models
from registry.settings import RegistrySettings
from registry.workflows.validation import read_workflow


def settings(**given: Any) -> RegistrySettings:
    return RegistrySettings(_env_file=None, **given)


def visit_of(
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
    )


async def run(visit: Visit, pool: Pool, models: Models) -> Outcome:
    executors = build_executors(pool, models, OutboundClients(settings()))
    return await executors[type(visit.node.kind)](visit)
