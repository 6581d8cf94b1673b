"""Messages and executions whose answers get lost, sent again until one arrives, while replicas are killed.

`python -m tests.faults.sending_again --messages 10000 --executions 2000` does it at length.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundwork.postgres.embedded import open_embedded
from tests.agents import text_message, write_project
from tests.processes import ServiceProcess, agent_process, free_port, registry_process
from tests.registry.engine.workflows import STEP, document
from tests.servers import run_server

GRAPH = """
import os
from pathlib import Path

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from agent_runtime.graph import TurnContext

async def ask(state: MessagesState, runtime: Runtime[TurnContext]):
    return {"messages": [await runtime.context.model.ainvoke(state["messages"])]}

async def act(state: MessagesState, runtime: Runtime[TurnContext]):
    journal = os.open(Path(__file__).parent / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(journal, f"{runtime.context.task_id} {runtime.context.message_id}\\n".encode())
    os.close(journal)
    return {}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(ask)
graph.add_node(act)
graph.add_edge(START, "ask")
graph.add_edge("ask", "act")
"""

_AT_ONCE = 16
_PATIENCE_SECONDS = 120.0
_CHUNK = 64 * 1024


@dataclass
class Models:
    """Speaks OpenAI's protocol, streamed, fails every twentieth call, and counts what the others use."""

    asked: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self.complete, methods=["POST"])])

    async def complete(self, request: Request) -> Response:
        self.asked += 1
        if self.asked % 20 == 0:
            return Response(status_code=500)
        used = {"prompt_tokens": 10 + self.asked % 7, "completion_tokens": 3 + self.asked % 5}
        used["total_tokens"] = sum(used.values())
        self.calls += 1
        self.input_tokens += used["prompt_tokens"]
        self.output_tokens += used["completion_tokens"]
        parts: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "done"}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": used},
        ]
        named = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "local"}
        events = "".join(f"data: {json.dumps({**named, **part})}\n\n" for part in parts)
        return Response(f"{events}data: [DONE]\n\n", media_type="text/event-stream")


