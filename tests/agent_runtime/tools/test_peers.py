"""Other agents over A2A, each a real one made with a2a-sdk's own server on a real port."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from a2a.helpers import new_data_part, new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from langchain_core.messages import ToolMessage
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_runtime.components.snapshot import Snapshot
from agent_runtime.project.outbound import Peer
from agent_runtime.tools.connection_state import Timing
from tests.agent_runtime.tools.connecting import call_tool, connected_to, eventually
from tests.servers import run_server

QUICK = Timing(
    card_seconds=0.1,
    ask_timeout_seconds=5,
    first_retry_seconds=0.05,
    longest_retry_seconds=0.2,
    settle_seconds=5,
)


class Echo(AgentExecutor):
    """Answers as the message asks it to."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        said = context.get_user_input()
        self.heard.append(said)
        assert context.message is not None
        assert context.task_id is not None
        assert context.context_id is not None
        if said == "just talk":
            await event_queue.enqueue_event(new_text_message("talking", context_id=context.context_id))
            return
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        task = TaskUpdater(event_queue, context.task_id, context.context_id)
        if said == "ask me":
            await task.requires_input(task.new_agent_message([new_text_part("tea or coffee?")]))
        elif said == "reject":
            await task.reject(task.new_agent_message([new_text_part("not my job")]))
        elif said == "hang":
            await asyncio.sleep(30)
        elif said == "crash":
            raise RuntimeError("a bug")
        else:
            parts = [new_text_part(f"you said {said}"), new_data_part({"length": len(said)})]
            await task.add_artifact(parts, name="answer")
            await task.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


