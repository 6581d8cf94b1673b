"""What the heartbeats of 10,000 agents, one every ten seconds, cost a registry process."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256

from benchmarks.bench import Bench
from benchmarks.filled import fill
from benchmarks.report import Row, at_most
from benchmarks.served import Served, running_module, running_registry
from benchmarks.subject import Subject, running_subject

AGENTS = 10_000
PER_SECOND = 1_000
SECONDS = 2.5
TOKEN = "jj_benchmark"

EACH, KEPT = "a connection for each", "kept connections"
BARE_EACH, BARE_KEPT = "an empty answer, a connection for each", "an empty answer, kept connections"
"""Where FastAPI gives 10,000 empty answers a second, three times the cost of one is 30 % of a core."""


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dsn = await enter(bench.database())
        registry = await enter(running_registry(dsn, jamjet_dev_mode=False))
        await fill(dsn, "registry_token", token_hash=sha256(TOKEN.encode()).digest())
        await fill(dsn, "registered_agents", agents=AGENTS)
        load = await enter(running_subject("benchmarks.beats"))
        bench.say("the registry's share of a core at 1,000 heartbeats a second")
        bare = await enter(running_module("benchmarks.bare_answer", dsn))
        # With kept connections agents are fewer and beat more often: they come again within the few seconds.
        variants = {
            EACH: partial(share_of_core, load, registry, keep=False),
            KEPT: partial(share_of_core, load, registry, keep=True, agents=PER_SECOND),
            BARE_EACH: partial(share_of_core, load, bare, keep=False),
            BARE_KEPT: partial(share_of_core, load, bare, keep=True, agents=PER_SECOND),
        }
        samples = await bench.rounds(variants, rounds=3, unit="%")
    return [
        Row("heartbeats, a connection for each: share of a core", at_most(0.3, "%"), samples.of[EACH]),
        Row("heartbeats, kept connections: share of a core", at_most(0.3, "%"), samples.of[KEPT]),
        Row("a heartbeat ÷ an empty answer, a connection for each", at_most(3), samples.ratios(EACH, BARE_EACH)),
        Row("a heartbeat ÷ an empty answer, kept connections", at_most(3), samples.ratios(KEPT, BARE_KEPT)),
    ]


async def share_of_core(load: Subject, registry: Served, *, keep: bool, agents: int = AGENTS) -> float:
    before = registry.cpu_seconds
    answer = await load.ask(
        host=registry.host,
        port=registry.port,
        token=TOKEN,
        agents=agents,
        rate=PER_SECOND,
        seconds=SECONDS,
        keep=keep,
    )
    used = registry.cpu_seconds - before
    if answer["refused"]:
        raise RuntimeError(f"{answer['refused']} heartbeats were refused")
    # Per heartbeat, so that a load generator that was held up makes no difference.
    return PER_SECOND * used / len(answer["latencies"])