@dataclass
class LossyProxy:
    """Passes each connection on to one of the ports that listen, and loses so many of the answers."""

    port: int
    targets: Sequence[int]
    share: float
    chance: random.Random
    lost: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", self.port):
            yield f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            their_reader, their_writer = await self._connect()
        except ConnectionError:
            writer.close()
            return
        there = asyncio.create_task(_pump(reader, their_writer))
        back = asyncio.create_task(self._answer(their_reader, writer))
        # Whoever leaves first ends it: the client once it has its answer, or the process that was killed.
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for each in (there, back):
            each.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        their_writer.close()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(_CHUNK)
        if self.chance.random() < self.share:
            self.lost += 1
            writer.transport.abort()
            return
        writer.write(first)
        await _pump(reader, writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for port in self.chance.sample(self.targets, len(self.targets)):
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                continue
        raise ConnectionRefusedError


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def until_answered(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Send until an answer arrives that is no refusal for now."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                answer = await send()
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code not in (429, 502, 503):
                return answer
            await asyncio.sleep(0.2)


async def send_all(count: int, send: Callable[[int], Awaitable[None]]) -> None:
    """Send so many things, some at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await send(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_ONCE, count)):
            group.create_task(work())


@dataclass
class Outcome:
    """What was asked for, what came of it, and what speaks against each having been done once."""

    asked: int
    lost_answers: int
    seconds: float
    problems: list[str]


async def send_messages(directory: Path, dsn: str, count: int, kills: int, chance: random.Random) -> Outcome:
    """Send messages to two replicas, and kill one of them so often. Without kills, the sums of usage have to be
    those of the models' server."""
    project = write_project(directory / "agent", GRAPH)
    async with AsyncExitStack() as stack:
        models = Models()
        models_url = await stack.enter_async_context(run_server(models.app()))
        settings: dict[str, Any] = {
            "postgres_dsn": dsn,
            "a2a_tokens": "ann=ann-token",
            "agent_model": "openai:local",
            "model_base_url": f"{models_url}/v1",
            "openai_api_key": "none",
            "max_turns_per_caller": 200,
        }

        def start() -> Any:
            return stack.enter_async_context(agent_process(project, **settings))

        replicas: list[ServiceProcess] = [await start() for _ in range(2)]
        proxy = LossyProxy(free_port(), [_port(one) for one in replicas], 0.1, chance)
        url = await stack.enter_async_context(proxy.listening())
        http = await stack.enter_async_context(_client(url, "ann-token"))
        tasks: dict[str, str] = {}
        kill_at = {count * (number + 1) // (kills + 1) for number in range(kills)}
        began = time.monotonic()

        async def send(number: int) -> None:
            if number in kill_at:
                doomed = replicas.pop(0)
                doomed.kill()
                replicas.append(await start())
                proxy.targets = [_port(one) for one in replicas]
            message = text_message("go", messageId=f"m{number}")
            answer = await until_answered(lambda: http.post("/a2a/message:send", json={"message": message}))
            tasks[f"m{number}"] = answer.raise_for_status().json()["task"]["id"]

        await send_all(count, send)
        seconds = time.monotonic() - began
        async with _client(replicas[0].url, "") as own:
            total = (await own.get("/api/v1/usage")).raise_for_status().json()["data"]["total"]
        done = [line.split() for line in (project / "journal").read_text().splitlines()]
    problems = _differences("turns", total["turns"], count) + _differences("failed turns", total["failed"], 0)
    problems += _differences("messages with an effect", len({message for _, message in done}), count)
    problems += [f"{message} has an effect of another task" for task, message in done if tasks[message] != task]
    if not kills:
        problems += _differences("effects", len(done), count)
        problems += _differences("model calls", total["model_calls"], models.calls)
        problems += _differences("input tokens", total["input_tokens"], models.input_tokens)
        problems += _differences("output tokens", total["output_tokens"], models.output_tokens)
    return Outcome(count, proxy.lost, seconds, problems)


async def start_executions(directory: Path, dsn: str, count: int, kills: int, chance: random.Random) -> Outcome:
    """Start executions at two processes of a registry, and kill one of them so often."""
    async with AsyncExitStack() as stack:
        settings = {"database_url": dsn, "jamjet_dev_mode": "true"}

        def start() -> Any:
            return stack.enter_async_context(registry_process(directory, **settings))

        replicas: list[ServiceProcess] = [await start() for _ in range(2)]
        proxy = LossyProxy(free_port(), [_port(one) for one in replicas], 0.1, chance)
        url = await stack.enter_async_context(proxy.listening())
        http = await stack.enter_async_context(_client(url, ""))
        ir = document({"a": STEP}, [])
        await until_answered(lambda: http.post("/workflows", json={"ir": ir}))
        started: set[str] = set()
        kill_at = {count * (number + 1) // (kills + 1) for number in range(kills)}
        began = time.monotonic()

        async def send(number: int) -> None:
            if number in kill_at:
                replicas.pop(0).kill()
                replicas.append(await start())
                proxy.targets = [_port(one) for one in replicas]
            body = {"workflow_id": ir["workflow_id"], "input": {"number": number}}
            key = {"Idempotency-Key": f"e{number}"}
            answer = await until_answered(lambda: http.post("/executions", json=body, headers=key))
            started.add(answer.raise_for_status().json()["execution_id"])

        await send_all(count, send)
        async with _client(replicas[0].url, "") as own, asyncio.timeout(_PATIENCE_SECONDS):
            while (sums := await _executions(own, ir["workflow_id"]))["completed"] < sums["executions"]:
                await asyncio.sleep(0.2)
        seconds = time.monotonic() - began
    problems = _differences("executions", sums["executions"], count)
    return Outcome(count, proxy.lost, seconds, problems + _differences("answers", len(started), count))


async def _executions(http: httpx.AsyncClient, workflow_id: str) -> dict[str, int]:
    total = (await http.get("/usage", params={"by": "workflow"})).raise_for_status().json()["total"]
    ended: list[str] = []
    while page := (await http.get("/executions", params=_completed_after(len(ended)))).json()["executions"]:
        ended += [execution["id"] for execution in page]
    return {"executions": total["executions"], "completed": len(ended)}


def _completed_after(offset: int) -> dict[str, str | int]:
    return {"status": "completed", "limit": 200, "offset": offset}


def _differences(what: str, found: int, expected: int) -> list[str]:
    return [] if found == expected else [f"{found} {what}, and not {expected}"]


def _client(url: str, token: str) -> httpx.AsyncClient:
    """A client that opens a connection for each request, so that a lost answer is one request's."""
    headers = {"A2A-Version": "1.0"} | ({"Authorization": f"Bearer {token}"} if token else {})
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60)


def _port(service: ServiceProcess) -> int:
    port = httpx.URL(service.url).port
    assert port is not None
    return port


async def _main(messages: int, executions: int, kills: int, seed: int) -> int:
    console, problems = Console(highlight=False), list[str]()
    with tempfile.TemporaryDirectory(prefix="again-") as scratch:
        directory = Path(scratch)
        works = {"messages": (send_messages, messages), "executions": (start_executions, executions)}
        for name, (work, count) in works.items():
            if not count:
                continue
            async with open_embedded(directory / f"{name}-database") as dsn:
                outcome = await work(directory, dsn, count, kills, random.Random(seed))
            console.print(f"{count} {name}, {outcome.lost_answers} answers lost, {outcome.seconds:.0f} s")
            problems += outcome.problems
    console.print("\n".join(problems) or "each was done once")
    return 1 if problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.sending_again", description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--executions", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3, help="how often a process is killed")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    return asyncio.run(_main(given.messages, given.executions, given.kills, given.seed))


if __name__ == "__main__":
    sys.exit(main())
