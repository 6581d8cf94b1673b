"""The agent's saver without a turn behind it: it gathers and stores in the same way, and nothing fences it."""

from agent_runtime.turns.saver import Durability, TurnSaver
from agent_runtime.turns.types import Turn
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Pool, run_repeatable

_STORE = "SELECT store_checkpoint_rows(%s, %s)"


class LooseSaver(TurnSaver):
    """For a run of a thread that nobody owns."""

    def __init__(self, pool: Pool, thread_id: str, durability: Durability = "async") -> None:
        super().__init__(pool, Turn(0, thread_id, "", 0, "", 1), durability=durability)

    async def finish(self) -> None:
        """Stores what the run has left for its end."""
        if rows := await self.take():
            await self.store(rows)

    async def store(self, rows: CheckpointRows) -> None:
        await self._store(rows)

    async def _store(self, rows: CheckpointRows) -> None:
        await run_repeatable(self._pool, lambda conn: conn.execute(_STORE, rows.packed()))
