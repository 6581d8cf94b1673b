"""The pages of executions: what runs, where it stands, and what may be done about it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from registry.checks import Query
from registry.cli.timeline import Timeline
from registry.console.drawing import draw_workflow
from registry.console.pages import AnyViewer, PageRoute, Viewer, WritingSender, go_to
from registry.errors import Conflict, InvalidRequest, RegistryError
from registry.executions.models import StoredEvent, show_execution_id
from registry.http.event_shapes import show_event
from registry.http.execution_shapes import ExecutionsQuery, show_approvals, show_execution, show_listed

router = APIRouter(prefix="/executions", route_class=PageRoute, include_in_schema=False)

_PER_PAGE = 50
_EVENTS_PER_PAGE = 200
_SELECTED = "selected-"
_STATUSES = ("pending", "running", "paused", "completed", "failed", "cancelled", "limit_exceeded")


class ExecutionQuery(Query):
    """How an execution is shown, and from which event on."""

    view: Literal["timeline", "table"] = "timeline"
    after: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


@router.get("")
async def list_executions(viewer: AnyViewer) -> Response:
    query = viewer.query(ExecutionsQuery)
    limit = min(query.limit, _PER_PAGE)
    rows = await viewer.registry.executions.list(viewer.principal, query.status, limit + 1, query.offset)
    return viewer.page(
        "executions.html",
        query=query,
        statuses=_STATUSES,
        executions=[show_listed(row) for row in rows[:limit]],
        newer=max(0, query.offset - limit) if query.offset else None,
        older=query.offset + limit if len(rows) > limit else None,
    )


@router.get("/{execution_id}")
async def show_one_execution(viewer: AnyViewer, execution_id: str) -> Response:
    query = viewer.query(ExecutionQuery)
    executions = viewer.registry.executions
    execution = await executions.get(viewer.principal, execution_id)
    standing = await executions.get_standing(viewer.principal, execution_id)
    progress, events = await executions.list_events(
        viewer.principal, execution_id, query.after, _EVENTS_PER_PAGE + 1
    )
    shown = events[:_EVENTS_PER_PAGE]
    return viewer.page(
        "execution.html",
        query=query,
        execution=show_execution(execution),
        has_ended=progress.has_ended,
        last_sequence=progress.last_sequence,
        approvals=show_approvals(await executions.list_approvals(viewer.principal, execution_id)),
        waits=standing.waits,
        nodes=standing.nodes,
        drawing=draw_workflow(standing.workflow, standing.nodes),
        lines=_lines(shown),
        events=[show_event(event, "name") for event in shown] if query.view == "table" else [],
        more_after=shown[-1].sequence if len(events) > _EVENTS_PER_PAGE else None,
        children=[show_listed(child) for child in standing.children],
    )


@router.post("/{execution_id}/cancel")
async def cancel_execution(viewer: WritingSender, execution_id: str) -> Response:
    cancelled = await viewer.registry.executions.cancel(viewer.principal, execution_id)
    return go_to(f"/console/executions/{show_execution_id(cancelled)}", "cancelled")


@router.post("/selected")
async def change_selected(viewer: WritingSender) -> Response:
    """Cancel, or start again, each execution that is selected; it stops at the first that cannot be."""
    executions, wanted = viewer.registry.executions, viewer.text("do")
    if wanted not in ("cancel", "restart"):
        raise InvalidRequest("do should be cancel or restart")
    selected = [name.removeprefix(_SELECTED) for name in viewer.form if name.startswith(_SELECTED)]
    if not selected:
        raise InvalidRequest("no execution is selected")
    for number, execution_id in enumerate(selected):
        try:
            if wanted == "cancel":
                await executions.cancel(viewer.principal, execution_id)
            else:
                await executions.start_again(viewer.principal, execution_id)
        except RegistryError as error:
            done = f"{number} of {len(selected)} are done, then"
            raise Conflict(f"{done} {execution_id}: {error}") from error
    return go_to("/console/executions", "cancelled-many" if wanted == "cancel" else "restarted-many")


@router.post("/{execution_id}/restart")
async def restart_execution(viewer: WritingSender, execution_id: str) -> Response:
    started = await viewer.registry.executions.start_again(viewer.principal, execution_id)
    return go_to(f"/console/executions/{show_execution_id(started)}", "restarted")


@router.post("/{execution_id}/approve")
async def approve_execution(viewer: WritingSender, execution_id: str) -> Response:
    return await _decide(viewer, execution_id)


async def _decide(viewer: Viewer, execution_id: str) -> Response:
    decision = viewer.text("decision")
    if decision not in ("approved", "rejected"):
        raise InvalidRequest("decision should be approved or rejected")
    comment = viewer.text("comment")
    if len(comment) > 10_000:
        raise InvalidRequest("comment should have at most 10000 characters")
    decided, _ = await viewer.registry.executions.approve(
        viewer.principal,
        execution_id,
        decision=decision,
        node_id=viewer.text("node_id") or None,
        comment=comment or None,
        state_patch=viewer.document("state_patch") or None,
    )
    return go_to(f"/console/executions/{show_execution_id(decided)}", decision)


def _lines(events: Sequence[StoredEvent]) -> list[tuple[int, str, object]]:
    timeline = Timeline()
    shown = [show_event(event, "name") for event in events]
    return [(event["sequence"], event["created_at"], timeline.line(event)) for event in shown]
