"""A server that answers an agent as JamJet's own runtime does, which cannot be installed here.

It makes ids of its own, takes a URI once and fails when it comes again, answers 422 in plain text to a card that
does not fit its types, and takes heartbeats for any id. On demand it answers otherwise, or not at all.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.servers import run_server

_TEXTS = ("id", "uri", "name", "description", "version")
_SKILL_TEXTS = ("name", "description", "input_schema", "output_schema")
_LISTS = ("skills", "protocols", "tools_provided", "tools_consumed")
_AUTONOMY = ("deterministic", "guided", "bounded_autonomous", "fully_autonomous")
_AUTH: dict[str, tuple[tuple[str, type], ...]] = {
    "bearer_token": (("scopes", list),),
    "api_key": (("header", str),),
    "none": (),
}


@dataclass(frozen=True)
class Call:
    """A request as it came: `verb` is register, list, activate, heartbeat or deactivate."""

    verb: str
    agent_id: str
    body: dict[str, Any]
    token: str | None
    path: str


class JamjetRuntime:
    """`answers` holds what the next calls of a verb are answered with, instead of what the runtime would."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.calls: list[Call] = []
        self.answers: dict[str, list[Response]] = {}
        self.always: dict[str, Response] = {}
        self.silent = False
        self.id_maker = lambda: str(uuid4())

    @asynccontextmanager
    async def served(self, *, port: int = 0, prefix: str = "") -> AsyncIterator[str]:
        """Yields the runtime's URL, with the prefix and without a slash behind it."""
        routes = [
            Route(f"{prefix}/agents", self._register, methods=["POST"]),
            Route(f"{prefix}/agents", self._list, methods=["GET"]),
            Route(f"{prefix}/agents/{{agent_id:path}}/{{verb}}", self._tell, methods=["POST"]),
        ]
        async with run_server(Starlette(routes=routes), port) as url:
            yield url + prefix

    def told(self, verb: str) -> list[Call]:
        return [call for call in self.calls if call.verb == verb]

    @property
    def verbs(self) -> list[str]:
        """What was asked, in order, heartbeats left out."""
        return [call.verb for call in self.calls if call.verb != "heartbeat"]

    @property
    def statuses(self) -> Counter[str]:
        return Counter(entry["status"] for entry in self.entries.values())

    async def _register(self, request: Request) -> Response:
        if (instead := await self._note("register", request)) is not None:
            return instead
        card = self.calls[-1].body
        if misfit := _misfit(card):
            return PlainTextResponse(
                f"Failed to deserialize the JSON body into the target type: {misfit}", status_code=422
            )
        if card["uri"] in [entry["card"]["uri"] for entry in self.entries.values()]:
            return JSONResponse({"error": "UNIQUE constraint failed: agents.uri"}, status_code=500)
        agent_id = self.id_maker()
        self.entries[agent_id] = {"id": agent_id, "card": card, "status": "registered", "last_heartbeat": None}
        return JSONResponse({"agent_id": agent_id}, status_code=201)

    async def _list(self, request: Request) -> Response:
        instead = await self._note("list", request)
        return instead or JSONResponse({"agents": list(self.entries.values())})

    async def _tell(self, request: Request) -> Response:
        agent_id, verb = request.path_params["agent_id"], request.path_params["verb"]
        if (instead := await self._note(verb, request)) is not None:
            return instead
        if verb == "heartbeat":
            return JSONResponse({"agent_id": agent_id, "ok": True})
        if agent_id not in self.entries:
            return JSONResponse({"error": f"agent not found: {agent_id}"}, status_code=500)
        status = {"activate": "active", "deactivate": "deactivated"}[verb]
        self.entries[agent_id]["status"] = status
        return JSONResponse({"agent_id": agent_id, "status": status})

    async def _note(self, verb: str, request: Request) -> Response | None:
        """Notes the call, and returns what to answer instead of what the runtime would."""
        body = await request.json() if await request.body() else {}
        token = request.headers.get("authorization")
        path = request.scope["raw_path"].decode()
        self.calls.append(Call(verb, request.path_params.get("agent_id", ""), body, token, path))
        while self.silent:
            await asyncio.sleep(0.02)
        waiting = self.answers.get(verb)
        return waiting.pop(0) if waiting else self.always.get(verb)


def _misfit(card: dict[str, Any]) -> str | None:
    """What a server with these types says of the first field that does not fit."""
    for name in _TEXTS:
        if not isinstance(card.get(name), str):
            return f"{name}: expected a string"
    capabilities = card.get("capabilities", {})
    for name in _LISTS:
        if not isinstance(capabilities.get(name), list):
            return f"capabilities.{name}: expected a sequence"
    for skill in capabilities["skills"]:
        for name in _SKILL_TEXTS:
            if not isinstance(skill.get(name), str):
                return f"capabilities.skills: {name}: expected a string"
    if card.get("autonomy") not in _AUTONOMY:
        return "autonomy: unknown variant"
    auth = card.get("auth", {})
    if auth.get("type") not in _AUTH:
        return "auth: unknown variant"
    if not all(isinstance(auth.get(name), kind) for name, kind in _AUTH[auth["type"]]):
        return "auth: missing field"
    return None
