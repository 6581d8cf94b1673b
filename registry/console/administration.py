"""The pages of what an operator looks after: audit, tokens, tenants, workers, workflows and cron jobs."""

from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.responses import Response

from registry.access import ROLES
from registry.audit.models import AuditQuery, show_page
from registry.checks import check_value
from registry.console.formatting import in_path
from registry.console.pages import (
    AnyViewer,
    OperatingSender,
    OperatingViewer,
    PageRoute,
    PlatformSender,
    Viewer,
    WritingSender,
    go_to,
)
from registry.cron.models import Schedule
from registry.executions.models import show_execution_id
from registry.tenants.models import NewTenant, TenantChanges, TenantsQuery, show_tenant
from registry.tokens.models import NewToken, TokensQuery, show_token
from registry.workers.models import describe_worker
from registry.workflows.models import RevisionQuery, WorkflowsQuery, show_in_detail, show_workflow

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PER_PAGE = 50
_NEW_TOKEN, _NEW_TENANT = TypeAdapter(NewToken), TypeAdapter(NewTenant)
_TENANT_CHANGES = TypeAdapter(TenantChanges)


@router.get("/audit")
async def list_audit(viewer: AnyViewer) -> Response:
    query = viewer.query(AuditQuery)
    page = show_page(await viewer.registry.audit.list_entries(viewer.principal.tenant_id, query))
    end = query.offset + len(page["items"])
    return viewer.page(
        "audit.html",
        query=query,
        page=page,
        newer=max(0, query.offset - query.limit) if query.offset else None,
        older=end if end < page["total"] else None,
    )


@router.get("/tokens")
async def list_tokens(viewer: OperatingViewer) -> Response:
    return await _show_tokens(viewer, viewer.query(TokensQuery), None)


@router.post("/tokens")
async def create_token(viewer: OperatingSender) -> Response:
    given = {name: viewer.text(name) for name in ("role", "name", "tenant", "expires") if viewer.text(name)}
    wanted = check_value(_NEW_TOKEN, given)
    created = await viewer.registry.tokens.create_token(
        viewer.principal, role=wanted.role, tenant_id=wanted.tenant, name=wanted.name, expires_in=wanted.expires
    )
    return await _show_tokens(viewer, TokensQuery(), created.plaintext)


@router.post("/tokens/{token_id}/revoke")
async def revoke_token(viewer: OperatingSender, token_id: str) -> Response:
    await viewer.registry.tokens.revoke_token(viewer.principal, token_id)
    return go_to("/console/tokens", "revoked")


async def _show_tokens(viewer: Viewer, query: TokensQuery, plaintext: str | None) -> Response:
    page = await viewer.registry.tokens.list_tokens(
        viewer.principal, query.tenant, min(query.limit, _PER_PAGE), query.offset
    )
    end = query.offset + len(page.tokens)
    return viewer.page(
        "tokens.html",
        tokens=[show_token(token) for token in page.tokens],
        total=page.total,
        plaintext=plaintext,
        roles=ROLES,
        newer=max(0, query.offset - _PER_PAGE) if query.offset else None,
        older=end if end < page.total else None,
    )


@router.get("/tenants")
async def list_tenants(viewer: OperatingViewer) -> Response:
    query = viewer.query(TenantsQuery)
    page = await viewer.registry.tenants.list_tenants(viewer.principal, min(query.limit, _PER_PAGE), query.offset)
    end = query.offset + len(page.tenants)
    return viewer.page(
        "tenants.html",
        tenants=[show_tenant(tenant) for tenant in page.tenants],
        total=page.total,
        newer=max(0, query.offset - _PER_PAGE) if query.offset else None,
        older=end if end < page.total else None,
    )


@router.post("/tenants")
async def create_tenant(viewer: PlatformSender) -> Response:
    given = {"id": viewer.text("id"), "name": viewer.text("name") or None}
    tenant = await viewer.registry.tenants.create_tenant(viewer.principal, check_value(_NEW_TENANT, given))
    return go_to(f"/console/tenants/{in_path(tenant.tenant_id)}", "created")


@router.get("/tenants/{tenant_id}")
async def show_one_tenant(viewer: OperatingViewer, tenant_id: str) -> Response:
    tenant = await viewer.registry.tenants.get_tenant(viewer.principal, tenant_id)
    return viewer.page("tenant.html", tenant=show_tenant(tenant))


@router.post("/tenants/{tenant_id}")
async def update_tenant(viewer: PlatformSender, tenant_id: str) -> Response:
    given = {
        "name": viewer.text("name"),
        "status": viewer.text("status"),
        "limits": viewer.document("limits"),
        "policy": viewer.document("policy"),
    }
    changes = check_value(_TENANT_CHANGES, given)
    await viewer.registry.tenants.update_tenant(viewer.principal, tenant_id, changes)
    return go_to(f"/console/tenants/{in_path(tenant_id)}", "updated")


@router.get("/workers")
async def list_workers(viewer: AnyViewer) -> Response:
    workers = await viewer.registry.workers.list_workers(viewer.principal)
    return viewer.page("workers.html", workers=[describe_worker(worker) for worker in workers])


@router.get("/workflows")
async def list_workflows(viewer: AnyViewer) -> Response:
    query = viewer.query(WorkflowsQuery)
    limit = min(query.limit or _PER_PAGE, _PER_PAGE)
    page = await viewer.registry.workflows.list_workflows(viewer.principal, limit, query.offset)
    end = query.offset + len(page.workflows)
    return viewer.page(
        "workflows.html",
        workflows=[show_workflow(each) for each in page.workflows],
        total=page.total,
        newer=max(0, query.offset - limit) if query.offset else None,
        older=end if end < page.total else None,
    )


@router.get("/workflows/{workflow_id}")
async def show_one_workflow(viewer: AnyViewer, workflow_id: str) -> Response:
    query = viewer.query(RevisionQuery)
    found = await viewer.registry.workflows.get_workflow(
        viewer.principal, workflow_id, query.version, query.revision
    )
    return viewer.page("workflow.html", workflow=show_in_detail(*found))


@router.post("/workflows/{workflow_id}/start")
async def start_execution(viewer: WritingSender, workflow_id: str) -> Response:
    started = await viewer.registry.executions.start(
        viewer.principal, workflow_id, viewer.text("version") or None, viewer.document("input")
    )
    return go_to(f"/console/executions/{show_execution_id(started)}", "started")


@router.get("/cron")
async def list_cron_jobs(viewer: AnyViewer) -> Response:
    jobs = await viewer.registry.cron_jobs.list(viewer.principal)
    shown = [(job, show_execution_id(job.last_execution_id) if job.last_execution_id else None) for job in jobs]
    return viewer.page("cron.html", jobs=shown)


@router.post("/cron")
async def put_cron_job(viewer: WritingSender) -> Response:
    name = check_value(TypeAdapter(dict[str, str]), {"name": viewer.text("name")})["name"]
    await viewer.registry.cron_jobs.put(
        viewer.principal,
        name=name,
        schedule=Schedule(viewer.text("cron_expression"), viewer.text("time_zone") or "UTC"),
        workflow_id=viewer.text("workflow_id"),
        workflow_version=viewer.text("workflow_version") or None,
        given=viewer.document("input"),
        enabled=True,
    )
    return go_to("/console/cron", "saved")


@router.post("/cron/{name:path}/delete")
async def delete_cron_job(viewer: WritingSender, name: str) -> Response:
    await viewer.registry.cron_jobs.delete(viewer.principal, name)
    return go_to("/console/cron", "deleted")
