"""`GET /audit`."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from registry.audit.models import AuditQuery, ShownPage, show_page
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures

router = APIRouter(prefix="/audit", route_class=RegistryRoute, tags=["audit"])


@router.get("", response_model=ShownPage, responses=failures(), openapi_extra=described(query=AuditQuery))
async def list_audit_entries(
    principal: Reader, registry: CurrentRegistry, query: Annotated[AuditQuery, query_of(AuditQuery)]
) -> Response:
    """What was done in the caller's tenant, and what was refused for lack of rights, the newest first."""
    return JsonResponse(show_page(await registry.audit.list_entries(principal.tenant_id, query)))