class Bearer:
    """Lets only requests with the token through to the agent; the card is for everybody."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", [])).get(b"authorization")
        public = scope["type"] != "http" or "/.well-known/" in scope["path"]
        app = self.app if public or given == self.expected else PlainTextResponse("who are you?", 401)
        await app(scope, receive, send)


class PeerAgent:
    """An agent whose card can be changed and taken away while it runs."""

    def __init__(self, binding: str = "JSONRPC", version: str = "1.0", token: str = "") -> None:
        self.echo = Echo()
        self.card = AgentCard(
            name="Echo agent",
            description="Repeats what it hears.",
            version="1.0.0",
            capabilities=AgentCapabilities(),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[AgentSkill(id="echo", name="Echo", description="Says it again", tags=["echo"])],
        )
        self.binding = binding
        self.version = version
        self.card_is_there = True
        handler = DefaultRequestHandler(self.echo, InMemoryTaskStore(), self.card)
        middleware = [Middleware(Bearer, token=token)] if token else []
        routes = [
            Route("/.well-known/agent-card.json", self.gone_or_card),
            *create_jsonrpc_routes(handler, rpc_url="/rpc", enable_v0_3_compat=True),
            *create_rest_routes(handler, path_prefix="/rest"),
        ]
        self.app = Starlette(routes=routes, middleware=middleware)
        (self._serve_card,) = [route.endpoint for route in create_agent_card_routes(self.card)]

    async def gone_or_card(self, request: Any) -> Any:
        return await self._serve_card(request) if self.card_is_there else PlainTextResponse("gone", 503)

    def publish(self, base: str) -> None:
        path = "/rpc" if self.binding == "JSONRPC" else "/rest"
        face = AgentInterface(url=base + path, protocol_binding=self.binding, protocol_version=self.version)
        del self.card.supported_interfaces[:]
        self.card.supported_interfaces.append(face)


@asynccontextmanager
async def running_peer(**options: Any) -> AsyncIterator[tuple[PeerAgent, str]]:
    agent = PeerAgent(**options)
    async with run_server(agent.app) as base:
        agent.publish(base)
        yield agent, base


def connected(
    url: str, token: str | None = None, timing: Timing = QUICK, timeout_seconds: float | None = None
) -> AbstractAsyncContextManager[Snapshot]:
    peer = Peer("echo", url, token, timeout_seconds)
    return connected_to(peer, timing=timing, secrets=[token] if token else [])


async def ask(connections: Snapshot, message: str, **arguments: Any) -> ToolMessage:
    (tool,) = connections.tools
    assert tool.name == "ask_echo"
    return await call_tool(tool, message=message, **arguments)


@pytest.mark.parametrize(("binding", "version"), [("JSONRPC", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "1.0")])
async def test_a_peer_is_a_tool_over_every_binding(binding: str, version: str) -> None:
    async with running_peer(binding=binding, version=version) as (_, base), connected(base) as connections:
        (tool,) = connections.tools
        assert "Echo agent" in tool.description
        assert "Says it again" in tool.description
        answer = await ask(connections, "hello")
        assert answer.status == "success"
        assert "you said hello" in answer.text
        assert '"length": 5' in answer.text
        assert connections.status()["a2a"]["echo"]["connected"] is True
        assert connections.status()["a2a"]["echo"]["url"] == base


async def test_a_card_at_the_old_path_and_of_the_old_shape_is_read() -> None:
    async with running_peer() as (agent, base):
        card = {
            "name": "Old",
            "description": "An old card",
            "url": f"{base}/rpc",
            "version": "1",
            "protocolVersion": "0.3.0",
            "preferredTransport": "JSONRPC",
            "capabilities": {},
            "skills": [],
        }
        old = Starlette(routes=[Route("/.well-known/agent.json", lambda request: JSONResponse(card))])
        async with run_server(old) as card_base, connected(card_base) as connections:
            assert "you said hi" in (await ask(connections, "hi")).text
            assert agent.echo.heard == ["hi"]


@pytest.mark.parametrize(
    "card",
    [
        {"url": "{base}/rpc", "skills": None, "protocolVersion": "0.3.0"},
        {"url": "/rpc", "protocolVersion": "0.2.6", "skills": [None, {"name": 5}]},
        {"url": "../rpc"},
        {
            "url": "grpc.example:50051",
            "preferredTransport": "GRPC",
            "protocolVersion": "0.3.0",
            "additionalInterfaces": [
                {"url": "grpc.example:50051", "transport": "GRPC"},
                {"url": "{base}/rpc", "transport": "JSONRPC"},
            ],
        },
        {"uri": "{base}/rpc", "capabilities": {"protocols": ["a2a"], "skills": []}},
        {
            "supportedInterfaces": [
                {"url": "x:1", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
                {"url": "{base}/rpc", "protocolBinding": "jsonrpc", "protocolVersion": "1.0.0"},
            ]
        },
    ],
    ids=["no skills", "relative, 0.2", "neither version nor transport", "gRPC and JSONRPC", "JamJet", "1.0"],
)
async def test_a_card_that_can_be_called_by_is(card: dict[str, Any]) -> None:
    async with running_peer() as (_, base):
        body = json.dumps({"name": "Stranger", **card}).replace("{base}", base).encode()
        route = Route("/.well-known/agent-card.json", lambda request: Response(b"\xef\xbb\xbf" + body))
        async with run_server(Starlette(routes=[route])) as strangers, connected(strangers) as connections:
            assert len(connections.tools) == 1, connections.status()
            is_elsewhere = base.encode() in body
            assert not is_elsewhere or "you said hi" in (await ask(connections, "hi")).text


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"url": "x:1", "preferredTransport": "GRPC"}, "GRPC is not spoken"),
        ({"url": "http://x/", "protocolVersion": "0.1"}, "protocol version 0.1 is not spoken"),
        ({"url": "ftp://x/"}, "no http or https URL"),
        ({"name": "x"}, "it names none"),
        ([], "not a JSON object"),
    ],
)
async def test_a_card_that_cannot_be_called_by_is_refused_with_the_reason(card: Any, reason: str) -> None:
    route = Route("/.well-known/agent-card.json", lambda request: JSONResponse(card))
    async with run_server(Starlette(routes=[route])) as base, connected(base) as connections:
        state = connections.status()["a2a"]["echo"]
        assert (connections.tools, state["connected"]) == ((), False)
        assert reason in state["last_error"]


@pytest.mark.parametrize(("binding", "version"), [("JSONRPC", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "1.0")])
async def test_numbers_reach_the_model_as_they_were_sent(binding: str, version: str) -> None:
    async with running_peer(binding=binding, version=version) as (_, base), connected(base) as connections:
        assert '{"length": 5}' in (await ask(connections, "hello")).text
    part = {"kind": "data", "data": {"a": -9007199254740993, "b": 12.0, "c": [10**20]}}
    message = {"kind": "message", "messageId": "m", "role": "agent", "parts": [part]}

    async def answer(request: Request) -> Response:
        return JSONResponse({"jsonrpc": "2.0", "id": (await request.json())["id"], "result": message})

    card = {"name": "Exact", "url": "/rpc"}
    routes = [
        Route("/.well-known/agent-card.json", lambda request: JSONResponse(card)),
        Route("/rpc", answer, methods=["POST"]),
    ]
    async with run_server(Starlette(routes=routes)) as base, connected(base) as connections:
        said = (await ask(connections, "hello")).text
        assert said == '{"a": -9007199254740993, "b": 12, "c": [100000000000000000000]}'


async def test_wrong_arguments_are_named_with_what_is_accepted() -> None:
    async with running_peer() as (agent, base), connected(base) as connections:
        (tool,) = connections.tools
        answer = await call_tool(tool, msg="hi", task_id=5)
        assert answer.status == "error"
        for said in (
            "message: Field required",
            "task_id: ",
            "Accepted are message (text), task_id (text, optional)",
        ):
            assert said in answer.text
        assert agent.echo.heard == []


async def test_a_question_is_answered_by_a_second_call() -> None:
    async with running_peer() as (_, base), connected(base) as connections:
        question = await ask(connections, "ask me")
        assert "tea or coffee?" in question.text
        task_id = question.text.partition("task_id=")[2].split()[0]
        answer = await ask(connections, "tea", task_id=task_id)
        assert "you said tea" in answer.text


async def test_a_bare_message_is_an_answer() -> None:
    async with running_peer() as (_, base), connected(base) as connections:
        assert (await ask(connections, "just talk")).text == "talking"


async def test_what_a_peer_will_not_or_cannot_do_is_an_error_for_the_model() -> None:
    async with running_peer() as (_, base), connected(base) as connections:
        rejected = await ask(connections, "reject")
        assert (rejected.status, "not my job" in rejected.text) == ("error", True)
        assert (await ask(connections, "crash")).status == "error"
        assert (await ask(connections, "hi", task_id="no-such-task")).status == "error"
        assert (await ask(connections, "")).status == "error"


async def test_a_peer_that_hangs_is_asked_once_and_given_up() -> None:
    async with running_peer() as (agent, base), connected(base, timeout_seconds=0.3) as connections:
        began_at = time.monotonic()
        answer = await ask(connections, "hang")
        assert time.monotonic() - began_at < 2
        assert answer.status == "error"
        assert "not sent again" in answer.text
        assert agent.echo.heard == ["hang"]


async def test_the_token_is_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "agent_runtime")
    async with running_peer(token="canary-4711") as (_, base):
        async with connected(base, "canary-4711") as connections:
            assert (await ask(connections, "hi")).status == "success"
            shown = repr(connections.status())
        async with connected(base, "canary-wrong") as connections:
            refused = await ask(connections, "hi")
            assert refused.status == "error"
            assert "401" in refused.text
    assert "canary" not in shown + refused.text + caplog.text


async def test_the_token_does_not_follow_a_card_to_another_host() -> None:
    async with running_peer() as (agent, base), running_peer() as (other, elsewhere):
        agent.publish(elsewhere)
        async with connected(base, "canary-4711") as connections:
            assert connections.tools == ()
            assert "the token is for" in connections.status()["a2a"]["echo"]["last_error"]
        async with connected(base) as connections:
            assert "you said hi" in (await ask(connections, "hi")).text
    assert other.echo.heard == ["hi"]


async def test_a_peer_goes_and_comes_back_by_itself() -> None:
    async with running_peer() as (agent, base), connected(base) as connections:
        agent.card_is_there = False
        await eventually(lambda: not connections.tools)
        state = connections.status()["a2a"]["echo"]
        assert (state["connected"], state["status"]) == (False, "unavailable")
        assert "503" in state["last_error"]
        agent.card_is_there = True
        await eventually(lambda: connections.tools)
        assert "you said hi" in (await ask(connections, "hi")).text


async def test_a_peer_that_is_gone_is_told_to_the_model() -> None:
    timing = Timing(card_seconds=60, settle_seconds=5)
    async with running_peer() as (_, base):
        connecting = connected(base, timing=timing)
        connections = await connecting.__aenter__()
    answer = await ask(connections, "hi")
    assert answer.status == "error"
    assert "nothing was sent" in answer.text
    await connecting.__aexit__(None, None, None)


async def test_a_changed_card_replaces_the_tool_and_an_unchanged_one_does_not() -> None:
    async with running_peer() as (agent, base), connected(base) as connections:
        before = connections.tools
        await asyncio.sleep(0.4)
        assert [*map(id, connections.tools)] == [*map(id, before)]
        agent.card.description = "Something else."
        await eventually(lambda: "Something else." in connections.tools[0].description)


async def test_a_cards_text_is_bounded_and_on_one_line() -> None:
    async with running_peer() as (agent, base):
        agent.card.description = "x\n\u0007" + "y" * 100_000
        async with connected(base) as connections:
            description = connections.tools[0].description
    assert len(description) <= 2000
    assert "\u0007" not in description
    assert "x y" in description


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "not a JSON object"),
        ("no json", "cannot be read"),
        ('{"name": "x"}', "no interface"),
        ('{"name": 1, "url": 5, "skills": 7}', "has no URL"),
        (" " * 300_000, "longer than"),
    ],
)
async def test_a_card_that_makes_no_sense_is_a_state(body: str, reason: str) -> None:
    app = Starlette(routes=[Route("/.well-known/agent-card.json", lambda request: PlainTextResponse(body))])
    async with run_server(app) as base, connected(base) as connections:
        assert connections.tools == ()
        assert reason in connections.status()["a2a"]["echo"]["last_error"]
