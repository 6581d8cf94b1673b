"""`agent-runtime data forecast` says what there will be, and counts what retention then removes."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent_runtime.command.cli import app
from agent_runtime.retention.idle import IdleThreads
from agent_runtime.retention.service import Retention
from agent_runtime.threads.service import Threads
from groundwork.postgres.pool import Pool
from tests.stock_graphs import say


def forecast(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["data", "forecast", "--json", *arguments], obj=frozenset())
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


async def test_a_forecast_tells_growth_and_counts_what_retention_then_removes(
    pool: Pool, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSTGRES_DSN", database_url)
    monkeypatch.setenv("AGENT_ID", "mine")
    threads = Threads(pool, "mine", forget=lambda thread_ids: None)
    for thread_id, turns in [("idle", 1), ("long", 5)]:
        await threads.claim(thread_id)
        for number in range(turns):
            await say(pool, thread_id, f"message {number}")
    async with pool.connection() as conn:
        await conn.execute("UPDATE agent_threads SET created_at = now() - interval '14 days'")
        # A checkpoint of version 6 says in its id when it was made: this one long ago.
        await conn.execute("DELETE FROM checkpoints WHERE thread_id = 'idle'")

    told = await asyncio.to_thread(forecast, "--thread-ttl-days", "7", "--checkpoint-retention", "2")
    tables = told["tables"]
    assert (told["days_observed"], told["retention"]["THREAD_TTL_DAYS"]) == (7.0, 7)
    assert tables["agent_threads"]["rows_in_30_days"] == tables["agent_threads"]["rows"] == 2
    plain = (await asyncio.to_thread(forecast))["tables"]["checkpoints"]
    assert plain["rows_in_30_days"] == round(plain["rows"] * (1 + 30 / 7))
    assert plain["bytes_in_30_days"] > plain["bytes"]
    assert plain["removable_rows"] == 0

    removed: Counter[str] = Counter()
    ended = lambda erasure: removed.update(erasure.rows)  # noqa: E731
    idle = IdleThreads(pool, "mine", 7 * 86_400, forget=lambda thread_ids: None, ended=ended)
    assert not await idle.step()
    await Retention(pool, "mine", 2, pruned=removed.update).prune(["long"])
    assert removed["agent_threads"] == 1
    assert +removed == +Counter({name: table["removable_rows"] for name, table in tables.items()})
