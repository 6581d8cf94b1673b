"""The page to talk to an agent: a message, the answer as it comes, questions answered in place, what it cost."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

from fastapi import APIRouter
from pydantic import Field, TypeAdapter
from starlette.responses import Response

from registry.checks import Query, check_value
from registry.console.agent_calls import ask_agent
from registry.console.agent_details import Turn
from registry.console.conversations import conversation_path
from registry.console.formatting import in_path
from registry.console.pages import AnyViewer, PageRoute, Viewer, WritingSender, go_to
from registry.errors import RegistryError
from registry.outbound.conversation import Talk
from registry.talks.models import NewMessage

router = APIRouter(prefix="/agents/{agent_id}", route_class=PageRoute, include_in_schema=False)

_PATIENCE_SECONDS = 3.0
_FIELDS = {"text": "text", "thread": "context_id", "task": "task_id", "message_id": "message_id"}
_MESSAGE, _TURN = TypeAdapter(NewMessage), TypeAdapter(Turn)


class TalkQuery(Query):
    """In which conversation, and what was said last, if anything was."""

    thread: Annotated[str, Field(max_length=255)] | None = None
    task: Annotated[str, Field(max_length=1000)] | None = None


@router.get("/talk")
async def show_talk(viewer: AnyViewer, agent_id: str) -> Response:
    query = viewer.query(TalkQuery)
    if query.task is None:
        await viewer.registry.agents.get_agent(viewer.principal, agent_id)
        return await _show(viewer, agent_id, query.thread, None)
    talk = await viewer.registry.talks.get(viewer.principal, agent_id, query.task)
    return await _show(viewer, agent_id, talk.context_id, talk)


@router.post("/talk")
async def send_message(viewer: WritingSender, agent_id: str) -> Response:
    given = {name: viewer.text(field) for field, name in _FIELDS.items() if viewer.text(field)}
    talk = await viewer.registry.talks.send(viewer.principal, agent_id, check_value(_MESSAGE, given))
    if talk.task_id is None:
        return await _show(viewer, agent_id, talk.context_id, talk)
    place = urlencode({"thread": talk.context_id, "task": talk.task_id})
    return go_to(f"/console/agents/{in_path(agent_id)}/talk?{place}")


async def _show(viewer: Viewer, agent_id: str, thread: str | None, talk: Talk | None) -> Response:
    task_id = talk.task_id if talk else None
    json_path = f"/agents/{in_path(agent_id)}" + (f"/tasks/{in_path(task_id)}" if task_id else "")
    return viewer.page(
        "talk.html",
        agent_id=agent_id,
        thread=thread,
        talk=talk and replace(talk, files=[_without_content(file) for file in talk.files]),
        turn=await _find_turn(viewer, agent_id, talk) if talk else None,
        message_id=uuid4().hex,
        json_path=json_path,
        path_of=conversation_path,
    )


async def _find_turn(viewer: Viewer, agent_id: str, talk: Talk) -> Turn | None:
    """What the turn has cost, where the agent has an admin API that tells."""
    if talk.task_id is None or talk.state == "working":
        return None
    path = f"turns/{in_path(talk.task_id)}"
    try:
        return await ask_agent(viewer, agent_id, path, _TURN, seconds=_PATIENCE_SECONDS)
    except RegistryError:
        return None


def _without_content(file: Mapping[str, Any]) -> Mapping[str, Any]:
    """A file's name, type, size and place. Its content stays out: pages show nobody's files."""
    size = len(str(file.get("raw", ""))) * 3 // 4
    return {
        "name": file.get("filename"),
        "media_type": file.get("mediaType"),
        "url": file.get("url"),
        "size": size,
    }
