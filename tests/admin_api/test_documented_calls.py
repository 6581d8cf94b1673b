"""The calls of the published documentation, as they stand there, and their documented answers."""

from pathlib import Path

import httpx
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from admin_api import MountedAgent
from agent_runtime.live_settings.card_url import CardUrl
from groundwork.postgres.pool import Pool
from tests.admin_api.answers import curl, data_of, like, outcome, serve
from tests.admin_api.conftest import Talk

OLD_URL = "http://10.10.20.22:24002/admin/a2a/my-agent"
NEW_URL = "http://new-proxy:8080/admin/a2a/my-agent"


async def test_the_status_has_exactly_three_keys(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/status", "/status"):
        answer = await curl(client, f"curl http://localhost:8000{path}")
        assert answer.json() == {
            "success": True,
            "data": {"agent_id": "my-agent", "mcp": {}, "a2a": {}},
            "error": None,
        }


async def test_the_status_shows_the_state_of_every_connection(agent: MountedAgent) -> None:
    weather = {"connected": False, "status": "unavailable", "last_error": "connection refused"}
    connections = {"mcp": {"weather": weather}, "a2a": {"peer": {"connected": True}}}
    async with serve(like(agent, connections=connections, agent_id=None)) as client:
        data = data_of(await curl(client, "curl http://localhost:8000/api/v1/status"))
    assert data == {"agent_id": None, **connections}


async def test_the_card_url_is_shown_changed_and_kept(agent: MountedAgent, tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"AGENT_ID=my-agent\nPUBLIC_AGENT_URL={OLD_URL}\n")
    async with serve(like(agent, card_url=CardUrl(OLD_URL, env_file))) as client:
        assert data_of(await curl(client, "curl http://localhost:8000/api/v1/card/url")) == {"url": OLD_URL}
        answer = await curl(
            client,
            r"""curl -X PATCH http://localhost:8000/api/v1/card/url \
-H "Content-Type: application/json" \
-d '{"url": "http://new-proxy:8080/admin/a2a/my-agent"}'""",
        )
        assert answer.json() == {
            "success": True,
            "data": {"url": NEW_URL, "previous_url": OLD_URL, "persisted": True},
            "error": None,
        }
        assert data_of(await curl(client, "curl http://localhost:8000/api/v1/card/url")) == {"url": NEW_URL}
    assert env_file.read_text() == f"AGENT_ID=my-agent\nPUBLIC_AGENT_URL={NEW_URL}\n"


async def test_the_memory_configuration_is_shown_and_changed(
    client: httpx.AsyncClient, agent: MountedAgent
) -> None:
    before = data_of(await curl(client, "curl http://localhost:8000/api/v1/memory/config"))
    assert list(before) == [
        "enabled",
        "backend",
        "postgres_dsn",
        "summarize",
        "window_size",
        "summarize_threshold",
    ]
    after = data_of(
        await curl(
            client,
            r"""curl -X PATCH http://localhost:8000/api/v1/memory/config \
-H "Content-Type: application/json" \
-d '{"summarize": true, "window_size": 10}'""",
        )
    )
    assert after == {**before, "summarize": True, "window_size": 10}
    assert agent.memory.current.window_size == 10


async def test_threads_are_listed_in_order_of_creation(
    client: httpx.AsyncClient, agent: MountedAgent, other_agent: MountedAgent, talk: Talk
) -> None:
    await talk(agent, "session-002")
    await talk(other_agent, "theirs")
    await talk(agent, "session-001")
    answer = await curl(client, "curl http://localhost:8000/api/v1/memory/threads")
    assert answer.json() == {
        "success": True,
        "data": {"agent_id": "my-agent", "threads": ["session-002", "session-001"]},
        "error": None,
    }


async def test_a_conversation_is_shown_in_order(
    client: httpx.AsyncClient, agent: MountedAgent, talk: Talk
) -> None:
    await talk(agent, "session-001", "안녕", "더")
    answer = await curl(client, "curl http://localhost:8000/api/v1/memory/threads/session-001/messages")
    assert data_of(answer) == {
        "thread_id": "session-001",
        "messages": [
            {"role": "human", "content": "안녕"},
            {"role": "ai", "content": "You said 안녕"},
            {"role": "human", "content": "더"},
            {"role": "ai", "content": "You said 더"},
        ],
    }
    assert "안녕" in answer.text


async def test_a_deleted_thread_is_accounted_for_and_gone(
    client: httpx.AsyncClient, agent: MountedAgent, talk: Talk, pool: Pool
) -> None:
    await talk(agent, "session-001")
    data = data_of(await curl(client, "curl -X DELETE http://localhost:8000/api/v1/memory/threads/session-001"))
    assert list(data) == ["thread_id", "deleted", "also_deleted"]
    assert list(data["deleted"]) == ["checkpoints", "checkpoint_blobs", "checkpoint_writes", "persistent_memory"]
    assert data["deleted"]["checkpoints"] > 0
    assert data["also_deleted"]["agent_threads"] == 1
    assert await AsyncPostgresSaver(pool).aget_tuple({"configurable": {"thread_id": "session-001"}}) is None
    again = await curl(client, "curl -X DELETE http://localhost:8000/api/v1/memory/threads/session-001")
    assert outcome(again) == (404, "THREAD_NOT_FOUND")


async def test_deleting_all_threads_leaves_those_of_others(
    client: httpx.AsyncClient, agent: MountedAgent, other_agent: MountedAgent, talk: Talk
) -> None:
    await talk(agent, "session-001")
    await talk(agent, "session-002")
    await talk(other_agent, "theirs")
    data = data_of(await curl(client, 'curl -X DELETE "http://localhost:8000/api/v1/memory/threads?all=true"'))
    assert data["agent_id"] == "my-agent"
    assert data["also_deleted"]["agent_threads"] == 2
    assert data_of(await client.get("/api/v1/memory/threads"))["threads"] == []
    assert (await other_agent.threads.list_threads(10, None)).threads == ["theirs"]


async def test_threads_follow_a_change_of_the_agent_id(client: httpx.AsyncClient, pool: Pool, talk: Talk) -> None:
    for number in range(5):
        await talk(MountedAgent("my-agent-old", pool), f"session-{number}")
    line = r"""curl -X POST http://localhost:8000/api/v1/memory/migrate-agent-id \
-H "Content-Type: application/json" \
-d '{"old_id": "my-agent-old", "new_id": "my-agent"}'"""
    answer = await curl(client, line)
    assert answer.json() == {
        "success": True,
        "data": {"old_id": "my-agent-old", "new_id": "my-agent", "migrated_threads": 5},
        "error": None,
    }
    assert data_of(await curl(client, line))["migrated_threads"] == 0
    assert len(data_of(await client.get("/api/v1/memory/threads"))["threads"]) == 5
