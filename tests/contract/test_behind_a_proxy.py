"""An agent below a prefix of a proxy that is set up plainly, as in `docs/how-to/behind-nginx.md`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import Role, SendMessageRequest, TaskState
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from agent_runtime.a2a_server.card_check import check_card
from agent_runtime.settings import AgentSettings
from tests.agents import Agent, running_agent, write_project
from tests.servers import run_server

PREFIX = "/agents/my-agent"
TOKEN = "ann=swordfish"


@asynccontextmanager
async def prefix_proxy(upstream: str, *, post: int = 0, drop: str = "") -> AsyncIterator[str]:
    """Do as nginx with `location /agents/my-agent/ { proxy_pass http://…/; }`: redirect the prefix without its
    slash, and cut it off otherwise. Answer each POST with the status `post`, and keep back the header `drop`."""

    async def forward(request: Request) -> Response:
        if post and request.method == "POST":
            return Response("<html>", post, {"Location": "https://elsewhere.test/"} if post < 400 else {})
        headers = [(k, v) for k, v in request.headers.items() if k not in ("host", "content-length", drop)]
        path = request.url.path.removeprefix(PREFIX)
        sent = client.build_request(request.method, path, headers=headers, content=await request.body())
        answer = await client.send(sent, stream=True)
        return StreamingResponse(answer.aiter_raw(), answer.status_code, dict(answer.headers))

    async def redirect(request: Request) -> Response:
        return RedirectResponse(f"{PREFIX}/", 301)

    methods = ["GET", "POST", "DELETE"]
    routes = [Route(PREFIX, redirect, methods=methods), Route(PREFIX + "/{rest:path}", forward, methods=methods)]
    async with (
        httpx.AsyncClient(base_url=upstream, timeout=60) as client,
        run_server(Starlette(routes=routes)) as url,
    ):
        yield url + PREFIX


@pytest.fixture
async def agent(tmp_path: Path, database_url: str) -> AsyncIterator[Agent]:
    async with running_agent(write_project(tmp_path), database_url, a2a_tokens=TOKEN) as agent:
        yield agent


async def check(agent: Agent, url: str) -> list[str]:
    settings: dict[str, Any] = {"public_agent_url": url, "a2a_tokens": TOKEN}
    return await check_card(AgentSettings(_env_file=None, **settings), agent.directory)


async def test_callers_who_go_by_the_card_reach_an_agent_below_a_prefix(agent: Agent) -> None:
    async with prefix_proxy(agent.url) as url, httpx.AsyncClient(timeout=60) as http:
        await agent.runtime.card_url.change(url)
        assert await check(agent, url) == []
        http.headers["Authorization"] = "Bearer swordfish"
        card = await A2ACardResolver(http, url).get_agent_card()
        for binding, streaming in (("JSONRPC", False), ("JSONRPC", True), ("HTTP+JSON", True)):
            config = ClientConfig(httpx_client=http, streaming=streaming, supported_protocol_bindings=[binding])
            request = SendMessageRequest(message=new_text_message("hello", role=Role.ROLE_USER))
            events = [event async for event in ClientFactory(config).create(card).send_message(request)]
            last = events[-1].status_update if streaming else events[-1].task
            assert last.status.state == TaskState.TASK_STATE_COMPLETED


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"post": 301}, "is redirected to https://elsewhere.test/, and clients do not post a second time"),
        ({"post": 405}, "is not answered by an agent, but with 405 Method Not Allowed"),
        ({"post": 404}, "is not answered by an agent, but with 404 Not Found"),
        ({"drop": "authorization"}, "is not answered by an agent, but with 401 Unauthorized"),
    ],
)
async def test_the_check_of_the_card_posts_to_each_interface(agent: Agent, broken: Any, said: str) -> None:
    async with prefix_proxy(agent.url, **broken) as url:
        await agent.runtime.card_url.change(url)
        assert await check(agent, url) == [
            f"POST to {url}/ (JSONRPC 1.0) {said}",
            f"POST to {url}/a2a (HTTP+JSON 1.0) {said}",
            f"POST to {url}/ (JSONRPC 0.3) {said}",
        ]
