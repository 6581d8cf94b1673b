"""Ten times the messages an agent can answer: how soon the rest is refused, and how soon all is well again."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median

from benchmarks.bench import Bench
from benchmarks.report import Row, at_least, at_most
from benchmarks.served import running_agent
from benchmarks.subject import running_subject

TEXT = "How are you today?"
TIMES = 10
SECONDS = 10.0
ROUNDS = 2


async def run(bench: Bench) -> Sequence[Row]:
    refused_within, accepted, broken, recovered = [], [], [], []
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        flood = await enter(running_subject("benchmarks.overload"))
        agent = await enter(running_agent(await enter(bench.database())))
        at = {"host": agent.host, "port": agent.port, "text": TEXT}
        for _ in range(ROUNDS):
            usual = await load.ask(do="many", concurrent=8, seconds=3, **at)
            capacity = len(usual["latencies"]) / usual["seconds"]
            well = 3 * median(usual["latencies"])
            told = await flood.ask(rate=TIMES * capacity, seconds=SECONDS, well=well, **at)
            bench.say(
                f"  {capacity:.0f} turns/s; of {TIMES} times as many {len(told['accepted'])} were accepted,"
                f" {len(told['refused'])} refused, {len(told['broken'])} broke off"
            )
            for broken_off in told["broken"][:3]:
                bench.say(f"  {broken_off}")
            refused_within.append(median(told["refused"]) if told["refused"] else 0.0)
            accepted.append(len(told["accepted"]) / (SECONDS * capacity))
            broken.append(float(len(told["broken"])))
            recovered.append(told["recovered_after"])
    return [
        Row(f"{TIMES} times the load: until a message is refused", at_most(1, "s"), refused_within),
        Row(f"{TIMES} times the load: turns done ÷ turns done without it", at_least(0.3), accepted),
        Row(f"{TIMES} times the load: neither answered nor refused", at_most(0), broken),
        Row(f"{TIMES} times the load: until all is well again", at_most(5, "s"), recovered),
    ]
