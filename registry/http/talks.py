"""Routes to talk to an agent: a message, and what becomes of it."""

from typing import Annotated

from starlette.responses import Response

from groundwork.http.openapi import DocumentedRouter
from registry.errors import AgentAway, AgentTimedOut, AgentUnreachable, Conflict, InvalidRequest, NotFound
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, body_of
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.talks.models import NewMessage, TalkAnswer, show_talk

router = DocumentedRouter(prefix="/agents/{agent_id}", route_class=RegistryRoute, tags=["agents"])

_LONGEST_TASK_ID = 1000
_FAILURES = (NotFound, Conflict, AgentUnreachable, AgentAway, AgentTimedOut)


@router.post(
    "/messages",
    response_model=TalkAnswer,
    responses=failures(*_FAILURES),
    openapi_extra=described(body=NewMessage),
)
async def send_message(
    principal: Writer,
    registry: CurrentRegistry,
    agent_id: str,
    message: Annotated[NewMessage, body_of(NewMessage)],
) -> Response:
    """Sends a message to the agent over A2A, and does not wait until it is done with it: the task of the answer
    tells. An answer to a question names the question's task."""
    return JsonResponse(show_talk(await registry.talks.send(principal, agent_id, message)))


@router.get("/tasks/{task_id}", response_model=TalkAnswer, responses=failures(*_FAILURES))
async def get_task(principal: Reader, registry: CurrentRegistry, agent_id: str, task_id: str) -> Response:
    """How far the agent is with a task, asked of it over A2A, and what it has said so far."""
    if len(task_id) > _LONGEST_TASK_ID or not task_id.isprintable():
        raise InvalidRequest(f"task_id should have at most {_LONGEST_TASK_ID} printable characters")
    return JsonResponse(show_talk(await registry.talks.get(principal, agent_id, task_id)))
