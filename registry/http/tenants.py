"""Routes of tenants."""

from typing import Annotated

from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.errors import Conflict, NotFound
from registry.http.deps import CurrentRegistry, Operator, PlatformOperator, RegistryRoute, body_of, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.tenants.models import NewTenant, ShownTenant, TenantChanges, TenantsQuery, show_tenant

router = DocumentedRouter(prefix="/tenants", route_class=RegistryRoute, tags=["tenants"])


class TenantsAnswer(TypedDict):
    tenants: list[ShownTenant]
    total: int


class UpdatedTenantAnswer(ShownTenant):
    updated: bool


class TenantDeletedAnswer(TypedDict):
    tenant_id: str
    deleted: bool


@router.post(
    "",
    status_code=201,
    response_model=ShownTenant,
    responses=failures(Conflict),
    openapi_extra=described(body=NewTenant),
)
async def create_tenant(
    principal: PlatformOperator, registry: CurrentRegistry, wanted: Annotated[NewTenant, body_of(NewTenant)]
) -> Response:
    """Makes a tenant. For operators of the tenant `default`, like all changes of tenants.

    Of the limits, `max_workflows`, `max_tokens_per_month` and `max_cost_per_month_usd` are kept and shown, but not
    enforced; `limits_not_enforced` names them where they are set."""
    return JsonResponse(show_tenant(await registry.tenants.create_tenant(principal, wanted)), 201)


@router.get("", response_model=TenantsAnswer, responses=failures(), openapi_extra=described(query=TenantsQuery))
async def list_tenants(
    principal: Operator, registry: CurrentRegistry, wanted: Annotated[TenantsQuery, query_of(TenantsQuery)]
) -> Response:
    """Tenants in the order in which they were made; operators of a tenant other than `default` see that one."""
    page = await registry.tenants.list_tenants(principal, wanted.limit, wanted.offset)
    return JsonResponse({"tenants": [show_tenant(tenant) for tenant in page.tenants], "total": page.total})


@router.get("/{tenant_id}", response_model=ShownTenant, responses=failures(NotFound))
async def get_tenant(principal: Operator, registry: CurrentRegistry, tenant_id: str) -> Response:
    """One tenant."""
    return JsonResponse(show_tenant(await registry.tenants.get_tenant(principal, tenant_id)))


@router.put(
    "/{tenant_id}",
    response_model=UpdatedTenantAnswer,
    responses=failures(NotFound, Conflict),
    openapi_extra=described(body=TenantChanges),
)
async def update_tenant(
    principal: PlatformOperator,
    registry: CurrentRegistry,
    tenant_id: str,
    changes: Annotated[TenantChanges, body_of(TenantChanges)],
) -> Response:
    """Changes what is given; `policy` and `limits` are replaced as a whole. The tokens of a tenant that is not
    `active` let nobody in."""
    tenant = await registry.tenants.update_tenant(principal, tenant_id, changes)
    return JsonResponse({**show_tenant(tenant), "updated": True})


@router.delete("/{tenant_id}", response_model=TenantDeletedAnswer, responses=failures(NotFound, Conflict))
async def delete_tenant(principal: PlatformOperator, registry: CurrentRegistry, tenant_id: str) -> Response:
    """Deletes a suspended or archived tenant with its tokens and agents. Its audit log stays, and its id is not
    given out again."""
    await registry.tenants.delete_tenant(principal, tenant_id)
    return JsonResponse({"tenant_id": tenant_id, "deleted": True})
