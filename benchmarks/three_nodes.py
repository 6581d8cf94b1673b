"""The yardstick of executions: three nodes that do nothing, as a graph in a process, with LangGraph's own saver.

python -m benchmarks.three_nodes DSN AT_ONCE     # one JSON command per line: {"executions": 300}
"""

import asyncio
import sys
import time
from typing import Any, TypedDict
from uuid import uuid4

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph

from benchmarks.subject import Command, answer_commands
from groundwork.postgres.pool import open_pool


class State(TypedDict):
    n: int


async def step(state: State) -> State:
    return state


def three_nodes() -> StateGraph[State]:
    builder = StateGraph(State)
    for name in ("first", "second", "third"):
        builder.add_node(name, step)
    builder.add_edge(START, "first").add_edge("first", "second").add_edge("second", "third")
    return builder


async def main(dsn: str, at_once: int) -> None:
    async with open_pool(dsn, name="yardstick", max_size=at_once) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        graph = three_nodes().compile(checkpointer=saver)
        free = asyncio.Semaphore(at_once)

        async def run() -> None:
            async with free:
                await graph.ainvoke({"n": 1}, {"configurable": {"thread_id": str(uuid4())}}, durability="sync")

        async def answer(command: Command) -> Any:
            started = time.perf_counter()
            await asyncio.gather(*(run() for _ in range(command["executions"])))
            return {"seconds": time.perf_counter() - started}

        await answer_commands(answer)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
