"""Records of turns, for those who ask why one failed or what all of them cost."""

from collections.abc import Sequence

from agent_runtime.errors import TurnNotFound
from agent_runtime.turn_records import store
from agent_runtime.turn_records.models import GroupBy, Position, RecordFilter, TurnRecord, Usage
from groundwork.postgres.pool import Pool, connection


class TurnRecords:
    """What is known of one agent's turns."""

    def __init__(self, pool: Pool, agent_id: str) -> None:
        self._pool = pool
        self._agent_id = agent_id

    async def list_turns(
        self, wanted: RecordFilter, limit: int, after: Position | None = None
    ) -> tuple[list[TurnRecord], Position | None]:
        """Return a page of turns, the latest first, and where the next one begins."""
        async with connection(self._pool) as conn:
            records = await store.list_records(conn, self._agent_id, wanted, limit + 1, after)
        page = records[:limit]
        more = len(records) > limit
        return page, Position(page[-1].accepted_at, page[-1].turn_id) if more else None

    async def get_turns_of_task(self, task_id: str) -> list[TurnRecord]:
        """Return the turns of a task, the latest first. Raises `TurnNotFound`."""
        async with connection(self._pool) as conn:
            records = await store.list_records_of_task(conn, self._agent_id, task_id)
        if not records:
            raise TurnNotFound(task_id)
        return records

    async def sum_usage(self, by: GroupBy, wanted: RecordFilter, limit: int) -> tuple[Usage, Sequence[Usage]]:
        """Return what all turns have used together, and the first `limit` groups of them."""
        async with connection(self._pool) as conn:
            return await store.sum_usage(conn, self._agent_id, by, wanted, limit)
