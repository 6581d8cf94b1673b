"""A real HTTP server with tools, each answering as its path says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.servers import run_server


@dataclass
class ToolServer:
    """`heard` are the calls so far: path, idempotency key and body."""

    url: str = ""
    heard: list[tuple[str, str, Any]] = field(default_factory=list)
    failures: list[Response] = field(default_factory=list)
    """What `/flaky` answers, one after the other, before it does its work."""

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.heard.append((path, request.headers["idempotency-key"], await request.json()))
        if path == "/slow":
            await asyncio.sleep(5)
        if path == "/flaky" and self.failures:
            return self.failures.pop(0)
        answers: dict[str, Response] = {
            "/number": JSONResponse(42),
            "/text": PlainTextResponse("just text"),
            "/empty": Response(status_code=204),
            "/refuse": JSONResponse({"error": "no such customer"}, 404),
            "/elsewhere": RedirectResponse("http://127.0.0.1:1/"),
            "/broken": Response(b"{", media_type="application/json"),
            "/odd": Response(b'{"note": "a\\u0000b"}', media_type="application/json"),
        }
        return answers.get(path) or JSONResponse({"price": 7, "currency": "EUR"})

    def calls_of(self, path: str) -> list[Any]:
        return [body for called, _, body in self.heard if called == path]


@asynccontextmanager
async def running_tools() -> AsyncIterator[ToolServer]:
    server = ToolServer()
    app = Starlette(routes=[Route("/{path:path}", server.answer, methods=["POST"])])
    async with run_server(app) as server.url:
        yield server
