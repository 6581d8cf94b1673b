"""Routes of erasures: for operators, who ask for them, and for agents, who do their part."""

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.checks import Flag, Limit, Query
from registry.erasures.models import Erasure, ErasureBody, ReceiptBody
from registry.erasures.service import read_erasure_id
from registry.errors import Conflict, NotFound
from registry.http.deps import CurrentRegistry, Operator, Reader, RegistryRoute, Writer, body_of, query_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.times import rfc3339

router = DocumentedRouter(route_class=RegistryRoute, tags=["erasures"])


class ErasureQuery(Query):
    dry_run: Flag = "false"


class ErasuresQuery(Query):
    limit: Limit = 50
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None


class AskedAgentAnswer(TypedDict):
    agent_id: str
    asks_itself: bool
    attempts: int
    last_error: str | None
    rows: dict[str, int]
    peers: list[str]
    answered_at: str | None


class ErasureAnswer(TypedDict):
    erasure_id: str
    position: int
    status: str
    subject_hash: str
    rows: dict[str, int]
    agents: list[AskedAgentAnswer]
    waiting_for: list[str]
    registry_done_at: str | None
    created_at: str
    completed_at: str | None


class FoundAnswer(TypedDict):
    dry_run: bool
    rows: dict[str, int]
    agents: list[str]


class ErasuresAnswer(TypedDict):
    erasures: list[ErasureAnswer]
    next_before: int | None


class OrderAnswer(TypedDict):
    erasure_id: str
    part: int
    caller: str | None
    thread_ids: list[str]


class OrdersAnswer(TypedDict):
    orders: list[OrderAnswer]


@router.post(
    "/erasures",
    status_code=201,
    response_model=ErasureAnswer,
    responses={**failures(), 200: {"model": FoundAnswer, "description": "What a dry run has found"}},
    openapi_extra=described(body=ErasureBody, query=ErasureQuery),
)
async def request_erasure(
    principal: Operator,
    registry: CurrentRegistry,
    query: Annotated[ErasureQuery, query_of(ErasureQuery)],
    body: Annotated[ErasureBody, body_of(ErasureBody)],
) -> Response:
    """Erases what a caller has said, or some threads and executions, here and at every agent of the tenant, also
    at those that are down now, once they are back. With `dry_run=true` it counts what the registry itself would
    erase, and answers 200; an agent counts for itself."""
    if query.dry_run == "true":
        found = await registry.erasures.find(principal, body)
        return JsonResponse({"dry_run": True, "rows": found.rows, "agents": found.agents})
    return JsonResponse(_shown(await registry.erasures.request(principal, body)), 201)


@router.get(
    "/erasures", response_model=ErasuresAnswer, responses=failures(), openapi_extra=described(query=ErasuresQuery)
)
async def list_erasures(
    principal: Reader, registry: CurrentRegistry, query: Annotated[ErasuresQuery, query_of(ErasuresQuery)]
) -> Response:
    """The tenant's erasures, the newest first."""
    page = await registry.erasures.list_erasures(principal, query.before, query.limit)
    more = page[-1].position if len(page) == query.limit else None
    return JsonResponse({"erasures": [_shown(erasure) for erasure in page], "next_before": more})


@router.get("/erasures/{erasure_id}", response_model=ErasureAnswer, responses=failures(NotFound))
async def get_erasure(principal: Reader, registry: CurrentRegistry, erasure_id: str) -> Response:
    """How far it is: what was removed, by table, and who has not answered yet."""
    return JsonResponse(_shown(await registry.erasures.get_erasure(principal, read_erasure_id(erasure_id))))


@router.post(
    "/erasures/{erasure_id}/receipts",
    response_model=ErasureAnswer,
    responses=failures(NotFound, Conflict),
    openapi_extra=described(body=ReceiptBody),
)
async def give_receipt(
    principal: Writer,
    registry: CurrentRegistry,
    erasure_id: str,
    body: Annotated[ReceiptBody, body_of(ReceiptBody)],
) -> Response:
    """An agent has done its part; or somebody has for an agent that does not ask itself."""
    return JsonResponse(_shown(await registry.erasures.answer(principal, read_erasure_id(erasure_id), body)))


@router.post("/agents/{agent_id}/erasures", response_model=OrdersAnswer, responses=failures(NotFound))
async def claim_erasures(principal: Writer, registry: CurrentRegistry, agent_id: str) -> Response:
    """What the agent has to erase. A heartbeat's answer tells it that there is something."""
    orders = await registry.erasures.claim(principal, agent_id)
    shown = [
        {
            "erasure_id": str(order.erasure_id),
            "part": order.part,
            "caller": order.caller,
            "thread_ids": order.thread_ids,
        }
        for order in orders
    ]
    return JsonResponse({"orders": shown})


def _shown(erasure: Erasure) -> dict[str, Any]:
    return {
        "erasure_id": str(erasure.erasure_id),
        "position": erasure.position,
        "status": "completed" if erasure.completed_at else "waiting",
        "subject_hash": erasure.subject_hash.hex(),
        "rows": erasure.rows,
        "agents": [
            {
                "agent_id": agent.agent_id,
                "asks_itself": agent.asks_itself,
                "attempts": agent.attempts,
                "last_error": agent.last_error,
                "rows": agent.rows,
                "peers": agent.peers,
                "answered_at": rfc3339(agent.answered_at) if agent.answered_at else None,
            }
            for agent in erasure.agents
        ],
        "waiting_for": [agent.agent_id for agent in erasure.agents if agent.answered_at is None],
        "registry_done_at": rfc3339(erasure.registry_done_at) if erasure.registry_done_at else None,
        "created_at": rfc3339(erasure.created_at),
        "completed_at": rfc3339(erasure.completed_at) if erasure.completed_at else None,
    }
