"""The rows behind workflows. Functions take a connection; the service opens transactions."""

from typing import Any

from psycopg.types.json import Json

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.errors import NotFound
from registry.workflows.ir import Workflow
from registry.workflows.models import ListedWorkflow, Registered, StoredWorkflow, Version
from registry.workflows.versions import latest_first

sql = Queries("registry.workflows")


async def register(
    conn: Connection, tenant_id: str, workflow: Workflow, document: dict[str, Any], digest: bytes
) -> Registered:
    """Adds the document as a revision of its version, unless it is the newest one already, and notes which version
    is the latest now. To be called in a transaction: others who register the same workflow wait for its end."""
    key = {"tenant_id": tenant_id, "workflow_id": workflow.workflow_id, "version": workflow.version}
    await conn.execute(sql.lock_workflow, key)
    newest = await (await conn.execute(sql.find_newest, key)).fetchone()
    revision: int = newest["revision"] if newest else 0
    if newest and newest["digest"] == digest:
        return Registered(workflow.workflow_id, workflow.version, revision, created=False)
    shown = {"name": workflow.name or None, "description": workflow.description or None}
    added = {"revision": revision + 1, "digest": digest, "document": Json(document)}
    await conn.execute(sql.add_revision, key | shown | added)
    latest, *_ = await list_versions(conn, tenant_id, workflow.workflow_id)
    await conn.execute(sql.set_latest, key | {"revision_id": latest.revision_id})
    return Registered(workflow.workflow_id, workflow.version, revision + 1, created=True)


async def list_versions(conn: Connection, tenant_id: str, workflow_id: str) -> list[Version]:
    """The latest first."""
    key = {"tenant_id": tenant_id, "workflow_id": workflow_id}
    rows = await (await conn.execute(sql.list_versions, key)).fetchall()
    versions = {row["version"]: Version(**row) for row in rows}
    return [
        versions[name] for name in latest_first((each.version, each.revision_id) for each in versions.values())
    ]


async def get_latest(
    conn: Connection, tenant_id: str, workflow_id: str, version: str | None = None
) -> StoredWorkflow:
    """What is to be run: the newest revision of that version, or of the latest one. Raises `NotFound`."""
    if version is not None:
        return await get_version(conn, tenant_id, workflow_id, version)
    key = {"tenant_id": tenant_id, "workflow_id": workflow_id}
    row = await (await conn.execute(sql.get_latest, key)).fetchone()
    if row is None:
        raise NotFound(f"workflow {workflow_id}")
    return StoredWorkflow(**row)


async def get_version(
    conn: Connection, tenant_id: str, workflow_id: str, version: str, revision: int | None = None
) -> StoredWorkflow:
    """That revision of the version, or its newest. Raises `NotFound`."""
    key = {"tenant_id": tenant_id, "workflow_id": workflow_id, "version": version, "revision": revision}
    row = await (await conn.execute(sql.get_version, key)).fetchone()
    if row is None:
        number = "" if revision is None else f" revision {revision}"
        raise NotFound(f"workflow {workflow_id} version {version}{number}")
    return StoredWorkflow(**row)


async def get_revision(conn: Connection, revision_id: int) -> StoredWorkflow:
    """What an execution began with. Raises `NotFound`."""
    row = await (await conn.execute(sql.get_revision, {"revision_id": revision_id})).fetchone()
    if row is None:
        raise NotFound(f"revision {revision_id}")
    return StoredWorkflow(**row)


async def list_workflows(conn: Connection, tenant_id: str, limit: int | None, offset: int) -> list[ListedWorkflow]:
    """In the order of their ids; all of them without a `limit`."""
    given = {"tenant_id": tenant_id, "limit": limit, "offset": offset}
    return [ListedWorkflow(**row) for row in await (await conn.execute(sql.list_workflows, given)).fetchall()]


async def count_workflows(conn: Connection, tenant_id: str) -> int:
    row = await (await conn.execute(sql.count_workflows, {"tenant_id": tenant_id})).fetchone()
    assert row is not None
    return int(row["total"])
