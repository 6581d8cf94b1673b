"""One request is one trace, from HTTP to the statements, also where a queue lies in between."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from groundwork.telemetry.tracing import open_tracing
from tests.agent_runtime.tools.connecting import eventually
from tests.agents import SCRIPTED, Agent, running_agent, text_message, write_project
from tests.contract.collector import Collector, running_collector
from tests.contract.components import TAKEN
from tests.mcp_servers import start_mcp_server
from tests.processes import ROOT, agent_process
from tests.registry.engine.workflows import STEP, document
from tests.registry.executions.runs import start, until
from tests.registry.registries import running_registry

WITH_TOOL = """
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

@tool
def shout(text: str) -> str:
    \"\"\"Says it louder.\"\"\"
    return text.upper()

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    turn = runtime.context
    await shout.ainvoke({"text": "canary"})
    return {"messages": [await turn.model.ainvoke(turn.prompt("Be brief.", state["messages"]))]}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""

# A model of a provider's that counts tokens, and a tool that fails.
COUNTING = """
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

class Counting(GenericFakeChatModel):
    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": "openai", "ls_model_name": "gpt-x", "ls_model_type": "chat"}

@tool
def shout(text: str) -> str:
    \"\"\"Says it louder.\"\"\"
    raise ValueError("canary")

async def answer(state: MessagesState):
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    said = AIMessage("canary", usage_metadata=usage, response_metadata={"model_name": "gpt-x-2026"})
    try:
        await shout.ainvoke({"name": "shout", "args": {"text": "canary"}, "id": "call-1", "type": "tool_call"})
    except ValueError:
        pass
    return {"messages": [await Counting(messages=iter([said]), disable_streaming=True).ainvoke("canary")]}

graph = StateGraph(MessagesState)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""

ASKING_OTHERS = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    tools = {tool.name: tool for tool in runtime.context.tools}
    received = await tools["tools_reveal"].ainvoke({"name": "traceparent"})
    await tools["ask_friend"].ainvoke({"message": "hello"})
    return {"messages": [AIMessage(f"received {received}")]}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""

WITHOUT_AN_ENDPOINT = """
import asyncio, sys
from groundwork.telemetry import tracing

async def main():
    async with tracing.open_tracing("nobody"):
        print(tracing.is_on(), "opentelemetry.exporter" in sys.modules)

