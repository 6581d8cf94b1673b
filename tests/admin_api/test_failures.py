"""What goes wrong inside leaves in the envelope too, and tells nothing but where to look."""

import logging
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException

from admin_api import MountedAgent, admin_router
from admin_api.errors import ANSWERS, answer_for
from agent_runtime.errors import AgentError, ThreadNotFound, ThreadNotOurs
from groundwork.http.asgi import RequestId
from groundwork.postgres.pool import Pool
from tests.admin_api.answers import error_of, like, outcome, serve
from tests.admin_api.conftest import Talk
from tests.servers import run_server

THREADS = "/api/v1/memory/threads"


async def test_a_bug_is_logged_in_full_and_answered_with_a_request_id_only(
    idle_agent: MountedAgent, caplog: pytest.LogCaptureFixture
) -> None:
    for bug in (RuntimeError("the canary"), AgentError("the canary"), HTTPException(500, "the canary")):
        async with serve(like(idle_agent, connections=bug)) as client:
            answer = await client.get("/status")
        error = error_of(answer)
        assert answer.status_code == 500
        assert set(error) == {"code", "message", "request_id"}
        assert error["code"] == "INTERNAL_ERROR"
        assert "canary" not in answer.text
        logged = next(record for record in caplog.records if error["request_id"] in record.getMessage())
        assert logged.levelno == logging.ERROR
        assert logged.exc_info is not None
        assert logged.exc_info[1] is bug


async def test_the_request_id_is_the_one_the_server_has_given(idle_agent: MountedAgent) -> None:
    app = FastAPI()
    app.include_router(admin_router(like(idle_agent, connections=RuntimeError())))
    app.add_middleware(RequestId)
    async with run_server(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        answer = await client.get("/status", headers={"X-Request-Id": "trace-1"})
    assert error_of(answer)["request_id"] == answer.headers["x-request-id"] == "trace-1"


async def test_without_its_database_the_agent_says_so_and_goes_on_serving(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    await pool.close()
    for method, path in (
        ("GET", THREADS),
        ("GET", f"{THREADS}?limit=1"),
        ("GET", f"{THREADS}/a/messages"),
        ("DELETE", f"{THREADS}/a"),
        ("DELETE", f"{THREADS}?all=true"),
    ):
        answer = await client.request(method, path)
        assert outcome(answer) == (503, "UNAVAILABLE")
        assert set(error_of(answer)) == {"code", "message", "request_id"}
    migration = await client.post("/api/v1/memory/migrate-agent-id", json={"old_id": "a", "new_id": "my-agent"})
    assert outcome(migration) == (503, "UNAVAILABLE")
    assert (await client.get("/status")).status_code == 200


async def test_a_conversation_that_cannot_be_read_is_named_and_others_can(
    client: httpx.AsyncClient, agent: MountedAgent, talk: Talk, pool: Pool
) -> None:
    await talk(agent, "broken")
    await talk(agent, "whole")
    async with pool.connection() as conn:
        await conn.execute("UPDATE checkpoint_blobs SET blob = '\\xc1' WHERE thread_id = 'broken'")
    answer = await client.get(f"{THREADS}/broken/messages")
    assert outcome(answer) == (409, "CONFLICT")
    assert error_of(answer)["thread_id"] == "broken"
    assert (await client.get(f"{THREADS}/whole/messages")).status_code == 200
    assert (await client.delete(f"{THREADS}/broken")).status_code == 200


async def test_unusual_characters_in_a_conversation_reach_the_reader(
    client: httpx.AsyncClient, agent: MountedAgent, talk: Talk
) -> None:
    await talk(agent, "t", "NUL \x00, line \u2028, 🧵")
    answer = await client.get(f"{THREADS}/t/messages")
    assert answer.json()["data"]["messages"][0]["content"] == "NUL \x00, line \u2028, 🧵"


async def test_half_a_character_in_a_conversation_is_no_failure(
    client: httpx.AsyncClient, agent: MountedAgent, talk: Talk, pool: Pool
) -> None:
    await talk(agent, "t")
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE checkpoint_blobs SET type = 'json', blob = %s WHERE channel = 'messages'",
            (rb'[{"role": "human", "content": "half \ud83e"}]',),
        )
    answer = await client.get(f"{THREADS}/t/messages")
    assert answer.json()["data"]["messages"][0]["content"] == "half \ud83e"


async def test_what_a_host_puts_in_front_of_the_routes_is_answered_in_the_envelope(
    idle_agent: MountedAgent,
) -> None:
    async def needs_a_tenant(x_tenant: Annotated[int, Header()]) -> None:
        if x_tenant != 1:
            raise HTTPException(403, "another tenant's", headers={"X-Reason": "tenant"})

    app = FastAPI()
    app.include_router(admin_router(idle_agent), dependencies=[Depends(needs_a_tenant)])
    async with run_server(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        missing = await client.get("/status")
        foreign = await client.get("/status", headers={"X-Tenant": "2"})
        own = await client.get("/status", headers={"X-Tenant": "1"})
    assert outcome(missing) == (400, "INVALID_PARAM")
    assert error_of(missing)["field"] == "x-tenant"
    assert outcome(foreign) == (403, "FORBIDDEN")
    assert error_of(foreign)["message"] == "another tenant's"
    assert foreign.headers["x-reason"] == "tenant"
    assert own.status_code == 200


def test_an_error_is_answered_like_the_nearest_of_its_parents_that_is_listed() -> None:
    class ThreadGone(ThreadNotFound):
        pass

    assert answer_for(ThreadGone) == answer_for(ThreadNotFound) == (404, "THREAD_NOT_FOUND")
    assert answer_for(ThreadNotOurs) == (403, "FORBIDDEN")
    assert answer_for(KeyError) == (500, "INTERNAL_ERROR")
    assert {status for status, _ in ANSWERS.values()} == {400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503}
