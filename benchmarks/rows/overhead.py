"""What owners of threads, the order of turns and stored tasks cost together, on top of A2A and checkpoints."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks.bench import Bench
from benchmarks.report import Row, at_most
from benchmarks.rows.turns import over_a2a
from benchmarks.served import running_agent, running_module
from benchmarks.subject import running_subject

CONCURRENT = 8

AS_SERVED: dict[str, Any] = {"otel_instrumentation_a2a_sdk_enabled": "false"}
"""What `agent-runtime serve` sets for the libraries."""


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        bare = await enter(running_module("benchmarks.bare_agent", await enter(bench.database()), **AS_SERVED))
        agent = await enter(running_agent(await enter(bench.database())))
        bench.say(f"turns per second, {CONCURRENT} at a time")
        variants = {
            "A2A and checkpoints alone": partial(over_a2a, load, bare, CONCURRENT),
            "served": partial(over_a2a, load, agent, CONCURRENT),
        }
        samples = await bench.rounds(variants, rounds=7, unit="turns/s")
    slower = [1 - ratio for ratio in samples.ratios("served", "A2A and checkpoints alone")]
    return [Row("ownership, order and tasks, on top of A2A + checkpoints", at_most(0.10, "%"), slower)]
