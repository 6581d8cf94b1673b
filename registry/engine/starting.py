"""Beginning an execution: its row, its first events and the job that takes it up come together, or not at all."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from groundwork.postgres import Connection
from registry.engine.jobs import Jobs
from registry.engine.kinds import queue_type
from registry.engine.visits import Event, ExecutionRef
from registry.errors import RegistryError
from registry.executions import store
from registry.executions.models import Wait, new_execution_id
from registry.workflows import store as workflows
from registry.workflows.models import StoredWorkflow
from registry.workflows.validation import read_workflow

DEEPEST_NESTING = 20
"""How deep executions may begin executions: a workflow that names itself ends there."""


async def start_execution(
    conn: Connection,
    jobs: Jobs,
    tenant_id: str,
    stored: StoredWorkflow,
    given: Mapping[str, Any],
    *,
    parent: tuple[UUID, str] | None = None,
) -> UUID:
    """Returns the id of a pending execution of the workflow, with `given` as its first state."""
    workflow = read_workflow(stored.document)
    execution_id = new_execution_id()
    seconds = workflow.timeouts.workflow_timeout
    deadline = await store.create_execution(
        conn,
        execution_id=execution_id,
        tenant_id=tenant_id,
        workflow=stored,
        given=given,
        labels=workflow.labels,
        timeout=timedelta(seconds=seconds) if seconds else None,
        parent=parent,
    )
    begun = {"workflow_id": stored.workflow_id, "workflow_version": stored.version, "initial_input": dict(given)}
    first = Event(
        "node_scheduled", workflow.start_node, {"queue_type": queue_type(workflow.nodes[workflow.start_node])}
    )
    await store.append_events(conn, execution_id, [Event("workflow_started", None, begun), first])
    if deadline is not None:
        await jobs.defer_expire(conn, execution_id, deadline)
    await jobs.defer_drive(conn, execution_id)
    return execution_id


async def start_child(conn: Connection, jobs: Jobs, parent: ExecutionRef, wait: Wait) -> None:
    """Begins what a node of the parent waits for; when that cannot be, the node hears of it instead."""
    detail = wait.detail
    try:
        if await store.count_ancestors(conn, parent.execution_id) >= DEEPEST_NESTING:
            raise RegistryError(f"executions are nested more than {DEEPEST_NESTING} deep")
        stored = await workflows.get_latest(
            conn, parent.tenant_id, detail["workflow_ref"], detail["workflow_version"]
        )
    except RegistryError as error:
        await store.end_wait(conn, wait.wait_id)
        refused = {"kind": "child", "status": "failed", "state": {}, "error": str(error)}
        await store.add_signal(conn, parent.execution_id, wait.node_id, refused)
        await jobs.defer_drive(conn, parent.execution_id)
        return
    child_id = await start_execution(
        conn, jobs, parent.tenant_id, stored, detail["input"], parent=(parent.execution_id, wait.node_id)
    )
    await store.note_child(conn, wait.wait_id, child_id)
