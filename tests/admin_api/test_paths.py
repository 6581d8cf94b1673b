"""Thread ids of every kind survive their way through a path; unknown paths and methods are answered in style."""

from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from admin_api import MountedAgent, admin_router
from tests.admin_api.answers import data_of, error_of, like, outcome, request_path, serve
from tests.admin_api.conftest import Talk
from tests.servers import run_server

THREADS = "/api/v1/memory/threads"

IDS = [
    "session-001",
    "a/b",
    "a/messages",
    "/messages",
    "messages",
    "a//b/",
    ".",
    "..",
    "../../status",
    "%",
    "%2F",
    "%252F",
    "+",
    "a b",
    " a ",
    "a+b&c=d?e#f;g",
    "안녕/하세요",
    "🧵",
    "é",
    "e\u0301",  # looks like the one before, and is another
    "\u200b",
    "x" * 255,
    "🧵" * 255,
    "all=true",
    '"quoted"\\',
    "{thread_id}",
]

UNKNOWN = [
    "/api/v1",
    "/api/v1/",
    "/api/v1/unknown",
    "/api/v1/status/",
    "/api/v1/Status",
    "/api/v1//status",
    "/api/v1/a%0Ab",
    "/api/v1/%FF",
    "/api/v1/memory",
    f"{THREADS}/a/b",
    f"{THREADS}/a/b/messages",
    f"{THREADS}/a/messages/",
    "/api/v1/registry/metadata",
    "/api/v1/registry/reload",
    "/internal/runtime-metadata",
    "/internal/reload",
]

METHODS = {
    "/status": "GET, HEAD, OPTIONS",
    "/api/v1/status": "GET, HEAD, OPTIONS",
    "/api/v1/card/url": "GET, HEAD, OPTIONS, PATCH",
    "/api/v1/memory/config": "GET, HEAD, OPTIONS, PATCH",
    THREADS: "DELETE, GET, HEAD, OPTIONS",
    f"{THREADS}/a%2Fb": "DELETE, OPTIONS",
    f"{THREADS}/a/messages": "GET, HEAD, OPTIONS",
    "/api/v1/memory/migrate-agent-id": "OPTIONS, POST",
    "/api/v1/registry/metadata": "GET, HEAD, OPTIONS",
    "/api/v1/registry/reload": "OPTIONS, POST",
    "/internal/runtime-metadata": "GET, HEAD, OPTIONS",
    "/internal/reload": "OPTIONS, POST",
}


async def test_every_thread_id_survives_the_round_trip(client: httpx.AsyncClient, agent: MountedAgent) -> None:
    for thread_id in IDS:
        await agent.threads.claim(thread_id)
    left = data_of(await client.get(THREADS))["threads"]
    assert left == IDS
    for thread_id in IDS:
        path = f"{THREADS}/{quote(thread_id, safe='')}"
        assert data_of(await request_path(client, "GET", f"{path}/messages"))["thread_id"] == thread_id
        assert data_of(await request_path(client, "DELETE", path))["thread_id"] == thread_id
        left.remove(thread_id)
        assert data_of(await client.get(THREADS))["threads"] == left


async def test_a_slash_in_an_id_is_not_the_slash_of_the_route(
    client: httpx.AsyncClient, agent: MountedAgent, talk: Talk
) -> None:
    await talk(agent, "a", "to a")
    await talk(agent, "a/messages", "to a/messages")
    messages = data_of(await request_path(client, "GET", f"{THREADS}/a%2Fmessages/messages"))["messages"]
    assert messages[0]["content"] == "to a/messages"
    assert outcome(await request_path(client, "GET", f"{THREADS}/a%2Fmessages")) == (405, "METHOD_NOT_ALLOWED")
    assert data_of(await request_path(client, "DELETE", f"{THREADS}/a%2Fmessages"))["thread_id"] == "a/messages"
    assert data_of(await client.get(THREADS))["threads"] == ["a"]


async def test_it_does_not_matter_how_a_path_is_encoded(client: httpx.AsyncClient, agent: MountedAgent) -> None:
    for path in (f"{THREADS}/a%2fb", f"{THREADS}/%61%2F%62", "/%61pi/v1/memory/%74hreads/a%2Fb"):
        await agent.threads.claim("a/b")
        assert data_of(await request_path(client, "DELETE", path))["thread_id"] == "a/b"


async def test_ids_survive_under_a_prefix_and_a_mount(agent: MountedAgent) -> None:
    inner, app = FastAPI(), FastAPI()
    inner.include_router(admin_router(agent), prefix="/agents/one")
    app.mount("/mount ed", inner)
    await agent.threads.claim("a/b")
    async with run_server(app) as url, httpx.AsyncClient(base_url=url, verify=False) as client:
        prefix = "/mount%20ed/agents/one"
        found = await request_path(client, "GET", f"{prefix}{THREADS}/a%2Fb/messages")
        assert data_of(found)["thread_id"] == "a/b"
        wrong = await request_path(client, "PUT", f"{prefix}/api/v1/card/url")
        assert wrong.headers["allow"] == "GET, HEAD, OPTIONS, PATCH"
        assert outcome(await request_path(client, "GET", f"{prefix}/api/v1/x")) == (404, "NOT_FOUND")


async def test_a_path_that_a_middleware_has_rewritten_is_the_one_that_counts(agent: MountedAgent) -> None:
    app = FastAPI()
    app.include_router(admin_router(agent))

    async def strip(scope: dict[str, object], receive: object, send: object) -> None:
        path = str(scope["path"]).removeprefix("/gateway") if scope["type"] == "http" else ""
        await app({**scope, "path": path}, receive, send)  # type: ignore[arg-type]

    await agent.threads.claim("a b")
    async with run_server(strip) as url, httpx.AsyncClient(base_url=url, verify=False) as client:  # type: ignore[arg-type]
        answer = await request_path(client, "DELETE", f"/gateway{THREADS}/a%20b")
    assert data_of(answer)["thread_id"] == "a b"


async def test_a_missing_thread_id_is_said_to_be_missing(client: httpx.AsyncClient, agent: MountedAgent) -> None:
    await agent.threads.claim("kept")
    for path in (f"{THREADS}//messages", f"{THREADS}/%20/messages", f"{THREADS}/%E3%80%80/messages"):
        assert outcome(await request_path(client, "GET", path)) == (400, "MISSING_THREAD_ID")
    for end in ("", "/", "/%20", "?all", "?all=false", "?all=yes", "?all=True", "?thread_id=kept"):
        assert outcome(await request_path(client, "DELETE", THREADS + end)) == (400, "MISSING_THREAD_ID")
    for end in ("?all=true&x=1", "?all=true&all=true", "?all=true&all=false", "?caller=", "?all=true&caller=a"):
        assert outcome(await request_path(client, "DELETE", THREADS + end)) == (400, "INVALID_PARAM")
    assert data_of(await client.get(THREADS))["threads"] == ["kept"]


async def test_what_cannot_be_a_thread_id_is_refused(idle_client: httpx.AsyncClient) -> None:
    for encoded in ("x" * 256, "a%00", "a%0Ab", "%7F", "a%C2%85", "%FF", "%ED%A0%80", "%C3%28"):
        for method, path in (("GET", f"{THREADS}/{encoded}/messages"), ("DELETE", f"{THREADS}/{encoded}")):
            answer = await request_path(idle_client, method, path)
            assert outcome(answer) == (400, "INVALID_PARAM")
            assert error_of(answer)["field"] == "thread_id"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_an_unknown_path_is_not_found_whatever_the_method(
    idle_client: httpx.AsyncClient, method: str
) -> None:
    for path in UNKNOWN:
        assert outcome(await request_path(idle_client, method, path)) == (404, "NOT_FOUND"), path


async def test_a_wrong_method_is_told_the_right_ones(idle_agent: MountedAgent) -> None:
    async with serve(like(idle_agent, runtime_control_enabled=True)) as client:
        for path, allowed in METHODS.items():
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - set(
                allowed.split(", ")
            ):
                answer = await request_path(client, method, path)
                assert outcome(answer) == (405, "METHOD_NOT_ALLOWED"), path
                assert answer.headers["allow"] == allowed
            asked = await request_path(client, "OPTIONS", path)
            assert data_of(asked) == {"methods": allowed.split(", ")}
            assert asked.headers["allow"] == allowed


async def test_head_is_answered_like_get_without_the_body(client: httpx.AsyncClient) -> None:
    for path in ("/status", "/api/v1/card/url", "/api/v1/memory/config", THREADS):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.head(f"{THREADS}/none/messages")).status_code == 404
    assert (await client.head("/api/v1/unknown")).status_code == 404
    assert (await client.head(f"{THREADS}/none")).status_code == 405
