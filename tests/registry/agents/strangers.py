"""Agents that nobody here runs: a server with cards that a test puts up, changes and takes away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.servers import run_server


class Strangers:
    """Serves each card below a path of its own, as `/NAME/.well-known/agent.json`."""

    def __init__(self) -> None:
        self.url = ""
        self.cards: dict[str, dict[str, Any]] = {}
        self.hanging: set[str] = set()
        self.delay = 0.0
        self.asked: list[str] = []

    def put(self, name: str, **fields: Any) -> str:
        """Puts up a card of JamJet's with that id, and returns the URL it can be discovered by."""
        self.cards[name] = {"id": name, "uri": f"{self.url}/{name}", "name": name, "capabilities": {}} | fields
        return f"{self.url}/{name}"

    async def answer(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.asked.append(name)
        await asyncio.sleep(self.delay)
        while name in self.hanging:
            await asyncio.sleep(0.05)
        return JSONResponse(self.cards[name]) if name in self.cards else Response(status_code=404)


@asynccontextmanager
async def running_strangers() -> AsyncIterator[Strangers]:
    strangers = Strangers()
    app = Starlette(routes=[Route("/{name}/.well-known/agent.json", strangers.answer)])
    async with run_server(app) as strangers.url:
        yield strangers
        strangers.hanging.clear()
