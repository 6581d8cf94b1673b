"""The protocol of workers outside, as JamJet's published ones speak it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from registry.checks import Body
from registry.deps import CurrentRegistry, RegistryRoute, Writer, body_of
from registry.errors import Conflict, NotFound
from registry.executions.models import show_execution_id
from registry.http_errors import JsonResponse
from registry.openapi import described, failures
from registry.work_items.models import WorkItem

router = APIRouter(prefix="/work-items", route_class=RegistryRoute, tags=["work items"])

Name = Annotated[str, Field(min_length=1, max_length=255)]
Fence = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Claim(Body):
    worker_id: Name
    queue_types: Annotated[list[Name], Field(min_length=1, max_length=100)]


class Held(Body):
    """What all calls about an item can say: which claim of it is meant."""

    lease_fence: Fence | None = None


class Completion(Held):
    """What came of it; more is kept when it is known, such as `gen_ai_model`."""

    model_config = ConfigDict(strict=True, extra="allow")

    output: Any = None
    state_patch: dict[str, Any] | None = None
    duration_ms: Annotated[float, Field(ge=0)] | None = None


class Failure(Held):
    error: str


class Renewal(Held):
    worker_id: Name | None = None


class ClaimAnswer(BaseModel):
    claimed: bool
    work_item: dict[str, Any] | None = None


@router.post("/claim", response_model=ClaimAnswer, responses=failures(), openapi_extra=described(body=Claim))
async def claim(principal: Writer, registry: CurrentRegistry, body: Annotated[Claim, body_of(Claim)]) -> Response:
    """The oldest item of those queues that nobody has."""
    item = await registry.work_items.claim(principal, body.worker_id, body.queue_types)
    return JsonResponse({"claimed": False} if item is None else {"claimed": True, "work_item": _shown(item)})


@router.post("/{work_item_id}/complete", responses=failures(Conflict), openapi_extra=described(body=Completion))
async def complete(
    principal: Writer,
    registry: CurrentRegistry,
    work_item_id: str,
    body: Annotated[Completion, body_of(Completion)],
) -> Response:
    """The node is done; what it has changed in the state replaces keys of it."""
    key = _read_id(work_item_id)
    await registry.work_items.complete(principal, key, body.lease_fence, body.model_dump())
    return JsonResponse({"completed": True, "work_item_id": work_item_id})


@router.post("/{work_item_id}/fail", responses=failures(Conflict), openapi_extra=described(body=Failure))
async def fail(
    principal: Writer,
    registry: CurrentRegistry,
    work_item_id: str,
    body: Annotated[Failure, body_of(Failure)],
) -> Response:
    """It could not be done; the node's retry policy decides what becomes of it."""
    await registry.work_items.fail(principal, _read_id(work_item_id), body.lease_fence, body.error)
    return JsonResponse({"failed": True, "work_item_id": work_item_id})


@router.post("/{work_item_id}/heartbeat", responses=failures(Conflict), openapi_extra=described(body=Renewal))
async def renew(
    principal: Writer,
    registry: CurrentRegistry,
    work_item_id: str,
    body: Annotated[Renewal, body_of(Renewal, optional=True)],
) -> Response:
    """The worker still is at it."""
    await registry.work_items.renew(principal, _read_id(work_item_id), body.lease_fence)
    return JsonResponse({"renewed": True, "work_item_id": work_item_id})


def _shown(item: WorkItem) -> dict[str, Any]:
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
