"""Beginning an execution: its row, its first events and the job that takes it up come together, or not at all."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from groundwork.postgres.pool import Connection
from registry.errors import RegistryError
from registry.executions import store
from registry.executions.events import Event, ExecutionRef
from registry.executions.models import Wait, new_execution_id
from registry.queue.jobs import Jobs
from registry.workflows import store as workflows
from registry.workflows.ir import Workflow
from registry.workflows.models import StoredWorkflow
from registry.workflows.queue_types import queue_type
from registry.workflows.reading import WorkflowReader

DEEPEST_NESTING = 20
"""How deep executions may begin executions: a workflow that names itself ends there."""

LARGEST_FAMILY = 1000
"""How many executions that one has begun, and these in turn, may be there at once: a workflow that names itself
twice would fill the queue for everybody long before it is nested too deep."""


class Starter:
    """Begins executions for whoever asks, a caller, a clock or another execution, in the asker's transaction."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.reader = WorkflowReader()

    async def start(
        self,
        conn: Connection,
        tenant_id: str,
        stored: StoredWorkflow,
        given: Mapping[str, Any],
        *,
        parent: tuple[UUID, str] | None = None,
    ) -> UUID:
        """Returns the id of a pending execution of the workflow, with `given` as its first state."""
        workflow = await self.reader.read(stored)
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
        await store.append_events(conn, execution_id, _first_events(workflow, stored, given))
        if deadline is not None:
            await self._jobs.defer_expire(conn, execution_id, deadline)
        await self._jobs.defer_drive(conn, execution_id)
        return execution_id

    async def start_child(self, conn: Connection, parent: ExecutionRef, wait: Wait) -> None:
        """Begins what a node of the parent waits for; when that cannot be, the node hears of it instead."""
        detail = wait.detail
        try:
            if await store.count_ancestors(conn, parent.execution_id) >= DEEPEST_NESTING:
                raise RegistryError(f"executions are nested more than {DEEPEST_NESTING} deep")
            if await store.count_family(conn, parent.execution_id) > LARGEST_FAMILY:
                raise RegistryError(f"one execution may have begun {LARGEST_FAMILY} others at once")
            stored = await workflows.get_latest(
                conn, parent.tenant_id, detail["workflow_ref"], detail["workflow_version"]
            )
        except RegistryError as error:
            await store.end_wait(conn, wait.wait_id)
            refused = {"kind": "child", "status": "failed", "state": {}, "error": str(error)}
            await store.add_signal(conn, parent.execution_id, wait.node_id, refused)
            await self._jobs.defer_drive(conn, parent.execution_id)
            return
        above = (parent.execution_id, wait.node_id)
        child_id = await self.start(conn, parent.tenant_id, stored, detail["input"], parent=above)
        await store.note_child(conn, wait.wait_id, child_id)


def _first_events(workflow: Workflow, stored: StoredWorkflow, given: Mapping[str, Any]) -> list[Event]:
    begun = {"workflow_id": stored.workflow_id, "workflow_version": stored.version, "initial_input": dict(given)}
    first = workflow.start_node
    return [
        Event("workflow_started", None, begun),
        Event("node_scheduled", first, {"queue_type": queue_type(workflow.nodes[first])}),
    ]
