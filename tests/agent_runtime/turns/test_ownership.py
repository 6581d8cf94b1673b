"""Every thread has one owner, whoever races for it and whatever it is renamed to meanwhile."""

import asyncio
from pathlib import Path

from tests.agents import CHAT, SCRIPTED, Agent, answer_text, running_agent, text_message, write_project


async def send(agent: Agent, text: str, context: str) -> dict[str, object]:
    return await agent.rpc("SendMessage", {"message": text_message(text, contextId=context)})


async def migrate(agent: Agent, old_id: str, new_id: str) -> int:
    body = {"old_id": old_id, "new_id": new_id}
    response = await agent.http.post("/api/v1/memory/migrate-agent-id", json=body)
    assert response.status_code == 200, response.text
    moved: int = response.json()["data"]["migrated_threads"]
    return moved


async def test_two_agents_race_for_a_thread_and_one_gets_it(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path)
    async with (
        running_agent(directory, database_url, "red") as red,
        running_agent(directory, database_url, "blue") as blue,
    ):
        for number in range(5):
            context = f"thread-{number}"
            answers = await asyncio.gather(send(red, "red", context), send(blue, "blue", context))
            assert sorted("error" in answer for answer in answers) == [False, True]
            winner = red if "result" in answers[0] else blue
            assert [m["role"] for m in await winner.messages(context)] == ["human", "ai"]


async def test_an_agent_is_refused_the_thread_of_another(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path)
    async with (
        running_agent(directory, database_url, "red") as red,
        running_agent(directory, database_url, "blue") as blue,
    ):
        await red.ask("the password is swordfish", "one")
        refused = await send(blue, "what is the password?", "one")
        shown = await blue.http.get("/api/v1/memory/threads/one/messages")
    assert "context id 'one' is taken" in str(refused["error"])
    assert "swordfish" not in str(refused)
    assert shown.status_code == 403
    assert shown.json()["error"]["code"] == "FORBIDDEN"


async def test_a_turn_that_runs_while_its_agent_is_renamed_ends_in_the_same_thread(
    tmp_path: Path, database_url: str
) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with running_agent(directory, database_url, "old") as old:
        turn = asyncio.create_task(old.send("hold it", contextId="one"))
        while not old.journal():
            await asyncio.sleep(0.02)
        assert await migrate(old, "old", "new") == 1
        old.release("it")
        assert answer_text((await turn)["task"]) == "it"
        assert await migrate(old, "old", "new") == 0
    async with running_agent(directory, database_url, "new") as new:
        assert [m["content"] for m in await new.messages("one")] == ["hold it", "it"]


async def test_a_migration_merges_into_threads_that_are_there(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path)
    async with running_agent(directory, database_url, "old") as old:
        for number in range(3):
            await old.ask("hello", f"old-{number}")
    async with running_agent(directory, database_url, "new") as new:
        await new.ask("hello", "new-0")
        assert await migrate(new, "old", "new") == 3
        listed = (await new.http.get("/api/v1/memory/threads")).json()["data"]["threads"]
    assert listed == ["old-0", "old-1", "old-2", "new-0"]


async def test_callers_with_tokens_keep_their_contexts_to_themselves(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, CHAT)
    async with running_agent(directory, database_url, a2a_tokens="ann=token-a,bob=token-b") as agent:
        task = (await agent.send("my name is Ann", token="token-a", contextId="one"))["task"]
        refused = await agent.rpc(
            "SendMessage", {"message": text_message("what is my name?", contextId="one")}, token="token-b"
        )
        hidden = await agent.rpc("GetTask", {"id": task["id"]}, token="token-b")
        unknown = await agent.http.post("/", json={})
    assert "Ann" not in str(refused)
    assert "error" in refused
    assert hidden["error"]["code"] == -32001
    assert unknown.status_code == 401
