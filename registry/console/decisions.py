"""The page of all that waits for a person: approvals of workflows and questions of agents, decided in place."""

import json
from typing import Any

from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.responses import Response

from registry.checks import check_value
from registry.console.conversations import conversation_path
from registry.console.pages import AnyViewer, PageRoute, Viewer, WritingSender, go_to
from registry.decisions.models import DecisionBody, DecisionsQuery, show_decision
from registry.errors import InvalidRequest
from registry.questions.models import Selection

router = APIRouter(prefix="/decisions", route_class=PageRoute, include_in_schema=False)

_PER_PAGE = 30
_BODY = TypeAdapter(DecisionBody)
KEYS = {"approve": "a", "reject": "r", "edit": "e", "respond": "s"}
"""By which key each verdict is given, where the script is there."""


@router.get("")
async def list_decisions(viewer: AnyViewer) -> Response:
    query = viewer.query(DecisionsQuery)
    selection = Selection(query.state, query.kind, query.agent_id, query.workflow_id)
    page = await viewer.registry.decisions.list_decisions(
        viewer.principal, selection, min(query.limit, _PER_PAGE), query.cursor
    )
    return viewer.page(
        "decisions.html",
        query=query,
        decisions=[show_decision(question) for question in page.questions],
        next_cursor=page.next_position,
        keys=KEYS,
        path_of=conversation_path,
    )


@router.post("/{decision_id}")
async def decide(viewer: WritingSender, decision_id: str) -> Response:
    body = check_value(_BODY, _read(viewer))
    question = await viewer.registry.decisions.decide(viewer.principal, decision_id, body)
    return go_to("/console/decisions", "decided" if question.state == "decided" else "withdrawn")


def _read(viewer: Viewer) -> dict[str, Any]:
    """The form as the API takes it: a verdict with what belongs to it, or else an answer."""
    given: dict[str, Any] = {"digest": viewer.text("digest")} if viewer.text("digest") else {}
    verdict = viewer.text("decision")
    if not verdict:
        return given | {"answer": _answer(viewer)}
    given["decision"] = verdict
    if viewer.text("comment"):
        given["message" if verdict == "respond" else "comment"] = viewer.text("comment")
    if verdict == "edit":
        given["edited_action"] = viewer.document("edited_action")
    return given


def _answer(viewer: Viewer) -> Any:
    """What was written; read as JSON where the question asks for more than words."""
    text = viewer.text("answer")
    if not text:
        raise InvalidRequest("answer is missing: what the agent is to be told")
    if viewer.text("form") != "json":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"answer should be JSON here: {error}") from None
