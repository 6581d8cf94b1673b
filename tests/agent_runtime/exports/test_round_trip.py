"""What one agent exports another one reads again, on another database, and goes on with."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from agent_runtime.command.cli import app
from agent_runtime.exports.exporting import Exports
from agent_runtime.exports.importing import ExportDamaged, import_threads
from agent_runtime.graph import Conversation
from agent_runtime.threads.conversation import read_conversation
from agent_runtime.threads.service import Threads
from groundwork.postgres.pool import Pool, open_pool
from tests.agents import SCRIPTED, running_agent, write_project
from tests.databases import create_database, drop_database
from tests.stock_graphs import say

EXPORT = "/api/v1/memory/threads/export"


@pytest.fixture
def other_database(server_dsn: str, template_database: str) -> Iterator[str]:
    name = create_database(server_dsn, template_database)
    yield make_conninfo(server_dsn, dbname=name)
    drop_database(server_dsn, name)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["threads", *arguments], obj=frozenset())
    assert result.exit_code == 0, result.output
    return result.output


def kinds(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == kind]


async def test_an_imported_thread_goes_on_with_what_was_said_and_a_question_that_waits(
    tmp_path: Path, database_url: str, other_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "project", SCRIPTED)
    async with running_agent(project, database_url, "ours") as agent:
        await agent.ask("say Assam", "tea")
        await agent.send("artifacts", contextId="tea")
        waiting = (await agent.send("ask sugar?", contextId="asks"))["task"]
        exported = await agent.http.get(f"{EXPORT}?all=true")
        one = await agent.http.get("/api/v1/memory/threads/tea/export")
    assert (exported.status_code, exported.headers["content-type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert [line["thread_id"] for line in kinds(lines, "thread")] == ["tea", "asks"]
    assert [json.loads(line)["kind"] for line in one.text.splitlines()][-1] == "end"
    assert kinds(lines, "message")[1] == {"kind": "message", "index": 1, "role": "ai", "content": "Assam"}
    binary, linked = kinds(lines, "file")
    assert (binary["name"], base64.b64decode(binary["content"])) == ("a.bin", b"\0\1")
    assert linked["url"] == "https://example.com/b.txt"

    (tmp_path / "export.jsonl").write_bytes(exported.content)
    monkeypatch.setenv("POSTGRES_DSN", other_database)
    monkeypatch.setenv("AGENT_ID", "theirs")
    for said in ("2 threads imported, 0 were there already.", "0 threads imported, 2 were there already."):
        assert said in await asyncio.to_thread(run, "import", str(tmp_path / "export.jsonl"))
    async with running_agent(project, other_database, "theirs") as agent:
        assert await agent.ask("say Ceylon", "tea") == "Ceylon"
        texts = [message["content"] for message in await agent.messages("tea")]
        assert texts == ["say Assam", "Assam", "artifacts", "say Ceylon", "Ceylon"]
        answered = await agent.send("two lumps", contextId="asks", taskId=waiting["id"])
        assert "heard two lumps" in json.dumps(answered)


async def test_a_conversation_on_a_delta_channel_goes_on_in_any_graph_that_has_one(
    pool: Pool, other_database: str
) -> None:
    threads = Threads(pool, "mine", forget=lambda thread_ids: None)
    await threads.claim("delta", "ada")
    graph = StateGraph(Conversation).add_node("answer", lambda state: {"messages": [AIMessage("yes")]})
    compiled = graph.add_edge(START, "answer").compile(checkpointer=AsyncPostgresSaver(pool))
    place: Any = {"configurable": {"thread_id": "delta"}}
    for number in range(3):
        await compiled.ainvoke({"messages": [HumanMessage(f"tea {number}")]}, place)
    chunks = [chunk async for chunk in Exports(pool, "mine").export_all("ada")]
    lines = b"".join(chunks).splitlines(keepends=True)
    async with open_pool(other_database, name="other", max_size=2) as other:
        imported = [one async for one in import_threads(other, "mine", lines)]
        assert [one.thread_id for one in imported] == ["delta"]
        there = graph.compile(checkpointer=AsyncPostgresSaver(other))
        await there.ainvoke({"messages": [HumanMessage("and on")]}, place)
        async with other.connection() as conn:
            said = [message.text for message in await read_conversation(conn, "mine", "delta")]
    assert said == ["tea 0", "yes", "tea 1", "yes", "tea 2", "yes", "and on", "yes"]


async def test_the_latest_checkpoint_is_exported_and_not_the_history(pool: Pool) -> None:
    await Threads(pool, "mine", forget=lambda thread_ids: None).claim("t")
    for number in range(3):
        await say(pool, "t", f"message {number}")
    chunks = [chunk async for chunk in Exports(pool, "mine").export_thread("t")]
    end = json.loads(b"".join(chunks).splitlines()[-1])
    assert end["rows"]["checkpoints"] == 1


async def test_what_is_damaged_is_refused_by_its_line_and_leaves_nothing(pool: Pool, other_database: str) -> None:
    await Threads(pool, "mine", forget=lambda thread_ids: None).claim("t")
    await say(pool, "t", "hello")
    lines = b"".join([chunk async for chunk in Exports(pool, "mine").export_thread("t")]).splitlines()
    rows = [number for number, line in enumerate(lines) if b'"kind": "row"' in line]
    damaged = {
        "breaks off within thread 't'": lines[:-1],
        "line 3: not a JSON object": [*lines[:2], b"{", *lines[3:]],
        "does not have the rows": [line for number, line in enumerate(lines) if number != rows[0]],
        "a row of table 'pg_authid'": [line.replace(b'"checkpoints"', b'"pg_authid"') for line in lines],
        "where a thread begins": lines[1:],
        "this release reads 1": [lines[0].replace(b'"format": 1', b'"format": 9'), *lines[1:]],
    }
    async with open_pool(other_database, name="other", max_size=2) as other:
        for why, given in damaged.items():
            with pytest.raises(ExportDamaged, match=why):
                _ = [one async for one in import_threads(other, "mine", given)]
        left = Threads(other, "mine", forget=lambda thread_ids: None)
        assert (await left.list_threads(10, None)).threads == []
