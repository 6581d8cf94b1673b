"""Who follows which task, and what of it is stored: see `turns.feed`."""

from collections.abc import Callable, Mapping, Sequence

from a2a.utils.errors import TaskNotFoundError

from agent_runtime.a2a_server import store
from agent_runtime.a2a_server.tasks import TaskEvent, retold
from agent_runtime.turns.feed import Feed, News, follows
from groundwork.postgres.pool import Connection, Pool, transaction

TaskFeed = Feed[TaskEvent]


def task_feed(pool: Pool, runs_here: Callable[[str], bool]) -> TaskFeed:
    """Return the feed of the tasks of an agent."""
    return Feed(pool, _StoredTasks(pool), runs_here)


class _StoredTasks:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_news(self, conn: Connection, seen: Mapping[str, int]) -> Mapping[str, News[TaskEvent]]:
        return await store.read_events(conn, seen)

    async def read_after(self, task_id: str, seen: int) -> Sequence[TaskEvent] | None:
        async with transaction(self._pool) as conn:
            news = (await store.read_events(conn, {task_id: seen})).get(task_id)
            if news is None:
                return None
            if follows(news, seen):
                return list(news.events)
            stored = await store.read_task(conn, task_id)
        if stored is None:
            return None
        if seen:
            return retold(stored.task, stored.version)
        return [TaskEvent(stored.version, stored.task, stored.task)]

    def gone(self) -> Exception:
        return TaskNotFoundError()
