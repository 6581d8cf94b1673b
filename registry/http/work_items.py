"""The protocol of workers outside, as JamJet's published ones speak it."""

from typing import Annotated, Any, NotRequired
from uuid import UUID

from pydantic import ConfigDict, Field
from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.checks import Body
from registry.errors import Conflict, NotFound
from registry.executions.models import show_execution_id
from registry.http.deps import CurrentRegistry, RegistryRoute, Writer, body_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.work_items.models import WorkItem

router = DocumentedRouter(prefix="/work-items", route_class=RegistryRoute, tags=["work items"])

Name = Annotated[str, Field(min_length=1, max_length=255)]
Fence = Annotated[int, Field(ge=0, le=2**63 - 1)]


class WorkItemClaim(Body):
    worker_id: Name
    queue_types: Annotated[list[Name], Field(min_length=1, max_length=100)]


class Held(Body):
    """What all calls about an item can say: which claim of it is meant."""

    lease_fence: Fence | None = None


class WorkItemCompletion(Held):
    """What came of it; more is kept when it is known, such as `gen_ai_model`."""

    model_config = ConfigDict(strict=True, extra="allow")

    output: Any = None
    state_patch: dict[str, Any] | None = None
    duration_ms: Annotated[float, Field(ge=0)] | None = None


class WorkItemFailure(Held):
    error: str


class WorkItemRenewal(Held):
    worker_id: Name | None = None


class WorkItemAnswer(TypedDict):
    id: str
    execution_id: str
    node_id: str
    queue_type: str
    payload: dict[str, Any]
    attempt: int
    lease_fence: int
    idempotency_key: str


class ClaimAnswer(TypedDict):
    claimed: bool
    work_item: NotRequired[Annotated[WorkItemAnswer, Field(description="Only when there was one.")]]


class CompletedAnswer(TypedDict):
    completed: bool
    work_item_id: str


class FailedAnswer(TypedDict):
    failed: bool
    work_item_id: str


class RenewedAnswer(TypedDict):
    renewed: bool
    work_item_id: str


@router.post(
    "/claim", response_model=ClaimAnswer, responses=failures(), openapi_extra=described(body=WorkItemClaim)
)
async def claim_work_item(
    principal: Writer, registry: CurrentRegistry, body: Annotated[WorkItemClaim, body_of(WorkItemClaim)]
) -> Response:
    """The oldest item of those queues that nobody has."""
    item = await registry.work_items.claim(principal, body.worker_id, body.queue_types)
    return JsonResponse({"claimed": False} if item is None else {"claimed": True, "work_item": _shown(item)})


@router.post(
    "/{work_item_id}/complete",
    response_model=CompletedAnswer,
    responses=failures(Conflict),
    openapi_extra=described(body=WorkItemCompletion),
)
async def complete_work_item(
    principal: Writer,
    registry: CurrentRegistry,
    work_item_id: str,
    body: Annotated[WorkItemCompletion, body_of(WorkItemCompletion)],
) -> Response:
    """The node is done; what it has changed in the state replaces keys of it."""
    key = _read_id(work_item_id)
    await registry.work_items.complete(principal, key, body.lease_fence, body.model_dump())
    return JsonResponse({"completed": True, "work_item_id": work_item_id})


@router.post(
    "/{work_item_id}/fail",
    response_model=FailedAnswer,
    responses=failures(Conflict),
    openapi_extra=described(body=WorkItemFailure),
)
async def fail_work_item(
    principal: Writer,
    registry: CurrentRegistry,
    work_item_id: str,
    body: Annotated[WorkItemFailure, body_of(WorkItemFailure)],
) -> Response:
    """It could not be done; the node's retry policy decides what becomes of it."""
    await registry.work_items.fail(principal, _read_id(work_item_id), body.lease_fence, body.error)
    return JsonResponse({"failed": True, "work_item_id": work_item_id})


@router.post(
    "/{work_item_id}/heartbeat",
    response_model=RenewedAnswer,
    responses=failures(Conflict),
    openapi_extra=described(body=WorkItemRenewal),
)
async def renew_work_item(
    principal: Writer,
    registry: CurrentRegistry,
    work_item_id: str,
    body: Annotated[WorkItemRenewal, body_of(WorkItemRenewal, optional=True)],
) -> Response:
    """The worker still is at it."""
    await registry.work_items.renew(principal, _read_id(work_item_id), body.lease_fence)
    return JsonResponse({"renewed": True, "work_item_id": work_item_id})


def _shown(item: WorkItem) -> WorkItemAnswer:
    return {
        "id": str(item.work_item_id),
        "execution_id": show_execution_id(item.execution_id),
        "node_id": item.node_id,
        "queue_type": item.queue_type,
        "payload": item.payload,
        "attempt": item.attempt,
        "lease_fence": item.lease_fence,
        "idempotency_key": item.idempotency_key,
    }


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"work item {text}") from None
