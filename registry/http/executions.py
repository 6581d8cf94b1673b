"""Routes of executions."""

from typing import Annotated

from starlette.responses import Response

from groundwork.http.idempotency import PARAMETER
from groundwork.http.openapi import DocumentedRouter
from registry.errors import Conflict, LimitReached, NotFound
from registry.executions.models import show_execution_id
from registry.http.deps import CurrentRegistry, Decider, Once, Reader, RegistryRoute, Writer, body_of, query_of
from registry.http.errors import JsonResponse
from registry.http.execution_shapes import (
    AcceptedAnswer,
    ApprovalsAnswer,
    ApproveBody,
    ApprovedAnswer,
    CancelledAnswer,
    ExecutionAnswer,
    ExecutionsAnswer,
    ExecutionsQuery,
    ExternalEventBody,
    StartBody,
    StartedAnswer,
    show_approvals,
    show_execution,
    show_listed,
)
from registry.http.openapi import described, failures

router = DocumentedRouter(prefix="/executions", route_class=RegistryRoute, tags=["executions"])


@router.post(
    "",
    status_code=201,
    response_model=StartedAnswer,
    responses=failures(NotFound, Conflict, LimitReached),
    openapi_extra=described(body=StartBody, headers=[PARAMETER]),
)
async def start_execution(
    principal: Writer, registry: CurrentRegistry, body: Annotated[StartBody, body_of(StartBody)], once: Once
) -> Response:
    """Starts an execution of a workflow, with `input` as its first state. A worker takes it up from here."""
    started = await registry.executions.start(
        principal, body.workflow_id, body.workflow_version, body.input or {}, once
    )
    return JsonResponse({"execution_id": show_execution_id(started)}, 201)


@router.get(
    "", response_model=ExecutionsAnswer, responses=failures(), openapi_extra=described(query=ExecutionsQuery)
)
async def list_executions(
    principal: Reader, registry: CurrentRegistry, query: Annotated[ExecutionsQuery, query_of(ExecutionsQuery)]
) -> Response:
    """Executions without their input and state, the newest first."""
    rows = await registry.executions.list(principal, query.status, query.limit, query.offset)
    return JsonResponse({"executions": [show_listed(row) for row in rows]})


@router.get("/{execution_id}", response_model=ExecutionAnswer, responses=failures(NotFound))
async def get_execution(principal: Reader, registry: CurrentRegistry, execution_id: str) -> Response:
    """An execution with its state, which is what its nodes have made of the input so far."""
    return JsonResponse(show_execution(await registry.executions.get(principal, execution_id)))


@router.post("/{execution_id}/cancel", response_model=CancelledAnswer, responses=failures(NotFound, Conflict))
async def cancel_execution(principal: Writer, registry: CurrentRegistry, execution_id: str) -> Response:
    """Ends an execution that has not ended, and those that it has begun. The body is not looked at."""
    cancelled = await registry.executions.cancel(principal, execution_id)
    return JsonResponse({"execution_id": show_execution_id(cancelled), "status": "cancelled"})


@router.post(
    "/{execution_id}/restart",
    status_code=201,
    response_model=StartedAnswer,
    responses=failures(NotFound, Conflict, LimitReached),
    openapi_extra=described(headers=[PARAMETER]),
)
async def restart_execution(
    principal: Writer, registry: CurrentRegistry, execution_id: str, once: Once
) -> Response:
    """Starts another execution of the same document with the same input, from the first node on. The one that it
    is made after stays as it is. The body is not looked at."""
    started = await registry.executions.start_again(principal, execution_id, once)
    return JsonResponse({"execution_id": show_execution_id(started)}, 201)


@router.post(
    "/{execution_id}/approve",
    response_model=ApprovedAnswer,
    responses=failures(NotFound, Conflict),
    openapi_extra=described(body=ApproveBody, headers=[PARAMETER]),
)
async def approve_execution(
    principal: Decider,
    registry: CurrentRegistry,
    execution_id: str,
    body: Annotated[ApproveBody, body_of(ApproveBody)],
    once: Once,
) -> Response:
    """Decides what a node waits for, in the execution or in one that it has begun. A decision counts once: whoever
    comes later is told of a conflict."""
    decided, node_id = await registry.executions.approve(
        principal,
        execution_id,
        decision=body.decision,
        node_id=body.node_id or None,
        user_id=body.user_id,
        comment=body.comment,
        state_patch=body.state_patch,
        once=once,
    )
    return JsonResponse({"execution_id": show_execution_id(decided), "node_id": node_id, "accepted": True})


@router.get("/{execution_id}/approvals", response_model=ApprovalsAnswer, responses=failures(NotFound))
async def list_execution_approvals(principal: Reader, registry: CurrentRegistry, execution_id: str) -> Response:
    """What waits for a decision, and what was decided, in the execution and in those that it has begun."""
    return JsonResponse(show_approvals(await registry.executions.list_approvals(principal, execution_id)))


@router.post(
    "/{execution_id}/external-event",
    response_model=AcceptedAnswer,
    responses=failures(NotFound, Conflict),
    openapi_extra=described(body=ExternalEventBody, headers=[PARAMETER]),
)
async def send_external_event(
    principal: Writer,
    registry: CurrentRegistry,
    execution_id: str,
    body: Annotated[ExternalEventBody, body_of(ExternalEventBody)],
    once: Once,
) -> Response:
    """Wakes what waits for an event of that key. When nothing does, the event is kept until something will."""
    told = await registry.executions.tell(principal, execution_id, body.correlation_key, body.payload, once)
    return JsonResponse({"execution_id": show_execution_id(told), "accepted": True})
