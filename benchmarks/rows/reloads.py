"""Reloads under a steady load of turns, and what a thousand of them leave behind."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.bench import Bench
from benchmarks.fleet import PROJECT
from benchmarks.report import Row, at_least, at_most
from benchmarks.served import Served, free_port, running_agent, running_registry
from benchmarks.subject import ROOT, running_subject

RELOADS, TALKING = 200, 4
LEFT_AFTER = 300
SERVER_EVERY, OVER_STDIO_EVERY = 10, 50
SERVER = "benchmarks.numbered_server"


async def run(bench: Bench) -> Sequence[Row]:
    return [*await _under_load(bench), await _left_behind(bench)]


async def _under_load(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        registry = await enter(running_registry(await enter(bench.database())))
        writer = await enter(_changing(registry))
        agent = await enter(
            running_agent(
                await enter(bench.database()),
                project=PROJECT,
                registry_url=registry.url,
                registry_auto_reload=False,
                internal_runtime_control_enabled=True,
            )
        )
        admin = await enter(httpx.AsyncClient(base_url=agent.url, timeout=60))
        done = asyncio.Event()
        talking = [asyncio.create_task(_talk(agent, done)) for _ in range(TALKING)]
        failed = 0
        with bench.busy(f"{RELOADS} reloads"):
            for number in range(1, RELOADS + 1):
                await writer.change(number)
                answer = (await admin.post("/api/v1/registry/reload")).raise_for_status().json()
                failed += len(answer["data"]["failed"])
        done.set()
        turns = [turn for talk in talking for turn in await talk]
    mixed = sum(turn is not None and not _is_of_one(turn) for turn in turns)
    told = f"{RELOADS} reloads of model, prompt and MCP server, {TALKING} talking"
    bench.say(f"{told}: {len(turns)} turns, {len({json.dumps(turn) for turn in turns})} different snapshots")
    return [
        Row(f"{told}: turns meanwhile", at_least(RELOADS), [len(turns)]),
        Row(f"{told}: turns that failed", at_most(0), [turns.count(None)]),
        Row(f"{told}: turns that mixed two snapshots", at_most(0), [mixed]),
        Row(f"{told}: components that could not be loaded", at_most(0), [failed]),
    ]


async def _left_behind(bench: Bench) -> Row:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        registry = await enter(running_registry(await enter(bench.database())))
        writer = await enter(_changing(registry))
        fleet = await enter(running_subject("benchmarks.fleet", registry.url, "1", "3600"))
        before = await fleet.ask(do="count")
        with bench.busy(f"{LEFT_AFTER} reloads"):
            for number in range(LEFT_AFTER):
                await writer.change_texts(number + 1)
                if number % SERVER_EVERY == 0:
                    await writer.change_server(number + 1, over_stdio=number % OVER_STDIO_EVERY == 0)
                await fleet.ask(do="reload")
        after = await fleet.ask(do="count")
    bench.say(f"before {LEFT_AFTER} reloads {before}, after them {after}")
    left = sum(max(0, after[what] - before[what]) for what in before)
    return Row(f"tasks, processes and files left by {LEFT_AFTER} reloads", at_most(0), [left])


class _Writer:
    """Somebody who changes every component at once, each to the same number."""

    def __init__(self, registry: Served, http: httpx.AsyncClient, server_url: str) -> None:
        self._registry = registry
        self._http = http
        self._server_url = server_url

    async def change(self, number: int) -> None:
        await self.change_texts(number)
        await self.change_server(number)

    async def change_texts(self, number: int) -> None:
        await self._put("model/model", {"model": "", "introduction": f"n{number}"})
        await self._put("prompt/system", {"template": f"n{number}"})

    async def change_server(self, number: int, *, over_stdio: bool = False) -> None:
        tools: dict[str, Any] = {"url": self._server_url, "headers": {"X-Number": f"n{number}"}}
        if over_stdio:
            tools = {"command": sys.executable, "args": ["-m", SERVER, "stdio", f"n{number}"]}
            tools["env"] = {"PYTHONPATH": str(ROOT)}
        await self._put("mcp/tools", tools)

    async def _put(self, component: str, content: dict[str, Any]) -> None:
        answer = await self._http.put(f"{self._registry.url}/components/{component}", json=content)
        answer.raise_for_status()


@asynccontextmanager
async def _changing(registry: Served) -> AsyncIterator[_Writer]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", SERVER, str(port), cwd=ROOT)
    try:
        async with httpx.AsyncClient(timeout=30) as http:
            await answers(port)
            writer = _Writer(registry, http, f"http://127.0.0.1:{port}/mcp")
            await writer.change(0)
            yield writer
    finally:
        process.terminate()
        await process.wait()


async def answers(port: int) -> None:
    """Returns when somebody listens there."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def _talk(agent: Served, until: asyncio.Event) -> list[Any]:
    """What each turn has shown; `None` for one that failed."""
    shown: list[Any] = []
    async with httpx.AsyncClient(base_url=agent.url, timeout=60) as http:
        while not until.is_set():
            message = {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": "show"}]}
            answer = await http.post(
                "/a2a/message:send", json={"message": message}, headers={"A2A-Version": "1.0"}
            )
            shown.append(_shown(answer.json()))
    return shown


def _shown(answer: dict[str, Any]) -> Any:
    task = answer.get("task", {})
    if task.get("status", {}).get("state") != "TASK_STATE_COMPLETED":
        return None
    return json.loads("".join(part["text"] for artifact in task["artifacts"] for part in artifact["parts"]))


def _is_of_one(shown: list[dict[str, str]]) -> bool:
    before, after = shown
    return before == after and len(set(before.values())) == 1
