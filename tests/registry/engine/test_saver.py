"""What an execution stores of its graph is what LangGraph's own saver would have stored."""

from collections.abc import AsyncGenerator

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Pool
from registry.engine.saver import ExecutionSaver
from registry.executions.models import read_execution_id
from tests.registry.engine.workflows import STEP, document
from tests.registry.executions.runs import start, until
from tests.registry.registries import running_registry


class NoExecution:
    """Writes a graph's rows down, and nothing else."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def store_task(self, task_id: str, rows: CheckpointRows) -> None:
        await self._store(rows)

    async def store_checkpoint(self, checkpoint: Checkpoint, rows: CheckpointRows) -> None:
        await self._store(rows)

    async def _store(self, rows: CheckpointRows) -> None:
        async with self._pool.connection() as conn:
            await conn.execute("SELECT store_checkpoint_rows(%s, %s)", rows.packed())


async def test_it_passes_langgraphs_own_tests_of_savers(registry_pool: Pool) -> None:
    @checkpointer_test(name="ExecutionSaver")
    async def savers() -> AsyncGenerator[ExecutionSaver, None]:
        yield ExecutionSaver(registry_pool, NoExecution(registry_pool))

    report = await validate(savers)
    assert report.passed_all_base(), [result.failures for result in report.results.values()]


async def test_langgraphs_saver_reads_what_an_execution_has_written(
    registry_dsn: str, registry_pool: Pool
) -> None:
    async with running_registry(registry_dsn, worker=True) as served:
        execution_id = await start(served.http, document({"a": STEP, "b": STEP}, [("a", "b")]), n=1)
        assert (await until(served.http, execution_id))["status"] == "completed"
    thread: RunnableConfig = {"configurable": {"thread_id": str(read_execution_id(execution_id))}}
    found = [each async for each in AsyncPostgresSaver(registry_pool).alist(thread)]
    assert [each.metadata["step"] for each in found] == [2, 1, 0, -1]
    assert all(each.pending_writes for each in found[1:])
