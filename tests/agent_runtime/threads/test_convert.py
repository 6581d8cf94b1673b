"""Stored conversations go on in a graph of the other state, once they are converted."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent_runtime.command.cli import app
from agent_runtime.retention.service import Retention
from groundwork.postgres.pool import Pool
from tests.agents import SCRIPTED, running_agent, write_project

DELTA = (
    SCRIPTED.replace("MessagesState, StateGraph", "StateGraph")
    .replace("MessagesState", "Conversation")
    .replace("import Data", "import Conversation, Data")
)
STATES = [(SCRIPTED, DELTA, "Conversation"), (DELTA, SCRIPTED, "MessagesState")]


def convert(to: str, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["threads", "convert", "--to", to, *more], obj=frozenset())
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("first", "then", "to"), [(SCRIPTED, DELTA, "Conversation"), (DELTA, SCRIPTED, "MessagesState")]
)
async def test_a_converted_conversation_goes_on_with_all_that_was_said(
    first: str, then: str, to: str, tmp_path: Path, database_url: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", database_url)
    monkeypatch.setenv("AGENT_ID", "mine")
    async with running_agent(write_project(tmp_path / "first", first), database_url, "mine") as agent:
        for text in ("say one", "say two", "say three"):
            await agent.ask(text, "talk")
        waiting = (await agent.send("ask sugar?", contextId="asks"))["task"]
        assert "stop it first" in (await asyncio.to_thread(convert, to))[1]
    would = await asyncio.to_thread(convert, to, "--dry-run")
    assert would == (0, "2 threads would be converted, 0 left as they are.\n")
    assert await asyncio.to_thread(convert, to.lower()) == (0, "2 threads converted, 0 left as they are.\n")
    assert await asyncio.to_thread(convert, to) == (0, "0 threads converted, 2 left as they are.\n")
    async with running_agent(write_project(tmp_path / "then", then), database_url, "mine") as agent:
        assert await agent.ask("say four", "talk") == "four"
        said = [message["content"] for message in await agent.messages("talk")]
        assert said == ["say one", "one", "say two", "two", "say three", "three", "say four", "four"]
        assert "heard two" in str(await agent.send("two", contextId="asks", taskId=waiting["id"]))
    if to == "MessagesState":
        pruning = await Retention(pool, "mine", 1, pruned=lambda rows: None).prune(["talk"])
        assert pruning.skipped == {}
