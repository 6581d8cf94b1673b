"""The database goes away and comes back; the agent is still there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from groundwork.postgres.embedded import open_embedded
from tests.agents import SCRIPTED, answer_text, running_agent, text_message, write_project
from tests.databases import until_somebody_waits
from tests.faults.proxy import Mood, Proxy
from tests.processes import agent_process, free_port


async def end_all_backends(server_dsn: str, database_url: str) -> None:
    name = conninfo_to_dict(database_url)["dbname"]
    async with await psycopg.AsyncConnection.connect(server_dsn, autocommit=True) as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )


async def test_a_killed_connection_costs_no_request(tmp_path: Path, database_url: str, server_dsn: str) -> None:
    async with running_agent(write_project(tmp_path), database_url) as agent:
        for number in range(5):
            await agent.ask("hello", "one")
            await end_all_backends(server_dsn, database_url)
            assert await agent.ask(f"hello {number}", "one")
            assert len(await agent.messages("one")) == 4 * (number + 1)


async def test_a_turn_whose_connections_are_cut_is_finished_all_the_same(
    tmp_path: Path, database_url: str, server_dsn: str
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        turn = asyncio.create_task(agent.ask("hold it", "one"))
        while not agent.journal():
            await asyncio.sleep(0.02)
        await end_all_backends(server_dsn, database_url)
        agent.release("it")
        assert await asyncio.wait_for(turn, 15) == "it"
        assert agent.journal() == ["begin hold it", "end hold it"]


@pytest.fixture
async def network(database_url: str) -> AsyncIterator[Proxy]:
    """Between an agent and the database."""
    server = conninfo_to_dict(database_url)
    async with Proxy(free_port(), [Path(str(server["host"])) / f".s.PGSQL.{server['port']}"]) as proxy:
        yield proxy


@asynccontextmanager
async def unanswered(network: Proxy, database_url: str, table: str, done: str) -> AsyncIterator[None]:
    """What is written to `table` meanwhile is written, as the query `done` tells, and the connection then breaks
    before the writer has heard of it."""
    async with await psycopg.AsyncConnection.connect(database_url) as locking:
        await locking.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looking:
            await until_somebody_waits(looking)
            network.become(Mood.FROZEN)
            await locking.commit()
            async with asyncio.timeout(5):
                while await (await looking.execute(done)).fetchone() is None:
                    await asyncio.sleep(0.01)
            network.become(Mood.CUT)
            while network.connections:
                await asyncio.sleep(0.01)
            network.become(Mood.OPEN)


async def test_a_message_whose_acceptance_is_not_heard_of_is_answered_once(
    tmp_path: Path, database_url: str, network: Proxy
) -> None:
    through = make_conninfo(database_url, host="127.0.0.1", port=network.port)
    async with running_agent(write_project(tmp_path, SCRIPTED), through) as agent:
        await agent.ask("say one", "here")
        async with unanswered(network, database_url, "a2a_tasks", "SELECT FROM agent_turns"):
            message = text_message("say two", contextId="here")
            asked = asyncio.create_task(agent.rpc("SendMessage", {"message": message}))
        refused = await asked
        assert refused["error"]["message"] == "the database cannot be used right now"
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
            await conn.execute("UPDATE agent_turns SET accepted_at = now() - interval '1 minute'")
        async with asyncio.timeout(10):
            while len(await agent.messages("here")) < 4:
                await asyncio.sleep(0.05)
        assert agent.journal() == ["begin say one", "end say one", "begin say two", "end say two"]


async def test_a_turn_whose_end_is_not_heard_of_has_ended(
    tmp_path: Path, database_url: str, network: Proxy
) -> None:
    through = make_conninfo(database_url, host="127.0.0.1", port=network.port)
    ended = "SELECT FROM (SELECT count(*) FROM agent_turns) AS t (left_over) WHERE left_over = 0"
    async with running_agent(write_project(tmp_path, SCRIPTED), through) as agent:
        asked = asyncio.create_task(agent.send("hold it", contextId="here"))
        while not agent.journal():
            await asyncio.sleep(0.02)
        async with unanswered(network, database_url, "a2a_tasks", ended):
            agent.release("it")
        async with asyncio.timeout(5):
            assert answer_text((await asked)["task"]) == "it"
        assert agent.journal() == ["begin hold it", "end hold it"]
        assert len(await agent.messages("here")) == 2


async def test_requests_are_refused_while_the_database_is_away_and_served_when_it_is_back(
    tmp_path: Path, data_directory: Path
) -> None:
    directory = write_project(tmp_path)
    data = data_directory / "postgres"
    async with AsyncExitStack() as running, httpx.AsyncClient(timeout=20) as http:
        async with open_embedded(data) as dsn:
            agent = await running.enter_async_context(agent_process(directory, postgres_dsn=dsn))
            assert (await http.get(f"{agent.url}/api/v1/memory/threads")).status_code == 200
        away = await http.get(f"{agent.url}/api/v1/memory/threads")
        ready = await http.get(f"{agent.url}/readyz")
        alive = await http.get(f"{agent.url}/healthz")
        await running.enter_async_context(open_embedded(data))
        running.callback(agent.terminate)
        deadline = asyncio.get_running_loop().time() + 20
        while (back := await http.get(f"{agent.url}/api/v1/memory/threads")).status_code != 200:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.2)
    assert (away.status_code, away.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert back.json()["success"]


async def test_a_process_stops_in_time_while_the_database_stands_still(tmp_path: Path, database_url: str) -> None:
    async with (
        agent_process(write_project(tmp_path), postgres_dsn=database_url, shutdown_grace_seconds=1) as agent,
        httpx.AsyncClient(base_url=agent.url, timeout=30) as http,
        await psycopg.AsyncConnection.connect(database_url) as locking,
    ):
        await locking.execute("LOCK TABLE agent_turns, agent_processes IN ACCESS EXCLUSIVE MODE")
        body = {"jsonrpc": "2.0", "id": "1", "method": "SendMessage", "params": {"message": text_message("hello")}}
        asked = asyncio.create_task(http.post("/", json=body, headers={"A2A-Version": "1.0"}))
        await asyncio.sleep(1)
        assert not asked.done()
        assert await asyncio.to_thread(agent.terminate, 25) == 0
        await asyncio.gather(asked, return_exceptions=True)
