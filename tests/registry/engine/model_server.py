"""A stand-in for paid models: a server that speaks the seam's protocol and OpenAI's, and says what it is told."""

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.servers import run_server


@dataclass
class ModelServer:
    """Answers with what is in `answers`, one after the other, and with the last one from then on. An answer is a
    text, or an object that is sent as it is: with `status` as such, and with `headers`."""

    url: str = ""
    answers: deque[str | Mapping[str, Any]] = field(default_factory=lambda: deque(["Hello."]))
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def complete(self, request: Request) -> Response:
        return await self._answer(request, seam_answer)

    async def chat(self, request: Request) -> Response:
        return await self._answer(request, openai_answer)

    async def _answer(self, request: Request, shaped: Any) -> Response:
        self.requests.append(await request.json())
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            return JSONResponse(shaped(answer))
        body = {key: value for key, value in answer.items() if key not in ("status", "headers")}
        return Response(json.dumps(body), answer.get("status", 200), answer.get("headers"), "application/json")


@asynccontextmanager
async def running_model_server() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    routes = [
        Route("/v1/complete", server.complete, methods=["POST"]),
        Route("/v1/chat/completions", server.chat, methods=["POST"]),
    ]
    async with run_server(Starlette(routes=routes)) as url:
        server.url = url
        yield server


def seam_answer(text: str = "", **more: Any) -> dict[str, Any]:
    return {
        "message": {"content": text, "role": "assistant"},
        "tool_calls": [],
        "input_tokens": 11,
        "output_tokens": 7,
        "cost_usd": 0.25,
        "model": "anthropic/claude-test",
        "finish_reason": "stop",
        **more,
    }


def openai_answer(text: str = "", calls: Mapping[str, str] | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for name, arguments in calls.items()
        ]
    finish = "tool_calls" if calls else "stop"
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-test-2026",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }
