"""The admin API on somebody else's app: it administers the app's threads and leaves the rest alone."""

from collections.abc import AsyncIterator

import httpx
import pytest
from openapi_spec_validator import validate

from examples.mount_on_your_own_app import create_app
from tests.admin_api.answers import data_of, outcome
from tests.servers import run_server


@pytest.fixture
async def client(empty_database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        run_server(create_app(empty_database_url)) as url,
        httpx.AsyncClient(base_url=url, verify=False) as client,
    ):
        yield client


async def test_the_threads_of_the_app_are_listed_shown_and_deleted(client: httpx.AsyncClient) -> None:
    reply = await client.post("/chat/session-001", json={"text": "hello"})
    assert reply.json() == {"reply": "You said: hello"}

    assert data_of(await client.get("/api/v1/memory/threads"))["threads"] == ["session-001"]
    shown = data_of(await client.get("/api/v1/memory/threads/session-001/messages"))
    assert [message["content"] for message in shown["messages"]] == ["hello", "You said: hello"]
    assert data_of(await client.delete("/api/v1/memory/threads/session-001"))["deleted"]["checkpoints"] > 0
    assert data_of(await client.get("/api/v1/memory/threads"))["threads"] == []


async def test_the_routes_and_errors_of_the_app_stay_its_own(client: httpx.AsyncClient) -> None:
    assert (await client.get("/unknown")).json() == {"detail": "Not Found"}
    assert (await client.put("/chat/x")).json() == {"detail": "Method Not Allowed"}
    assert (await client.post("/chat/x", json={})).status_code == 422
    assert outcome(await client.get("/api/v1/unknown")) == (404, "NOT_FOUND")


async def test_one_document_describes_both(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    validate(document)
    assert {"/chat/{thread_id}", "/api/v1/memory/threads", "/status"} <= set(document["paths"])
