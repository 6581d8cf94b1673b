"""The door for heartbeats. They are most of what a registry is asked, and what the framework does around a route
costs more than a heartbeat: finding the route, its dependencies, and seven layers that it has no use for."""

import re

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.agents.models import Heartbeat
from registry.errors import Forbidden, Unauthenticated
from registry.http.agents import answer_heartbeat
from registry.http.deps import identify, read_object, record_refusal
from registry.http.errors import respond_to
from registry.runtime import Registry

_PATH = re.compile(r"/agents/([^/]+)/heartbeat")
_HEARTBEAT = TypeAdapter(Heartbeat)


class HeartbeatDoor:
    """Answers heartbeats as the app's own route does, which stays for the document, and lets the rest by."""

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self.app = app
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        agent_id = _beating_agent(scope)
        if agent_id is None:
            await self.app(scope, receive, send)
            return
        scope["route_path"] = "/agents/{agent_id}/heartbeat"
        request = Request(scope, receive, send)
        try:
            response = await self._answer(request, agent_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, it leaves in the one shape, as from the app
            response = respond_to(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request, agent_id: str) -> Response:
        try:
            principal = await identify(request, self.registry)
            principal.require_writer()
        except (Forbidden, Unauthenticated) as refusal:
            await record_refusal(self.registry, request, refusal)
            raise
        heartbeat = await read_object(request, _HEARTBEAT, optional=True)
        return await answer_heartbeat(self.registry, principal, agent_id, heartbeat)


def _beating_agent(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/heartbeat"):
        return None
    match = _PATH.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
    return match[1] if match else None
