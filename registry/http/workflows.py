"""Routes of workflows."""

from typing import Annotated

from starlette.responses import Response

from groundwork.http.openapi import DocumentedRouter
from registry.errors import NotFound
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, body_of, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.workflows.models import (
    RevisionQuery,
    WorkflowAnswer,
    WorkflowBody,
    WorkflowRegisteredAnswer,
    WorkflowsAnswer,
    WorkflowsQuery,
    show_in_detail,
    show_workflow,
)

router = DocumentedRouter(prefix="/workflows", route_class=RegistryRoute, tags=["workflows"])


@router.post(
    "",
    status_code=201,
    response_model=WorkflowRegisteredAnswer,
    responses=failures(),
    openapi_extra=described(body=WorkflowBody),
)
async def register_workflow(
    principal: Writer, registry: CurrentRegistry, body: Annotated[WorkflowBody, body_of(WorkflowBody)]
) -> Response:
    """Registers a workflow by its IR. A version that is there with another document gets a new revision, which
    later executions take; with the same document nothing changes. All that is wrong with a document is said at
    once."""
    registered = await registry.workflows.register(principal, body.ir)
    return JsonResponse(
        {
            "workflow_id": registered.workflow_id,
            "version": registered.version,
            "revision": registered.revision,
            "created": registered.created,
        },
        201,
    )


@router.get(
    "", response_model=WorkflowsAnswer, responses=failures(), openapi_extra=described(query=WorkflowsQuery)
)
async def list_workflows(
    principal: Reader, registry: CurrentRegistry, query: Annotated[WorkflowsQuery, query_of(WorkflowsQuery)]
) -> Response:
    """The latest version of each workflow, in the order of their ids."""
    page = await registry.workflows.list_workflows(principal, query.limit, query.offset)
    return JsonResponse({"workflows": [show_workflow(each) for each in page.workflows], "total": page.total})


@router.get(
    "/{workflow_id}",
    response_model=WorkflowAnswer,
    responses=failures(NotFound),
    openapi_extra=described(query=RevisionQuery),
)
async def get_workflow(
    principal: Reader,
    registry: CurrentRegistry,
    workflow_id: str,
    query: Annotated[RevisionQuery, query_of(RevisionQuery)],
) -> Response:
    """A workflow with its document. Without a version it is the latest, by semantic version where all versions are
    semantic, else by registration."""
    found = await registry.workflows.get_workflow(principal, workflow_id, query.version, query.revision)
    return JsonResponse(show_in_detail(*found))
