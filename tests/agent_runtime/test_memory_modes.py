"""What an agent remembers, with memory on, off, switched while it runs, and without a name."""

import asyncio
from pathlib import Path

import httpx

from agent_runtime.database import prepare_database
from agent_runtime.project.file import load_project
from agent_runtime.runtime import open_runtime
from agent_runtime.settings import AgentSettings
from groundwork.postgres.pool import Pool, open_pool
from tests.agents import CHAT, running_agent, write_project
from tests.processes import agent_process

# Says how many messages the model was given, before and after a pause in the same turn.
COUNTING = """
import asyncio
from pathlib import Path
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

HERE = Path(__file__).parent

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    count = lambda: len(runtime.context.prompt("system", state["messages"])) - 1
    before = count()
    (HERE / "started").touch()
    while state["messages"][-1].text == "pause" and not (HERE / "go").exists():
        await asyncio.sleep(0.02)
    return {"messages": [AIMessage(f"{before} then {count()}")]}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""


async def test_with_memory_off_every_message_stands_alone(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path), database_url, memory_enabled=False) as agent:
        await agent.ask("my name is Ada", "one")
        assert "Ada" not in await agent.ask("what is my name?", "one")
        refused = await agent.http.get("/api/v1/memory/threads")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "MEMORY_DISABLED"


async def test_an_agent_without_an_id_answers_and_remembers_nothing(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path), database_url, agent_id=None) as agent:
        await agent.ask("my name is Ada", "one")
        assert "Ada" not in await agent.ask("what is my name?", "one")
        refused = await agent.http.get("/api/v1/memory/threads")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "AGENT_ID_REQUIRED"
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS n FROM checkpoints")).fetchone()
    assert row is not None
    assert row["n"] == 0


async def test_an_agent_without_an_id_is_named_after_its_directory(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path / "my agent")
    async with agent_process(directory, agent_id=None, postgres_dsn=database_url) as agent:
        async with httpx.AsyncClient(base_url=agent.url) as http:
            status = (await http.get("/api/v1/status")).json()
            threads = await http.get("/api/v1/memory/threads")
        assert status["data"]["agent_id"] == "my-agent"
        assert threads.status_code == 200
        assert "my-agent (the directory's name: AGENT_ID is not set)" in agent.log.read_text()


async def test_a_smaller_window_holds_from_the_next_model_call_of_a_running_turn(
    tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path, COUNTING), database_url) as agent:
        for _ in range(3):
            await agent.ask("hello", "one")
        (tmp_path / "started").unlink()
        turn = asyncio.create_task(agent.ask("pause", "one"))
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.02)
        changed = await agent.http.patch("/api/v1/memory/config", json={"window_size": 1})
        assert changed.json()["data"]["window_size"] == 1
        (tmp_path / "go").touch()
        assert await turn == "7 then 1"


async def test_a_summary_is_kept_and_reaches_the_model(tmp_path: Path, database_url: str, pool: Pool) -> None:
    directory = write_project(tmp_path, CHAT)
    async with running_agent(
        directory, database_url, memory_summarize=True, memory_window_size=2, memory_summarize_threshold=4
    ) as agent:
        await agent.ask("my name is Ada", "one")
        for _ in range(4):
            await agent.ask("hello", "one")
        await agent.runtime.summaries.drain(10)
        assert "Ada" in await agent.ask("what is my name?", "one")
        assert len(await agent.messages("one")) == 12
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT thread_id FROM persistent_memory")).fetchone()
    assert row == {"thread_id": "one"}


async def test_the_memory_backend_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = AgentSettings(_env_file=None, agent_id="brief", memory_backend="memory")
    directory = write_project(tmp_path)
    async with open_runtime(settings, load_project(directory), public_url="http://agent.test") as runtime:
        async with runtime.pool.connection() as conn:
            pid = conn.info.backend_pid
        data_directory = Path(f"/proc/{pid}/cwd").readlink()  # where every server process of PostgreSQL stands
        assert (data_directory / "PG_VERSION").exists()
    assert not data_directory.exists()
    assert not (directory / ".data").exists()


async def test_two_embedded_agents_can_share_a_directory(data_directory: Path) -> None:
    directory = write_project(data_directory / "project")
    settings = AgentSettings(_env_file=None, agent_id="twin")
    async with open_runtime(settings, load_project(directory), public_url="http://one.test") as one:
        async with open_runtime(settings, load_project(directory), public_url="http://two.test") as two:
            await two.check_ready()
        await one.check_ready()


async def test_preparing_a_database_twice_changes_nothing(database_url: str) -> None:
    async with open_pool(database_url, name="again", max_size=2) as pool:
        await prepare_database(pool)
