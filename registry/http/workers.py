"""Routes of workers."""

from starlette.responses import Response

from groundwork.http.openapi import DocumentedRouter
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute
from registry.http.errors import JsonResponse
from registry.http.openapi import failures
from registry.workers.models import WorkersAnswer, describe_worker

router = DocumentedRouter(prefix="/workers", route_class=RegistryRoute, tags=["workers"])


@router.get("", response_model=WorkersAnswer, responses=failures())
async def list_workers(principal: Reader, registry: CurrentRegistry) -> Response:
    """The workers that live: the tenant's own, and the registry's, which work for all tenants."""
    workers = await registry.workers.list_workers(principal)
    return JsonResponse({"workers": [describe_worker(worker) for worker in workers]})
