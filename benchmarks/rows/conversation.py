"""What the thousandth turn of a conversation costs against the first, and what keeping the conversation takes."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median
from uuid import uuid4

import psycopg

from benchmarks.bench import Bench
from benchmarks.report import Row, at_most
from benchmarks.served import Served, running_agent
from benchmarks.subject import Subject, running_subject

TURNS = 1_000
MESSAGE_BYTES = 2_000
AT_THE_END = 50
"""So many turns at both ends are looked at: the first ones of conversations, and the last ones of the long one."""

_SIZE = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        dsn = await enter(bench.database())
        agent = await enter(running_agent(dsn, graph="long_chat"))
        await say(load, agent, uuid4().hex, AT_THE_END)
        before, thread_id = stored_bytes(dsn), uuid4().hex
        with bench.busy(f"a conversation of {TURNS} turns"):
            await say(load, agent, thread_id, TURNS - 2 * AT_THE_END)
        stored = stored_bytes(dsn) - before
        # Side by side, so that whatever disturbs the machine disturbs both.
        first, last = [], []
        for _ in range(AT_THE_END):
            first += await say(load, agent, uuid4().hex, 1)
            last += await say(load, agent, thread_id, 2)
    said = 2 * MESSAGE_BYTES * (TURNS - 2 * AT_THE_END)
    bench.say(f"  the first turn {median(first) * 1000:.1f} ms, the last {median(last) * 1000:.1f} ms")
    bench.say(f"  {said / 1e6:.1f} MB were said, and take {stored / 1e6:.1f} MB")
    bench.noise.listen()
    return [
        Row(f"latency of turn {TURNS:,} ÷ turn 1, messages of 2 kB", at_most(1.5), [median(last) / median(first)]),
        Row(f"bytes stored ÷ bytes said at {TURNS:,} turns", at_most(6), [stored / said]),
    ]


async def say(load: Subject, agent: Served, thread_id: str, turns: int) -> list[float]:
    answer = await load.ask(
        do="on", host=agent.host, port=agent.port, context_id=thread_id, turns=turns, length=MESSAGE_BYTES
    )
    latencies: list[float] = answer["latencies"]
    return latencies


def stored_bytes(dsn: str) -> int:
    """What all tables take, with their indexes and with what is still to be vacuumed."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute(_SIZE).fetchone()
    assert row is not None
    return int(row[0])
