"""Who follows which run, and what of it is stored: see `turns.feed`."""

from collections.abc import Callable, Mapping, Sequence

from agent_runtime.errors import RunNotFound
from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.runs import RunFrame
from agent_runtime.turns.feed import Feed, News
from groundwork.postgres.pool import Connection, Pool, connection

RunFeed = Feed[RunFrame]


def run_feed(pool: Pool, runs_here: Callable[[str], bool]) -> RunFeed:
    """Return the feed of the runs of an agent."""
    return Feed(pool, _StoredRuns(pool), runs_here)


class _StoredRuns:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_news(self, conn: Connection, seen: Mapping[str, int]) -> Mapping[str, News[RunFrame]]:
        return await store.read_frames(conn, seen)

    async def read_after(self, task_id: str, seen: int) -> Sequence[RunFrame] | None:
        async with connection(self._pool) as conn:
            news = (await store.read_frames(conn, {task_id: seen})).get(task_id)
        return None if news is None else news.events

    def gone(self) -> Exception:
        return RunNotFound("")
