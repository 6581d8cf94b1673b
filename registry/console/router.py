"""The console: pages for people, over the same services as the API, under `/console`.

The API keeps every path that it had, whoever asks; only `/` itself, which it has no use for, leads here, but for
clients that want JSON.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from registry.console import (
    administration,
    agent_details,
    agents,
    components,
    conversations,
    decisions,
    executions,
    login,
    talk,
    usage,
)
from registry.console.pages import AnyViewer, PageRoute, go_to
from registry.errors import NotFound

router = APIRouter(include_in_schema=False)
_console = APIRouter(prefix="/console", route_class=PageRoute, include_in_schema=False)
_rest = APIRouter(prefix="/console", route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def lead_to_console(request: Request) -> Response:
    """Also for `curl`, which shows where it is. Raises `NotFound` for who wants JSON and no page."""
    accepted = request.headers.get("accept", "")
    if "application/json" in accepted and "text/html" not in accepted:
        raise NotFound("there is no /")
    return go_to("/console")


@_console.get("")
async def show_first_page(viewer: AnyViewer) -> Response:
    return go_to("/console/agents")


@_rest.get("/{path:path}")
async def show_unknown_page(viewer: AnyViewer, path: str) -> Response:
    raise NotFound(f"there is no page /console/{path}")


for part in (
    login,
    agents,
    agent_details,
    conversations,
    talk,
    decisions,
    executions,
    components,
    administration,
    usage,
):
    _console.include_router(part.router)
router.include_router(_console)
router.include_router(_rest)
