"""A change of a component, on its way to fifty agents."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import httpx

from benchmarks.bench import Bench
from benchmarks.report import Row, at_most
from benchmarks.served import running_registry
from benchmarks.subject import Subject, running_subject

PROCESSES, AGENTS_EACH = 5, 10
HEARTBEAT_SECONDS = 3.0
PROMPT_SLOT = 1


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        registry = await enter(running_registry(await enter(bench.database())))
        http = await enter(httpx.AsyncClient(base_url=registry.url, timeout=30))
        arguments = registry.url, str(AGENTS_EACH), str(HEARTBEAT_SECONDS)
        fleets = [await enter(running_subject("benchmarks.fleet", *arguments)) for _ in range(PROCESSES)]
        await _reached(fleets, None)

        async def roll_out() -> float:
            """In intervals of the heartbeat."""
            answer = await http.put("/components/prompt/system", json={"template": f"at {time.time()}"})
            started = time.perf_counter()
            await _reached(fleets, answer.raise_for_status().json()["version"])
            return (time.perf_counter() - started) / HEARTBEAT_SECONDS

        bench.say(f"a new prompt, until the last of {PROCESSES * AGENTS_EACH} agents uses it")
        samples = await bench.rounds({"roll-out": roll_out}, unit="intervals")
    what = f"a changed prompt in use by {PROCESSES * AGENTS_EACH} agents, in intervals of their heartbeat"
    return [Row(what, at_most(2.0), samples.of["roll-out"])]


async def _reached(fleets: Sequence[Subject], version: int | None) -> None:
    for fleet in fleets:
        await fleet.ask(do="await", slot=PROMPT_SLOT, version=version)
