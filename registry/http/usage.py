"""The route of what agents and executions have used."""

from typing import Annotated

from starlette.responses import Response

from groundwork.http.openapi import DocumentedRouter
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.usage.models import UsageByAnswer, UsageQuery

router = DocumentedRouter(prefix="/usage", route_class=RegistryRoute, tags=["usage"])


@router.get("", response_model=UsageByAnswer, responses=failures(), openapi_extra=described(query=UsageQuery))
async def get_usage(
    principal: Reader, registry: CurrentRegistry, query: Annotated[UsageQuery, query_of(UsageQuery)]
) -> Response:
    """What turns of agents, and executions, have used since a day (by default, 30 days ago), by agent, day or
    workflow: the last days, or whoever has used most."""
    return JsonResponse(await registry.usage.sum_usage(principal, query))