asyncio.run(main())
"""

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319d-c7ad6b7169203332-01"


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        async with open_tracing("test"):
            yield collector


async def test_a_message_is_one_trace_over_turn_model_tool_and_statements(
    collector: Collector, tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path, WITH_TOOL), database_url) as agent:
        await ask(agent, "canary words", traceparent=CALLER)
        spans = await collector.trace_with("POST /", "turn", "tool shout", "SQL SELECT")
    by_id = {span.span_id: span for span in spans}
    assert {span.trace_id.hex() for span in spans} == {CALLER.split("-")[1]}
    [request], [turn] = ([span for span in spans if span.name == name] for name in ("POST /", "turn"))
    assert request.parent_span_id.hex() == CALLER.split("-")[2]
    assert by_id[turn.parent_span_id] is request
    calls = [span for span in spans if span.name.startswith(("model", "tool"))]
    assert len(calls) == 2
    assert {span.parent_span_id for span in calls} == {turn.span_id}
    assert not [body for body in collector.bodies if b"canary" in body]


async def test_spans_have_the_attributes_by_which_viewers_know_an_agent(
    collector: Collector, tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path, COUNTING), database_url) as agent:
        task = (await agent.send("canary words"))["task"]
        spans = await collector.trace_with("POST /", "turn", "model gpt-x", "tool shout")
        port = int(agent.url.rpartition(":")[2])
    request, turn, model, tool = (
        attributes_of(spans, name) for name in ("POST /", "turn", "model gpt-x", "tool shout")
    )
    assert request["http.request.method"] == "POST"
    assert (request["http.route"], request["url.path"], request["http.response.status_code"]) == ("/", "/", 200)
    assert (request["server.address"], request["server.port"]) == ("127.0.0.1", port)
    conversation = {"gen_ai.conversation.id": task["contextId"]}
    assert (
        turn.items()
        >= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.id": "test-agent", **conversation}.items()
    )
    assert model == conversation | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert tool == conversation | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "shout",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-1",
        "error.type": "ValueError",
    }
    assert not [body for body in collector.bodies if b"canary" in body]


async def test_a_trace_goes_on_at_mcp_servers_and_peers(
    collector: Collector, tmp_path: Path, database_url: str
) -> None:
    with start_mcp_server() as server:
        async with running_agent(write_project(tmp_path / "friend"), database_url, "friend") as friend:
            await friend.runtime.card_url.change(friend.url)
            outside = f'[mcp.tools]\nurl = "{server.url}"\n[a2a.friend]\nurl = "{friend.url}"\n'
            directory = write_project(tmp_path / "asking", ASKING_OTHERS, extra=outside)
            async with running_agent(directory, database_url) as agent:
                answers = [
                    await post(agent.http, "ask them", traceparent=traceparent) for traceparent in (CALLER, OTHER)
                ]
                await eventually(lambda: len(of_trace(collector, CALLER, "POST /", "turn")) == 4)
    for traceparent, answer in zip((CALLER, OTHER), answers, strict=True):
        assert f"00-{traceparent.split('-')[1]}-" in answer.text
    [own], [theirs] = (
        [span for span in of_trace(collector, CALLER, "POST /") if (span.parent_span_id.hex() in CALLER) is first]
        for first in (True, False)
    )
    turn = next(span for span in of_trace(collector, CALLER, "turn") if span.parent_span_id == own.span_id)
    assert theirs.parent_span_id == turn.span_id
    assert turn.span_id.hex() in answers[0].text


async def test_a_trace_goes_on_at_the_registry(
    collector: Collector, tmp_path: Path, database_url: str, registry_dsn: str
) -> None:
    directory = write_project(tmp_path, extra=TAKEN)
    async with running_registry(registry_dsn) as served:
        settings: dict[str, Any] = {"registry_url": served.url, "registry_token": served.token}
        settings["internal_runtime_control_enabled"] = True
        async with running_agent(directory, database_url, **settings) as agent:
            answer = await agent.http.post("/api/v1/registry/reload", headers={"traceparent": CALLER})
            assert answer.status_code == 200
            names = ("POST /api/v1/registry/reload", "POST /components/resolve")
            await eventually(lambda: len(of_trace(collector, CALLER, *names)) == 2)
    [reload, resolve] = sorted(of_trace(collector, CALLER, *names), key=lambda span: names.index(span.name))
    assert resolve.parent_span_id == reload.span_id


async def test_a_turn_that_had_to_wait_belongs_to_the_request_that_it_came_with(
    collector: Collector, tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        first = asyncio.create_task(ask(agent, "hold one", contextId="c"))
        while not agent.journal():
            await asyncio.sleep(0.02)
        second = asyncio.create_task(ask(agent, "echo two", contextId="c", traceparent=CALLER))
        await asyncio.sleep(0.2)
        agent.release("one")
        await asyncio.gather(first, second)
        await collector.trace_with("turn", "POST /")
        async with asyncio.timeout(60):
            while CALLER.split("-")[1] not in {s.trace_id.hex() for s in collector.spans if s.name == "turn"}:
                await asyncio.sleep(0.05)


async def test_an_execution_belongs_to_the_request_that_started_it(
    collector: Collector, registry_dsn: str
) -> None:
    async with running_registry(registry_dsn, worker=True, jamjet_model="offline") as served:
        asking = {"type": "model", "model_ref": "openai/some-model", "prompt_ref": "canary words"}
        execution_id = await start(served.http, document({"a": STEP, "b": asking}, [("a", "b")]))
        assert (await until(served.http, execution_id))["status"] == "completed"
        names = (
            "POST /executions",
            "job drive",
            "node condition",
            "node model",
            "model openai/some-model",
            "SQL UPDATE",
        )
        spans = await collector.trace_with(*names)
    by_id = {span.span_id: span for span in spans}
    [node, call] = [next(span for span in spans if span.name == name) for name in names[3:5]]
    assert by_id[node.parent_span_id].name == "job drive"
    assert by_id[call.parent_span_id] is node
    assert not [body for body in collector.bodies if b"canary" in body]


async def test_a_collector_that_fails_or_hangs_holds_nobody_up(
    collector: Collector, tmp_path: Path, database_url: str
) -> None:
    collector.status = 500
    async with running_agent(write_project(tmp_path), database_url) as agent:
        began = time.monotonic()
        for _ in range(5):
            await ask(agent, "hello")
        assert time.monotonic() - began < 10
        assert collector.bodies


async def test_a_log_line_of_a_turn_has_the_id_of_the_request_that_it_came_with(
    tmp_path: Path, database_url: str
) -> None:
    write_project(tmp_path, SCRIPTED)
    async with (
        agent_process(tmp_path, postgres_dsn=database_url) as agent,
        httpx.AsyncClient(base_url=agent.url, timeout=30) as http,
    ):
        first = asyncio.create_task(post(http, "sleep 0.5", contextId="c"))
        await asyncio.sleep(0.2)
        await asyncio.gather(first, post(http, "fail", contextId="c", request_id="the-second-one"))
    lines = [line for line in agent.log.read_text().splitlines() if "turn failed" in line]
    assert len(lines) == 2
    assert all("[the-second-one]" in line for line in lines)


async def test_without_an_endpoint_there_is_nobody_who_could_send() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_AN_ENDPOINT, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.split() == [b"False", b"False"]


def attributes_of(spans: Sequence[Span], name: str) -> dict[str, Any]:
    [span] = [span for span in spans if span.name == name]
    values = {attribute.key: attribute.value for attribute in span.attributes}
    return {key: getattr(value, str(value.WhichOneof("value"))) for key, value in values.items()}


def of_trace(collector: Collector, traceparent: str, *names: str) -> list[Span]:
    """The spans of these names that belong to the caller's trace."""
    trace_id = traceparent.split("-")[1]
    return [span for span in collector.spans if span.trace_id.hex() == trace_id and span.name in names]


async def ask(agent: Agent, text: str, traceparent: str = "", **message: str) -> None:
    headers = {"traceparent": traceparent} if traceparent else {}
    answer = await post(agent.http, text, **message, **headers)
    assert "error" not in answer.json()


async def post(
    http: httpx.AsyncClient, text: str, *, traceparent: str = "", request_id: str = "", **message: str
) -> httpx.Response:
    headers = {"A2A-Version": "1.0", "traceparent": traceparent, "X-Request-Id": request_id}
    body = {"jsonrpc": "2.0", "id": "1", "method": "SendMessage"}
    params = {"message": text_message(text, **message)}
    given = {name: value for name, value in headers.items() if value}
    return await http.post("/", json=body | {"params": params}, headers=given)
