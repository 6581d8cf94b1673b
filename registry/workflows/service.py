"""What can be done with workflows."""

import asyncio
import hashlib
import json
from typing import Any

from groundwork.postgres.pool import Pool, connection, transaction
from registry.access import Principal
from registry.audit.store import append_entry
from registry.errors import NotFound
from registry.tenants.store import lock_limits
from registry.workflows import store
from registry.workflows.ir import Workflow
from registry.workflows.models import Registered, StoredWorkflow, Version, WorkflowPage
from registry.workflows.parts import is_workflow_id
from registry.workflows.validation import read_workflow


class Workflows:
    """The workflows of all tenants; a principal has to do with those of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, principal: Principal, document: dict[str, Any]) -> Registered:
        """The document under its id and version. Where it differs from what is there, it is the next revision of
        that version, and what runs goes on with the one it began with. Raises `InvalidRequest`."""
        # A large document takes a while, in which others are not to wait.
        workflow = await asyncio.to_thread(read_workflow, document)
        digest = _digest(document, workflow)
        async with transaction(self._pool) as conn:
            await lock_limits(conn, principal.tenant_id)
            registered = await store.register(conn, principal.tenant_id, workflow, document, digest)
            await append_entry(
                conn,
                principal,
                "workflow_registered",
                f"workflow:{workflow.workflow_id}",
                version=registered.version,
                revision=registered.revision,
                created=registered.created,
                digest=digest.hex(),
            )
        return registered

    async def list_workflows(
        self, principal: Principal, limit: int | None = None, offset: int = 0
    ) -> WorkflowPage:
        """The latest version of each, in the order of their ids."""
        async with connection(self._pool) as conn:
            workflows = await store.list_workflows(conn, principal.tenant_id, limit, offset)
            return WorkflowPage(workflows, await store.count_workflows(conn, principal.tenant_id))

    async def get_workflow(
        self, principal: Principal, workflow_id: str, version: str | None = None, revision: int | None = None
    ) -> tuple[StoredWorkflow, list[Version]]:
        """A revision, by default the newest of the latest version, and all versions there are, the latest first.
        Raises `NotFound`."""
        if not is_workflow_id(workflow_id):
            raise NotFound("there is no workflow of such an id")
        async with connection(self._pool) as conn:
            found = await store.get_latest(conn, principal.tenant_id, workflow_id, version)
            if revision is not None:
                found = await store.get_version(conn, principal.tenant_id, workflow_id, found.version, revision)
            return found, await store.list_versions(conn, principal.tenant_id, workflow_id)


def _digest(document: dict[str, Any], workflow: Workflow) -> bytes:
    """Of what the document says, however it is written down. The order of nodes counts in so far as it says where
    to start."""
    said = document | {"start_node": workflow.start_node}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()
