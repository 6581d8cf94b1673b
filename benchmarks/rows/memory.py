"""Whether an agent's memory grows with the turns that it has served."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from benchmarks.bench import Bench
from benchmarks.report import Row, at_most
from benchmarks.rows.turns import TEXT
from benchmarks.served import running_agent
from benchmarks.subject import running_subject

WARM_SECONDS = 15.0
SECONDS = 45.0


async def run(bench: Bench, seconds: float = SECONDS) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        agent = await enter(running_agent(await enter(bench.database())))
        ready = agent.resident_megabytes
        say = {"do": "many", "host": agent.host, "port": agent.port, "concurrent": 8, "text": TEXT}
        with bench.busy("until it is warm"):
            await load.ask(**say, seconds=WARM_SECONDS)
        warm = agent.resident_megabytes
        with bench.busy("many turns"):
            turns = len((await load.ask(**say, seconds=seconds))["latencies"])
        after = agent.resident_megabytes
    bench.noise.listen()
    bench.say(f"  {ready:.0f} MB when ready, {warm:.0f} MB when warm, {after:.0f} MB {turns:,} turns later")
    return [
        Row("resident memory, more after each 10,000 turns", at_most(5, "MB"), [(after - warm) * 10_000 / turns])
    ]
