"""Whether the memory of an agent and of a registry grows with what they have served.

`make bench memory ARGS="--rounds 240"` goes on for an hour.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx

from benchmarks.bench import Bench
from benchmarks.filled import fill
from benchmarks.report import Row, at_most
from benchmarks.rows.turns import TEXT
from benchmarks.served import Served, running_agent, running_registry
from benchmarks.subject import Subject, running_subject

WARM_ROUNDS = 1
ROUNDS = 2
TOLD_EVERY = 30
SECONDS = 15.0
"""How long a round of load takes, about."""

AGENTS = 1_000
HEARTBEATS_PER_SECOND = 250
STEPS: dict[str, Any] = {
    "workflow_id": "steps",
    "version": "1.0.0",
    "start_node": "a",
    "nodes": {name: {"id": name, "kind": {"type": "condition", "branches": []}} for name in "ab"},
    "edges": [{"from": "a", "to": "b"}],
}

Load = Callable[[], Awaitable[int]]
"""Makes a round of load, and returns of how many requests."""


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        agent = await enter(running_agent(await enter(bench.database())))
        dsn = await enter(bench.database())
        registry = await enter(running_registry(dsn))
        await fill(dsn, "registered_agents", agents=AGENTS)
        turns = await enter(running_subject("benchmarks.load"))
        beats = await enter(running_subject("benchmarks.beats"))
        http = await enter(httpx.AsyncClient(base_url=registry.url, timeout=60))
        (await http.post("/workflows", json={"ir": STEPS})).raise_for_status()
        with bench.busy("load on both"):
            return await asyncio.gather(
                _growth(bench, "an agent", agent, partial(_say, turns, agent)),
                _growth(bench, "a registry", registry, partial(_ask, beats, registry, http)),
            )


async def _growth(bench: Bench, what: str, served: Served, load: Load) -> Row:
    ready = served.resident_megabytes
    for _ in range(WARM_ROUNDS):
        await load()
    warm, requests = served.resident_megabytes, 0
    bench.say(f"  {what}: {ready:.0f} MB when ready, {warm:.0f} MB when warm")
    wanted = bench.wanted_rounds(ROUNDS)
    for number in range(1, wanted + 1):
        requests += await load()
        after = served.resident_megabytes
        if number == wanted or number % TOLD_EVERY == 0:
            bench.say(f"  {what}: {after:.0f} MB {requests:,} requests later")
    return Row(
        f"{what}: more memory after each 10,000 requests", at_most(5, "MB"), [(after - warm) * 10_000 / requests]
    )


async def _say(load: Subject, agent: Served) -> int:
    """Each turn is a new conversation."""
    given = {"do": "many", "host": agent.host, "port": agent.port, "concurrent": 8, "text": TEXT}
    return len((await load.ask(**given, seconds=SECONDS, patient=True))["latencies"])


async def _ask(load: Subject, registry: Served, http: httpx.AsyncClient) -> int:
    """Heartbeats, and executions, and what a dashboard asks."""
    given = {"host": registry.host, "port": registry.port, "token": "", "agents": AGENTS, "keep": False}
    answer = await load.ask(**given, rate=HEARTBEATS_PER_SECOND, seconds=SECONDS * 0.6)
    asked = 0
    for number in range(100):
        await _patiently(http, "POST", "/executions", {"workflow_id": "steps", "input": {"n": number}})
        for path in ("/executions?limit=50", "/agents?limit=50", "/audit?limit=50"):
            await _patiently(http, "GET", path)
        asked += 4
    return len(answer["latencies"]) + asked


async def _patiently(http: httpx.AsyncClient, method: str, path: str, body: object = None) -> None:
    """Waits for a second when the registry has too much to do."""
    while True:
        answer = await http.request(method, path, json=body)
        if answer.status_code != 503:
            answer.raise_for_status()
            return
        await asyncio.sleep(1)
