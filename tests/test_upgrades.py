"""A database goes with its service from release to release, and not back."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from uuid import uuid4

import pytest
from a2a.types import (
    Artifact,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)
from langchain_core.messages import HumanMessage
from psycopg.types.json import Json

import agent_runtime.database
import registry.database
from agent_runtime.turns.types import TurnRequest
from groundwork.postgres.checkpoints import prepare_checkpoint_tables
from groundwork.postgres.migrations import load_migrations, migrate
from groundwork.postgres.pool import Pool, open_pool
from registry.executions.models import show_execution_id
from registry.queue.jobs import prepare_queue
from tests.agents import SCRIPTED, answer_text, running_agent, write_project
from tests.processes import run_to_its_end
from tests.registry.executions.runs import REVIEW, events_of, until
from tests.registry.registries import running_registry
from tests.stock_graphs import say


@dataclass(frozen=True)
class Service:
    package: str
    program: str
    module: str
    dsn_setting: str
    table: str
    prepare: Callable[[Pool], Awaitable[None]]

    @property
    def migrations(self) -> str:
        return f"{self.package}.migrations"


AGENT = Service(
    "agent_runtime",
    "agent-runtime",
    "agent_runtime",
    "postgres_dsn",
    agent_runtime.database.MIGRATIONS_TABLE,
    agent_runtime.database.prepare_database,
)
REGISTRY = Service(
    "registry",
    "registry",
    "registry",
    "database_url",
    registry.database.MIGRATIONS_TABLE,
    registry.database.prepare_database,
)
SERVICES = pytest.mark.parametrize("service", [AGENT, REGISTRY], ids=lambda service: service.program)


@SERVICES
async def test_a_release_does_not_start_on_the_database_of_a_later_one(
    service: Service, tmp_path: Path, empty_database_url: str
) -> None:
    async with open_pool(empty_database_url, name="later", max_size=2) as pool:
        await service.prepare(pool)
        async with pool.connection() as conn:
            await conn.execute(f"INSERT INTO {service.table} (number, name) VALUES (9999, '9999_of_later')")
    write_project(tmp_path)
    settings = {service.dsn_setting: empty_database_url, "port": 0, "jamjet_port": 0}
    status, said = run_to_its_end(tmp_path, service.module, "serve", **settings)
    last = len(load_migrations(service.migrations))
    assert status == 2
    assert said.endswith(
        f"{service.program}: the database has migration 9999 in {service.table}; this release ends at {last}\n"
    )
    assert said.count("\n") == 1


async def test_an_agent_goes_on_with_the_threads_tasks_and_turns_of_before_events_were_written_together(
    tmp_path: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, begun = (
        Task(id=f"task-{state}", context_id="ada", status=TaskStatus(state=state))
        for state in (TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_WORKING)
    )
    told = Task(id="task-told", context_id="ada", status=TaskStatus(state=TaskState.TASK_STATE_WORKING))
    # Of lengths that a length of one, two and three bytes stands before.
    parts = ["some", "m" * 300, "l" * 40_000]
    happened = [
        StreamResponse(
            artifact_update=TaskArtifactUpdateEvent(
                task_id=told.id,
                context_id="ada",
                artifact=Artifact(artifact_id="answer", parts=[Part(text=part)]),
                append=number > 0,
            )
        )
        for number, part in enumerate(parts)
    ]
    async with upgraded(
        AGENT, empty_database_url, tmp_path, monkeypatch, since="0008_store_events_of_a_write_together"
    ) as pool:
        await say(pool, "ada", "My name is Ada.")
        async with pool.connection() as conn:
            await conn.execute("SELECT claim_agent_thread('test-agent', 'ada', '')")
            for task, state in ((done, "COMPLETED"), (begun, "WORKING"), (told, "WORKING")):
                await conn.execute(
                    "INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, version, task)"
                    " SELECT %s, thread_id, owner_key, %s, 1, %s FROM agent_threads",
                    [task.id, state, task.SerializeToString()],
                )
            for version, event in enumerate(happened, 2):
                await conn.execute(
                    "INSERT INTO a2a_task_events (task_id, version, event) VALUES (%s, %s, %s)",
                    [told.id, version, event.SerializeToString()],
                )
            request = TurnRequest("ada", begun.id, "", "message", HumanMessage("echo And on it goes."))
            await conn.execute(
                "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
                " VALUES ('ada', %s, %s, 'running', %s)",
                [begun.id, uuid4(), request.to_bytes()],
            )
    async with running_agent(write_project(tmp_path, SCRIPTED), empty_database_url) as agent:
        async with asyncio.timeout(20):
            while not (got := await agent.rpc("GetTask", {"id": begun.id}))["result"].get("artifacts"):
                await asyncio.sleep(0.05)
        assert answer_text(got["result"]) == "And on it goes."
        assert (await agent.rpc("GetTask", {"id": done.id}))["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
        assert answer_text((await agent.rpc("GetTask", {"id": told.id}))["result"]) == "".join(parts)
        assert len((await agent.rpc("ListTasks", {}))["result"]["tasks"]) == 3
        threads = (await agent.http.get("/api/v1/memory/threads")).json()["data"]["threads"]
        said = [message["content"] for message in await agent.messages("ada")]
    assert threads == ["ada"]
    assert said == ["My name is Ada.", "You said My name is Ada.", "echo And on it goes.", "And on it goes."]


async def test_a_registry_goes_on_with_the_workflows_and_executions_of_the_release_before(
    tmp_path: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, begun = uuid4(), uuid4()
    async with (
        upgraded(REGISTRY, empty_database_url, tmp_path, monkeypatch) as pool,
        pool.connection() as conn,
    ):
        await conn.execute(
            "WITH w AS (INSERT INTO workflows (tenant_id, workflow_id) VALUES ('default', 'test'))"
            " INSERT INTO workflow_revisions (tenant_id, workflow_id, version, revision, digest, document)"
            " VALUES ('default', 'test', '1.0.0', 1, '', %s)",
            [Json(REVIEW)],
        )
        await conn.execute(
            "UPDATE workflows SET latest_revision_id = (SELECT revision_id FROM workflow_revisions)"
        )
        for execution_id, status in ((ended, "completed"), (begun, "pending")):
            await conn.execute(
                "INSERT INTO executions (execution_id, tenant_id, revision_id, workflow_id, workflow_version,"
                "                        status, initial_input, state, labels, last_sequence, updated_at)"
                " SELECT %s, 'default', revision_id, 'test', '1.0.0', %s, '{}', '{\"amount\": 7}', '{}', 1,"
                "        now() - interval '1 hour' FROM workflow_revisions",
                [execution_id, status],
            )
            await conn.execute(
                "INSERT INTO execution_events (execution_id, sequence, type, data)"
                " VALUES (%s, 1, 'workflow_started', '{}')",
                [execution_id],
            )
    async with running_registry(empty_database_url, worker=True) as served:
        http, waiting = served.http, show_execution_id(begun)
        assert (await until(http, show_execution_id(ended)))["state"] == {"amount": 7}
        await until(http, waiting, "paused")
        answer = await http.post(f"/executions/{waiting}/approve", json={"decision": "approved"})
        assert answer.status_code == 200, answer.text
        assert (await until(http, waiting))["status"] == "completed"
        kinds = [event["kind"] for event in await events_of(http, waiting)]
        listed = (await http.get("/workflows")).json()
    assert (kinds[0], kinds[-1]) == ("WorkflowStarted", "WorkflowCompleted")
    assert "test" in str(listed)


@asynccontextmanager
async def upgraded(
    service: Service, dsn: str, directory: Path, monkeypatch: pytest.MonkeyPatch, *, since: str = ""
) -> AsyncIterator[Pool]:
    """In the block the schema is that of before the migration `since` (the last one), after it this release's."""
    former = directory / f"{service.package}_before"
    with resources.as_file(resources.files(service.migrations)) as migrations:
        shutil.copytree(migrations, former, ignore=shutil.ignore_patterns("__pycache__"))
    names = [migration.name for migration in load_migrations(service.migrations)]
    for name in names[names.index(since or names[-1]) :]:
        (former / f"{name}.sql").unlink()
    monkeypatch.syspath_prepend(directory)
    async with open_pool(dsn, name="before", max_size=2) as pool:
        await migrate(pool, former.name, service.table)
        await prepare_checkpoint_tables(pool)
        if service is REGISTRY:
            await prepare_queue(pool)
        yield pool
        await service.prepare(pool)
        async with pool.connection() as conn:
            row = await (await conn.execute(f"SELECT max(name) AS last FROM {service.table}")).fetchone()
    assert row == {"last": names[-1]}
